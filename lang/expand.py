"""Parts of an attach point → Targets of this machine: one expander for each family of probe kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lang import ast
from lang.checked import Target
from lang.diagnostics import Diagnostics, nearest
from lang.literals import DURATIONS, parse_integer
from lang.machine import Machine
from lang.needs import NOTHING, Needs
from lang.records import dataclass, field
from lang.resolution import Candidate, Resolution
from lang.settings import Settings
from lang.source import Span

PERF_HARDWARE, PERF_SOFTWARE = 0, 1  # include/uapi/linux/perf_event.h, perf_type_id
_CPU_CLOCK = 0
MIN_PERIOD, MAX_PERIOD = 1000, 100 * DURATIONS["d"]

# name, aliases → (config of perf_event.h, default sample period)
SOFTWARE_EVENTS = {
    "cpu-clock": (0, 1_000_000), "task-clock": (1, 1), "page-faults": (2, 100), "context-switches": (3, 1000),
    "cpu-migrations": (4, 1), "minor-faults": (5, 100), "major-faults": (6, 1), "alignment-faults": (7, 1),
    "emulation-faults": (8, 1), "dummy": (9, 1), "bpf-output": (10, 1),
}  # fmt: skip
HARDWARE_EVENTS = {
    "cpu-cycles": (0, 1_000_000), "instructions": (1, 1_000_000), "cache-references": (2, 1_000_000),
    "cache-misses": (3, 1_000_000), "branch-instructions": (4, 100_000), "branch-misses": (5, 100_000),
    "bus-cycles": (6, 100_000), "frontend-stalls": (7, 1_000_000), "backend-stalls": (8, 1_000_000),
    "ref-cycles": (9, 1_000_000),
}  # fmt: skip
EVENT_ALIASES = {
    "cpu": "cpu-clock", "faults": "page-faults", "cs": "context-switches", "cycles": "cpu-cycles",
    "branches": "branch-instructions",
}  # fmt: skip


@dataclass
class Expansion:
    """What an expander may use: the machine, the parameters, where to report."""

    machine: Machine
    parameters: tuple[str, ...]
    settings: Settings
    found: Diagnostics
    pid: int = 0
    options: Mapping[str, int | str | bool] = field(default_factory=dict)
    point: ast.AttachPoint = field(init=False)
    parts: tuple[str, ...] = ()
    needs: Needs = NOTHING  # of the probe's body
    tried: list[Candidate] = field(default_factory=list)  # for this attach point, in order
    resolutions: list[Resolution] = field(default_factory=list)  # of all attach points so far
    choosing: bool = False  # there are alternatives, or the probe may be left out
    partly: bool = True  # a function of which the compiler left a part may be taken
    parts_wait: bool = False  # there was one, and it was not
    syntax: str = ""  # how such a probe is written
    process: int = 0  # whose user code is meant: that of -p, or of the script's option of the kind pid

    def malformed(self, kind: str, *hints: str) -> list[Target]:
        article = "an" if kind[0] in "aeio" else "a"
        return self.error(f"{article} {kind} probe is written {self.syntax}", *hints)

    def error(self, message: str, *hints: str, span: Span | None = None) -> list[Target]:
        self.found.error(span or self.point.span, message, *hints)
        return []

    def missing(self, message: str, *hints: str) -> list[Target]:
        """The target does not exist here: an error, unless `missing_probes` says otherwise."""
        policy = self.settings.missing_probes
        if policy == "error":
            more = "set the 'missing_probes' config variable to 'warn' if this is expected"
            self.found.error(self.point.span, message, *(hints or (more,)), lack=True)
        elif policy == "warn":
            self.found.warn(self.point.span, message, *hints, lack=True)
        return []

    def too_many(self, count: int) -> bool:
        """Whether so many targets pass the limit; reports it."""
        limit = self.settings.max_probes
        if count > limit:
            hint = f"narrow the pattern, or raise the limit: config = {{ max_probes = {count} }}"
            self.error(f"{count} probes match, the limit is {limit}", hint)
        return count > limit

    def unsupported(self, feature: str, what: str, *hints: str) -> bool:
        support = self.machine.supports(feature)
        if not support.works:
            self.missing(f"{what} cannot be attached on this kernel: {support.reason}", *hints)
        return not support.works


def _count(expansion: Expansion, kind: str, low: int, high: int) -> bool:
    if low <= len(expansion.parts) <= high and all(expansion.parts[:low]):
        return True
    expansion.malformed(kind)
    return False


def special(name: str) -> Callable[[Expansion], list[Target]]:
    def expand(expansion: Expansion) -> list[Target]:
        if any(part != "*" for part in expansion.parts):
            return expansion.error(f"'{name}' takes no parts")
        runs = expansion.machine.supports("test_run").works or expansion.machine.supports("uprobe").works
        if not runs and expansion.unsupported("test_run", f"'{name}'"):
            return []
        return [Target(name, name, expansion.point.span, name=name)]

    return expand


def tracepoint(expansion: Expansion) -> list[Target]:
    if len(expansion.parts) == 1 and "*" in expansion.parts[0]:
        expansion.parts = ("*", expansion.parts[0])
    if not _count(expansion, "tracepoint", 2, 2):
        return []
    category, name = expansion.parts
    if expansion.unsupported("tracepoint", "tracepoints"):
        return []
    machine, span = expansion.machine, expansion.point.span
    if "*" not in category + name:
        event = machine.tracepoint(category, name)
        if event is None:
            return expansion.missing(
                f"tracepoint '{category}:{name}' does not exist here", *_near(machine, category, name)
            )
        return [
            Target("tracepoint", f"tracepoint:{category}:{name}", span, category, name, fields=event.fields)
        ]
    found = machine.tracepoints(category, name)
    if not found:
        return expansion.missing(
            f"no tracepoint matches '{category}:{name}'", *_near(machine, category, name)
        )
    return [Target("tracepoint", f"tracepoint:{c}:{n}", span, c, n) for c, n in found]


def _near(machine: Machine, category: str, name: str) -> tuple[str, ...]:
    everything = machine.tracepoints("*", "*")
    hint = nearest(f"{category}:{name}", [f"{c}:{n}" for c, n in everything if c == category])
    return hint or nearest(f"{category}:{name}", [f"{c}:{n}" for c, n in everything if n[:1] == name[:1]])


def raw_tracepoint(expansion: Expansion) -> list[Target]:
    if not _count(expansion, "rawtracepoint", 1, 2):
        return []
    name = expansion.parts[-1]
    if expansion.unsupported("raw_tracepoint", "raw tracepoints"):
        return []
    machine, span = expansion.machine, expansion.point.span
    names = machine.raw_tracepoints(name) if "*" in name else (name,)
    targets = []
    for item in names:
        parameters = machine.raw_tracepoint(item)
        if parameters is not None:
            label = f"rawtracepoint:{item}"
            targets.append(Target("rawtracepoint", label, span, name=item, parameters=parameters))
    if not targets:
        return expansion.missing(
            f"no raw tracepoint matches '{name}'", *nearest(name, machine.raw_tracepoints("*"))
        )
    return targets


def timer(kind: str) -> Callable[[Expansion], list[Target]]:
    def expand(expansion: Expansion) -> list[Target]:
        if not _count(expansion, kind, 1, 2):
            return []
        if expansion.unsupported("perf_event", f"{kind} probes"):
            return []
        rate = _rate(expansion, kind)
        if rate is None:
            return []
        unit, amount = rate
        everywhere = kind == "profile"
        return [
            Target(
                kind, f"{kind}:{unit}:{amount}", expansion.point.span,
                perf_type=PERF_SOFTWARE, perf_config=_CPU_CLOCK, all_cpus=everywhere,
                pid=expansion.pid if everywhere else 0,
                frequency=amount if unit == "hz" else 0,
                period=0 if unit == "hz" else amount * DURATIONS[unit],
            )
        ]  # fmt: skip

    return expand


def _rate(expansion: Expansion, kind: str) -> tuple[str, int] | None:
    """(unit, amount) of `hz:99`, `ms:10` or `10ms`; reports and returns None for anything else."""
    parts = expansion.parts
    found = re.fullmatch(r"(\d{1,18})(hz|us|ms|s|m|h|d|ns)?", parts[-1])
    suffix = found[2] if found else None
    unit = parts[0] if len(parts) == 2 else suffix
    if found is None or (unit != "hz" and unit not in DURATIONS) or (len(parts) == 2 and suffix):
        expansion.malformed(kind, f"for example {kind}:hz:99, {kind}:s:1 or {kind}:10ms")
        return None
    assert unit is not None
    amount = int(found[1])
    if amount == 0:
        expansion.error("the rate must not be 0")
        return None
    nanoseconds = 1_000_000_000 // amount if unit == "hz" else amount * DURATIONS[unit]
    if nanoseconds < MIN_PERIOD:
        expansion.error(f"the period of '{':'.join(parts)}' must be at least 1 us")
        return None
    if nanoseconds > MAX_PERIOD:
        expansion.error(f"the period of '{':'.join(parts)}' must be at most 100 days")
        return None
    return unit, amount


def perf_event(
    kind: str, perf_type: int, events: dict[str, tuple[int, int]]
) -> Callable[[Expansion], list[Target]]:
    def expand(expansion: Expansion) -> list[Target]:
        if not _count(expansion, kind, 1, 2):
            return []
        if expansion.unsupported("perf_event" if kind == "software" else "hardware", f"{kind} events"):
            return []
        name = EVENT_ALIASES.get(expansion.parts[0], expansion.parts[0])
        if name not in events:
            return expansion.error(f"unknown {kind} event '{expansion.parts[0]}'", *nearest(name, events))
        config, period = events[name]
        if len(expansion.parts) == 2 and expansion.parts[1]:
            try:
                period = parse_integer(expansion.parts[1])
            except ValueError as wrong:
                return expansion.error(str(wrong))
            if period == 0:
                return expansion.error("the sample period must not be 0")
        label = f"{kind}:{expansion.parts[0]}:{period}"
        span, pid = expansion.point.span, expansion.pid
        return [Target(kind, label, span, perf_type=perf_type, perf_config=config, period=period, pid=pid)]

    return expand
