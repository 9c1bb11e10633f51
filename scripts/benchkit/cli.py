"""Command line → the parts measured, their tables printed, all of it kept as JSON where asked."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchkit.machine import describe, mount_tracing
from benchkit.page import kept, page
from benchkit.parts import PARTS, Part
from benchkit.peers import find_peers
from benchkit.run import BenchError, adopt_orphans
from benchkit.setup import SetUp
from benchkit.table import Row, render

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs/performance"
PAGE = ROOT / "docs/performance.md"
_EPILOG = """\
The programs take turns on the same load; medians are shown, and behind a peer's ebt's ratio to it.
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
    result.add_argument("--quick", action="store_true", help="few rounds: under two minutes")
    result.add_argument("--json", type=Path, metavar="FILE", help="write every single value too")
    result.add_argument(
        "--bpftrace", metavar="PATH", help="one more bpftrace to compare with, also in another system's root"
    )
    result.add_argument(
        "--headers", type=Path, metavar="DIR", help="a kernel's headers, for BCC's own tools to compile with"
    )
    result.add_argument(
        "--write", action="store_true", help="do not measure: write docs/performance.md from what is kept"
    )
    return result


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 if every part could be measured."""
    options = parser().parse_args(arguments)
    known = [part.name for part in PARTS]
    unknown = [name for name in options.parts if name not in known]
    if unknown:
        parser().error(f"unknown part '{unknown[0]}'")
    if options.write:
        return _write()
    ebt = ROOT / ".venv/bin/ebt"
    if not os.access(ebt, os.X_OK):
        print("bench: run scripts/setup first", file=sys.stderr)
        return 2
    return _measure(options, ebt)


def _write() -> int:
    runs = [json.loads(path.read_text()) for path in kept(KEPT)]
    if not runs:
        print(f"bench: no results in {KEPT}; see scripts/bench --json", file=sys.stderr)
        return 1
    notes = KEPT / "notes.md"
    PAGE.write_text(page(runs, notes.read_text() if notes.exists() else ""))
    return 0


def _measure(options: argparse.Namespace, ebt: Path) -> int:
    started = time.monotonic()
    adopt_orphans()
    # what is ignored here stays ignored in the programs, which are ended by it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.geteuid() == 0:
        mount_tracing()
    peers = find_peers(ebt, str(ROOT / ".venv/bin/python"), options.bpftrace, options.headers)
    head = describe(peers)
    width = max(map(len, head))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in head.items()), flush=True)

    notes: dict[str, list[str]] = {}
    results: dict[str, object] = {"machine": head, "quick": options.quick, "notes": notes}
    failed = False
    with tempfile.TemporaryDirectory(prefix="ebt-") as scratch:
        for part in _wanted(options):
            told = notes.setdefault(part.name, [])
            setup = SetUp(
                peers, str(ROOT / ".venv/bin/python"), options.quick, Path(scratch), _progress, told.append
            )
            rows, problem = _part(part, setup)
            failed |= bool(problem)
            print(f"\n== {part.title}\n{problem or render(rows)}")
            print("".join(f"  {note}\n" for note in dict.fromkeys(told)), end="", flush=True)
            results[part.name] = {"problem": problem} if problem else [row.data() for row in rows]
    print(f"\n{time.monotonic() - started:.0f} s; load now {os.getloadavg()[0]:.2f}")
    if options.json:
        try:
            options.json.parent.mkdir(exist_ok=True)
            options.json.write_text(json.dumps(results, indent=1) + "\n")
        except OSError as reason:
            print(f"bench: {options.json}: {reason.strerror}", file=sys.stderr)
            return 1
    return 1 if failed else 0


def _wanted(options: argparse.Namespace) -> list[Part]:
    if options.parts:
        return [part for part in PARTS if part.name in options.parts]
    return [part for part in PARTS if part.quick or not options.quick]


def _part(part: Part, setup: SetUp) -> tuple[list[Row], str]:
    """The rows, or why there are none."""
    if part.traces and os.geteuid() != 0:
        return [], "not measured: it needs root"
    try:
        return part.measure(setup), ""
    except BenchError as reason:
        return [], f"not measured: {reason}"
    finally:
        _progress("")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
