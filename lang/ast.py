"""The syntax tree: one frozen class for each rule of grammar.lark, under the rule's name.

Nodes compare by identity, so that side tables (types, variables) can be keyed by them.
"""

from __future__ import annotations

from collections.abc import Iterator

from lang.records import dataclass, fields
from lang.source import Span


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    span: Span


# ---- Types as written


@dataclass(frozen=True, eq=False, slots=True)
class Type(Node):
    """`struct NAME **[4]`: `suffixes` holds 0 for each `*` and the length of each `[N]`, in order."""

    tag: str  # struct, union, enum or empty
    name: str
    suffixes: tuple[int, ...]


# ---- Expressions


@dataclass(frozen=True, eq=False, slots=True)
class Integer(Node):
    value: int


@dataclass(frozen=True, eq=False, slots=True)
class String(Node):
    value: str


@dataclass(frozen=True, eq=False, slots=True)
class Boolean(Node):
    value: bool


@dataclass(frozen=True, eq=False, slots=True)
class Parameter(Node):
    """`$1`, counted from 1."""

    number: int


@dataclass(frozen=True, eq=False, slots=True)
class ParameterCount(Node):
    pass


@dataclass(frozen=True, eq=False, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Call(Node):
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, eq=False, slots=True)
class SizeOf(Node):
    operand: Type | Expression


