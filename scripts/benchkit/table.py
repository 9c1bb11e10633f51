"""Measured values → rows with ratios and their targets, as text, Markdown and plain data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One measure of one thing, for each program.

    `targets`: the largest ratio to a peer that is aimed at (the smallest, where larger is better), by the
    first word of the peer's name; of several bpftraces the last one counts.
    """

    what: str
    measure: str
    unit: str
    values: Mapping[str, Sequence[float]]
    targets: Mapping[str, float] = field(default_factory=dict)
    larger: bool = False

    def middle(self, name: str) -> float | None:
        values = self.values.get(name)
        return statistics.median(values) if values else None

    def ratio(self, peer: str) -> float | None:
        """ebt's value for one of the peer's; None where either is missing."""
        ours, theirs = self.middle("ebt"), self.middle(peer)
        return ours / theirs if ours is not None and theirs and peer != "ebt" else None

    def verdicts(self) -> list[Verdict]:
        """Each target with what was reached, for the last peer of each family."""
        found: dict[str, Verdict] = {}
        for peer in self.values:
            family, ratio = peer.split()[0].removesuffix("'s"), self.ratio(peer)
            if ratio is not None and family in self.targets:
                target = self.targets[family]
                met = ratio >= target if self.larger else ratio <= target
                found[family] = Verdict(peer, ratio, target, met)
        return list(found.values())

    def data(self) -> dict[str, object]:
        """For JSON: all single values too."""
        return {
            "what": self.what, "measure": self.measure, "unit": self.unit,
            "values": {name: list(values) for name, values in self.values.items()},
            "medians": {name: self.middle(name) for name in self.values},
            "targets": dict(self.targets), "larger": self.larger,
        }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What was aimed at, and reached."""

    peer: str
    ratio: float
    target: float
    met: bool


def row_from(data: Mapping[str, object]) -> Row:
    """The row of its plain data."""
    names = ("what", "measure", "unit", "values", "targets", "larger")
    return Row(**{name: data[name] for name in names})  # type: ignore[arg-type]


def columns(rows: Sequence[Row]) -> list[str]:
    """The programs, in the order in which they first occur."""
    return list(dict.fromkeys(name for row in rows for name in row.values))


def render(rows: Sequence[Row]) -> str:
    """A table for a terminal: a column for each program, with ebt's ratio to it, and the targets."""
    names = columns(rows)
    lines: list[tuple[str, ...]] = [("", *names, "target")]
    before = ""
    for row in rows:
        if row.what != before:
            lines.append((row.what,))
            before = row.what
        lines.append((f"  {row.measure}", *_cells(row, names), _targets(row)))
    while not any(line[-1] for line in lines[1:] if len(line) > 1):  # no target: no column
        lines = [line[:-1] if len(line) > 1 else line for line in lines]
    widths = [max(len(line[i]) for line in lines if len(line) > max(i, 1)) for i in range(len(lines[0]))]
    return "\n".join(_line(line, widths) for line in lines)


def markdown(rows: Sequence[Row]) -> str:
    """The same for a page."""
    names = columns(rows)
    lines = [f"| | {' | '.join(names)} | target |", f"|---|{'---:|' * len(names)}---|"]
    before = ""
    for row in rows:
        if row.what != before:
            lines.append(f"| **{row.what}** |{' |' * (len(names) + 1)}")
            before = row.what
        lines.append(f"| {row.measure.strip()} | {' | '.join(_cells(row, names))} | {_targets(row)} |")
    return "\n".join(lines)


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    cells = []
    for name in names:
        cell, ratio = _number(row.middle(name), row.unit), row.ratio(name)
        cells.append(cell if ratio is None else f"{cell} ({ratio:.2f})")
    return cells


def _targets(row: Row) -> str:
    sign = "≥" if row.larger else "≤"
    cells = []
    for one in row.verdicts():
        cells.append(f"{one.peer.split()[0]} {sign} {one.target:g}{'' if one.met else ': missed'}")
    return ", ".join(cells)


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
