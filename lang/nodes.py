"""The inner nodes of the syntax tree: expressions and statements, one class for each rule of grammar.lark.

Nodes compare by identity, so that side tables (types, variables) can be keyed by them.
"""

from __future__ import annotations

from lang.records import dataclass
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