@dataclass(frozen=True, eq=False, slots=True)
class OffsetOf(Node):
    type: Type | Expression
    path: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Tuple(Node):
    elements: tuple[Expression, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Record(Node):
    names: tuple[str, ...]
    elements: tuple[Expression, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Group(Node):
    inner: Expression


@dataclass(frozen=True, eq=False, slots=True)
class Variable(Node):
    name: str  # with the $


@dataclass(frozen=True, eq=False, slots=True)
class Map(Node):
    """A bare `@name`: a scalar map, or the map itself as an argument."""

    name: str  # with the @


@dataclass(frozen=True, eq=False, slots=True)
class MapEntry(Node):
    map: Map
    keys: tuple[Expression, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Member(Node):
    base: Expression
    name: str
    name_span: Span


@dataclass(frozen=True, eq=False, slots=True)
class Element(Node):
    base: Expression
    number: int


@dataclass(frozen=True, eq=False, slots=True)
class Index(Node):
    base: Expression
    index: Expression


@dataclass(frozen=True, eq=False, slots=True)
class StepBefore(Node):
    operator: str  # ++ or --
    target: Target


@dataclass(frozen=True, eq=False, slots=True)
class StepAfter(Node):
    target: Target
    operator: str


@dataclass(frozen=True, eq=False, slots=True)
class Cast(Node):
    type: Type | TypeOf
    operand: Expression


@dataclass(frozen=True, eq=False, slots=True)
class Unary(Node):
    operator: str  # ! ~ - + * &
    operand: Expression


@dataclass(frozen=True, eq=False, slots=True)
class Binary(Node):
    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, eq=False, slots=True)
class Ternary(Node):
    """`c ? a : b`; `c ?: b` has no `then`."""

    condition: Expression
    then: Expression | None
    otherwise: Expression


# ---- Values made of statements


@dataclass(frozen=True, eq=False, slots=True)
class IfValue(Node):
    """`if c { a } else { b }` where a value is wanted."""

    condition: Expression
    then: Block
    otherwise: Block | IfValue


@dataclass(frozen=True, eq=False, slots=True)
class Comptime(Node):
    operand: Expression


@dataclass(frozen=True, eq=False, slots=True)
class TypeOf(Node):
    operand: Type | Expression


@dataclass(frozen=True, eq=False, slots=True)
class NamedArgument(Node):
    """`NAME = value` in a call."""

    name: str
    value: Expression


# ---- Statements


@dataclass(frozen=True, eq=False, slots=True)
class Block(Node):
    """Statements; with `has_value` the last is an expression whose value is the block's."""

    statements: tuple[Statement, ...]
    has_value: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Let(Node):
    """`let $x: T = value`. Of a function's parameter or result the value is converted as C does it."""

    variable: Variable
    type: Type | TypeOf | None
    value: Expression | None
    converts: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Assign(Node):
    target: Target
    value: Expression


@dataclass(frozen=True, eq=False, slots=True)
class FieldAssign(Node):
    """`@map[key].field = sum(value)`: a field of the record that is the entry's value.

    `@map[key].field += value` has the whole sum as its value, which then has the statement's span.
    """

    target: Map | MapEntry
    field: str
    field_span: Span
    value: Expression

    @property
    def change(self) -> Binary | None:
        """The sum of `+=` and its like."""
        return self.value if isinstance(self.value, Binary) and self.value.span == self.span else None


@dataclass(frozen=True, eq=False, slots=True)
class AssignBy(Node):
    target: Target
    operator: str  # without the =
    value: Expression


@dataclass(frozen=True, eq=False, slots=True)
class Discard(Node):
    value: Expression


@dataclass(frozen=True, eq=False, slots=True)
class Evaluate(Node):
    value: Expression


@dataclass(frozen=True, eq=False, slots=True)
class IfStatement(Node):
    condition: Expression
    then: Block
    otherwise: Block | IfStatement | None


@dataclass(frozen=True, eq=False, slots=True)
class Unroll(Node):
    count: Expression
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class While(Node):
    condition: Expression
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class ForRange(Node):
    """`for $i : first..last`: without the last."""

    variable: Variable
    first: Expression
    last: Expression
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class ForOption(Node):
    """`for $d : opt.directories`: the body once for each item of a list; lang.foreach unrolls it."""

    variable: Variable
    option: str
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class ForMap(Node):
    """`for $kv : @map`: each entry as a tuple (key, value)."""

    variable: Variable
    map: Map
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Return(Node):
    value: Expression | None


@dataclass(frozen=True, eq=False, slots=True)
class Break(Node):
    pass


@dataclass(frozen=True, eq=False, slots=True)
class Continue(Node):
    pass


# ---- Probes and the script


@dataclass(frozen=True, eq=False, slots=True)
class PrototypeParameter(Node):
    type: Type
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class Prototype(Node):
    """`(struct file *file, loff_t *at) : ssize_t` behind a kernel function's name."""

    parameters: tuple[PrototypeParameter, ...]
    result: Type | None


@dataclass(frozen=True, eq=False, slots=True)
class AttachPoint(Node):
    """`provider:part:part` as written; `part_spans` run beside `parts`.

    `A || B || C` is A with the alternatives B and C; `A?` is optional.
    """

    provider: str
    provider_span: Span
    parts: tuple[str, ...]
    part_spans: tuple[Span, ...]
    alternatives: tuple[AttachPoint, ...] = ()
    optional: bool = False
    prototype: Prototype | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Predicate(Node):
    condition: Expression


@dataclass(frozen=True, eq=False, slots=True)
class Probe(Node):
    attach_points: tuple[AttachPoint, ...]
    predicate: Predicate | None
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Setting(Node):
    name: str
    value: str | int
    value_span: Span


@dataclass(frozen=True, eq=False, slots=True)
class Config(Node):
    settings: tuple[Setting, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Declaration(Node):
    """`let @name = kind(entries);`"""

    map: str
    kind: str
    entries: int


@dataclass(frozen=True, eq=False, slots=True)
class Option(Node):
    """`option name: kind = default "-f" "--flag" "description";`: the default as text, None without one.

    `place` is the upper-case name of a positional option, `choices` are the strings of an enum, `bounds` the
    least and the largest number that may be given (`uint32(1..100)`); a default may lie outside.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    default: str | None
    default_span: Span
    flags: tuple[str, ...]
    place: str
    description: str
    bounds: tuple[int, int | None] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Exclusion(Node):
    """`option a | b;`: at most one of them may be given."""

    names: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Macro(Node):
    """`macro name($v, @m, word) { … }`: the parameters are variables, maps and names."""

    name: str
    parameters: tuple[Variable | Map | Name, ...]
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Import(Node):
    path: str


@dataclass(frozen=True, eq=False, slots=True)
class FunctionParameter(Node):
    variable: Variable
    type: Type | TypeOf


@dataclass(frozen=True, eq=False, slots=True)
class Function(Node):
    """`fn name($a: T, …) : R { … }`."""

    name: str
    parameters: tuple[FunctionParameter, ...]
    result: Type | TypeOf | None
    body: Block


# ---- The C part


@dataclass(frozen=True, eq=False, slots=True)
class CMember(Node):
    """`type name[length] : bits` of a struct: `kind` is a written type, or a struct defined in place."""

    kind: Type | CStruct
    name: str
    lengths: tuple[Expression, ...]
    bits: int


@dataclass(frozen=True, eq=False, slots=True)
class CStruct(Node):
    tag: str  # struct or union
    name: str  # empty where it has none
    members: tuple[CMember, ...]


@dataclass(frozen=True, eq=False, slots=True)
class CConstant(Node):
    name: str
    value: Expression | None


@dataclass(frozen=True, eq=False, slots=True)
class CEnum(Node):
    name: str  # empty where it has none
    constants: tuple[CConstant, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Script(Node):
    config: Config | None
    declarations: tuple[Declaration, ...]
    probes: tuple[Probe, ...]
    definitions: tuple[CStruct | CEnum, ...] = ()
    macros: tuple[Macro, ...] = ()
    options: tuple[Option, ...] = ()
    functions: tuple[Function, ...] = ()
    imports: tuple[Import, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()


Target = Variable | Map | MapEntry
Expression = (
    Integer
    | String
    | Boolean
    | Parameter
    | ParameterCount
    | Name
    | Call
    | SizeOf
    | OffsetOf
    | Tuple
    | Record
    | Group
    | Variable
    | Map
    | MapEntry
    | Member
    | Element
    | Index
    | StepBefore
    | StepAfter
    | Cast
    | Unary
    | Binary
    | Ternary
    | IfValue
    | Comptime
    | TypeOf
    | NamedArgument
    | Block
)
Statement = (
    Block
    | Let
    | Assign
    | FieldAssign
    | AssignBy
    | Discard
    | Evaluate
    | IfStatement
    | Unroll
    | While
    | ForRange
    | ForMap
    | ForOption
    | Return
    | Break
    | Continue
)


def ends_probe(node: Statement) -> bool:
    """Whether what follows the statement in its block is never reached: `return`, `exit()`."""
    if isinstance(node, Evaluate):
        return isinstance(node.value, Call) and node.value.name == "exit"
    return isinstance(node, Return)


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below one, in source order."""
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (entry for entry in value if isinstance(entry, Node))


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, without recursion, parents first."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(list(children(current))))
