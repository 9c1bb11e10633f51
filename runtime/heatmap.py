"""Histograms as they grow in time → a heat map: an SVG file, a panel for each, darker where more fell.

A panel's columns are spans of time, its rows the histogram's buckets. Cells of one shade are one path, in a
picture of its own whose units are columns and rows: resources/heatmap.js zooms by showing a part of that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from time import localtime, strftime

from lang.records import dataclass
from lang.types import Aggregate
from runtime.histogram import Bucket, buckets, label
from runtime.svg import WIDTH, attribute, document, escape, shortened

# Column → bucket → how many values
Cells = Mapping[int, Mapping[int, int]]
_TOP, _LEFT, _EDGE = 66, 96, 16
_TITLE, _AXIS, _BETWEEN = 24, 24, 22
_ROW, _HIGHEST = 16, 480  # pixels of a bucket, and of all of them
_LINE = 14  # between two labels
# few to many
_SHADES = ("#fff1c9", "#ffdd8f", "#ffc155", "#fb9d3f", "#ef7432", "#d94a2b", "#b82531", "#8a0f37", "#5b0a36")
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class Panel:
    """One histogram in time: its name, and what was counted in which column and bucket."""

    name: str
    kind: Aggregate
    cells: Cells

    @property
    def total(self) -> int:
        """How many values in all."""
        return sum(count for _, _, count in _each(self.cells))


@dataclass(frozen=True)
class Clock:
    """When the first column began, in seconds since 1970, how long each is, and how many there are."""

    start: float
    step: float
    columns: int


def heat_map(panels: Sequence[Panel], clock: Clock, title: str, subtitle: str) -> str:
    """The SVG text."""
    y, parts = _TOP, []
    for panel in panels:
        text, height = _panel(panel, clock, y)
        parts.append(text)
        y += height + _BETWEEN
    if not panels:
        parts.append(f'<text class="nothing" x="{_EDGE}" y="{_TOP + 12}">no value was counted</text>')
        y += _AXIS
    times = {"start": clock.start, "step": clock.step, "columns": clock.columns, "left": _LEFT, "edge": _EDGE}
    body = f'<g id="panels" data-times={attribute(json.dumps(times))}>\n{chr(10).join(parts)}\n</g>'
    return document(title, subtitle, "heatmap.js", '<g id="legend"></g>', body, y)


def _panel(panel: Panel, clock: Clock, y: int) -> tuple[str, int]:
    """A panel whose top is at y, and its height."""
    rows, filled = _rows(panel), _each(panel.cells)
    last = max(bucket for _, bucket, _ in filled)
    cells = [(column, last - bucket, count) for column, bucket, count in filled]
    height = max(min(len(rows) * _ROW, _HIGHEST), _LINE)
    top, wide = y + _TITLE, WIDTH - _LEFT - _EDGE
    most = max(count for _, _, count in cells)
    data = {"rows": [label(row.low, row.high) for row in reversed(rows)], "cells": cells}
    inner = "\n".join([
        f'<text class="panel" x="{_EDGE}" y="{y + 14}">{escape(shortened(panel.name, wide - 320))}</text>',
        f'<text class="axis counts" x="{WIDTH - _EDGE}" y="{y + 14}" text-anchor="end">'
        f"{panel.total:,} value{'' if panel.total == 1 else 's'}, at most {most:,} in a cell</text>",
        *_row_labels(rows, top, height),
        f'<svg class="cells" x="{_LEFT}" y="{top}" width="{wide}" height="{height}"'
        f' viewBox="0 0 {clock.columns} {len(rows)}" preserveAspectRatio="none">{_paths(cells, most)}</svg>',
        f'<rect class="frame" x="{_LEFT}" y="{top}" width="{wide}" height="{height}"/>',
        f'<g class="times">{_times(clock, wide, top + height)}</g>',
    ])  # fmt: skip
    place = f'data-name={attribute(panel.name)} data-top="{top}" data-height="{height}"'
    packed = attribute(json.dumps(data, separators=(",", ":")))
    return f'<g class="heat" {place} data-cells={packed}>\n{inner}\n</g>', _TITLE + height + _AXIS


def _rows(panel: Panel) -> list[Bucket]:
    """The buckets from the lowest to the highest that anything fell into."""
    dense = [0] * (1 + max(bucket for _, bucket, _ in _each(panel.cells)))
    for _, bucket, count in _each(panel.cells):
        dense[bucket] += count
    return buckets(panel.kind, dense)


def _each(cells: Cells) -> list[tuple[int, int, int]]:
    """(column, bucket, count) of all that is not empty, by column."""
    return [
        (column, bucket, count)
        for column, counts in sorted(cells.items())
        for bucket, count in sorted(counts.items())
        if count
    ]


def _paths(cells: Sequence[tuple[int, int, int]], most: int) -> str:
    """A path for each shade, of squares of one column and one row."""
    shades: dict[str, list[str]] = {}
    for column, row, count in cells:
        shades.setdefault(shade(count, most), []).append(f"M{column} {row}h1v1h-1z")
    return "".join(f'<path fill="{colour}" d="{"".join(shades[colour])}"/>' for colour in sorted(shades))


def shade(count: int, most: int) -> str:
    """By the root of the count: the few that are slow must be seen beside the many that are not."""
    place = ceil(sqrt(count / most) * len(_SHADES)) - 1
    return _SHADES[min(max(place, 0), len(_SHADES) - 1)]


def _row_labels(rows: Sequence[Bucket], top: int, height: int) -> list[str]:
    """The bounds between rows, as many as there is room for."""
    bounds = [*(row.low for row in rows), rows[-1].high]
    each = ceil(_LINE * len(rows) / height)
    return [
        f'<text class="axis" x="{_LEFT - 6}" y="{top + height - at * height / len(rows) + 4:.1f}"'
        f' text-anchor="end">{bound.text}</text>'
        for at, bound in enumerate(bounds)
        if bound is not None and at % each == 0
    ]


def _times(clock: Clock, wide: int, y: int) -> str:
    """Marks at round seconds since the start."""
    span = clock.step * clock.columns
    each = next((step for step in _STEPS if span / step <= 12), _STEPS[-1])
    marks = range(0, int(span) + 1, each)
    places = [(at, _LEFT + at / span * wide) for at in marks if at / span <= 0.985]
    return "".join(
        f'<text class="axis" x="{x:.1f}" y="{y + 16}" text-anchor="middle">{at} s</text>' for at, x in places
    )


def time_of_day(seconds: float) -> str:
    """A time for the subtitle."""
    return strftime("%Y-%m-%d %H:%M:%S", localtime(seconds))
