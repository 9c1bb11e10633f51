"""The points of tseries() maps, CPU by CPU → one value an interval; drawn as a chart, or JSON.

A point is {value, u64 meta, u64 interval}: `interval` is the time since boot divided by the interval's
length, plus 1; 0 where the ring was never written. `meta` is how many values an average is of, else when the
last came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lang.types import SERIES, Aggregate
from runtime.formatters import timestamp
from runtime.jsonl import quote
from runtime.values import average, json_int

Point = tuple[int, int, int]
_BAND = 52  # columns between the leftmost and the rightmost value
_UNITS = ((1_000_000_000, "", ""), (1_000_000, ".%l", ".ms"), (1_000, ".%f", ".us"), (1, ".%k", ".ns"))


def reduce_points(kind: Aggregate, points: Iterable[Point]) -> dict[int, int]:
    """Interval → the value of all CPUs' points in it."""
    found: dict[int, list[Point]] = {}
    for point in points:
        if point[2]:
            found.setdefault(point[2], []).append(point)
    return {interval: _reduce(SERIES[kind.bits], there) for interval, there in found.items()}


def _reduce(how: str, points: list[Point]) -> int:
    values = [value for value, _, _ in points]
    match how:
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "sum":
            return sum(values)
        case "avg":
            return average(sum(meta for _, meta, _ in points), sum(values))
    return max(points, key=lambda point: point[1])[0]


def span_of(kind: Aggregate, series: Iterable[Mapping[int, int]]) -> range:
    """The intervals from the first to the last that any of the series has, as far as they are kept."""
    intervals = [interval for values in series for interval in values]
    if not intervals:
        return range(0)
    last = max(intervals)
    return range(max(min(intervals), last - kind.high + 1), last + 1)


def text(kind: Aggregate, values: Mapping[int, int], span: range) -> str:
    """A line for each interval, with its value as a place between the smallest and the largest."""
    shown = [values[interval] for interval in span if interval in values]
    if not shown:
        return "<no data>\n"
    low, high = min(shown), max(shown)
    pattern, title = _time(kind)
    show = timestamp(pattern, "boot")
    blank = " " * len(show(0))
    limits = f"{blank} {low}{high!s:>{_BAND + 1 - len(str(low))}}"
    lines = [limits, f"{title:<{len(blank)}} |{'_' * (_BAND - 1)}|"]
    for interval in span:
        value = values.get(interval)
        band = _band(value, low, high)
        lines.append(f"{show((interval - 1) * kind.low)} {band} {'-' if value is None else value}")
    lines += [f"{blank} v{'_' * (_BAND - 1)}v", limits]
    return "\n".join(lines) + "\n"


def _time(kind: Aggregate) -> tuple[str, str]:
    """strftime's format that tells intervals of this length apart, and the column's title."""
    for unit, digits, suffix in _UNITS:
        if kind.low % unit == 0:
            return "%H:%M:%S" + digits, "hh:mm:ss" + suffix
    raise AssertionError(kind.low)


def _band(value: int | None, low: int, high: int) -> str:
    band = ["|", *" " * (_BAND - 1), "|"]
    if low < 0 < high:
        band[_place(0, low, high)] = "."
    if value is not None:
        band[_place(value, low, high)] = "*"
    return "".join(band)


def _place(value: int, low: int, high: int) -> int:
    return (value - low) * _BAND // (high - low) if high > low else 0


def json(kind: Aggregate, values: Mapping[int, int], span: range) -> str:
    """An array of the intervals that have a value."""
    show = timestamp("%Y-%m-%dT%H:%M:%S" + _time(kind)[0][len("%H:%M:%S") :], "boot")
    there = [
        (quote(show((interval - 1) * kind.low)), values[interval]) for interval in span if interval in values
    ]
    objects = [f'{{"interval_start": {start}, "value": {json_int(value)}}}' for start, value in there]
    return f"[{', '.join(objects)}]"
