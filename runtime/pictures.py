"""A run's maps, read while it goes on and at its end → the files of --flame and --heatmap.

A flame graph is of every map whose key has a stack: what the map holds at the end, and what it held each time
that the script cleared it. A heat map is of every hist() and lhist(), read at a fixed rate that does not
depend on what the script prints: a column is what was added in a span of time, also where the script
clears the map.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Protocol

from codegen.plan import Map, Plan
from lang.types import Aggregate
from runtime.flame import flame_graph
from runtime.folded import Part, has_stack, key_parts
from runtime.heatmap import Clock, Panel, heat_map, time_of_day
from runtime.maps import Maps, additive
from runtime.svg import Target
from runtime.values import Values

_STEP = 0.1  # seconds a column, until there are too many
_MOST_COLUMNS = 512
_MOST_PANELS = 16
# how the kernel comes from a tracepoint or a function to a program
_TRACING = ("bpf_prog_", "bpf_trace_run", "bpf_trampoline_", "__traceiter_", "__bpf_trace_")
_SHARE = 20  # reading the maps takes at most one part in so many of the time


class Picture(Protocol):
    """What is made of a run's maps. `told` says what the file has once it is written."""

    told: str

    def begin(self, maps: Maps, values: Values) -> None:
        """The probes are attached."""

    def before_clear(self, name: str) -> None:
        """The script empties this map."""

    def due(self) -> float | None:
        """When `tick` wants to be called, on the monotonic clock; None for never."""

    def tick(self) -> None:
        """A moment at which nothing else is done."""

    def end(self) -> None:
        """Write the file. Raises OutputError."""


def flame_maps(plan: Plan) -> list[Map]:
    """The maps of which a flame graph can be made."""
    return [item for item in plan.maps if item.script_name and has_stack(item.key) and additive(item.value)]


def heat_maps(plan: Plan) -> list[Map]:
    """The maps of which a heat map can be made."""
    return [item for item in plan.maps if item.script_name and _is_histogram(item)]


def _is_histogram(item: Map) -> bool:
    return isinstance(item.value, Aggregate) and item.value.kind in ("hist", "lhist")


class FlamePicture:
    """--flame: the amounts of all stacks.

    A process that has ended has no names any more, so those of new user stacks are looked up while it runs.
    """

    def __init__(self, target: Target, plan: Plan, title: str, subtitle: str) -> None:
        self._target, self._title, self._subtitle = target, title, subtitle
        self._items = {item.name: item for item in flame_maps(plan)}
        self._amounts: dict[tuple[Part, ...], int] = {}
        self._waiting: list[tuple[Map, list[tuple[bytes, int]]]] = []
        self._named: dict[str, dict[bytes, tuple[Part, ...]]] = {name: {} for name in self._items}
        self._users = [item for item in self._items.values() if has_stack(item.key, "user")]
        self._next = 0.0
        self.told = ""

    def begin(self, maps: Maps, values: Values) -> None:
        """Amounts are read before they are thrown away, or when the run ends."""
        self._maps, self._values = maps, values
        self._next = time.monotonic() + _STEP

    def before_clear(self, name: str) -> None:
        """Keep what the map holds. Its names are looked up later: what came in the meantime would be lost."""
        if name in self._items:
            self._waiting.append((self._items[name], self._maps.amounts(name)))

    def due(self) -> float | None:
        """At once, if there are names to look up; else when there may be new ones."""
        return 0.0 if self._waiting else self._next if self._users else None

    def tick(self) -> None:
        """Add what was kept, and look up the names of what is new."""
        self._add_waiting()
        began = time.monotonic()
        if not self._users or began < self._next:
            return
        for item in self._users:
            self._parts(item, [key for key, _ in self._maps.amounts(item.name)])
        ended = time.monotonic()
        self._next = ended + max(_STEP, (ended - began) * _SHARE)

    def end(self) -> None:
        """Write the file."""
        for name in self._items:
            self.before_clear(name)
        self._add_waiting()
        total = sum(self._amounts.values())
        names = ", ".join(item.script_name for item in self._items.values())
        subtitle = f"{names}: {total:,} in {len(self._amounts):,} stacks; {self._subtitle}"
        self._target.write(flame_graph(self._amounts, self._title, subtitle))
        self.told = f"{self._target.path}: {total:,} in {len(self._amounts):,} stacks"

    def _add_waiting(self) -> None:
        while self._waiting:
            item, entries = self._waiting.pop(0)
            first = (Part(item.script_name, "key"),) if len(self._items) > 1 else ()
            keys = self._parts(item, [key for key, _ in entries])
            for parts, (_, amount) in zip(keys, entries, strict=True):
                shown = first + parts
                self._amounts[shown] = self._amounts.get(shown, 0) + amount

    def _parts(self, item: Map, keys: Sequence[bytes]) -> list[tuple[Part, ...]]:
        """The frames of these keys, looked up once for each."""
        assert item.key is not None
        known = self._named[item.name]
        new = [key for key in keys if key not in known]
        for key, parts in zip(new, key_parts(item.key, new, self._values), strict=True):
            known[key] = tuple(_shown(parts))
        return [known[key] for key in keys]


