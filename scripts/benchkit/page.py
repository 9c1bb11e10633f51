"""Kept results of several runs → docs/performance.md: tables of medians, and the targets in each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchkit.parts import PARTS
from benchkit.table import Row, markdown, row_from

_HEAD = """\
# Performance

Written by `scripts/bench --write` from the results and notes kept in `docs/performance/`; not by hand.
ebt is measured beside bpftrace and BCC on the same load: the programs take turns, a number is the median of
all turns of all runs, and in brackets behind a peer's number stands ebt's number divided by it. Smaller is
better unless the target says `≥`.

- "BCC by hand" is a tool as one writes it with BCC's Python, its C for this one purpose, compiled with ebt's
  own small headers, for this kernel has none.
- "BCC's tool" is the original of bpfcc-tools, compiled with the full headers of another kernel, which takes
  it as long as its own would; what it prints is not used.
- "new": this text has never been run here, ebt compiles it. "again": it has, and ebt loads what it kept. The
  peers keep nothing; their numbers stand there once more.
- "highest rate without loss" counts the time until the tracer has written its last line and ended.
"""
_REPEAT = """\
## How to repeat

    apt-get install bpftrace bpfcc-tools         # the peers of this Debian
    debootstrap --variant=minbase --include=bpftrace sid /var/cache/sid http://deb.debian.org/debian
    scripts/bench --bpftrace /var/cache/sid/usr/bin/bpftrace --headers DIR --json docs/performance/1.json
    scripts/bench --write

`--headers` names a folder with a kernel's headers (`include/`, `arch/`), for BCC's own tools; without it they
are left out. `scripts/bench --quick` gives the first rows of every part in under two minutes. Leave the
machine alone meanwhile; the processor's time is what depends least on others.
"""


def page(runs: Sequence[Mapping[str, Any]], notes: str) -> str:
    """The whole page; `notes` say where the time goes, and what was tried."""
    parts = [_HEAD, _machine(runs), _targets(runs)]
    for part in PARTS:
        rows = _together([_rows(run, part.name) for run in runs])
        if rows:
            parts.append(f"## {part.title}\n\n{markdown(rows)}\n")
        told = dict.fromkeys(note for run in runs for note in run.get("notes", {}).get(part.name, ()))
        parts += ["".join(f"- {note}\n" for note in told)] if told else []
    return "\n".join([*parts, notes, _REPEAT])


def _rows(run: Mapping[str, Any], name: str) -> list[Row]:
    found = run.get(name, [])
    return [row_from(item) for item in found] if isinstance(found, list) else []


def _together(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of all runs, with all their values."""
    found: dict[tuple[str, str], Row] = {}
    for row in (row for rows in runs for row in rows):
        key = row.what, row.measure
        old = found.get(key)
        if old:
            names = dict.fromkeys([*old.values, *row.values])
            values = {name: [*old.values.get(name, ()), *row.values.get(name, ())] for name in names}
            row = Row(row.what, row.measure, row.unit, values, row.targets, row.larger)
        found[key] = row
    return list(found.values())


def _machine(runs: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| | " + " | ".join(f"run {index + 1}" for index in range(len(runs))) + " |"]
    lines.append("|---|" + "---|" * len(runs))
    for name in runs[0]["machine"]:
        cells = [str(run["machine"].get(name, "")) for run in runs]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _targets(runs: Sequence[Mapping[str, Any]]) -> str:
    """Every row that has a target, with its ratio in each run."""
    names = " | ".join(f"run {index + 1}" for index in range(len(runs)))
    lines = ["## Targets\n", f"| what | against | target | {names} | met |"]
    lines.append("|---|---|---|" + "---:|" * len(runs) + "---|")
    found: dict[tuple[str, str], list[str]] = {}
    missed: set[tuple[str, str]] = set()
    for index, run in enumerate(runs):
        for part in PARTS:
            for row in _rows(run, part.name):
                for one in row.verdicts():
                    sign = "≥" if row.larger else "≤"
                    key = f"{row.what}: {row.measure}", f"{one.peer} | {sign} {one.target:g}"
                    cells = found.setdefault(key, ["-"] * len(runs))
                    cells[index] = f"{one.ratio:.2f}"
                    if not one.met:
                        missed.add(key)
    for (what, peer), cells in found.items():
        met = "no" if (what, peer) in missed else "yes"
        lines.append(f"| {what} | {peer} | {' | '.join(cells)} | {met} |")
    return "\n".join(lines) + "\n"


def kept(folder: Path) -> list[Path]:
    """The results to write the page from, in order."""
    return sorted(folder.glob("*.json"))
