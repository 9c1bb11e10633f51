"""What the tests of live runs share: known work to trace, runs in the background, and what is left behind."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernel import bpfcall
from lang.records import dataclass
from tests.conftest import PATIENCE, Ebt, Result

ROOT = Path(__file__).parents[2]
WORK = ROOT / "tests/workload/work.py"
CLOSING = 5  # seconds in which the pipes of what has ended are read to their ends
LOOKS = 3  # a tenth of a second between them: each opens files, which tools of the whole system see
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
# the same everywhere: no .pyc is written, nothing of the environment or the site is read
PYTHON = [sys.executable, "-I", "-S", "-B"]

_numbers = count()


def fresh(prefix: str = "w") -> str:
    """A name that no other run on this machine has; short enough for a comm or the name of a map."""
    return f"{prefix}{os.getpid():x}x{next(_numbers):x}"


def work(*steps: str) -> list[str]:
    """The command that makes these steps (see tests/workload/work.py)."""
    return [*PYTHON, str(WORK), *steps]


def lines(text: str) -> list[str]:
    """The lines that are not empty."""
    return [line for line in text.splitlines() if line.strip()]


def rows_of(text: str) -> list[dict[str, Any]]:
    """The rows, of tables too, in JSON lines."""
    items = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    rows = [item["data"] for item in items if item["type"] == "row"]
    tables = [part for item in items if item["type"] == "table" for part in item["data"].values()]
    return rows + [row for table in tables for row in table]


def said(text: str, word: str) -> int:
    """The number that the workload said after this word."""
    found = re.search(rf"^{word} (\d+)$", text, re.MULTILINE)
    assert found, f"the workload did not say its {word}: {text!r}"
    return int(found[1])


@dataclass(frozen=True)
class Traced:
    """A run with a workload: what the script printed, messages, exit code, what the workload said."""

    out: str
    err: str
    rc: int
    workload: str

    @property
    def lines(self) -> list[str]:
        return lines(self.out)


class Trace(Protocol):
    """Run a program over the steps of a workload."""

    def __call__(
        self, program: str, *steps: str, args: Iterable[str] = (), timeout: float = 30
    ) -> Traced: ...


def tracer(ebt: Ebt) -> Trace:
    """The program is traced with `-c`; a run that fails or warns fails the test."""

    def run(program: str, *steps: str, args: Iterable[str] = (), timeout: float = 30) -> Traced:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "out"
            command = " ".join(work(*steps))
            result = ebt("-q", "-e", program, "-c", command, "-o", file, *args, timeout=timeout)
            out = file.read_text(errors="replace") if file.exists() else ""
        traced = Traced(out, result.stderr, result.rc, result.stdout)
        assert (traced.rc, traced.err) == (0, ""), traced
        return traced

    return run


class Running:
    """A command in the background, whose output is collected while it runs."""

    def __init__(self, command: list[str], env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._texts: list[list[str]] = [[], []]
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, text), daemon=True)
            for stream, text in zip((self.process.stdout, self.process.stderr), self._texts, strict=True)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Iterable[str], into: list[str]) -> None:
        for line in stream:
            with self._news:
                into.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def out(self) -> str:
        return "".join(self._texts[0])

    @property
    def err(self) -> str:
        return "".join(self._texts[1])

    def wait_for(self, pattern: str, timeout: float = 20) -> str:
        """Wait until the output matches the pattern; the text that matches."""
        found: list[str] = []

        def seen() -> bool:
            match = re.search(pattern, self.out, re.MULTILINE) or re.search(pattern, self.err, re.MULTILINE)
            found[:] = [match[0]] if match else []
            return bool(match) or not any(reader.is_alive() for reader in self._readers)

        with self._news:
            self._news.wait_for(seen, timeout * PATIENCE)
        if not found:
            pytest.fail(f"no {pattern!r} came\n--- stdout\n{self.out}\n--- stderr\n{self.err}")
        return found[0]

    def attached(self) -> None:
        """Wait until the probes are attached."""
        self.wait_for(rf"^(Attached \d+ probes?|{NOTIFY})$")

    def tell(self, text: str = "") -> None:
        """A line on its standard input."""
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Nothing more comes on its standard input."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self, number: signal.Signals | None = None, timeout: float = 20) -> Result:
        """Wait for the end, after this signal if one is given."""
        if number is not None:
            self.send(number)
        try:
            self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"no end\n--- stdout\n{self.out}\n--- stderr\n{self.err}")
        for reader in self._readers:
            reader.join(timeout)
        return Result(self.out, self.err, self.process.returncode)

    def kill(self) -> None:
        """End it and its children, whatever it does."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for reader in self._readers:  # which may be at a stream's last lines
            reader.join(CLOSING)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()


