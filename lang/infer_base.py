"""What typing the expressions of one body needs to know: the state behind lang/infer.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lang import ast
from lang.builtins import Scene
from lang.checked import MapInfo, Target, VariableInfo
from lang.convert import is_condition, promote, storable
from lang.diagnostics import Diagnostics, nearest
from lang.fold import Constant, fold
from lang.functions_rows import key_names
from lang.machine import Machine
from lang.settings import Settings
from lang.source import Span
from lang.types import Enum, Pointer, Tuple, Type, Void

SCALAR_USE = (
    "{} used as a map without an explicit key (scalar map), "
    "previously used with an explicit key (non-scalar map)"
)
KEYED_USE = (
    "{} used as a map with an explicit key (non-scalar map), "
    "previously used without an explicit key (scalar map)"
)
RAISE_STRLEN = "raise it: config = {{ max_strlen = {} }}"
_visits: dict[type[ast.Node], str] = {}  # each kind of node → the method that types it


class InferenceBase:
    """The typing of one body at a time; `maps` and `grew` are the whole program's.

    The methods without an underscore are what the rules of lang/functions.py may ask (`Typing`).
    """

    def __init__(
        self,
        machine: Machine,
        settings: Settings,
        parameters: tuple[str, ...],
        found: Diagnostics,
        options: Mapping[str, ast.Option] | None = None,
        values: Mapping[str, Constant] | None = None,
    ) -> None:
        self.machine = machine
        self.settings = settings
        self.parameters = parameters
        self.options = options or {}  # declared, by name
        self.option_values = values or {}
        self.maps: dict[str, MapInfo] = {}
        self.found = found
        self.final = False  # the last round: reports on
        self.grew = False
        self._void: set[object] = set()  # what holds pointers to different types
        self.counted = False  # the script asks how many parameters there are: a missing one is meant
        self.types: dict[ast.Node, Type] = {}
        self.variables: dict[ast.Variable, VariableInfo] = {}
        self.sizes: dict[ast.Node, int] = {}
        self.constants: dict[str, tuple[int, Enum] | None] = {}  # by name, as the machine answered
        self.written: dict[tuple[str, str], Type | None] = {}  # types by tag and name, likewise
        self.declared: dict[ast.Node, VariableInfo] = {}  # of the body: by the node that declares
        self.meanings: dict[ast.Node, ast.Expression] = {}  # of the body: what a call is short for
        self.hoisted: dict[str, VariableInfo] = {}  # of the body: see `lookup`
        self.scopes: list[dict[str, VariableInfo]] = []
        self._scene: Scene | None = None

    @property
    def scene(self) -> Scene:
        """Where the body stands: machine, settings, target."""
        assert self._scene is not None
        return self._scene

    def enter(
        self,
        targets: tuple[Target, ...],
        types: dict[ast.Node, Type],
        variables: dict[ast.Variable, VariableInfo],
        declared: dict[ast.Node, VariableInfo],
        meanings: dict[ast.Node, ast.Expression],
    ) -> None:
        """Begin one body; its tables are kept from round to round by the driver."""
        self._scene = Scene(self.machine, self.settings, targets)
        self.types, self.variables, self.declared, self.scopes = types, variables, declared, []
        self.meanings = meanings

    def error(self, node: ast.Node | Span, message: str, *hints: str, lack: bool = False) -> None:
        """Report, if this is the last round; `lack`: the kernel is without it, the script is right."""
        if self.final:
            span = node.span if isinstance(node, ast.Node) else node
            self.found.error(span, message, *hints, lack=lack)

    def near(self, name: str, known: Iterable[str]) -> tuple[str, ...]:
        """A hint with the nearest known names; only where it will be read, as it takes its time."""
        return nearest(name, known) if self.final and not self.found.full else ()

    def type(self, node: ast.Expression) -> Type | None:
        """Visit an expression: its type, or None where it is not known yet or wrong."""
        name = _visits.get(type(node))
        if name is None:
            name = _visits[type(node)] = "_" + type(node).__name__.lower()
        visit: Callable[[Any], Type | None] = getattr(self, name)
        kind = visit(node)
        if kind is not None:
            self.types[node] = kind
        return kind

    def constant(self, node: ast.Expression) -> Constant | None:
        """The value of a constant expression; None for what is known at run time only."""
        return fold(node, self.parameters, self.special_constant)

    def given(self, parameter: ast.Parameter) -> bool:
        """Whether the command line gave this parameter."""
        return parameter.number <= len(self.parameters)

    def special_constant(self, node: ast.Expression) -> Constant | None:
        """The value of sizeof, offsetof or exists(), if it is known yet."""
        raise NotImplementedError

    def exists(self, node: ast.Call) -> bool | None:
        """Whether this kernel has what exists() asks for."""
        raise NotImplementedError

    def block(self, node: ast.Block) -> Type | None:
        """Visit a block; the type of its value, void where it has none."""
        raise NotImplementedError

    def refuse_in_loop(self, node: ast.Node, name: str) -> bool:
        """Report a builtin that a loop's body cannot have."""
        raise NotImplementedError

    def coalesce(self, node: ast.Binary) -> Type | None:
        """The type of `a ?? b`."""
        raise NotImplementedError

    def live_branch(self, condition: ast.Expression) -> bool | None:
        """Which branch a constant condition leaves."""
        raise NotImplementedError

    def condition(self, node: ast.Expression, kind: Type | None) -> bool:
        """Whether a value of this type can be a condition; reports where not."""
        if kind is None or is_condition(kind):
            return True
        self.error(node, f"invalid condition: {kind}")
        return False

    def stored(self, node: ast.Expression, where: str) -> Type | None:
        """The type of a value that is to be kept in a key or a tuple; reports what cannot be."""
        kind = self.type(node)
        if kind is None or storable(kind):
            return kind
        if isinstance(node, ast.Call):
            self.error(node, f"{node.name}() has no value that {where} could hold")
        else:
            self.error(
                node, f"{where} cannot hold a value of type {kind}", "print(@map) prints the whole map"
            )
        return None

    def map(self, node: ast.Expression) -> MapInfo | None:
        """The map that an argument names as a whole; reports one that does not exist."""
        if not isinstance(node, ast.Map):
            return None
        info = self.maps.get(node.name)
        if info is None or not (info.written or info.kind):
            hints = self.near(node.name, [name for name in self.maps if name != node.name])
            self.error(node, f"undefined map: {node.name}", *hints)
            return MapInfo(node.name, node.span)
        if info.value is not None:
            self.types[node] = info.value
        return info

    def key(self, node: ast.Node, info: MapInfo, keys: tuple[ast.Expression, ...]) -> None:
        """Visit a key given to the map, and unify its type with the map's."""
        kinds = [self.stored(key, "a key") for key in keys]
        if info.keyed is False:
            self.error(node, KEYED_USE.format(info.name))
            return
        info.keyed = True
        known = tuple(kind for kind in kinds if kind is not None)
        if len(known) < len(kinds):
            return
        given: Type = known[0] if len(known) == 1 else Tuple(known)
        merged = given if info.key is None else promote(info.key, given)
        if merged is None:
            self.error(
                node,
                f"argument mismatch for {info.name}: trying to access with arguments: {_shown(given)} "
                f"when map expects arguments: {_shown(info.key)}",
            )
        else:
            merged = self.lasting_pointer((id(info), "key"), info.key, merged)
            if merged is not info.key:
                info.key = merged
                self.grew |= self.maps.get(info.name) is info  # else there is no such map, which is told
        if not info.key_names:
            info.key_names = key_names(keys)

    def lasting_pointer(self, place: object, old: Type | None, merged: Type) -> Type:
        """Where pointers to different types meet they are void for good: each round would undo the last."""
        if isinstance(old, Pointer) and isinstance(merged, Pointer):
            if isinstance(merged.to, Void) and not isinstance(old.to, Void):
                self._void.add(place)
            elif place in self._void:
                return old
        return merged

    def lookup(self, name: str) -> VariableInfo | None:
        """The variable of this name that is visible here.

        Before bpftrace 0.22 a variable belonged to the whole body. In a .bt file one that is used outside of
        the block that assigns it still does: it is found here once its use was seen.
        """
        found = next((scope[name] for scope in reversed(self.scopes) if name in scope), None)
        return found if found is not None else self.hoisted.get(name)


def _shown(key: Type | None) -> str:
    return f"'{key}'" if isinstance(key, Tuple) else f"'({key})'"
