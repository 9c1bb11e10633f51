"""ast.Script and a machine → Checked: targets found, types agreed over the whole program, mistakes told.

The passes: expand the attach points; split each probe into bodies whose targets agree in every type that
the body uses; visit all bodies until no type grows (types flow through maps, in any textual order); visit
once more and report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lang import ast
from lang.builtins import ARGUMENT
from lang.calling import context_words
from lang.cdefs import with_definitions
from lang.checked import Body, Checked, MapInfo, Target, VariableInfo
from lang.convert import aggregates, settle
from lang.diagnostics import Diagnostic, Diagnostics, ScriptError, nearest
from lang.expand import Expansion
from lang.expand_syscall import syscall_fields
from lang.fold import Constant, fold
from lang.foreach import unroll_lists
from lang.infer_statements import Statements
from lang.machine import Machine
from lang.needs import needs_of
from lang.options import Given, check_options, values_for, wanted
from lang.probes import BY_NAME, KINDS, expand_attach_point, mechanism
from lang.records import dataclass, field, replace
from lang.resolution import Resolution
from lang.settings import Settings, read_settings
from lang.types import INT64, Aggregate, Tuple, Type, size_of

MAX_TEXTS = 8  # programs that differ in nothing but the text that they show
MAX_ROUNDS = 50
_SPECIAL = {kind.name for kind in KINDS if kind.special}
MAX_ENTRIES = 1 << 26
MAX_KEY_BYTES = 8192  # what a key's memory in the scratch area may take; the kernel allows more
# A hash map's key had to fit the BPF stack: MAX_BPF_STACK in kernel/bpf/hashtab.c, as in 5.10.
MAX_OLD_KEY_BYTES = 512
SHORT_STRINGS = 200  # two strings and some numbers fit such a key
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
    meanings: dict[ast.Node, ast.Expression] = field(default_factory=dict)
    absent: bool = False  # none of its targets exists here: typed, but no part of the program
    hoisted: dict[str, VariableInfo] = field(default_factory=dict)  # variables of the whole body


@dataclass(frozen=True)
class Result:
    """What `check` gives: the checked script and the warnings to show."""

    checked: Checked
    warnings: tuple[Diagnostic, ...]


@dataclass(frozen=True)
class _Start:
    """What is known before any body is looked at; `script` is as the options make it."""

    script: ast.Script
    machine: Machine
    settings: Settings
    values: Mapping[str, Constant]
    probes: list[ast.Probe]
    drafts: list[_Draft]
    resolutions: tuple[Resolution, ...]


def _start(
    script: ast.Script,
    machine: Machine,
    parameters: tuple[str, ...],
    environment: Mapping[str, str] | None,
    pid: int,
    unsafe: bool,
    options: Mapping[str, Constant] | None,
    found: Diagnostics,
) -> _Start:
    """Settings, options, the kernel's and the script's types, and the attach points resolved."""
    defaults = Settings() if machine.supports("big_keys").works else Settings(max_strlen=SHORT_STRINGS)
    if script.span.source.name.endswith(".bt"):
        # bpftrace until 0.23: a probe that is missing is told and left out.
        defaults = replace(defaults, missing_probes="warn")
    settings = read_settings(script.config, environment or {}, found, defaults)
    short = settings.max_strlen == defaults.max_strlen == SHORT_STRINGS
    settings = replace(settings, unsafe=unsafe, short_strings=short)
    if not script.probes:
        raise ScriptError(
            [Diagnostic("error", script.span, "the script has no probes", ("for example: begin { … }",))]
        )
    machine = with_definitions(
        machine, script.definitions, lambda node: fold(node, parameters, _unknown), found
    )
    found.raise_errors()
    check_options(script.options, script.exclusions, found)
    found.raise_errors()
    values = values_for(script.options, options or {})
    script = unroll_lists(script, values, found)
    declared = {option.name: option for option in script.options}
    checker = _Checker(machine, settings, parameters, found, declared, values)
    probes = wanted(script, Given(parameters, values), checker.exists)
    process = pid or _process(script.options, values)
    drafts, resolutions = _expand(probes, machine, Given(parameters, values), settings, found, pid, process)
    return _Start(script, machine, settings, values, probes, drafts, resolutions)


def resolutions(
    script: ast.Script,
    machine: Machine,
    parameters: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    pid: int = 0,
    options: Mapping[str, Constant] | None = None,
) -> tuple[Resolution, ...]:
    """What each attach point comes to on a machine, whether or not the script can run there.

    Raises ScriptError for a script whose settings, options or types are wrong.
    """
    return _start(script, machine, parameters, environment, pid, False, options, Diagnostics()).resolutions


def check(
    script: ast.Script,
    machine: Machine,
    parameters: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    pid: int = 0,
    unsafe: bool = False,
    options: Mapping[str, Constant] | None = None,
) -> Result:
    """Check a script for a machine. Raises ScriptError with every mistake found, in source order."""
    found = Diagnostics()
    start = _start(script, machine, parameters, environment, pid, unsafe, options, found)
    script, machine, settings, values = start.script, start.machine, start.settings, start.values
    drafts = start.drafts
    found.raise_errors()
    _require_probes(script, start.probes, drafts, found)
    declared = {option.name: option for option in script.options}
    checker = _Checker(machine, settings, parameters, found, declared, values)
    checker.declare(script.declarations)
    checker.settle(drafts)
    found.raise_errors()
    bodies = tuple(
        Body(
            item.probe,
            item.targets,
            item.types,
            item.variables,
            item.meanings,
            tuple(info for info in item.hoisted.values() if info.type is not None),
        )
        for item in drafts
        if not item.absent
    )
    return Result(
        Checked(
            script, machine, bodies, checker.maps, settings, parameters, checker.sizes, pid, values,
            start.resolutions,
        ),
        found.warnings,
    )


def _process(options: tuple[ast.Option, ...], values: Mapping[str, Constant]) -> int:
    """The process that the script's own option of the kind pid names: for user probes it is as -p."""
    return next((int(values[option.name]) for option in options if option.kind == "pid"), 0)


