"""Signals, the end of a process, a closed pipe, time and the ring → the one place where a session waits."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A signal that follows this soon is the first one again: a terminal and a parent may both have sent it.
_AGAIN_AFTER = 0.3


class Abandoned(Exception):
    """A second signal came while the run was ending: give up what output is left."""


class Stops:
    """Whatever ends a run. A context manager: signal handlers are put back at its end.

    `interruptible` says that a second signal may raise `Abandoned` where it comes.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.interruptible = False
        self._poll = select.poll()
        self._watched: dict[int, Callable[[], None]] = {}
        self._mine: list[int] = []
        self._handlers: dict[int, Any] = {}
        self._came: list[Callable[[], object]] = []  # what signals that are not stops ask for
        self._first = 0.0
        self._old_wakeup = -1
        self._wake = -1

    def __enter__(self) -> Stops:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._mine += [read, write]
        self._wake = write
        self._watch(read, lambda: self._swallow(read))
        with suppress(ValueError):  # not the main thread: then signals are the caller's business
            self._old_wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
            for number in _SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # nohup(1)
                self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.interruptible = False
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._handlers:
            signal.set_wakeup_fd(self._old_wakeup)
        for fd in self._mine:
            os.close(fd)

    def stop(self, reason: str) -> None:
        """Ask for the end; the first reason stays."""
        self.reason = self.reason or reason

    def ask(self, action: Callable[[], object]) -> None:
        """Do this in `wait`, soon: the one method that another thread may call."""
        self._came.append(action)
        with suppress(BlockingIOError):  # full: it will be looked at anyway
            os.write(self._wake, b"\0")

    def watch_process(self, pid: int, reason: str) -> None:
        """Stop when this process ends; at once if it is gone."""
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.stop(reason)
            return
        self._mine.append(fd)
        self._watch(fd, lambda: self.stop(reason))

    def watch_signal(self, number: signal.Signals, action: Callable[[], object]) -> None:
        """Do this in `wait` when the signal has come."""
        with suppress(ValueError):
            self._handlers[number] = signal.signal(number, lambda *_: self._came.append(action))

    def watch_reader(self, fd: int) -> None:
        """Stop when the reader of our output goes away, even while there is nothing to write."""
        self._poll.register(fd, 0)  # errors are always reported
        self._watched[fd] = lambda: self.stop("closed pipe")

    def wait(self, seconds: float | None, ring: int | None = None) -> bool:
        """Sleep until something happens; True if the ring has records. Without `ring` it is not looked at."""
        if ring is not None:
            self._poll.register(ring, select.POLLIN)
        try:
            ready = self._poll.poll(None if seconds is None else max(seconds, 0) * 1000)
        finally:
            if ring is not None:
                self._poll.unregister(ring)
        for fd, _ in ready:
            action = self._watched.get(fd)
            if action is not None:
                action()
        return any(fd == ring for fd, _ in ready)

    def _watch(self, fd: int, action: Callable[[], None]) -> None:
        self._poll.register(fd, select.POLLIN)
        self._watched[fd] = action

    def _swallow(self, fd: int) -> None:
        with suppress(BlockingIOError):
            os.read(fd, 4096)
        while self._came:
            self._came.pop(0)()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first and self.interruptible and now - self._first > _AGAIN_AFTER:
            raise Abandoned
        self._first = self._first or now
        self.stop(signal.Signals(number).name)
