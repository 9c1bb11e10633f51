"""Lines of many jobs → what is shown above the prompt: as much as one can read, and how much was left out."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from repl.flow import Flow
from repl.jobs import Job
from repl.words import counted

TICK = 0.1  # seconds
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f\x80-\x9f]")


def visible(line: str) -> str:
    """The line without characters that move the cursor or change colours: what is traced may hold them."""
    plain = line.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", plain)


class Display:
    """Collects what jobs print and writes it in ticks, on a thread, so that no job waits for a terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._flows: dict[int, Flow] = {}
        self._attached: list[Job] = []
        self._ended: list[Job] = []
        self._messages: list[tuple[int, str]] = []
        self._writing = threading.Lock()
        self._more = threading.Event()
        self._closing = False
        self._several: Callable[[], bool] = lambda: False
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)

    def start(self, several: Callable[[], bool]) -> None:
        """Begin; `several` says whether lines need their job's number in front."""
        self._several = several
        self._thread.start()

    def show(self, job: Job, lines: list[str], message: bool) -> None:
        """Take a job's lines; none say that it is attached now, or has ended. Never waits for a terminal.

        A message is shown even in a flood.
        """
        with self._lock:
            if not lines:
                (self._attached if job.alive else self._ended).append(job)
            if message:
                self._messages += [(job.number, line) for line in lines]
            else:
                self._flows.setdefault(job.number, Flow()).add(lines)
        self._more.set()

    def close(self) -> None:
        """Show what is there, and end."""
        self._closing = True
        self._more.set()
        if self._thread.is_alive():
            self._thread.join()

    def flush(self) -> None:
        """Show what is there now, but for what is held back of a flood."""
        with self._writing:
            text = self._take(time.monotonic())
            if text:
                self._write(text)

    def _run(self) -> None:
        while not self._closing:
            self._more.wait()
            self._more.clear()
            self.flush()
            if not self._closing:
                threading.Event().wait(TICK)
                with self._lock:
                    if any(flow.waiting for flow in self._flows.values()):
                        self._more.set()
        self.flush()

    def _take(self, now: float) -> str:
        with self._lock:
            attached, self._attached = self._attached, []
            ended, self._ended = self._ended, []
            messages, self._messages = self._messages, []
            over = {job.number for job in ended}
            taken = {
                number: flow.take(now, ended=self._closing or number in over)
                for number, flow in self._flows.items()
            }
            for number in over:
                self._flows.pop(number, None)
        several = self._several()
        parts = [f"[{job.number}] attached {counted(job.probes, 'probe')}\n" for job in attached]
        early = [] if over else messages  # at the end they come behind what was printed
        parts += [f"[{number}] {visible(line)}\n" for number, line in early]
        for number, (first, left_out, last) in taken.items():
            lead = f"[{number}] " if several else ""
            parts += [f"{lead}{visible(line)}\n" for line in first]
            if left_out:
                parts.append(f"[{number}] … {left_out:,} lines more: log {number}\n")
            parts += [f"{lead}{visible(line)}\n" for line in last]
        parts += [f"[{number}] {visible(line)}\n" for number, line in messages[len(early) :]]
        parts += [f"[{job.number}] {job.state}\n" for job in ended]
        return "".join(parts)
