"""A plan's maps and their raw entries → sorted, printable dumps; clear and zero.

A per-CPU map's value is one slot a CPU, each the value rounded up to 8 bytes; aggregates are reduced
over the slots. Layouts: count, sum, hist, lhist one u64 (or s64); min, max {value, u64 is_set};
avg, stats {u64 count, total}.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from codegen.plan import Event, Map
from lang.convert import aggregates
from lang.diagnostics import CompilerBug
from lang.types import Aggregate, Enum, Int, Record, Type, size_of
from runtime import histogram, series
from runtime.counters import Counters
from runtime.folded import folded_lines
from runtime.order import key_order, unpack, wrapped
from runtime.stacked import stacked_lines
from runtime.table import make_table, record_amounts, record_field, reduce_records
from runtime.text import Dump, DumpType, Table
from runtime.values import Values, average, divide, int_code, json_int, stats_text

Entry = tuple[bytes, bytes]
_Shown = TypeVar("_Shown")
_CHUNK = 1 << 16
_SIGN, _MASK = 1 << 63, (1 << 64) - 1
_ZERO_KEY = bytes(4)


class Access(Protocol):
    """The bpf(2) calls on maps: the module `kernel.bpfcall`."""

    def map_lookup(self, fd: int, key: bytes, value_size: int) -> bytes | None: ...

    def map_update(self, fd: int, key: bytes, value: bytes, flags: int = 0) -> None: ...

    def map_entries(self, fd: int, key_size: int, value_size: int, max_entries: int) -> list[Entry]: ...

    def map_take(self, fd: int, key_size: int, value_size: int, max_entries: int) -> list[Entry]: ...


class Maps:
    """The maps of one running plan, by their C names."""

    def __init__(
        self, maps: Sequence[Map], fd: Callable[[str], int], access: Access, cpus: int, values: Values
    ) -> None:
        self._maps = {item.name: item for item in maps}
        self._fd, self._access, self._cpus, self._values = fd, access, cpus, values
        self._zeroed: set[str] = set()  # maps without keys whose blank value was written, by zero()
        self._held: dict[str, list[Entry]] = {}  # what a map that is being emptied held
        self._counters = Counters()
        self.before_clear: Callable[[str], None] = _nothing  # told of a map that is about to be emptied

    def styled(self, values: Values) -> Maps:
        """The same maps in another style; they also see what a map that is being emptied held."""
        other = Maps(tuple(self._maps.values()), self._fd, self._access, self._cpus, values)
        other._zeroed, other._held, other._counters = self._zeroed, self._held, self._counters
        return other

    def dump(self, name: str, top: int = 0, div: int = 0, *, at_exit: bool = False) -> Dump | None:
        """What `print(@map, top, div)` shows, None for nothing. At exit a scalar never written is nothing."""
        item = self._maps[name]
        if (kind := _histogram(item)) is not None and kind.kind == "tseries":
            return self._series(item, kind)
        if kind is not None:
            return self._histograms(item, kind, top, div)
        if item.key is None:
            return self._scalar(item, div, at_exit)
        return self._keyed(item, item.key, top, div)

    def clear(self, name: str) -> None:
        """Delete all entries."""
        self.take(name, lambda: None)

    def take(self, name: str, show: Callable[[], _Shown]) -> _Shown:
        """Empty a map, and let pictures and `show` read what it held: nothing falls between the two."""
        item = self._maps[name]
        if item.added:
            held = self._counters.empty(item, self._read(item))
        elif item.kind.endswith("array"):
            held = self._entries(item)
            self._blank(item, [key for key, raw in held if raw.strip(b"\0")])
        else:
            held = self._access.map_take(self._fd(name), item.key_size, self._total(item), item.max_entries)
        self._held[name] = held
        try:
            self.before_clear(name)
            return show()
        finally:
            del self._held[name]
            self._zeroed.discard(name)

    def zero(self, name: str) -> None:
        """Set all values to 0 and keep the keys; a scalar that was written stays written."""
        self.before_clear(name)
        item = self._maps[name]
        if item.added:
            if any(raw.strip(b"\0") for _, raw in self._counters.empty(item, self._read(item))):
                self._zeroed.add(name)
            return
        if item.key is None and _histogram(item) is None:
            raw = self._first(item) or b""
            if self._written(item, raw) and _flag_offset(item) is None:
                self._zeroed.add(name)
                self._blank(item, [_ZERO_KEY])
            elif self._written(item, raw):
                slot = bytes(_flag_offset(item) or 0) + struct.pack("<Q", 1)
                blank = slot.ljust(self._stride(item), b"\0") * (self._total(item) // self._stride(item))
                self._access.map_update(self._fd(name), _ZERO_KEY, blank)
            return
        entries = self._entries(item)
        if item.key is None and any(raw.strip(b"\0") for _, raw in entries):
            self._zeroed.add(name)
        self._blank(item, [key for key, _ in entries])

    def _blank(self, item: Map, keys: Sequence[bytes]) -> None:
        zeros, fd = bytes(self._total(item)), self._fd(item.name)
        for key in keys:
            self._access.map_update(fd, key, zeros, 0 if item.kind.endswith("array") else 2)

    # --- reading ---

    def _stride(self, item: Map) -> int:
        return -(-item.value_size // 8) * 8 if "percpu" in item.kind else item.value_size

    def _total(self, item: Map) -> int:
        return self._stride(item) * (self._cpus if "percpu" in item.kind else 1)

    def _entries(self, item: Map) -> list[Entry]:
        if item.name in self._held:
            return self._held[item.name]
        entries = self._read(item)
        return self._counters.since(item, entries) if item.added else entries

    def _read(self, item: Map) -> list[Entry]:
        fd = self._fd(item.name)
        return self._access.map_entries(fd, item.real_key_size, self._total(item), item.max_entries)

    def _first(self, item: Map) -> bytes | None:
        """The only entry of a map without keys."""
        if item.added or item.name in self._held:
            return dict(self._entries(item)).get(_ZERO_KEY)
        return self._access.map_lookup(self._fd(item.name), _ZERO_KEY, self._total(item))

    def _slots(self, item: Map) -> int:
        return self._cpus if "percpu" in item.kind else 1

    def _scalar(self, item: Map, div: int, at_exit: bool) -> Dump | None:
        raw = self._first(item) or bytes(self._total(item))
        if at_exit and item.name not in self._zeroed and not self._written(item, raw):
            return None
        raws = self._reduced(item, [raw])
        (text,) = self._texts(item, raws, self._numbers(item, raws), div)
        return Dump(item.script_name, _dump_type(item.value), True, [("", text)])

    def _reduced(self, item: Map, raws: list[bytes]) -> list[bytes]:
        """Records of aggregations over all CPUs; other values as they are."""
        if isinstance(item.value, Record) and aggregates(item.value):
            return reduce_records(item.value, raws, self._slots(item))
        return raws

    def table(self, event: Event) -> Table:
        """What `table(@map, …)` shows."""
        item = self._maps[event.map]
        if item.key is None:
            raw = self._first(item)
            there = item.name in self._zeroed or (raw and self._written(item, raw))
            entries = [(b"", raw)] if raw and there else []
        else:
            entries = self._entries(item)
        raws = self._reduced(item, [raw for _, raw in entries])
        numbers = self._numbers(item, raws)
        others = {cell.map: self._maps[cell.map] for cell in event.cells if cell.map}
        joined = {name: (other.value, dict(self._entries(other))) for name, other in others.items()}
        return make_table(event, item, [key for key, _ in entries], raws, numbers, self._values, joined)

    def folded(self, event: Event) -> list[str]:
        """What `folded(@map)` shows, the largest number last."""
        item = self._maps[event.map]
        return folded_lines(item, *self._by_number(item), self._values, event.text)

    def stacked(self, event: Event) -> list[str]:
        """What `stacked(@map)` shows, the largest number last."""
        item = self._maps[event.map]
        return stacked_lines(item, *self._by_number(item), self._values, event.text, event.offsets)

    def _by_number(self, item: Map) -> tuple[list[bytes], list[int]]:
        """The keys of a map of numbers and what they hold, the largest last."""
        entries = self._entries(item)
        numbers = self._numbers(item, [raw for _, raw in entries]) or []
        ordered = sorted(zip(numbers, (key for key, _ in entries), strict=True), key=lambda entry: entry[0])
        return [key for _, key in ordered], [number for number, _ in ordered]

    def _written(self, item: Map, raw: bytes) -> bool:
        """Whether any CPU wrote the scalar."""
        if isinstance(item.value, Record) and aggregates(item.value):
            return bool(raw.strip(b"\0"))
        offset, stride = _flag_offset(item), self._stride(item)
        if offset is None:
            at = 8 if isinstance(item.value, Aggregate) and item.value.kind in ("min", "max") else 0
        else:
            at = offset
        return any(raw[start + at : start + at + 8].strip(b"\0") for start in range(0, len(raw), stride))

    def _keyed(self, item: Map, key: Type, top: int, div: int) -> Dump | None:
        entries = self._entries(item)
        if not entries:
            return None
        raws = self._reduced(item, [raw for _, raw in entries])
        numbers = self._numbers(item, raws)
        order = key_order(key, item.key_size, [name for name, _ in entries])
        if numbers is not None:
            by_value: list[Any] = _sort_values(item.value, numbers)
            order.sort(key=by_value.__getitem__)
        order = order[-top:] if top else order
        keys = self._key_texts(key, item.key_size, [entries[index][0] for index in order])
        chosen = None if numbers is None else [numbers[index] for index in order]
        texts = self._texts(item, [raws[index] for index in order], chosen, div)
        return Dump(item.script_name, _dump_type(item.value), False, list(zip(keys, texts, strict=True)))

    def _key_texts(self, key: Type, stride: int, keys: Sequence[bytes]) -> list[str]:
        return self._values.key_rows(key, stride).many(b"".join(keys))

    def _numbers(self, item: Map, raws: Sequence[bytes]) -> list[int] | None:
        """The values as integers, averages for avg and stats; None for what is not a number."""
        kind, slots, stride = item.value, self._slots(item), self._stride(item)
        match kind:
            case Int(bits, signed) | Enum(_, bits, signed):
                code = int_code(bits, signed)
                return [value for (value,) in unpack(raws, f"{code}{stride - bits // 8}x", 1)]
            case Aggregate("count" | "sum", signed):
                sums = list(map(sum, unpack(raws, f"{int_code(64, signed)}{stride - 8}x", slots)))
                return wrapped(sums, signed)
            case Aggregate("min" | "max" as name, signed):
                pick = min if name == "min" else max
                found = unpack(raws, f"{int_code(64, signed)}Q{stride - 16}x", slots)
                return [pick(_set_values(row), default=0) for row in found]
            case Aggregate("avg" | "stats"):
                return [average(count, total) for count, total in self._pairs(item, kind, raws)]
            case Aggregate():
                raise CompilerBug(f"no map of {kind} can be printed")
        return None

    def _pairs(self, item: Map, kind: Aggregate, raws: Sequence[bytes]) -> list[tuple[int, int]]:
        """(count, total) over all CPUs, of avg and stats."""
        counts, totals = [], []
        code = f"Q{int_code(64, kind.signed)}{self._stride(item) - 16}x"
        for row in unpack(raws, code, self._slots(item)):
            counts.append(sum(row[::2]))
            totals.append(sum(row[1::2]))
        return list(zip(wrapped(counts, False), wrapped(totals, kind.signed), strict=True))

    def _texts(self, item: Map, raws: Sequence[bytes], numbers: Sequence[int] | None, div: int) -> list[str]:
        """The values' texts in the writer's style; `div` divides numbers."""
        kind, style, divisor = item.value, self._values.style, max(div, 1)
        if numbers is None:
            return self._values.rows(kind, style, self._stride(item)).many(b"".join(raws))
        if isinstance(kind, Aggregate) and kind.kind == "stats":
            pairs = self._pairs(item, kind, raws)
            return [stats_text(count, total, divisor, style) for count, total in pairs]
        if isinstance(kind, Enum) and style == "text":
            return list(map(self._values.enum_text(kind.name), numbers))
        if divisor != 1:
            numbers = [divide(number, divisor) for number in numbers]
        return list(map(json_int if style == "json" else str, numbers))

    # --- histograms ---

    def _histograms(self, item: Map, kind: Aggregate, top: int, div: int) -> Dump | None:
        """hist and lhist: an array of buckets, or {key, u64 bucket} in a hash."""
        found = self.bucket_counts(item.name)
        draw = histogram.json if self._values.style == "json" else histogram.text
        if item.key is None:
            rows = histogram.buckets(kind, _dense(found[b""]), div)
            there = rows or item.name in self._zeroed
            return Dump(item.script_name, "hist", True, [("", draw(rows))]) if there else None
        size, keys = item.key_size - 8, list(found)
        order = key_order(item.key, size, keys)
        order.sort(key=lambda index: sum(found[keys[index]].values()))
        chosen = [keys[index] for index in (order[-top:] if top else order)]
        texts = [draw(histogram.buckets(kind, _dense(found[key]), div)) for key in chosen]
        names = self._key_texts(item.key, size, chosen)
        return Dump(item.script_name, "hist", False, list(zip(names, texts, strict=True))) if names else None

    def bucket_counts(self, name: str) -> dict[bytes, dict[int, int]]:
        """Key → bucket → how many values, of a hist or lhist; the key is empty where the map has none."""
        item = self._maps[name]
        entries = self._entries(item)
        counts = wrapped(list(map(sum, unpack([raw for _, raw in entries], "Q", self._slots(item)))), False)
        if item.key is None:
            return {b"": dict(enumerate(counts))}
        size = item.key_size - 8
        found: dict[bytes, dict[int, int]] = {}
        for (key, _), count in zip(entries, counts, strict=True):
            found.setdefault(key[:size], {})[int.from_bytes(key[size:], "little")] = count
        return found

    def key_names(self, name: str, keys: Sequence[bytes]) -> list[str]:
        """The keys as they are printed; those of `bucket_counts` are without the bucket."""
        item = self._maps[name]
        if item.key is None:
            return [""] * len(keys)
        return self._key_texts(item.key, item.key_size - (8 if _histogram(item) else 0), keys)

    def amounts(self, name: str) -> list[tuple[bytes, int]]:
        """(key, number) of each entry, the number being one that adds up: see `additive`."""
        item = self._maps[name]
        if _histogram(item) is not None:
            return [(key, sum(buckets.values())) for key, buckets in self.bucket_counts(name).items()]
        entries = self._entries(item)
        keys, raws = [key for key, _ in entries], self._reduced(item, [raw for _, raw in entries])
        if isinstance(item.value, Aggregate) and item.value.kind in ("avg", "stats"):
            totals = [total for _, total in self._pairs(item, item.value, raws)]
            return list(zip(keys, totals, strict=True))
        if isinstance(item.value, Record):
            return list(zip(keys, record_amounts(item.value, raws), strict=True))
        return list(zip(keys, self._numbers(item, raws) or [], strict=True))

    # --- series ---

    def _series(self, item: Map, kind: Aggregate) -> Dump | None:
        """tseries: a ring of intervals, or {key, u64 place in the ring} in a hash."""
        found: dict[bytes, list[series.Point]] = {}
        size = item.key_size - 8 if item.key is not None else 0
        entries = self._entries(item)
        code = f"{int_code(64, kind.signed)}QQ"
        for (key, _), row in zip(
            entries, unpack([raw for _, raw in entries], code, self._slots(item)), strict=True
        ):
            points = found.setdefault(key[:size], [])
            points += zip(row[::3], row[1::3], row[2::3], strict=True)
        values = {key: series.reduce_points(kind, points) for key, points in found.items()}
        span = series.span_of(kind, values.values())
        draw = series.json if self._values.style == "json" else series.text
        if not span:
            return None
        texts = [draw(kind, there, span) for there in values.values()]
        if item.key is None:
            return Dump(item.script_name, "tseries", True, [("", texts[0])])
        names = self._key_texts(item.key, size, list(values))
        return Dump(item.script_name, "tseries", False, list(zip(names, texts, strict=True)))


def _histogram(item: Map) -> Aggregate | None:
    """The aggregate of a map of buckets, None for any other."""
    kind = item.value
    return kind if isinstance(kind, Aggregate) and kind.kind in ("hist", "lhist", "tseries") else None


def _dump_type(kind: Type) -> DumpType:
    return "stats" if isinstance(kind, Aggregate) and kind.kind in ("avg", "stats") else "map"


def _flag_offset(item: Map) -> int | None:
    """Where a scalar's `written` flag is; None for types whose zero says the same."""
    if aggregates(item.value) and not (isinstance(item.value, Aggregate) and item.value.kind == "sum"):
        return None
    return -(-size_of(item.value) // 8) * 8


def _set_values(row: tuple[int, ...]) -> list[int]:
    return [value for value, is_set in zip(row[::2], row[1::2], strict=True) if is_set]


def _sort_values(kind: Type, numbers: list[int]) -> list[int]:
    """What entries sort by: the number; of min and max as unsigned, as bpftrace does."""
    if isinstance(kind, Aggregate) and kind.kind in ("min", "max"):
        return [number & _MASK for number in numbers]
    return numbers


def additive(kind: Type) -> bool:
    """Whether values of different keys add up: counts, sums, averages by their totals, histograms by how many
    values they have, integers, and records by their first sum, else their first count. No min or max does."""
    if isinstance(kind, Record):
        return record_field(kind) is not None
    if isinstance(kind, Aggregate):
        return kind.kind in ("count", "sum", "avg", "stats", "hist", "lhist")
    return isinstance(kind, Int)


def _nothing(_name: str) -> None:
    return


def _dense(found: dict[int, int]) -> list[int]:
    counts = [0] * (max(found, default=-1) + 1)
    for bucket, count in found.items():
        counts[bucket] = count
    return counts
