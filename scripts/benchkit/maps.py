"""Part 4: a map of so many entries → time, processor and memory to print it at the end."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from benchkit.events import HERE
from benchkit.load import OUR_FD
from benchkit.run import Tracer, attached, in_turn
from benchkit.setup import SetUp, each
from benchkit.table import Row

SIZES = (10, 10_000, 1_000_000)
_FILL = f"tracepoint:syscalls:sys_enter_write /args->fd == {OUR_FD}/ {{ @n++; @m[@n] = count(); }}"


@dataclass(frozen=True)
class _Printed:
    seconds: float
    processor: float
    peak: int
    entries: int


def maps(setup: SetUp) -> list[Row]:
    """Filled by a load of as many writes as entries, then ended by Ctrl-C: its end prints the map."""
    rows = []
    for size in SIZES[:2] if setup.quick else SIZES:
        setup.progress(f"maps: {size:,} entries")

        def once(tracer: Tracer, size: int = size) -> _Printed:
            return _print(setup, tracer, size)

        once(setup.peers.ebt)  # compiles it: what follows has no child, whose time would count as printing
        found = in_turn(1 if size == SIZES[-1] else setup.rounds(3, 1), setup.peers.tracers, once)
        for name, items in found.items():
            if any(item.entries != size for item in items):
                setup.note(f"{size:,} entries: {name} printed {items[0].entries:,}")
        what = f"{size:,} entries"
        rows += [
            Row(what, "Ctrl-C to the end", "ms", each(found, lambda one: one.seconds * 1000)),
            Row(what, "processor meanwhile", "ms", each(found, lambda one: one.processor * 1000)),
            Row(what, "peak memory", "MiB", each(found, lambda one: one.peak / 1024)),
        ]
    return rows


def _print(setup: SetUp, tracer: Tracer, size: int) -> _Printed:
    output = setup.scratch / "map"
    most = str(size + 10)
    # the setting's name in bpftrace before 0.19, and since
    limits = {"BPFTRACE_MAP_KEYS_MAX": most, "BPFTRACE_MAX_MAP_KEYS": most}
    with attached(tracer, tracer.program(_FILL), output, limits) as running:
        words = [setup.python, "-I", str(HERE / "load.py"), "600", "0", "1", str(size)]
        subprocess.run(words, check=True, capture_output=True)
        before = running.processor
        wall = running.elapsed
        sample = running.stop()
    with open(output, "rb") as file:
        entries = sum(line.startswith(b"@m[") for line in file)
    output.unlink()
    return _Printed(sample.wall - wall, sample.cpu - before, sample.peak, entries)
