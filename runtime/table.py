"""A map's entries → the rows of a table: columns for the key's parts and the value's fields, sorted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from codegen.plan import Event, Map
from lang.convert import aggregates, castable
from lang.records import dataclass
from lang.types import Aggregate, Enum, Last, Record, Stack, Tuple, Type, offsets, size_of
from runtime.decode import compile_rows
from runtime.jsonl import quote
from runtime.order import key_order, unpack, wrapped
from runtime.rows import align, is_number, json_cell, text_cell
from runtime.text import Table
from runtime.values import Values, average, int_code, json_int

_MASK64 = (1 << 64) - 1
Other = tuple[Type, Mapping[bytes, bytes]]  # another map: the type of its values, and its entries


@dataclass(frozen=True)
class _Column:
    """The texts of one column, and what it sorts by: positions in order, or numbers, largest first."""

    texts: Sequence[str]
    right: bool
    order: Sequence[int]
    numbers: Sequence[int] = ()  # what a formatter may make texts of
    below: bool = False  # a stack: its frames stand under the row, not in it


def make_table(
    event: Event,
    item: Map,
    keys: Sequence[bytes],
    raws: Sequence[bytes],
    numbers: Sequence[int] | None,
    values: Values,
    others: Mapping[str, Other],
) -> Table:
    """The table of a map; `numbers` are the values of a map of plain numbers, `others` what cells show."""
    maker = _Maker(values)
    columns = [] if item.key is None else maker.keys(item.key, item.key_size, keys)
    columns += maker.fields(item, raws, numbers)
    names = [column.key for column in event.columns]
    order = list(columns[names.index(event.text)].order)
    if event.begins:
        order = [at for at in order if _plain(columns[0].texts[at]).startswith(event.begins)]
    order = order[: event.top] if event.top else order
    titles = [column.title for column in event.columns]
    if event.cells:
        columns = [
            maker.joined(item, cell.source, keys, others[cell.map]) if cell.map
            else maker.shown(columns[cell.source], cell.type)
            for cell in event.cells
        ]  # fmt: skip
        names = titles = [cell.title for cell in event.cells]
    if values.style == "json":
        heads = [f"{quote(name)}: " for name in names]
        return Table(item.script_name, "", [", ".join(_joined(heads, columns, at)) for at in order])
    return _aligned(item.script_name, titles, columns, order)


def _parts(key: Type) -> list[tuple[Type, int]]:
    """The parts of a key, and where each lies in it."""
    if not isinstance(key, Tuple):
        return [(key, 0)]
    return list(zip(key.elements, offsets(key.elements)[0], strict=True))


def _plain(text: str) -> str:
    """What stands in a cell, without JSON's marks, and without the space around a stack."""
    return str(json.loads(text) if text.startswith('"') else text).strip()


def _joined(heads: Sequence[str], columns: Sequence[_Column], at: int) -> list[str]:
    return [head + column.texts[at] for head, column in zip(heads, columns, strict=True)]


def _aligned(name: str, titles: Sequence[str], columns: Sequence[_Column], order: Sequence[int]) -> Table:
    """Columns as wide as what stands in them; text at the end of a line is not padded."""
    shown = [(title, item) for title, item in zip(titles, columns, strict=True) if not item.below]
    cells = [[title, *(column.texts[at] for at in order)] for title, column in shown]
    for (_, column), texts in zip(shown, cells, strict=True):
        width = max(map(len, texts)) if column is not shown[-1][1] or column.right else 0
        texts[:] = [align(text, width, column.right) for text in texts]
    head, *lines = [" ".join(parts) for parts in zip(*cells, strict=True)] or [""] * (len(order) + 1)
    stacks = [column for column in columns if column.below]
    for number, at in enumerate(order if stacks else ()):
        lines[number] = "\n".join([lines[number], *(column.texts[at].strip("\n") for column in stacks)])
    return Table(name, head, lines)


