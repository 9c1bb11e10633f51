"""Lines of many jobs → what is shown above the prompt: as much as one can read, and how much was left out."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from repl.jobs import Job

TICK = 0.1  # seconds
MOST = 100  # lines of a job in one tick: a thousand a second, more than anybody reads
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f\x80-\x9f]")


def visible(line: str) -> str:
    """The line without characters that move the cursor or change colours: what is traced may hold them."""
    plain = line.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", plain)


def thin(waiting: list[str], most: int = MOST) -> tuple[list[str], int]:
    """The first and the last of the lines, and how many between them are left out."""
    if len(waiting) <= most:
        return waiting, 0
    half = most // 2
    return [*waiting[:half], *waiting[-half:]], len(waiting) - 2 * half


class Display:
    """Collects what jobs print and writes it in ticks, on a thread, so that no job waits for a terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: dict[int, list[str]] = {}
        self._left_out: dict[int, int] = {}
        self._ended: list[Job] = []
        self._more = threading.Event()
        self._closing = False
        self._several: Callable[[], bool] = lambda: False
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)

    def start(self, several: Callable[[], bool]) -> None:
        """Begin; `several` says whether lines need their job's number in front."""
        self._several = several
        self._thread.start()

    def show(self, job: Job, lines: list[str]) -> None:
        """Take a job's lines; none say that it has ended. Never waits."""
        with self._lock:
            if not lines:
                self._ended.append(job)
            held = self._waiting.setdefault(job.number, [])
            held += lines
            if len(held) > 2 * MOST:  # what nobody will see need not be kept: the log has it
                self._left_out[job.number] = self._left_out.get(job.number, 0) + len(held) - 2 * MOST
                held[MOST:-MOST] = []
        self._more.set()

    def close(self) -> None:
        """Show what is there, and end."""
        self._closing = True
        self._more.set()
        if self._thread.is_alive():
            self._thread.join()

    def flush(self) -> None:
        """Show what is there now."""
        text = self._take()
        if text:
            self._write(text)

    def _run(self) -> None:
        while not self._closing:
            self._more.wait()
            self._more.clear()
            self.flush()
            if not self._closing:
                threading.Event().wait(TICK)
        self.flush()

    def _take(self) -> str:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            left_out, self._left_out = self._left_out, {}
            ended, self._ended = self._ended, []
        several = self._several()
        parts: list[str] = []
        for number, lines in waiting.items():
            lead = f"[{number}] " if several else ""
            shown, between = thin(lines)
            between += left_out.get(number, 0)
            for index, line in enumerate(shown):
                if between and index == len(shown) - len(shown) // 2:
                    parts.append(f"[{number}] … {between:,} lines more: log {number}\n")
                parts.append(f"{lead}{visible(line)}\n")
        parts += [f"[{job.number}] {job.state}\n" for job in ended]
        return "".join(parts)