@contextmanager
def running(command: list[str], env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A command in the background; nothing of it outlives the block."""
    process = Running(command, env)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def working(*steps: str) -> Iterator[Running]:
    """A workload in the background."""
    with running(work(*steps)) as process:
        yield process


def until(met: Callable[[], bool], timeout: float = 5) -> bool:
    """Wait for a condition; whether it was met."""
    deadline = time.monotonic() + timeout * PATIENCE
    while not met():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def at_rest(*runs: Running, timeout: float = 5) -> bool:
    """Wait until none of them has anything to do, for some looks in a row; whether that came, or one's end.

    What watches has read by then all that it was told of: an old bpftrace, and some of the tools of libbpf,
    leave the rest unread when they are told to end.
    """

    def resting() -> bool:
        for _ in range(LOOKS):
            time.sleep(0.1)
            if any(run.process.poll() is not None for run in runs):
                return True
            if not all(waits(run.pid) for run in runs):
                return False
        return True

    return until(resting, timeout)


def waits(pid: int) -> bool:
    """Whether a process neither runs nor reads from a disk."""
    with suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
    return False


def begin(ebt: Ebt, body: str, *parameters: str, env: dict[str, str] | None = None) -> list[str]:
    """What the body of a `begin` prints, maps included."""
    result = ebt("-q", "-e", f"begin {{ {body} }}", "--", *parameters, env=env)
    assert (result.rc, result.stderr) == (0, ""), result
    return lines(result.stdout)


def stats(number: int, average: int, total: int) -> str:
    return f"{{ .count = {number}, .average = {average}, .total = {total} }}"


def row(label: str, number: int, width: int = 52) -> str:
    return f"{label:16}{number:8} |{'@' * width:52}|"


# --- what is in the kernel ---

_MAP_NEXT_ID, _MAP_FD_BY_ID, _OBJ_INFO = 12, 14, 15


def kernel_maps() -> Counter[str]:
    """The names of all BPF maps that the kernel holds, each as often as it is there."""
    names: Counter[str] = Counter()
    number = 0
    while True:
        attributes = bpfcall.pack("III", number, 0, 0)
        if _bpf(_MAP_NEXT_ID, attributes) < 0:
            return names
        (number,) = struct.unpack_from("=I", attributes, 4)
        fd = _bpf(_MAP_FD_BY_ID, bpfcall.pack("III", number, 0, 0))
        if fd < 0:
            continue
        info = ctypes.create_string_buffer(88)
        if _bpf(_OBJ_INFO, bpfcall.pack("IIQ", fd, len(info), ctypes.addressof(info))) >= 0:
            names[info.raw[24:40].split(b"\0")[0].decode()] += 1
        os.close(fd)


def _bpf(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    system_call = 280 if os.uname().machine == "aarch64" else 321
    return bpfcall.call(system_call, ctypes.c_long(command), attributes, ctypes.c_ulong(len(attributes)))


def gone(name: str) -> bool:
    """Whether nothing that refers to the script's map of this name is left: no map, so no program, no link.

    The kernel frees them a moment after the last reference has gone.
    """
    return until(lambda: not any(name in found for found in kernel_maps()))


def there(name: str) -> bool:
    """Whether the script's map of this name is in the kernel."""
    return any(name in found for found in kernel_maps())


def only_line(ebt: Ebt, *words: str) -> str:
    """What a refused command says: one line, nothing on standard output, exit status 1."""
    result = ebt(*words)
    assert (result.rc, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    return line