def _require_probes(
    script: ast.Script, probes: list[ast.Probe], drafts: list[_Draft], found: Diagnostics
) -> None:
    """Probes may be missing where the script says so, but not all: then nothing would ever happen."""
    present = [draft for draft in drafts if not draft.absent]
    if any(not BY_NAME[draft.targets[0].kind].special for draft in present):
        return
    asked = [
        point for probe in probes for point in probe.attach_points
        if not point.optional and point.provider.lower() not in _SPECIAL
    ]  # fmt: skip
    # A .bt script is checked all the same; running it is refused (ebt/run.py).
    if not present or (asked and not script.span.source.name.endswith(".bt")):
        span = asked[0].span if asked else script.probes[0].span
        hints = tuple(item.message for item in found.warnings[:3])
        raise ScriptError([Diagnostic("error", span, "no probe of the script can be attached here", hints)])


def _unknown(node: ast.Expression) -> None:
    return None


def _expand(
    probes: list[ast.Probe],
    machine: Machine,
    given: Given,
    settings: Settings,
    found: Diagnostics,
    pid: int,
    process: int,
) -> tuple[list[_Draft], tuple[Resolution, ...]]:
    expansion = Expansion(machine, given.parameters, settings, found, pid, given.options)
    expansion.process = process
    drafts = []
    for probe in probes:
        if found.full:
            break
        expansion.needs = needs_of(probe)
        targets = [
            target for point in probe.attach_points for target in expand_attach_point(point, expansion)
        ]
        groups = _split(probe, targets, machine)
        drafts += [_Draft(probe, group) for group in groups]
        if not groups and not found.errors:
            drafts += _absent(probe)
    return drafts, tuple(expansion.resolutions)


def _absent(probe: ast.Probe) -> list[_Draft]:
    """A probe that cannot be attached here, and may be missing: its body still says what the maps hold."""
    kind = BY_NAME.get(probe.attach_points[0].provider.lower())
    if kind is None:
        return []
    target = Target(kind.name, probe.attach_points[0].span.text, probe.attach_points[0].span)
    return [_Draft(probe, (target,), absent=True)]


def _split(probe: ast.Probe, targets: list[Target], machine: Machine) -> list[tuple[Target, ...]]:
    """Targets that one program can serve: same kind, and the same types for all the body asks of them."""
    nodes = list(ast.walk(probe))
    arguments = frozenset(
        node.name for node in nodes
        if isinstance(node, ast.Member) and isinstance(node.base, ast.Name) and node.base.name == "args"
    )  # fmt: skip
    names = {node.name for node in nodes if isinstance(node, ast.Name | ast.Call)}
    bases = {node.base for node in nodes if isinstance(node, ast.Member)}
    whole = any(isinstance(node, ast.Name) and node.name == "args" and node not in bases for node in nodes)
    groups: dict[Any, list[Target]] = {}
    for target in targets:
        if arguments or whole or ("retval" in names and target.kind == "fexit"):
            target = _with_arguments(target, machine)
        used = tuple(item for item in (target.fields or ()) if whole or item.name in arguments)
        given = tuple(
            (place, item)
            for place, item in enumerate(target.parameters or ())
            if whole or item.name in arguments
        )
        returns = "retval" in names and target.kind == "fexit"
        # A trampoline's result stands behind the arguments: their number is part of what must agree.
        result = (target.result, context_words(target.parameters or ())) if returns else None
        operands = target.operands if any(map(ARGUMENT.fullmatch, names)) else ()
        label = target.label if "uaddr" in names or target.kind in ("begin", "end") else ""
        way = (target.kind, mechanism(target))
        groups.setdefault((way, used, given, operands, result, label), []).append(target)
    return [part for group in groups.values() for part in _by_text(tuple(group), names)]


