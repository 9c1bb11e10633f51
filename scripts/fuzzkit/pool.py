"""Numbered programs → their outcomes, by several processes that each take the next one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzzkit.scenes import HARDLY
from fuzzkit.trial import Outcome, attempt
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from kernel.recorded import RecordedMachine
from lang.machine import Machine
from runtime import libbcc

ROOT = Path(__file__).resolve().parents[2]
RECORDED = (ROOT / "kernel/recorded/default.ebtk", ROOT / "tests/kernels/5.10.ebtk")


@dataclass(frozen=True)
class Work:
    """What every process does with a program."""

    c: bool
    loads: bool


_work = Work(True, False)
_machines: list[Machine] = []


def machines(live: bool) -> list[Machine]:
    """The kernels that programs are compiled for: recorded ones, and this one where it may be read."""
    found: list[Machine] = [RecordedMachine(path) for path in RECORDED if path.exists()]
    return [LiveMachine(), *found] if live else found


def run_all(programs: Sequence[str], work: Work, processes: int) -> Iterator[tuple[int, Outcome]]:
    """(number, outcome) of each program, as they end."""
    if os.geteuid() == 0:
        private_tracefs()
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, _prepare, (work,)) as pool:
        yield from pool.imap_unordered(_one, enumerate(programs), chunksize=4)


def _prepare(work: Work) -> None:
    global _work
    os.nice(10)
    _work = work
    _machines[:] = machines(live=os.geteuid() == 0)
    if work.c:
        libbcc.library()  # here once, for all the compilers that are forked from this process


def _one(item: tuple[int, str]) -> tuple[int, Outcome]:
    number, text = item
    return number, attempt(text, machine_of(number, text, _machines), c=_work.c, loads=_work.loads)


def machine_of(number: int, text: str, among: Sequence[Machine]) -> Machine:
    """The kernel to compile a program for: each in turn, and a recorded one for what this one may lack."""
    recorded = [item for item in among if isinstance(item, RecordedMachine)]
    chosen = recorded if recorded and any(word in text for word in HARDLY) else among
    return chosen[number % len(chosen)]
