"""A tool and ebt → what became of a run under the tool's load: rows, or why there are none."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from btkit.tools import Tool

LOADS = Path(__file__).parent / "loads.py"
_NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
_ROUNDS = 3  # the load is made again until a row is seen

What = Literal["rows", "refused", "no rows", "failed"]


@dataclass(frozen=True)
class Verdict:
    """`text` is the first row, or the message."""

    what: What
    text: str
    output: str = ""


class _Run:
    """A run of ebt whose output is read while it goes on."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, _NOTIFY: "1"}, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout and self.process.stderr
        self._texts = {self.process.stdout: b"", self.process.stderr: b""}
        self._selector = selectors.DefaultSelector()
        for stream in self._texts:
            self._selector.register(stream, selectors.EVENT_READ)

    @property
    def out(self) -> str:
        return next(iter(self._texts.values())).decode("utf-8", "replace")

    @property
    def err(self) -> str:
        return list(self._texts.values())[1].decode("utf-8", "replace")

    def read(self, seconds: float, met: Callable[[], bool] = lambda: False) -> bool:
        """Collect output for a time, until the condition is met or all streams have ended."""
        end = time.monotonic() + seconds
        while not met() and self._selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                stream = key.fileobj
                data = os.read(key.fd, 1 << 16)
                self._texts[stream] += data  # type: ignore[index]
                if not data:
                    self._selector.unregister(stream)
        return met()

    def end(self, patience: float) -> bool:
        """Ctrl-C; whether it ended by that."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.read(20 * patience)
        try:
            self.process.wait(5 * patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return False
        return True

    def close(self) -> None:
        """Give its pipes back."""
        self._selector.close()
        for stream in self._texts:
            stream.close()


class _Load:
    """A load that has made its events, and stays until it is ended."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(LOADS), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def trouble(self, seconds: float) -> str:
        """Wait until the events are made; why they were not, or nothing."""
        assert self.process.stdout and self.process.stderr
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            return f"no end after {seconds:g} s"
        if self.process.stdout.readline() == b"done\n":
            return ""
        return self.process.stderr.read().decode("utf-8", "replace").strip()[-300:]

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def attempt(ebt: Sequence[str], tool: Tool, patience: float = 1) -> Verdict:
    """Run the tool under its load until it has printed a row, then end it as Ctrl-C does."""
    run, loads = _Run([*ebt, str(tool.path)]), []
    try:
        if not run.read(30 * patience, lambda: f"{_NOTIFY}\n" in run.out):
            run.end(patience)
            return Verdict("refused", _reason(run.err), run.err)
        for _ in range(_ROUNDS):
            loads.append(_Load(tool.load))
            if trouble := loads[-1].trouble(120 * patience):
                return Verdict("failed", f"the load '{tool.load}' failed: {trouble}")
            if run.read(1.5, lambda: bool(tool.rows(run.out))):
                break
        ended = run.end(patience)
    finally:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()
        run.close()
        for load in loads:
            load.end()
    if not ended or run.process.returncode:
        return Verdict("failed", _reason(run.err) or "it did not end", run.out + run.err)
    rows = tool.rows(run.out)
    return (
        Verdict("rows", rows[0], run.out) if rows else Verdict("no rows", _reason(run.err), run.out + run.err)
    )


def _reason(text: str) -> str:
    """The first message of what was told."""
    for line in text.splitlines():
        for mark in (": error: ", ": warning: "):
            if mark in line:
                return line.partition(mark)[2]
    return text.strip().splitlines()[-1] if text.strip() else ""
