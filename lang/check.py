"""ast.Script and a machine → Checked: targets found, types agreed over the whole program, mistakes told.

The passes: expand the attach points; split each probe into bodies whose targets agree in every type that
the body uses; visit all bodies until no type grows (types flow through maps, in any textual order); visit once
more and report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lang import ast
from lang.checked import Body, Checked, MapInfo, Target, VariableInfo
from lang.convert import as_int, is_flexible, promote, settle
from lang.diagnostics import Diagnostic, Diagnostics, ScriptError
from lang.functions import FUNCTIONS
from lang.infer import Inference
from lang.machine import Machine
from lang.probes import Expansion, expand_attach_point
from lang.settings import Settings, read_settings
from lang.types import INT64, Aggregate, Tuple, Type, Void

MAX_ROUNDS = 32
MAX_UNROLL = 100
MAP_KINDS = {
    "hash": False, "lruhash": False, "percpuhash": True, "percpulruhash": True,
}  # fmt: skip


@dataclass
class _Draft:
    """A body while its types are still growing."""

    probe: ast.Probe
    targets: tuple[Target, ...]
    types: dict[ast.Node, Type] = field(default_factory=dict)
    variables: dict[ast.Variable, VariableInfo] = field(default_factory=dict)
    declared: dict[ast.Node, VariableInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What `check` gives: the checked script and the warnings to show."""

    checked: Checked
    warnings: tuple[Diagnostic, ...]


def check(
    script: ast.Script,
    machine: Machine,
    parameters: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    pid: int = 0,
) -> Result:
    """Check a script for a machine. Raises ScriptError with every mistake found, in source order."""
    found = Diagnostics()
    settings = read_settings(script.config, environment or {}, found)
    if not script.probes:
        raise ScriptError([Diagnostic("error", script.span, "the script has no probes", ("for example: begin { … }",))])
    drafts = _expand(script, machine, parameters, settings, found, pid)
    found.raise_errors()
    if not drafts:
        raise ScriptError([Diagnostic("error", script.probes[0].span, "no probe can be attached")])
    checker = _Checker(machine, settings, parameters, found)
    checker.declare(script.declarations)
    checker.settle(drafts)
    found.raise_errors()
    bodies = tuple(Body(item.probe, item.targets, item.types, item.variables) for item in drafts)
    return Result(Checked(script, bodies, checker.maps, settings, parameters, checker.sizes, pid), found.warnings)


def _expand(
    script: ast.Script, machine: Machine, parameters: tuple[str, ...], settings: Settings, found: Diagnostics, pid: int
) -> list[_Draft]:
    expansion = Expansion(machine, parameters, settings, found, pid)
    drafts = []
    for probe in script.probes:
        targets = [target for point in probe.attach_points for target in expand_attach_point(point, expansion)]
        drafts += [_Draft(probe, group) for group in _split(probe, targets, machine)]
    return drafts


def _split(probe: ast.Probe, targets: list[Target], machine: Machine) -> list[tuple[Target, ...]]:
    """Targets that one program can serve: same kind, and the same types for all the body asks of them."""
    nodes = list(ast.walk(probe))
    arguments = frozenset(
        node.name for node in nodes
        if isinstance(node, ast.Member) and isinstance(node.base, ast.Name) and node.base.name == "args"
    )  # fmt: skip
    names = {node.name for node in nodes if isinstance(node, ast.Name | ast.Call)}
    groups: dict[Any, list[Target]] = {}
    for target in targets:
        if arguments or ("retval" in names and target.kind == "fexit"):
            target = _with_arguments(target, machine)
        used = tuple(item for item in (target.fields or ()) if item.name in arguments)
        given = tuple(
            (place, item) for place, item in enumerate(target.parameters or ()) if item.name in arguments
        )  # fmt: skip
        result = target.result if "retval" in names else None
        label = target.label if "probe" in names or target.kind in ("begin", "end") else ""
        groups.setdefault((target.kind, used, given, result, label), []).append(target)
    return [tuple(group) for group in groups.values()]


def _with_arguments(target: Target, machine: Machine) -> Target:
    """A wildcard's target gets its argument types only when a body needs them."""
    if target.kind == "tracepoint" and target.fields is None:
        event = machine.tracepoint(target.category, target.name)
        return replace(target, fields=event.fields if event else ())
    if target.kind in ("kprobe", "fentry", "fexit") and target.parameters is None:
        function = machine.function(target.name, target.module)
        if function is not None:
            return replace(target, parameters=function.parameters, result=function.result)
    return target


