"""Measured values → rows with a ratio and its target, as text and as plain data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measure of one thing. `target` is the largest ratio to bpftrace aimed at; 0 where there is none."""

    what: str
    measure: str
    unit: str
    values: Mapping[str, Sequence[float]]
    target: float = 0

    def middle(self, name: str) -> float | None:
        values = self.values.get(name)
        return statistics.median(values) if values else None

    @property
    def ratio(self) -> float | None:
        ours, peer = self.middle("ebt"), self.middle("bpftrace")
        return ours / peer if ours is not None and peer else None

    def data(self) -> dict[str, object]:
        """For JSON: all single values too."""
        return {
            "what": self.what, "measure": self.measure, "unit": self.unit, "values": dict(self.values),
            "medians": {name: self.middle(name) for name in self.values}, "ratio": self.ratio,
            "target": self.target or None,
        }  # fmt: skip


def render(rows: Sequence[Row], names: Sequence[str]) -> str:
    """A table: a column for each tracer, then ebt's ratio to bpftrace, and the target beside it."""
    lines: list[tuple[str, ...]] = [("", *names, "ratio", "target")]
    before = ""
    for row in rows:
        if row.what != before:
            lines.append((row.what,))
            before = row.what
        cells = [_number(row.middle(name), row.unit) for name in names]
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        lines.append((f"  {row.measure}", *cells, ratio, f"≤ {row.target:g}" if row.target else ""))
    while not any(line[-1] for line in lines[1:] if len(line) > 1):  # no ratio, no target: no column
        lines = [line[:-1] if len(line) > 1 else line for line in lines]
    widths = [max(len(line[i]) for line in lines if len(line) > max(i, 1)) for i in range(len(lines[0]))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    if len(cells) == 1:
        return cells[0]
    first, *others = cells
    return "  ".join(
        (first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True)))
    ).rstrip()


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "":
        return f"{value:,.0f}"
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
