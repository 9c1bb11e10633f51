"""What a builtin function is, and what the rules of all of them share: arguments counted, visited, refused.

A `result` rule sees the call through `Typing`, reports what is wrong with the arguments at their place, and
gives the call's type: None while an argument's type is not known yet, or after an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lang import ast
from lang.builtins import Scene
from lang.checked import MapInfo
from lang.convert import as_int
from lang.fold import Constant
from lang.probes import Kind
from lang.records import dataclass
from lang.source import Span
from lang.types import Pointer, Type


class Typing(Protocol):
    """What a rule may ask of the checker."""

    @property
    def scene(self) -> Scene: ...
    def type(self, node: ast.Expression) -> Type | None:
        """The type of an argument, which this visits."""

    def constant(self, node: ast.Expression) -> Constant | None:
        """The value of a literal, a parameter or arithmetic on them; None for what is not constant."""

    def map(self, node: ast.Expression) -> MapInfo | None:
        """The map that the argument names as a whole; None, unreported, where it is no bare map."""

    def key(self, node: ast.Node, info: MapInfo, keys: tuple[ast.Expression, ...]) -> None:
        """Visit a key given to the map, and unify its type."""

    def given(self, parameter: ast.Parameter) -> bool:
        """Whether the command line gave this parameter."""

    def exists(self, node: ast.Call) -> bool | None:
        """Whether this kernel has what exists() asks for."""

    def error(self, node: ast.Node | Span, message: str, *hints: str, lack: bool = False) -> None: ...


@dataclass(frozen=True)
class Function:
    """`most` is None where any number of arguments may follow; `result` is not asked where `meaning` is."""

    name: str
    least: int
    most: int | None
    result: Callable[[Typing, ast.Call], Type | None]
    usage: str
    doc: str
    aggregate: bool = False
    unsafe: bool = False  # changes the traced system: refused without --unsafe
    bare: bool = False  # may be written without brackets, like a variable
    allowed: Callable[[Kind], bool] = lambda kind: True
    value: Callable[[Typing, ast.Call], Constant | None] | None = None  # known at compile time
    meaning: Callable[[ast.Call], ast.Expression] | None = None  # what it is short for

    def count_error(self, given: int) -> str | None:
        """The message for a wrong number of arguments, in bpftrace's words."""
        if given >= self.least and (self.most is None or given <= self.most):
            return None
        if self.most == 0:
            wanted = "requires no arguments"
        elif self.least == self.most:
            wanted = f"requires {_arguments(self.least)}"
        elif given < self.least:
            wanted = f"requires at least {_arguments(self.least)}"
        else:
            wanted = f"takes up to {_arguments(self.most or 0)}"
        return f"{self.name}() {wanted} ({given} provided)"

    def refusal(self, scene: Scene) -> str | None:
        """Why the function cannot be called in this probe, in bpftrace's words; None where it can."""
        if self.unsafe and not scene.settings.unsafe:
            return f"{self.name}() is an unsafe function being used in safe mode"
        if not self.allowed(scene.kind):
            return f'{self.name} can not be used with "{scene.kind.name}" probes'
        return None


def _arguments(count: int) -> str:
    return "one argument" if count == 1 else f"{count} arguments"


def visit_all(typing: Typing, call: ast.Call) -> list[Type | None]:
    """The types of all arguments."""
    return [typing.type(item) for item in call.arguments]


def expect_int(typing: Typing, node: ast.Expression, what: str) -> Type | None:
    """The type of an argument that must be an integer; reports one that is not."""
    kind = typing.type(node)
    if kind is not None and as_int(kind) is None:
        typing.error(node, f"{what} must be an integer, not {kind}")
        return None
    return kind


def expect_text(typing: Typing, call: ast.Call, place: int, what: str) -> str | None:
    """An argument that must be a literal string, or an expression of them."""
    value = typing.constant(call.arguments[place])
    if isinstance(value, str):
        return value
    typing.error(call.arguments[place], f"{call.name}() expects a string literal as {what}")
    return None


def expect_literal(typing: Typing, call: ast.Call, place: int, low: int, high: int) -> int | None:
    """An argument that must be a literal integer within limits."""
    value = typing.constant(call.arguments[place])
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    typing.error(call.arguments[place], f"{call.name}() expects a literal from {low} to {high} here")
    return None


def expect_address(typing: Typing, call: ast.Call, place: int = 0) -> Type | None:
    """The type of an argument that must be an address."""
    kind = typing.type(call.arguments[place])
    if kind is not None and as_int(kind) is None and not isinstance(kind, Pointer):
        typing.error(call.arguments[place], f"{call.name}() expects an address, not {kind}")
        return None
    return kind


def fixed(kind: Type) -> Callable[[Typing, ast.Call], Type | None]:
    """The rule of a function whose arguments may have any type."""

    def rule(typing: Typing, call: ast.Call) -> Type | None:
        visit_all(typing, call)
        return kind

    return rule
