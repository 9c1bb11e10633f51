"""Command line → the parts measured, their tables printed, all of it kept as JSON where asked."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchkit.machine import describe, mount_tracing
from benchkit.parts import PARTS, SetUp
from benchkit.run import BenchError, Tracer, adopt_orphans
from benchkit.table import Row, render

ROOT = Path(__file__).resolve().parents[2]
_EPILOG = """\
The programs take turns on the same load; medians are shown, and ebt's ratio to bpftrace (smaller is better).
Targets are what ebt aims at: nothing is enforced. Leave the machine alone meanwhile.
"""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    names = [part.name for part in PARTS]
    result = argparse.ArgumentParser(
        prog="scripts/bench", description="what ebt costs, beside bpftrace", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    result.add_argument("parts", nargs="*", metavar="PART", help=f"of {' '.join(names)}; default: all")
    result.add_argument("--quick", action="store_true", help="fewer rounds: under two minutes")
    result.add_argument("--json", type=Path, metavar="FILE", help="write every single value too")
    result.add_argument(
        "--bpftrace", metavar="PATH", help="the bpftrace to compare with; default: on the path"
    )
    return result


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 if every part could be measured."""
    options = parser().parse_args(arguments)
    unknown = [name for name in options.parts if name not in [part.name for part in PARTS]]
    if unknown:
        parser().error(f"unknown part '{unknown[0]}'")
    ebt = ROOT / ".venv/bin/ebt"
    if not os.access(ebt, os.X_OK):
        print("bench: run scripts/setup first", file=sys.stderr)
        return 2
    started = time.monotonic()
    adopt_orphans()
    root = os.geteuid() == 0
    if root:
        mount_tracing()
    bpftrace = options.bpftrace or shutil.which("bpftrace")
    tracers = (Tracer("ebt", (str(ebt),)), *([Tracer("bpftrace", (bpftrace,))] if bpftrace else []))
    head = describe([str(ebt)], bpftrace)
    width = max(map(len, head))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in head.items()))

    kept: dict[str, object] = {"machine": head, "quick": options.quick}
    failed = False
    with tempfile.TemporaryDirectory(prefix="ebt-bench-") as scratch:
        setup = SetUp(tracers, str(ROOT / ".venv/bin/python"), options.quick, Path(scratch), _progress)
        for part in PARTS:
            if options.parts and part.name not in options.parts:
                continue
            rows: list[Row] = []
            problem = "" if root or not part.traces else "it needs root"
            if not problem:
                try:
                    rows = part.measure(setup)
                except BenchError as reason:
                    problem = str(reason)
            _progress("")
            if problem:
                failed = True
                print(f"\n== {part.name}: not measured: {problem}")
            else:
                columns = list(dict.fromkeys(name for row in rows for name in row.values))
                print(f"\n== {part.name}\n{render(rows, columns)}", flush=True)
            kept[part.name] = {"problem": problem} if problem else [row.data() for row in rows]
    print(f"\n{time.monotonic() - started:.0f} s; load now {os.getloadavg()[0]:.2f}")
    if options.json:
        try:
            options.json.write_text(json.dumps(kept, indent=1) + "\n")
        except OSError as reason:
            print(f"bench: {options.json}: {reason.strerror}", file=sys.stderr)
            return 1
    return 1 if failed else 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