class _Checker(Inference):
    """The statements of all bodies, on top of the typing of expressions."""

    def __init__(self, machine: Machine, settings: Settings, parameters: tuple[str, ...], found: Diagnostics) -> None:
        super().__init__(machine, settings, parameters)
        self.found = found
        self._draft: _Draft | None = None

    def declare(self, declarations: tuple[ast.Declaration, ...]) -> None:
        for item in declarations:
            if item.kind not in MAP_KINDS:
                self.found.error(item.span, f"unknown map type '{item.kind}'", "map types: " + " ".join(MAP_KINDS))
            elif not 1 <= item.entries < 1 << 31:
                self.found.error(item.span, f"a map of {item.entries} entries is not possible")
            elif item.map in self.maps:
                self.found.error(item.span, f"{item.map} is declared twice")
            else:
                self.maps[item.map] = MapInfo(item.map, item.span, kind=item.kind, entries=item.entries)

    def settle(self, drafts: list[_Draft]) -> None:
        """Visit until nothing grows, then report."""
        for _ in range(MAX_ROUNDS):
            self.grew = False
            for draft in drafts:
                self._visit_body(draft)
            if not self.grew:
                break
        for info in self.maps.values():
            info.key = _settled(info.key)
            info.value = _settled(info.value)
        for draft in drafts:
            for variable in draft.declared.values():
                variable.type = _settled(variable.type)
        self.final = True
        for draft in drafts:
            self._visit_body(draft)
        for info in self.maps.values():
            self._check_declared_kind(info)

    def _check_declared_kind(self, info: MapInfo) -> None:
        if not info.kind or info.value is None:
            return
        if MAP_KINDS[info.kind] != isinstance(info.value, Aggregate):
            wanted = "a percpu kind" if isinstance(info.value, Aggregate) else "hash or lruhash"
            self.error(info.span, f"{info.name} holds {info.value}, which needs {wanted}, not {info.kind}")

    def _visit_body(self, draft: _Draft) -> None:
        self._draft = draft
        self.enter(draft.targets[0], draft.types, draft.variables)
        if draft.probe.predicate is not None:
            condition = draft.probe.predicate.condition
            self.condition(condition, self.type(condition))
        self._block(draft.probe.body)

    # ---- Statements

    def statement(self, node: ast.Statement) -> None:
        visit: Callable[[Any], None] = getattr(self, "_do_" + type(node).__name__.lower())
        visit(node)

    def _block(self, node: ast.Block) -> None:
        self.scopes.append({})
        for item in node.statements:
            self.statement(item)
        self.scopes.pop()

    _do_block = _block

    def _do_evaluate(self, node: ast.Evaluate) -> None:
        value = node.value
        if isinstance(value, ast.Call) and value.name in FUNCTIONS and FUNCTIONS[value.name].aggregate:
            self.error(value, f"{value.name}() must be assigned directly to a map", f"@name = {value.name}(…)")
            return
        kind = self.type(value)
        quiet = isinstance(value, ast.Call | ast.StepAfter | ast.StepBefore) or isinstance(kind, Void)
        if kind is not None and self.final and not quiet:
            self.found.warn(value.span, "return value discarded", "assign it to '_' to say that this is meant")

    def _do_discard(self, node: ast.Discard) -> None:
        self.type(node.value)

    def _do_return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.type(node.value)
            self.error(node.value, "a probe returns no value")

    def _do_ifstatement(self, node: ast.IfStatement) -> None:
        self.condition(node.condition, self.type(node.condition))
        self._block(node.then)
        if node.otherwise is not None:
            self.statement(node.otherwise)

    def _do_unroll(self, node: ast.Unroll) -> None:
        self.type(node.count)
        count = self.constant(node.count)
        if isinstance(count, bool) or not isinstance(count, int):
            self.error(node.count, "unroll needs a literal count")
        elif not 1 <= count <= MAX_UNROLL:
            self.error(node.count, f"unroll must be 1 to {MAX_UNROLL} times ({count} provided)")
        self._block(node.body)

    def _do_let(self, node: ast.Let) -> None:
        name = node.variable.name
        info = self._declared(node, name)
        if self.lookup(name) is not None:
            self.error(node.variable, f"variable {name} was already declared")
        if node.type is not None:
            info.declared, info.type = True, self.written_type(node.type)
        if node.value is not None:
            value = self._value_of(node.value, name)
            if value is not None:
                self._grow_variable(node, info, value)
        self.scopes[-1][name] = info
        self.variables[node.variable] = info
        if info.type is not None:
            self.types[node.variable] = info.type

    def _declared(self, node: ast.Node, name: str) -> VariableInfo:
        assert self._draft is not None
        return self._draft.declared.setdefault(node, VariableInfo(name, node.span))

    def _do_assign(self, node: ast.Assign) -> None:
        target = node.target
        if isinstance(target, ast.Variable):
            value = self._value_of(node.value, target.name)
            self._assign_variable(node, target, value)
            return
        name = target.name if isinstance(target, ast.Map) else target.map.name
        info = self.maps.setdefault(name, MapInfo(name, target.span))
        info.written = True
        value = self._map_value_of(node.value)
        if value is not None:
            self._grow_map(node, info, value)
        self._visit_target(target, info)

    def _visit_target(self, target: ast.Map | ast.MapEntry, info: MapInfo) -> None:
        if isinstance(target, ast.MapEntry):
            self.key(target, info, target.keys)
        elif info.keyed:
            self.error(target, f"{info.name} used as a map without an explicit key (scalar map), previously used with an explicit key (non-scalar map)")
        else:
            info.keyed = False
        if info.value is not None:
            self.types[target] = info.value

    def _map_value_of(self, node: ast.Expression) -> Type | None:
        value = self.type(node)
        if isinstance(value, Aggregate) and not isinstance(node, ast.Call):
            self.error(node, f"the value of {value.kind}() cannot be assigned to another map", "print(@map) prints it")
            return None
        if isinstance(value, Void):
            self.error(node, "this has no value to assign")
            return None
        return value

    def _value_of(self, node: ast.Expression, name: str) -> Type | None:
        value = self.type(node)
        if isinstance(value, Aggregate):
            what = f"{value.kind}() must be assigned directly to a map" if isinstance(node, ast.Call) else f"the value of {value.kind}() cannot be assigned to a variable"
            self.error(node, what, "print(@map) prints it")
            return None
        if isinstance(value, Void):
            self.error(node, f"this has no value to assign to {name}")
            return None
        return value

    def _assign_variable(self, node: ast.Node, target: ast.Variable, value: Type | None) -> None:
        info = self.lookup(target.name)
        if info is None:
            info = self._declared(node, target.name)
            self.scopes[-1][target.name] = info
        self.variables[target] = info
        if value is not None:
            self._grow_variable(node, info, value)
        if info.type is not None:
            self.types[target] = info.type

    def _grow_variable(self, node: ast.Node, info: VariableInfo, value: Type) -> None:
        merged = value if info.type is None else promote(info.type, value)
        if merged is None or (info.declared and settle(merged) != info.type and not self._fits(info.type, value)):
            self.error(node, f"type mismatch for {info.name}: trying to assign value of type '{value}' when variable already has a type '{info.type}'")
        elif not info.declared and merged != info.type:
            info.type, self.grew = merged, True

    def _fits(self, declared: Type | None, value: Type) -> bool:
        integer = as_int(value)
        return isinstance(declared, type(integer)) and integer is not None and is_flexible(integer) and integer.bits <= declared.bits * 2  # type: ignore[union-attr]

    def _grow_map(self, node: ast.Node, info: MapInfo, value: Type) -> None:
        merged = value if info.value is None else promote(info.value, value)
        if merged is None:
            self.error(node, f"type mismatch for {info.name}: trying to assign value of type '{value}' when map already has a type '{info.value}'")
        elif merged != info.value:
            info.value, self.grew = merged, True

    def _do_assignby(self, node: ast.AssignBy) -> None:
        target = node.target
        if not isinstance(target, ast.Variable):
            name = target.name if isinstance(target, ast.Map) else target.map.name
            info = self.maps.setdefault(name, MapInfo(name, target.span))
            if not info.written:
                info.written = True
            if info.value is None:
                info.value, self.grew = INT64, True
        current = self.type(target)
        self.type(node.value)
        if isinstance(current, Aggregate):
            self.error(node, f"{current.kind}() maps cannot be changed by '{node.operator}='")
            return
        result = self.type(ast.Binary(node.span, target, node.operator, node.value))
        if result is None:
            return
        if isinstance(target, ast.Variable):
            self._assign_variable(node, target, result)
        else:
            self._grow_map(node, self.maps[name], result)


def _settled(kind: Type | None) -> Type | None:


    if isinstance(kind, Tuple):
        return Tuple(tuple(settle(item) for item in kind.elements))
    return settle(kind) if kind is not None else None


