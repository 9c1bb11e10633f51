"""What all bodies of a script share while they are lowered: maps, events, structs, helpers."""

from __future__ import annotations

from typing import Any

from codegen.ctypes import TypeTable, is_memory
from codegen.labels import LABELS, Labels
from codegen.names import Names, map_name
from codegen.plan import LOST, SETTINGS, Action, Column, Event, EventField, Failure, Map, Place, TableCell
from codegen.unit import CMap, Reader
from lang.checked import Checked, MapInfo
from lang.convert import aggregates, shareable
from lang.diagnostics import CompilerBug
from lang.machine import Machine
from lang.records import dataclass, field
from lang.source import Span
from lang.types import UINT64, VOID, Aggregate, Record, Tuple, Type, align_of, size_of

RING = "ebt_events"
STACKS = "ebt_stacks"
SCRATCH = "ebt_scratch"
STACK_ENTRIES = 8192
STACK_FRAMES = 127
OWN_FRAMES = 3  # at most: a program twice and what runs it, above the traced place
EVENT_HEADER = 8  # {u32 site; u32 unused}
HIST_ENTRIES_FACTOR = 4  # a keyed histogram takes one entry a bucket: several a key

_TABLES = {
    "hash": "hash", "lru_hash": "lru_hash", "percpu_hash": "percpu_hash",
    "lru_percpu_hash": "lru_percpu_hash", "array": "array", "percpu_array": "percpu_array",
}  # fmt: skip
_DECLARED = {
    "hash": "hash", "lruhash": "lru_hash", "percpuhash": "percpu_hash", "percpulruhash": "lru_percpu_hash",
}  # fmt: skip


# helpers that go through a text byte by byte
_BRANCHLESS = {"find_short_text", "same_text"}  # with one branch a round
_OPAQUE = {"text_length", "find_text", "find_short_text", "same_text", "compare_bytes"}


def _is_all_sums(kind: Type) -> bool:
    """Whether an aggregation is kept in numbers that are only added to."""
    return isinstance(kind, Aggregate) and kind.kind in ("count", "sum", "avg", "stats", "hist", "lhist")


def place_of(span: Span) -> Place:
    line, column = span.source.position(span.start)
    return Place(span.source.name, line, column, span.source.line(line), len(span.text.split("\n")[0]))


