"""Command line → thousands of programs tried, what became of them counted, each fault written to a file."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fuzzkit.generate import programs
from fuzzkit.mutate import mutations
from fuzzkit.pool import Work, run_all
from fuzzkit.trial import FAULTS, Outcome

_EPILOG = """\
A program is good where it is refused with a diagnostic, compiled, loaded, or refused by the kernel in words
of the script (too long, too complex, a loop without an end). The same seed gives the same programs.
"""
_SHOWN = 30  # the commonest messages


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    result = argparse.ArgumentParser(
        prog="scripts/fuzz", description="random programs through every stage", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    result.add_argument("--programs", type=int, default=10_000, metavar="N", help="generated (default 10000)")
    result.add_argument("--mutations", type=int, default=10_000, metavar="N", help="mutated (default 10000)")
    result.add_argument("--seed", type=int, default=1, metavar="S", help="of the random numbers (default 1)")
    result.add_argument("--load", action="store_true", help="load into this kernel too (as root)")
    result.add_argument("--front", action="store_true", help="the front end alone: no clang")
    result.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="at once")
    result.add_argument(
        "--faults", type=Path, metavar="DIR", help="write each program at fault, and why, to this folder"
    )
    return result


def main(arguments: Sequence[str]) -> int:
    """Try all programs and print the figures; 0 if there was no fault."""
    options = parser().parse_args(arguments)
    if options.load and os.geteuid() != 0:
        print("fuzz: --load needs root", file=sys.stderr)
        return 2
    work, faults, start = Work(not options.front, options.load), 0, time.monotonic()
    for what, texts in (
        ("generated", list(programs(options.programs, options.seed))),
        ("mutated", list(mutations(options.mutations, options.seed))),
    ):
        found = _try(what, texts, work, options.processes, options.faults)
        faults += sum(item.kind in FAULTS for item in found)
        _report(what, found)
    print(f"{faults} fault{'' if faults == 1 else 's'}, {time.monotonic() - start:.0f} s")
    return 1 if faults else 0


def _try(what: str, texts: list[str], work: Work, processes: int, folder: Path | None) -> list[Outcome]:
    found: list[Outcome] = []
    for number, outcome in run_all(texts, work, processes):
        found.append(outcome)
        if outcome.kind in FAULTS:
            _keep(f"{what}-{number}", texts[number], outcome, folder)
        if len(found) % 500 == 0:
            print(f"{what}: {len(found)} of {len(texts)}", file=sys.stderr, flush=True)
    return found


def _keep(name: str, text: str, outcome: Outcome, folder: Path | None) -> None:
    if folder is None:
        print(f"--- {name}: {outcome.kind}\n{text}\n--- {outcome.message.strip()}", flush=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.{outcome.kind}.ebt").write_text(text, "utf-8", "surrogateescape")
    (folder / f"{name}.{outcome.kind}.txt").write_text(outcome.message, "utf-8", "surrogateescape")


def _report(what: str, found: list[Outcome]) -> None:
    if not found:
        return
    kinds = Counter(item.kind for item in found)
    print(f"{what}: {len(found)} programs: " + ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds)))
    print(
        f"  front end: at most {max(item.seconds for item in found):.2f} s, "
        f"all {sum(item.seconds for item in found):.0f} s"
    )
    for kind in ("refused", "limited"):
        messages = Counter(_alike(item.message) for item in found if item.kind == kind)
        for message, count in messages.most_common(_SHOWN):
            print(f"  {count:6} {kind}: {message[:110]}")


def _alike(message: str) -> str:
    """A message without what differs from program to program."""
    return re.sub(r"'[^']*'|@\w+|\$\w+|\d+", "…", message.partition("\n")[0])
