"""A command → one Sample of what it cost: time, processor and memory of the tracer and of its children."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

# bpftrace and ebt alike say it on standard output when all is attached
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
PATIENCE = 60


class BenchError(Exception):
    """A part cannot be measured here: one line for the user."""


@dataclass(frozen=True)
class Tracer:
    """A program to measure, with what it needs in its environment."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def with_environment(self, name: str, **more: str) -> Tracer:
        return Tracer(name, self.command, (*self.environment, *more.items()))

    def environ(self, **more: str) -> dict[str, str]:
        return {**os.environ, **dict(self.environment), **more}


@dataclass(frozen=True)
class Sample:
    """Seconds and KiB. `peak` is the larger of the process and its children."""

    wall: float
    cpu: float
    peak: int


def run(command: Sequence[str], environ: Mapping[str, str]) -> Sample:
    """Run to the end, output dropped. Raises BenchError where the command fails."""
    with open(os.devnull, "wb") as nothing, contextlib.closing(_Errors()) as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=nothing, stderr=errors.file, env=dict(environ)
        )
        sample = _wait(process, started)
        if process.returncode:
            raise BenchError(f"{command[0]} ended with {process.returncode}: {errors.last_line()}")
    return sample


# running on purpose: not to be waited for by another's end
_at_work: set[int] = set()


def _wait(process: subprocess.Popen[bytes], started: float) -> Sample:
    """The end of a process, and of what it left behind: ebt does not wait for its compiler's last breath."""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    for usage in _orphans():
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
    return Sample(wall, cpu, peak)


def _orphans() -> list[resource.struct_rusage]:
    """Wait for what became our child when its parent ended (`adopt_orphans`)."""
    text = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    left = [int(word) for word in text.split() if int(word) not in _at_work]
    return [os.wait4(pid, 0)[2] for pid in left]


def adopt_orphans() -> None:
    """Make children's children ours when their parent ends, so that their cost is seen."""
    set_child_subreaper = 36  # include/uapi/linux/prctl.h
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def memory(command: Sequence[str], environ: Mapping[str, str]) -> tuple[int, int]:
    """Run once more → peak KiB of the process itself, and of its largest child; by looking often."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
    )
    own = child = 0
    while process.poll() is None:
        own = max(own, _peak(process.pid))
        with contextlib.suppress(OSError):
            for other in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                child = max(child, _peak(int(other)))
        time.sleep(0.0005)
    _orphans()
    return own, child


def _peak(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            text = file.read()
    except OSError:
        return 0
    at = text.find(b"VmHWM:")
    return int(text[at + 6 :].split(None, 1)[0]) if at >= 0 else 0


class _Errors:
    """Standard error of a run, for the message if it fails."""

    def __init__(self) -> None:
        self.file: BinaryIO = os.fdopen(os.memfd_create("bench"), "w+b")

    def last_line(self) -> str:
        self.file.seek(0)
        lines = self.file.read().decode("utf-8", "replace").strip().splitlines()
        return next((line for line in lines if "rror" in line), lines[-1] if lines else "it said nothing")

    def close(self) -> None:
        self.file.close()


class Attached:
    """A tracer at work. `stop()` ends it as Ctrl-C does; `sample` is there then."""

    def __init__(self, process: subprocess.Popen[bytes], started: float) -> None:
        self._process, self._started = process, started
        self.sample: Sample | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> Sample:
        """End it, wait, and say what it cost from start to end."""
        if self.sample is None:
            self._process.send_signal(signal.SIGINT)
            watchdog = threading.Timer(PATIENCE, self._process.kill)
            watchdog.start()
            self.sample = _wait(self._process, self._started)
            watchdog.cancel()
            _at_work.discard(self.pid)
        return self.sample


@contextlib.contextmanager
def attached(tracer: Tracer, program: str, output: Path) -> Iterator[Attached]:
    """Run the tracer on a program, its output in a file; inside the block it is attached."""
    environ = tracer.environ(**{NOTIFY: "1"})
    with open(output, "wb") as file:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*tracer.command, "-e", program], stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environ
        )
    running = Attached(process, started)
    _at_work.add(process.pid)
    try:
        while NOTIFY.encode() not in _head(output):
            if process.poll() is not None or time.perf_counter() - started > PATIENCE:
                said = _head(output).decode("utf-8", "replace").strip()
                running.sample = Sample(0, 0, 0)
                process.kill()
                process.wait()
                _at_work.discard(process.pid)
                raise BenchError(f"{tracer.name} did not attach: {said}")
            time.sleep(0.005)
        yield running
    finally:
        running.stop()


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


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