def _shown(parts: Sequence[Part]) -> Iterator[Part]:
    """The frames of a key. Addresses without a name are one frame, however many follow each other: each is
    different in every process, so that nothing else would ever be found beside them. The innermost frames of
    the tracing itself are left away."""
    before = None
    last = len(parts)
    while last and parts[last - 1].space == "kernel" and parts[last - 1].text.startswith(_TRACING):
        last -= 1
    for part in parts[:last]:
        if part.space != "key" and part.text.startswith("0x"):
            part = Part("[unknown]", part.space)
            if part == before:
                continue
        if part.text:
            yield part
        before = part


def _one_line(text: str) -> str:
    """A printed key, which may hold stacks."""
    lines = [line.strip() for line in text.split("\n")]
    return "; ".join(line for line in lines if line and not line.startswith(_TRACING)).replace("; ,", ",")


class HeatPicture:
    """--heatmap: what was added to each histogram, column by column.

    When there are too many columns, each two become one: the picture of a run of any length has a
    few hundred.
    """

    def __init__(self, target: Target, plan: Plan, title: str, subtitle: str) -> None:
        self._target, self._title, self._subtitle = target, title, subtitle
        self._items = {item.name: item for item in heat_maps(plan)}
        self._step = _STEP
        self._cells: dict[tuple[str, bytes], dict[int, dict[int, int]]] = {}
        self._before: dict[str, dict[bytes, dict[int, int]]] = {}
        self.told = ""

    def begin(self, maps: Maps, _values: Values) -> None:
        """The first column begins."""
        self._maps = maps
        self._wall, self._start = time.time(), time.monotonic()
        self._seen = dict.fromkeys(self._items, self._start)  # when each map was read
        self._last = self._start
        self._next = self._start + self._step

    def before_clear(self, name: str) -> None:
        """Keep what was added; what comes next begins at nothing."""
        if name in self._items:
            self._read([name])
            self._before[name] = {}

    def due(self) -> float | None:
        """The end of this column."""
        return self._next

    def tick(self) -> None:
        """A column may have ended."""
        if time.monotonic() < self._next:
            return
        began = time.monotonic()
        self._read(list(self._items))
        took = time.monotonic() - began
        while self._columns() > _MOST_COLUMNS or took * _SHARE > self._step:
            self._halve()
        self._next = self._start + (int((time.monotonic() - self._start) / self._step) + 1) * self._step

    def end(self) -> None:
        """Write the file."""
        self._read(list(self._items))
        panels = self._panels()
        shown = sorted(panels, key=lambda panel: -panel.total)[:_MOST_PANELS]
        total = sum(panel.total for panel in panels)
        parts = [f"{total:,} values in {self._last - self._start:.1f} s from {time_of_day(self._wall)}"]
        if len(shown) < len(panels):
            parts.append(f"the {_MOST_PANELS} largest of {len(panels):,} histograms")
        subtitle = "; ".join([*parts, self._subtitle])
        clock = Clock(self._wall, self._step, self._columns())
        self._target.write(heat_map(shown, clock, self._title, subtitle))
        self.told = f"{self._target.path}: {total:,} values in {self._columns()} columns of {self._step:g} s"

    def _columns(self) -> int:
        return max(ceil((self._last - self._start) / self._step - 0.01), 1)

    def _read(self, names: Sequence[str]) -> None:
        """Add what has come since the last time to the column in whose time that was."""
        now = time.monotonic()
        for name in names:
            column = int(((self._seen[name] + now) / 2 - self._start) / self._step)
            counts = self._maps.bucket_counts(name)
            before = self._before.get(name, {})
            for key, there in counts.items():
                old = before.get(key, {})
                for bucket, count in there.items():
                    # fewer than before: the script deleted the key, and it came again
                    more = count - old.get(bucket, 0) if count >= old.get(bucket, 0) else count
                    if more:
                        into = self._cells.setdefault((name, key), {}).setdefault(column, {})
                        into[bucket] = into.get(bucket, 0) + more
            self._before[name], self._seen[name] = counts, now
        self._last = now

    def _halve(self) -> None:
        """Columns of twice the time."""
        self._step *= 2
        for series, columns in self._cells.items():
            joined: dict[int, dict[int, int]] = {}
            for column, counts in columns.items():
                into = joined.setdefault(column // 2, {})
                for bucket, count in counts.items():
                    into[bucket] = into.get(bucket, 0) + count
            self._cells[series] = joined

    def _panels(self) -> list[Panel]:
        panels = []
        for item in self._items.values():
            assert isinstance(item.value, Aggregate)
            keys = [key for name, key in self._cells if name == item.name]
            texts = self._maps.key_names(item.name, keys)
            for key, text in zip(keys, texts, strict=True):
                shown = f"[{_one_line(text)}]" if item.key is not None else ""
                panels.append(Panel(f"{item.script_name}{shown}", item.value, self._cells[item.name, key]))
        return panels