class _Maker:
    def __init__(self, values: Values) -> None:
        self._values = values

    def shown(self, column: _Column, kind: Type | None) -> _Column:
        """The column, or what a formatter makes of its numbers."""
        if kind is None:
            return column
        texts = self._texts(kind, [(number & _MASK64).to_bytes(8, "little") for number in column.numbers])
        return _Column(texts, is_number(kind), column.order)

    def keys(self, key: Type, size: int, raws: Sequence[bytes]) -> list[_Column]:
        """A column for each part of the key."""
        return [self._key(kind, place, size, raws) for kind, place in _parts(key)]

    def joined(self, item: Map, part: int, raws: Sequence[bytes], other: Other) -> _Column:
        """What the other map holds under this part of the key; what it has not reads as 0, as in a probe."""
        assert item.key is not None
        key, place = _parts(item.key)[part]
        kind, held = other
        none = bytes(size_of(kind))
        parts = [held.get(raw[place : place + size_of(key)], none)[: size_of(kind)] for raw in raws]
        return _Column(self._texts(kind, parts), is_number(kind), range(len(parts)))

    def _key(self, kind: Type, place: int, size: int, raws: Sequence[bytes]) -> _Column:
        parts = [raw[place : place + size_of(kind)] for raw in raws]
        order = key_order(kind, size_of(kind), parts)
        if isinstance(kind, Enum) and self._values.style == "json":  # as where the map itself is printed
            return _Column([quote(text) for text in self._texts(kind, parts, "text")], False, order)
        texts = self._texts(kind, parts)
        if isinstance(kind, Stack) and kind.depth == 1:
            texts = [_plain(text) for text in texts]
            return _Column([*map(quote, texts)] if self._values.style == "json" else texts, False, order)
        return _Column(texts, is_number(kind), order, below=isinstance(kind, Stack))

    def _texts(self, kind: Type, raws: Sequence[bytes], style: str = "") -> list[str]:
        json = (style or self._values.style) == "json"
        cell = json_cell(kind, self._values) if json else text_cell(kind, 0, self._values)
        return compile_rows([(0, cell)], size_of(kind), self._values.names).many(b"".join(raws))

    def fields(self, item: Map, raws: Sequence[bytes], numbers: Sequence[int] | None) -> list[_Column]:
        """A column for each field of a record, or one for the value."""
        kind = item.value
        if isinstance(kind, Record):
            places = offsets(kind.elements)[0]
            return [
                self._field(part, [raw[place : place + size_of(part)] for raw in raws])
                for part, place in zip(kind.elements, places, strict=True)
            ]
        if numbers is not None and not is_number(castable(kind)):
            return [_Column(self._texts(kind, _cut(kind, raws)), False, _descending(numbers))]
        if numbers is not None:
            return [self._numbers(numbers)]
        parts = _cut(kind, raws)
        return [_Column(self._texts(kind, parts), False, key_order(kind, size_of(kind), parts))]

    def _field(self, kind: Type, raws: Sequence[bytes]) -> _Column:
        if isinstance(kind, Aggregate):
            return self._numbers([_reduced_number(kind, raw) for raw in raws])
        if isinstance(kind, Last):
            size = size_of(kind.of)
            return self._field(kind.of, [raw[8 : 8 + size] for raw in raws])
        order = key_order(kind, size_of(kind), raws)
        right = is_number(kind)
        return _Column(self._texts(kind, raws), right, order[::-1] if right else order)

    def _numbers(self, numbers: Sequence[int]) -> _Column:
        show = json_int if self._values.style == "json" else str
        return _Column([show(number) for number in numbers], True, _descending(numbers), numbers)


def _cut(kind: Type, raws: Sequence[bytes]) -> list[bytes]:
    return [raw[: size_of(kind)] for raw in raws]


def _descending(numbers: Sequence[int]) -> list[int]:
    return sorted(range(len(numbers)), key=lambda at: -numbers[at])


# ---- Records of aggregations


def reduce_records(kind: Record, raws: Sequence[bytes], slots: int) -> list[bytes]:
    """Records of each CPU, one behind the other → one record over all, in the same layout."""
    assert aggregates(kind)
    places, size = offsets(kind.elements)
    columns = []
    for item, place in zip(kind.elements, places, strict=True):
        assert isinstance(item, Aggregate | Last)
        length = size_of(item)
        parts = [
            b"".join(raw[slot * size + place : slot * size + place + length] for slot in range(slots))
            for raw in raws
        ]
        columns.append(_reduce(item, parts, slots))
    return [b"".join(row) for row in zip(*columns, strict=True)]


def record_field(kind: Record) -> int | None:
    """Which field of a record stands for the whole where its amounts are added: the first sum, else count."""
    kinds = [item.kind if isinstance(item, Aggregate) else "" for item in kind.elements]
    return next((kinds.index(name) for name in ("sum", "count") if name in kinds), None)


def record_amounts(kind: Record, raws: Sequence[bytes]) -> list[int]:
    """That field of each of the reduced records."""
    field = record_field(kind)
    assert field is not None
    item, place = kind.elements[field], offsets(kind.elements)[0][field]
    assert isinstance(item, Aggregate)
    return [_reduced_number(item, raw[place : place + 8]) for raw in raws]


def _reduce(kind: Aggregate | Last, parts: Sequence[bytes], slots: int) -> list[bytes]:
    if isinstance(kind, Last):
        return [_latest(part, size_of(kind)) for part in parts]
    code = int_code(64, kind.signed)
    match kind.kind:
        case "count" | "sum":
            sums = wrapped([sum(row) for row in unpack(parts, code, slots)], kind.signed)
            return [_bytes(value, kind.signed) for value in sums]
        case "min" | "max":
            pick = min if kind.kind == "min" else max
            rows = [_set(row) for row in unpack(parts, code + "Q", slots)]
            return [_bytes(pick(row, default=0), kind.signed) + _bytes(int(bool(row))) for row in rows]
    pairs = [(sum(row[::2]), sum(row[1::2])) for row in unpack(parts, "Q" + code, slots)]
    counts = wrapped([count for count, _ in pairs], False)
    totals = wrapped([total for _, total in pairs], kind.signed)
    return [_bytes(n) + _bytes(total, kind.signed) for n, total in zip(counts, totals, strict=True)]


def _latest(part: bytes, size: int) -> bytes:
    """Of each CPU's {u64 when; value} the one that was written last."""
    copies = [part[at : at + size] for at in range(0, len(part), size)]
    return max(copies, key=lambda copy: int.from_bytes(copy[:8], "little"))


def _bytes(value: int, signed: bool = False) -> bytes:
    return value.to_bytes(8, "little", signed=signed)


def _set(row: tuple[int, ...]) -> list[int]:
    return [value for value, is_set in zip(row[::2], row[1::2], strict=True) if is_set]


def _reduced_number(kind: Aggregate, raw: bytes) -> int:
    first = int.from_bytes(raw[:8], "little", signed=kind.signed and kind.kind != "avg")
    if kind.kind != "avg":
        return first
    return average(first, int.from_bytes(raw[8:16], "little", signed=kind.signed))
