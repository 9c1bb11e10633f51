"""Counts by bucket → the rows of a histogram, in text and in JSON, as bpftrace draws them.

Bucket 0 holds what is below the first bound, bucket i what lies between bound i-1 and bound i.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lang.types import Aggregate

_BAR = 52
_SUFFIXES = ("", "K", "M", "G", "T", "P", "E")


class Bound(NamedTuple):
    """Where a bucket ends: the number, its text, and whether the text is just the number."""

    value: int
    text: str
    plain: bool


class Bucket(NamedTuple):
    """One row: [low, high) and how many values; None for an open side."""

    low: Bound | None
    high: Bound | None
    entries: int


def buckets(kind: Aggregate, counts: Sequence[int], div: int = 1) -> list[Bucket]:
    """The rows from the first to the last bucket that is not empty. `div` divides hist's counts only."""
    filled = [index for index, count in enumerate(counts) if count]
    if not filled:
        return []
    if kind.kind == "hist":
        bound = _log_bounds(kind.bits)
        last, divisor = len(counts), max(div, 1)
    else:
        bound = _linear_bounds(kind.low, kind.step)
        last, divisor = (kind.high - kind.low) // kind.step, 1
    return [
        Bucket(
            bound(index - 1) if index else None,
            bound(index) if index <= last else None,
            counts[index] // divisor,
        )
        for index in range(filled[0], filled[-1] + 1)
    ]


def _log_bounds(bits: int) -> Callable[[int], Bound]:
    """hist(): one value a bucket up to 2^(bits+1), then 2^bits buckets for each power of two."""

    def bound(index: int) -> Bound:
        if index <= 2 << bits:
            return Bound(index, str(index), True)
        power, part = (index >> bits) - 1, (1 << bits) + (index & (1 << bits) - 1)
        return Bound(part << power, f"{part << power % 10}{_SUFFIXES[power // 10]}", False)

    return bound


def _linear_bounds(low: int, step: int) -> Callable[[int], Bound]:
    """lhist(): `low`, then one bound a step; K and M only where the step is made of them."""

    def bound(index: int) -> Bound:
        value = low + index * step
        if step % 1024:
            return Bound(value, str(value), True)
        for unit, suffix in ((1 << 20, "M"), (1 << 10, "K")):
            if value and value % unit == 0:
                return Bound(value, f"{value // unit}{suffix}", False)
        return Bound(value, str(value), False)

    return bound


def label(low: Bound | None, high: Bound | None) -> str:
    """`(..., 0)`, `[3]`, `[4, 8)` or `[100, ...)`."""
    if low is None:
        return f"(..., {high.text})" if high else "(..., ...)"
    if high is None:
        return f"[{low.text}, ...)"
    if low.plain and high.plain and low.value + 1 == high.value:
        return f"[{low.text}]"
    return f"[{low.text}, {high.text})"


def text(rows: Sequence[Bucket]) -> str:
    """The histogram, one line a bucket."""
    most = max((row.entries for row in rows), default=0)
    lines = []
    for row in rows:
        bar = "@" * _bar(row.entries, most)
        lines.append(f"{label(row.low, row.high):<16}{row.entries:>8} |{bar:<{_BAR}}|\n")
    return "".join(lines)


def _bar(count: int, most: int) -> int:
    """The bar's length in single precision, as bpftrace computes it: at a bound the last bit decides."""
    return int(_single(_single(_single(count) / _single(most)) * _BAR)) if most else 0


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def json(rows: Sequence[Bucket]) -> str:
    """The histogram as a JSON array; `max` is the last value inside."""
    return f"[{','.join(map(_object, rows))}]"


def _object(row: Bucket) -> str:
    low = f'"min": {row.low.value}, ' if row.low else ""
    high = f'"max": {row.high.value - 1}, ' if row.high else ""
    return f'{{{low}{high}"count": {row.entries}}}'