def _by_text(group: tuple[Target, ...], names: set[str]) -> list[tuple[Target, ...]]:
    """Of a few targets each has its own program where it shows its text; many share one that looks it up.

    Not where it asks of the call's entry: two functions of which one ends in a jump to the other return from
    the same place of the stack, and are told apart by having a map of calls each.
    """
    named = "func" in names and BY_NAME[group[0].kind].named
    entered = {"args", "duration"} & names or any(map(ARGUMENT.fullmatch, names))
    alone = entered and mechanism(group[0]) in ("kretprobe", "uretprobe")
    if not (named or "probe" in names) or (len(group) > MAX_TEXTS and not alone):
        return [group]
    parts: dict[str, list[Target]] = {}
    for target in group:
        parts.setdefault(target.label, []).append(target)
    return [tuple(part) for part in parts.values()]


def _with_arguments(target: Target, machine: Machine) -> Target:
    """A wildcard's target gets its argument types only when a body needs them."""
    if target.kind in ("syscall", "sysret") and target.fields is None:
        return replace(target, fields=syscall_fields(machine, target.name) or ())
    if target.kind == "tracepoint" and target.fields is None:
        event = machine.tracepoint(target.category, target.name)
        return replace(target, fields=event.fields if event else ())
    if target.symbol == target.name and target.parameters is None:
        function = machine.function(target.name, target.module)
        if function is not None:
            return replace(target, parameters=function.parameters, result=function.result)
    return target


def _settle_unwritten(info: MapInfo) -> None:
    """A map that is declared, but that nothing writes: what would is switched off, or not on this kernel."""
    if info.kind in MAP_KINDS and info.value is None:
        info.value = Aggregate("count") if MAP_KINDS[info.kind] else INT64
        info.keyed = info.keyed is not False
        info.key = INT64 if info.keyed and info.key is None else info.key


class _Checker(Statements):
    """All bodies of a script, visited until they agree."""

    def declare(self, declarations: tuple[ast.Declaration, ...]) -> None:
        for item in declarations:
            if item.kind not in MAP_KINDS:
                hints = nearest(item.kind, MAP_KINDS) or ("map types: " + " ".join(MAP_KINDS),)
                self.found.error(item.span, f"unknown map type '{item.kind}'", *hints)
            elif not 1 <= item.entries <= MAX_ENTRIES:
                message = f"a map may have 1 to {MAX_ENTRIES} entries, not {item.entries}"
                self.found.error(item.span, message)
            elif item.map in self.maps:
                self.found.error(item.span, f"{item.map} is declared twice")
            else:
                self.maps[item.map] = MapInfo(item.map, item.span, kind=item.kind, entries=item.entries)

    def settle(self, drafts: list[_Draft]) -> None:
        """Visit until nothing grows; take literals for what they are; again; then report."""
        self._grow_all(drafts)
        for info in self.maps.values():
            _settle_unwritten(info)
            info.key = settle(info.key) if info.key is not None else None
            info.value = settle(info.value) if info.value is not None else None
        for draft in drafts:
            for variable in (*draft.declared.values(), *draft.hoisted.values()):
                variable.type = settle(variable.type) if variable.type is not None else None
        self._grow_all(drafts)
        self.final = True
        for draft in drafts:
            if not draft.absent:
                self._visit(draft)
        present = {
            node.name for draft in drafts if not draft.absent
            for node in ast.walk(draft.probe) if isinstance(node, ast.Map)
        }  # fmt: skip
        for info in list(self.maps.values()):
            # what a probe that is left out says of the kernel may not be known here
            if info.value is None and info.name not in present:
                del self.maps[info.name]
            else:
                self._check_map(info)

    def _grow_all(self, drafts: list[_Draft]) -> None:
        for _ in range(MAX_ROUNDS):
            self.grew = False
            for draft in drafts:
                self._visit(draft)
            if not self.grew:
                return
        message = "the types of the maps depend on each other through too many assignments"
        self.found.error(drafts[0].probe.span, message, f"the limit is {MAX_ROUNDS} in a row")
        self.found.raise_errors()

    def _visit(self, draft: _Draft) -> None:
        self.enter(draft.targets, draft.types, draft.variables, draft.declared, draft.meanings)
        self.hoisted = draft.hoisted
        self.visit_body(draft.probe)

    def _check_map(self, info: MapInfo) -> None:
        if info.value is None:
            if info.written and not self.found.errors:
                message = f"the type of {info.name} is not known: only itself is assigned to it"
                self.error(info.span, message)
            return
        if info.kind and MAP_KINDS[info.kind] != aggregates(info.value):
            wanted = "percpuhash or percpulruhash" if aggregates(info.value) else "hash or lruhash"
            self.error(info.span, f"{info.name} holds {info.value}, which needs {wanted}, not {info.kind}")
        if info.key == Tuple(()):
            self.error(info.span, f"the key of {info.name} is an empty tuple", "@x = …: a map without a key")
        limit = MAX_KEY_BYTES if self.machine.supports("big_keys").works else MAX_OLD_KEY_BYTES
        if info.key is not None and size_of(info.key) > limit:
            message = f"the key of {info.name} has {size_of(info.key)} bytes: the limit is {limit}"
            self.error(info.span, message, "shorten its strings: config = { max_strlen = N }")
