"""The syntax tree: one frozen class for each rule of grammar.lark, under the rule's name.

Nodes compare by identity, so that side tables (types, variables) can be keyed by them. Those of expressions
and statements are in lang/nodes.py, and are names of this module too.
"""

from __future__ import annotations

from collections.abc import Iterator

from lang.nodes import *  # noqa: F403
from lang.nodes import (
    Block,
    Call,
    Evaluate,
    Expression,
    Map,
    Name,
    Node,
    Return,
    Statement,
    Type,
    TypeOf,
    Variable,
)
from lang.records import dataclass, fields
from lang.source import Span

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


def ends_probe(node: Statement) -> bool:
    """Whether what follows the statement in its block is never reached: `return`, `exit()`."""
    if isinstance(node, Evaluate):
        return isinstance(node.value, Call) and node.value.name == "exit"
    return isinstance(node, Return)


_field_names: dict[type[Node], tuple[str, ...]] = {}


def children(node: Node) -> list[Node]:
    """The nodes directly below one, in source order."""
    kind = type(node)
    names = _field_names.get(kind)
    if names is None:
        names = _field_names[kind] = tuple(item.name for item in fields(kind) if item.name != "span")
    found: list[Node] = []
    for name in names:
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple):
            found += [entry for entry in value if isinstance(entry, Node)]
    return found


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, without recursion, parents first."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += reversed(children(current))
