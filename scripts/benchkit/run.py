"""A command → one Sample of what it cost: time to attached and to the end, processor, memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

# bpftrace and ebt alike say it on standard output when all is attached
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
PATIENCE = 60
_SETTLE = 0.02  # bpftrace 0.17 says "attached" a moment before it can be ended


class BenchError(Exception):
    """A part cannot be measured here: one line for the user."""


@dataclass(frozen=True)
class Tracer:
    """A program to measure. `mark` is what it prints once attached; `family` is ebt, bpftrace or BCC."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    family: str = "ebt"
    mark: str = NOTIFY

    def with_environment(self, name: str, **more: str) -> Tracer:
        return replace(self, name=name, environment=(*self.environment, *more.items()))

    def environ(self, **more: str) -> dict[str, str]:
        return {**os.environ, NOTIFY: "1", **dict(self.environment), **more}

    def program(self, text: str) -> list[str]:
        """The command line that runs a one-liner."""
        return [*self.command, "-e", text]


@dataclass(frozen=True)
class Sample:
    """Seconds and KiB. `peak` is the largest of the processes; `cpu` that of all together."""

    wall: float
    cpu: float
    peak: int
    to_attached: float = 0.0


def adopt_orphans() -> None:
    """Make children's children ours when their parent ends, so that their cost is seen."""
    set_child_subreaper = 36  # include/uapi/linux/prctl.h
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def run(command: Sequence[str], environ: Mapping[str, str]) -> Sample:
    """Run to the end, output dropped. Raises BenchError where the command fails."""
    with open(os.memfd_create("bench"), "w+b") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=dict(environ)
        )
        sample = _wait(process, started)
        if process.returncode:
            errors.seek(0)
            raise BenchError(f"{command[0]} ended with {process.returncode}: {_reason(errors.read())}")
    return sample


# running on purpose: not to be waited for by another's end
_at_work: set[int] = set()


def _wait(process: subprocess.Popen[bytes], started: float) -> Sample:
    """The end of a process, and of what it left behind: ebt does not wait for its compiler's last breath."""
    watchdog = threading.Timer(PATIENCE, _signal, (process.pid, signal.SIGKILL))
    watchdog.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    _at_work.discard(process.pid)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    for usage in _orphans():
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
    return Sample(wall, cpu, peak)


def _signal(pid: int, number: signal.Signals) -> None:
    """Not by Popen: that waits for a process which has ended, and its cost would be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _orphans() -> list[resource.struct_rusage]:
    """Wait for what became our child when its parent ended (`adopt_orphans`)."""
    left = [pid for pid in _children(os.getpid()) if pid not in _at_work]
    return [os.wait4(pid, 0)[2] for pid in left]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _reason(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    errors = [line for line in lines if "rror" in line and "RLIMIT" not in line]  # of this it only warns
    return (errors or lines or ["it said nothing"])[-1]


class Attached:
    """A tracer at work. `stop()` ends it as Ctrl-C does; `to_attached` is seconds from its start."""

    def __init__(self, process: subprocess.Popen[bytes], started: float, to_attached: float) -> None:
        self._process, self._started, self.to_attached = process, started, to_attached
        self.sample: Sample | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def processor(self) -> float:
        """Seconds of processor that its living threads have taken so far."""
        spent = 0
        for entry in os.scandir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(OSError):
                spent += int(Path(entry.path, "schedstat").read_text().split()[0])
        return spent / 1e9

    @property
    def elapsed(self) -> float:
        """Seconds since its start."""
        return time.perf_counter() - self._started

    def stop(self) -> Sample:
        """End it, wait, and say what it cost from start to end."""
        if self.sample is None:
            _signal(self.pid, signal.SIGINT)
            self.sample = replace(_wait(self._process, self._started), to_attached=self.to_attached)
        return self.sample


@contextlib.contextmanager
def attached(
    tracer: Tracer, command: Sequence[str], output: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Attached]:
    """Run a tracer, its output in a file or dropped; inside the block it is attached."""
    read, write = os.pipe()
    target = open(output, "w+b") if output else None  # noqa: SIM115
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=target or write, stderr=subprocess.STDOUT,
        env=tracer.environ(**(environment or {})),
    )  # fmt: skip
    os.close(write)
    _at_work.add(process.pid)
    reader: threading.Thread | None = None
    running = None
    try:
        if output:
            _until_in_file(tracer, process, output, started)
        else:
            _until_in_pipe(tracer, process, read, started)
        running = Attached(process, started, time.perf_counter() - started)
        if not output:
            reader = threading.Thread(target=_drain, args=(read,))
            reader.start()
        time.sleep(_SETTLE)
        yield running
    finally:
        if running is not None:
            running.stop()
        else:
            _signal(process.pid, signal.SIGKILL)
            _wait(process, started)
        if reader:
            reader.join(5)
        os.close(read)
        if target:
            target.close()


def _drain(fd: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(fd, 1 << 16):
            continue


def _until_in_pipe(tracer: Tracer, process: subprocess.Popen[bytes], fd: int, started: float) -> None:
    said = b""
    while tracer.mark.encode() not in said:
        left = started + PATIENCE - time.perf_counter()
        ready = select.select([fd], [], [], max(left, 0))[0]
        part = os.read(fd, 1 << 16) if ready else b""
        if not part:
            raise BenchError(f"{tracer.name} did not attach: {_reason(said)}")
        said += part


def _until_in_file(tracer: Tracer, process: subprocess.Popen[bytes], path: Path, started: float) -> None:
    while True:
        with open(path, "rb") as file:
            said = file.read(1 << 14)
        if tracer.mark.encode() in said:
            return
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        if ended or time.perf_counter() - started > PATIENCE:
            raise BenchError(f"{tracer.name} did not attach: {_reason(said)}")
        time.sleep(0.005)


def memory(tracer: Tracer, command: Sequence[str]) -> tuple[int, int]:
    """Run until attached → peak KiB of the process, and of it with all its children at one moment.

    By looking every millisecond. Pages that a child shares with its parent count twice.
    """
    found = [0, 0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            for pid in list(_at_work):
                own, *others = [_resident(one) for one in (pid, *_children(pid))]
                found[0] = max(found[0], _status(pid, b"VmHWM:"), own)
                found[1] = max(found[1], own + sum(others))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with attached(tracer, command):
            time.sleep(0.005)
    finally:
        over.set()
        watcher.join()
    return found[0], max(found)


def _resident(pid: int) -> int:
    return _status(pid, b"VmRSS:")


def _status(pid: int, name: bytes) -> int:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            text = file.read()
    except OSError:
        return 0
    at = text.find(name)
    return int(text[at + len(name) :].split(None, 1)[0]) if at >= 0 else 0


Measured = TypeVar("Measured")


def in_turn(
    rounds: int, tracers: Sequence[Tracer], measure: Callable[[Tracer], Measured]
) -> dict[str, list[Measured]]:
    """Measure each tracer, then each again: what disturbs the machine disturbs all of them."""
    found: dict[str, list[Measured]] = {tracer.name: [] for tracer in tracers}
    for _ in range(rounds):
        for tracer in tracers:
            found[tracer.name].append(measure(tracer))
    return found