@dataclass
class Program:
    """The growing program. Functions are lowered one after the other into it."""

    checked: Checked
    machine: Machine
    types: TypeTable
    names: Names = field(default_factory=Names)
    maps: dict[str, Map] = field(default_factory=dict)
    tables: dict[str, CMap] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    failures: dict[Failure, int] = field(default_factory=dict)  # with their numbers
    helpers: list[str] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    defines: dict[str, int] = field(default_factory=dict)  # numbers that the helpers need
    scratch_bytes: list[int] = field(default_factory=list)
    function_names: Names = field(default_factory=Names)
    named: dict[str, int] = field(default_factory=dict)  # maps and callbacks that the C refers to by number
    loop_bodies: list[Any] = field(default_factory=list)  # codegen.function.Function of each callback
    labels: dict[str, Labels] = field(default_factory=dict)  # by the program's name
    numbered: set[str] = field(default_factory=set)  # programs that have their point's number put in
    told: dict[str, bool] = field(default_factory=dict)  # whether a program can ask for its point
    points: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the keys of maps that count by probe

    @property
    def has_ringbuf(self) -> bool:
        """Whether events go through one ring buffer (5.8), or through a perf buffer for each CPU."""
        return self.machine.supports("ringbuf").works

    def helper(self, name: str) -> None:
        """Have a helper function of templates/helpers/ in the C text."""
        if name in _OPAQUE and "opaque" not in self.helpers:
            self.helpers.append("opaque")
        if name in _BRANCHLESS and "is_zero" not in self.helpers:
            self.helpers.append("is_zero")
        if name not in self.helpers:
            self.helpers.append(name)

    def read_over_cpus(self, kind: str, number: str) -> None:
        """Have the function that reads such an aggregation in the C text."""
        self.helper("over_cpus")
        if Reader(kind, number) not in self.readers:
            self.readers.append(Reader(kind, number))

    def refer(self, name: str) -> str:
        """C for the address of a map or a callback, which BCC has no way to write."""
        self.helper("refer")
        return f"ebt_refer({self.named.setdefault(name, len(self.named))} /* {name} */)"

    def add_callback(self, function: Any) -> None:
        """One more C function: a loop's body."""
        self.loop_bodies.append(function)

    def label(self, root: str, texts: tuple[str, ...], point: str = "") -> str:
        """C for the address of a text that differs from point to point of a program.

        With C for the point's number it is looked for there, else put in for each point.
        """
        held = self.labels.setdefault(root, Labels())
        at = held.place(texts)
        if point:
            held.indexed = True
            return f"((struct {root}_label *){self.refer(LABELS)})[{point}].text{held.kinds.index(texts)}"
        return f"__builtin_assume_aligned({self.refer(LABELS)}{f' + {at}' if at else ''}, 8)"

    # ---- Maps

    def user_map(self, name: str) -> tuple[Map, MapInfo]:
        """The BPF map behind `@name`, declared on first use."""
        info = self.checked.maps[name]
        c_name = map_name(name)
        if c_name not in self.maps:
            self.maps[c_name] = self._declare(info, c_name)
        return self.maps[c_name], info

    def _declare(self, info: MapInfo, c_name: str) -> Map:
        if info.value is None:
            raise CompilerBug(f"{info.name} has no type")
        value_c, value_size = self._value_layout(info, c_name)
        if info.key is None:
            return self._declare_scalar(info, c_name, value_c, value_size)
        if points := self.points.get(info.name):
            return self._declare_counters(info, info.key, c_name, points)
        key_c, key_size = self._key_layout(info, c_name)
        per_cpu = aggregates(info.value)
        kind = _DECLARED.get(info.kind, "percpu_hash" if per_cpu else "hash")
        if self.is_shared(info):
            kind = kind.replace("percpu_", "")
        entries = info.entries or self.checked.settings.max_map_keys
        if is_histogram(info.value) and not info.entries:
            entries *= HIST_ENTRIES_FACTOR  # of a series too: the intervals of some keys, not all of all
        comment = f"{info.name}[{info.key}]: {info.value}"
        self.tables[c_name] = CMap(_TABLES[kind], key_c, value_c, c_name, entries, comment)
        return Map(c_name, info.name, kind, info.key, info.value, key_size, value_size, entries)  # type: ignore[arg-type]

    def is_shared(self, info: MapInfo) -> bool:
        """Whether all CPUs share one aggregation: a probe reads it, and cannot look at each CPU's (5.19)."""
        if not info.read or info.value is None or not shareable(info.value):
            return False
        return not self.machine.supports("percpu_lookup").works

    def _declare_counters(self, info: MapInfo, key: Type, c_name: str, points: tuple[str, ...]) -> Map:
        assert info.value is not None
        comment = f"{info.name}[{key}]: {info.value}, a counter for each probe"
        self.tables[c_name] = CMap("percpu_array", "u32", "u64", c_name, len(points), comment)
        size = size_of(key)
        return Map(
            c_name, info.name, "percpu_array", key, info.value, size, 8, len(points),
            points=points, added=True,
        )  # fmt: skip

    def _declare_scalar(self, info: MapInfo, c_name: str, value_c: str, value_size: int) -> Map:
        assert info.value is not None
        kind = "percpu_array" if aggregates(info.value) and not self.is_shared(info) else "array"
        entries = buckets(info.value) if is_histogram(info.value) else 1
        self.tables[c_name] = CMap(kind, "u32", value_c, c_name, entries, f"{info.name}: {info.value}")
        added = kind == "percpu_array" and not info.read and _is_all_sums(info.value)
        return Map(c_name, info.name, kind, None, info.value, 4, value_size, entries, added=added)  # type: ignore[arg-type]

    def _key_layout(self, info: MapInfo, c_name: str) -> tuple[str, int]:
        key = info.key
        assert key is not None and info.value is not None
        parts = key_parts(key)
        bare = len(parts) == 1 and not is_memory(key) and not is_histogram(info.value)
        if bare:
            return self.types.name(key), size_of(key)
        names = tuple(f"key{number}" for number in range(len(parts)))
        lines = self.types.lines(parts, names)
        size = size_of(key)
        if is_histogram(info.value):
            gap = -size % 8
            lines += [f"u8 unused_bucket[{gap}];"] if gap else []
            lines.append("u64 bucket;")
            size += gap + 8
        self.types.composite(f"{c_name}_key", lines)
        return f"struct {c_name}_key", size

    def _value_layout(self, info: MapInfo, c_name: str) -> tuple[str, int]:
        kind = info.value
        assert kind is not None
        if is_histogram(kind):
            assert isinstance(kind, Aggregate)
            return self.types.name(kind), size_of(kind)
        if isinstance(kind, Record) and aggregates(kind):
            return self.types.name(kind), size_of(kind)
        if isinstance(kind, Aggregate) and not (info.key is None and kind.kind == "sum"):
            return self.types.name(kind), size_of(kind)
        flagged = info.key is None
        if not flagged and not is_memory(kind):
            return self.types.name(kind), size_of(kind)
        lines = [self.types.declare(kind, "value") + ";"]
        size = size_of(kind)
        if flagged:
            gap = -size % 8
            lines += [f"u8 unused[{gap}];"] if gap else []
            lines.append("u64 written;")
            size += gap + 8
        self.types.composite(f"{c_name}_value", lines)
        return f"struct {c_name}_value", size

    def internal(
        self, name: str, kind: str, key: str, value: str, sizes: tuple[int, int], entries: int, why: str
    ) -> str:
        """One of ebt's own maps, declared on first use."""
        if name not in self.maps:
            self.tables[name] = CMap(_TABLES[kind], key, value, name, entries, why)
            self.maps[name] = Map(name, "", kind, UINT64, VOID, *sizes, entries)  # type: ignore[arg-type]
        return name

    def stacks(self) -> str:
        self.types.composite("ebt_frames", [f"u64 address[{STACK_FRAMES}];"])
        sizes = (8, STACK_FRAMES * 8)
        return self.internal(
            STACKS, "hash", "u64", "struct ebt_frames", sizes, STACK_ENTRIES, "stacks by their hash"
        )

    def settings(self) -> str:
        self.types.composite("ebt_setting", ["u64 start_ns;", "u64 child_pid;", "u64 tai_offset;"])
        return self.internal(
            SETTINGS, "array", "u32", "struct ebt_setting", (4, 24), 1, "what is known at start"
        )

    # ---- Events

    def event(
        self,
        action: Action,
        span: Span,
        kinds: tuple[Type, ...] = (),
        text: str = "",
        map_name: str = "",
        top: int = 0,
        div: int = 0,
        columns: tuple[Column, ...] = (),
        shown: tuple[TableCell, ...] = (),
        begins: str = "",
    ) -> tuple[Event, str]:
        """A new emitting site, and the name of its C struct."""
        site = len(self.events)
        name = f"{action}_{site}"
        lines = ["u32 site;", "u32 unused;"]
        fields, at = [], EVENT_HEADER
        for number, kind in enumerate(kinds):
            align = align_of(kind)
            gap = -at % align
            lines += [f"u8 unused_{at}[{gap}];"] if gap else []
            at += gap
            lines.append(self.types.declare(kind, f"field{number}") + ";")
            fields.append(EventField(kind, at))
            at += size_of(kind)
        gap = -at % 8
        lines += [f"u8 unused_{at}[{gap}];"] if gap else []
        self.types.composite(name, lines)
        place = place_of(span)
        event = Event(
            site, action, at + gap, place, tuple(fields), text, map_name, top, div, columns, shown, begins
        )
        self.events.append(event)
        return event, name

    def failure(self, span: Span, text: str) -> int:
        """The number of the counter for one kind of trouble at one place; 0 is lost events."""
        return self.failures.setdefault(Failure(place_of(span), text), len(self.failures) + 1)

    def count_lost(self, number: int) -> str:
        """The C statement that adds one to a counter."""
        self.helper("refer")
        self.helper("lost")
        self.defines["EBT_LOST"] = self.named.setdefault(LOST, len(self.named))
        return f"ebt_count_lost({number});"

    def declare_counters(self) -> None:
        """The map of counters, once their number is known."""
        if "lost" in self.helpers:
            count = len(self.failures) + 1
            self.types.composite("ebt_losses", [f"u64 count[{count}];"])
            why = "what was lost, and where"
            self.internal(LOST, "array", "u32", "struct ebt_losses", (4, 8 * count), 1, why)

    def declare_labels(self) -> None:
        """The texts of all programs that many targets share, one behind the other."""
        at = 0
        for root, item in self.labels.items():
            item.at = at
            if item.indexed:
                self.types.composite(f"{root}_label", item.members)
            at += item.size * len(item.records)
        if at:
            self.types.composite("ebt_label_area", [f"char text[{at}];"])
            why = "what `probe` and `func` are, for each function that a program serves"
            self.internal(LABELS, "array", "u32", "struct ebt_label_area", (4, at), 1, why)

    def declare_scratch(self) -> None:
        """One entry for each program that needs more memory than the BPF stack has."""
        if self.scratch_bytes:
            size = -(-max(self.scratch_bytes) // 8) * 8
            self.types.composite("ebt_scratch_area", [f"u64 words[{size // 8}];"])
            self.internal(
                SCRATCH, "percpu_array", "u32", "struct ebt_scratch_area", (4, size), len(self.scratch_bytes),
                "memory that is too much for the stack, one entry a program",
            )  # fmt: skip


def is_histogram(kind: Type | None) -> bool:
    """Whether the map has an entry for each bucket, or each interval of time, of each key."""
    return isinstance(kind, Aggregate) and kind.kind in ("hist", "lhist", "tseries")


def buckets(kind: Type) -> int:
    """How many buckets a histogram can have: the size of a scalar one's array."""
    assert isinstance(kind, Aggregate)
    if kind.kind == "tseries":
        return kind.high
    if kind.kind == "hist":
        return ((64 - kind.bits) << kind.bits) + (1 << kind.bits) + 1
    return (kind.high - kind.low) // kind.step + 2


def key_parts(key: Type) -> tuple[Type, ...]:
    """The members of a key: those of a tuple, or the one value."""
    return key.elements if isinstance(key, Tuple) else (key,)
