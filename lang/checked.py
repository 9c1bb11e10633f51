"""The checker's result: probes with their targets, and side tables of types, variables and maps."""

from __future__ import annotations

from collections.abc import Mapping

from lang import ast
from lang.fold import Constant, fold
from lang.machine import Field, Machine, Operand, Parameter
from lang.options import option_constant
from lang.records import dataclass, field
from lang.resolution import Resolution
from lang.settings import Settings
from lang.source import Span
from lang.types import Type


@dataclass(frozen=True)
class Target:
    """One attach point after expansion: a thing of this kernel or this machine, with its argument types.

    `kind` is the canonical provider. The rest is as in codegen.plan.Attach; `fields` is a tracepoint's
    record, `parameters` a function's or raw tracepoint's arguments, `result` what it returns.
    """

    kind: str
    label: str
    span: Span
    category: str = ""
    name: str = ""
    module: str = ""
    path: str = ""
    offset: int = 0
    pid: int = 0
    perf_type: int = 0
    perf_config: int = 0
    period: int = 0
    frequency: int = 0
    all_cpus: bool = True
    fields: tuple[Field, ...] | None = None
    parameters: tuple[Parameter, ...] | None = None
    result: Type | None = None
    semaphore: int = 0
    length: int = 0
    operands: tuple[Operand, ...] = ()  # a static probe's arguments
    mechanism: str = ""  # the kind of program, where the probe's kind leaves a choice
    symbol: str = ""  # what the kernel calls the function, where that is not `name`


@dataclass(eq=False)
class VariableInfo:
    """One `$name` of one scope: its type grows until the whole program agrees."""

    name: str
    span: Span
    type: Type | None = None
    declared: bool = False  # by `let $x: T`: the type is fixed
    used: bool = False  # something was assigned after the declaration
    wrong: bool = False  # its value or its type was refused: what follows from that is not told


@dataclass(eq=False)
class MapInfo:
    """One `@name`: `keys` is None for a scalar map. Types grow until the whole program agrees."""

    name: str
    span: Span
    keyed: bool | None = None
    key: Type | None = None
    value: Type | None = None
    written: bool = False
    read: bool = False  # in a probe, as a value
    kind: str = ""  # of `let @m = kind(entries)`
    entries: int = 0
    key_names: tuple[str, ...] = ()  # the key's parts as first written: the columns of a table


@dataclass(frozen=True, eq=False)
class Body:
    """One probe's statements as checked for targets that agree in all types the body uses."""

    probe: ast.Probe
    targets: tuple[Target, ...]
    types: Mapping[ast.Node, Type]
    variables: Mapping[ast.Variable, VariableInfo]
    meanings: Mapping[ast.Node, ast.Expression]  # of what is short for something else: ppid, a ?? b
    hoisted: tuple[VariableInfo, ...] = ()  # variables of the whole body, as in scripts of before block scope

    def type(self, node: ast.Node) -> Type:
        return self.types[node]


@dataclass(frozen=True, eq=False)
class Checked:
    """A script that this machine can run: what the lowering needs, nothing of the kernel behind it."""

    script: ast.Script
    machine: Machine  # with the script's own types
    bodies: tuple[Body, ...]
    maps: Mapping[str, MapInfo]
    settings: Settings
    parameters: tuple[str, ...]
    sizes: Mapping[ast.Node, int]  # what is constant: sizeof, kaddr(), AF_INET …
    pid: int  # of -p; 0 without
    options: Mapping[str, Constant] = field(default_factory=dict)
    resolutions: tuple[Resolution, ...] = ()  # of the attach points, in the script's order

    def constant(self, node: ast.Expression) -> Constant | None:
        """The value of a constant expression; None for what is known at run time only."""
        return fold(node, self.parameters, self._special)

    def _special(self, node: ast.Expression) -> Constant | None:
        if node in self.sizes:
            return self.sizes[node]
        return option_constant(node, self.options)

    def live_branch(self, condition: ast.Expression) -> bool | None:
        """True or False where the condition is constant: only that branch is part of the program."""
        value = self.constant(condition)
        return bool(value) if isinstance(value, int) else None
