"""One one-liner → what ebt and bpftrace print of it, both at once, on one load where it has one."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, Ebt, Result
from tests.kernel.sidebyside.known import DIFFERENCES
from tests.kernel.support import NOTIFY, Running, at_rest, fresh, running, until, working

# bpftrace wants tracefs where the system has it; mounted where nobody else sees it
IN_TRACEFS = """
    [ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing
    [ -d /sys/kernel/debug/tracing ] || mount -t debugfs debugfs /sys/kernel/debug
    exec "$@"
"""
WORKERS = 4
SETTLING = 0.2  # seconds in which what was traced reaches the reader


@dataclass(frozen=True)
class Case:
    """A program, and how it is run; with steps it watches a load that makes them.

    `known` names the differences of versions that it meets (known.DIFFERENCES); `source` is `-e`, file or
    stdin; `pid` watches the load's process alone (`-p`); `fails` says that both refuse it; `close` that each
    counts by a clock of its own.
    """

    program: str
    steps: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    source: str = "-e"
    pid: bool = False
    fails: bool = False
    close: bool = False


@dataclass(frozen=True)
class Pair:
    """What both left."""

    ours: Result
    theirs: Result


def peer_command(bpftrace: str) -> list[str]:
    """The command that runs bpftrace; skips where it does not run."""
    command = ["unshare", "-m", "sh", "-c", IN_TRACEFS, "sh", bpftrace]
    done = subprocess.run(
        [*command, "-e", "BEGIN { exit(); }"], capture_output=True, text=True, timeout=60 * PATIENCE
    )
    if done.returncode:
        pytest.skip(f"bpftrace does not run here: {done.stderr.strip()}")
    return command


class Pool:
    """Runs the wanted cases, some at a time, from the start on; `pool(name)` waits for one."""

    def __init__(self, cases: Mapping[str, Case], ebt: Ebt, peer: list[str]) -> None:
        self._threads = ThreadPoolExecutor(WORKERS)
        self._runs = {
            name: self._threads.submit(run, case, ebt.command, peer) for name, case in cases.items()
        }

    def __call__(self, name: str) -> Pair:
        return self._runs[name].result()

    def end(self) -> None:
        self._threads.shutdown(cancel_futures=True)


def run(case: Case, ours: list[str], theirs: list[str]) -> Pair:
    """Run both at once."""
    name = fresh()
    program = case.program.replace("FILTER", f'comm == "{name}"').replace("NAME", name)
    with tempfile.TemporaryDirectory() as folder:
        runs = _run_of(case, program, ours, folder), _run_of(case, _for_peer(case, program), theirs, folder)
        return _on_a_load(case, name, *runs) if case.steps else _alone(*runs)


def _for_peer(case: Case, program: str) -> str:
    for name in case.known:
        program = DIFFERENCES[name].program(program)
    return program


@dataclass(frozen=True)
class _Run:
    command: list[str]
    environment: dict[str, str]
    text: str  # on standard input


def _run_of(case: Case, program: str, command: list[str], folder: str) -> _Run:
    file = Path(folder, f"{len(list(Path(folder).iterdir()))}.bt")
    file.write_text(program)
    source = {"-e": ("-e", program), "file": (str(file),), "stdin": ("-",)}[case.source]
    environment = dict(case.environment)
    for name in case.known:
        environment |= DIFFERENCES[name].environment
    words = [*command, *case.options, *source, *case.arguments]
    return _Run(words, environment, program if case.source == "stdin" else "")


def _alone(ours: _Run, theirs: _Run) -> Pair:
    """Scripts that end by themselves."""
    with running(ours.command, ours.environment) as one, running(theirs.command, theirs.environment) as other:
        for process, its in ((one, ours), (other, theirs)):
            with suppress(BrokenPipeError):  # one that refuses its program does not wait for its input
                process.tell(its.text)
            process.close()
        return Pair(one.end(), other.end())


def _on_a_load(case: Case, name: str, ours: _Run, theirs: _Run) -> Pair:
    with working(f"name={name}", "wait", *case.steps, "wait") as load:
        load.wait_for("ready")
        last = ["-p", str(load.pid)] if case.pid else []
        with (
            running([*ours.command, *last], {NOTIFY: "1", **ours.environment}) as one,
            running([*theirs.command, *last], {NOTIFY: "1", **theirs.environment}) as other,
        ):
            for process in (one, other):
                process.wait_for(f"^{NOTIFY}$")
            load.tell()
            load.wait_for("ready\n(.*\n)*ready")
            time.sleep(SETTLING)
            at_rest(one, other)
            # the symbols of its stacks are looked up at the end, so it lives on until then
            return Pair(one.end(signal.SIGINT), _end_of_peer(other))


def _end_of_peer(peer: Running) -> Result:
    """Old versions do not always hear the first signal."""
    for _ in range(3):
        peer.send(signal.SIGINT)
        if until(lambda: peer.process.poll() is not None, 3):
            return peer.end()
    pytest.skip("bpftrace does not end")


