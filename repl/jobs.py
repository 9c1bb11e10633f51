"""Compiled programs → numbered jobs, each a session on a thread of its own, with a log of what it printed."""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

from kernel.ksyms import kernel_symbol
from repl.host import Host, Prepared
from runtime.child import end_child, start_child
from runtime.control import Control
from runtime.fitting import loads_refused
from runtime.load import Loaded, LoadError, load
from runtime.session import PROCESS_ENDED, run
from runtime.text import Output, TextWriter, terminal_columns
from runtime.usersymbols import user_symbol

LOG_LINES = 10_000
_TITLE = 60
State = Literal["starting", "running", "paused", "ended", "failed"]
Show = Callable[["Job", list[str], bool], None]  # lines of a job; True for what must not be left out


class Log(Output):
    """Takes a job's text in place of a descriptor: whole lines go to the job's log and to be shown."""

    def __init__(self, take: Callable[[list[str]], None]) -> None:
        super().__init__(-1)
        self._take = take
        self._texts: list[str] = []
        self._rest = ""

    def write(self, text: str) -> None:
        self._texts.append(text)

    def idle(self) -> None:
        self.flush()

    def flush(self) -> None:
        if not self._texts:
            return
        text = self._rest + "".join(self._texts)
        self._texts = []
        whole, newline, self._rest = text.rpartition("\n")
        if newline:
            self._take(whole.split("\n"))

    def tell(self, text: str) -> None:
        self.write(text + "\n")
        self.flush()

    def close(self) -> None:
        """The last line may lack its newline."""
        self.flush()
        if self._rest:
            self._take([self._rest])
            self._rest = ""


class JobWriter(TextWriter):
    """Text, without the empty lines that end a run; the job hears when its probes are attached.

    Lost events are told once while it runs, not each half a second.
    """

    def __init__(self, log: Log, messages: Log, attached: Callable[[int], None]) -> None:
        super().__init__(log, messages)
        self._attached, self._lost = attached, False

    @property
    def columns(self) -> int:
        """Those of the prompt's terminal, less what leads a line where several jobs print."""
        return max(0, terminal_columns(1) - len("[1] "))

    def lost(self, count: int) -> None:
        """Told when it begins; how many there were is told at the end."""
        if not self._lost:
            self._lost = True
            super().lost(count)

    def attached(self, count: int) -> None:
        self._attached(count)

    def end(self, maps: bool) -> None:
        return


class Job:
    """One program: `state` and `log` may be read by any thread."""

    def __init__(self, number: int, text: str, prepared: Prepared, show: Show) -> None:
        self.number, self.text, self.prepared = number, text, prepared
        title = " ".join(prepared.title.split())
        self.title = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
        self.state: State = "starting"
        self.probes = 0
        self.lines = 0
        self.failure = ""
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.control = Control()
        self._show = show
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it is attached, or about to be."""
        return self.state in ("starting", "running", "paused")

    @property
    def maps(self) -> list[str]:
        """The script's own maps, by their names in it."""
        return [item.script_name for item in self.prepared.compiled.plan.maps if item.script_name]

    def c_name(self, map_name: str) -> str | None:
        """The C name of a map of the script."""
        plan = self.prepared.compiled.plan
        return next((item.name for item in plan.maps if item.script_name == map_name), None)

    def start(self, host: Host) -> None:
        """Load, then go on in a thread. Raises what load() raises."""
        loaded = self._load()
        try:
            if self.prepared.command is not None:
                self._child = start_child(self.prepared.command)
        except BaseException:
            loaded.close()
            raise
        self._thread = threading.Thread(target=self._run, args=(host, loaded), name=f"job {self.number}")
        self._thread.start()

    def _load(self) -> Loaded:
        try:
            return _loaded(self.prepared)
        except LoadError as refused:
            again = self.prepared.otherwise
            if again is None or not loads_refused(refused, self.prepared.compiled.plan):
                raise
            other = again()
            if other is None:
                raise
        self.prepared = other
        return _loaded(other)

    def pause(self, on: bool) -> None:
        """Keep what it prints in its log only, or show it again."""
        if self.alive:
            self.state = "paused" if on else "running"

    def stop(self) -> None:
        """Ask for its end."""
        self.control.stop()

    def join(self, seconds: float | None = None) -> None:
        """Wait until it is gone."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, host: Host, loaded: Loaded) -> None:
        log, messages = Log(self._take), Log(self._tell)
        writer = JobWriter(log, messages, self._set_attached)
        try:
            with loaded:
                run(
                    loaded, self.prepared.compiled.plan, writer, child=self._child,
                    pid=self.prepared.pid or None, kernel_symbol=kernel_symbol, user_symbol=user_symbol,
                    control=self.control,
                )  # fmt: skip
            if self.control.reason == PROCESS_ENDED:
                messages.tell(f"process {self.prepared.pid} has ended")
            self.state = "ended"
        except Exception as problem:
            self.state = "failed"
            self.failure = host.describe(problem) or f"ebt: a fault of ebt: {problem!r}"
            messages.tell(self.failure)
        finally:
            if self._child is not None:
                end_child(self._child)
            self.control.end()
            log.close()
            self._show(self, [], True)

    def _set_attached(self, count: int) -> None:
        self.probes = count
        if self.state == "starting":
            self.state = "running"
        self._show(self, [], True)
        self.control.attached.set()

    def _take(self, lines: list[str], message: bool = False) -> None:
        self.log.extend(lines)
        self.lines += len(lines)
        if message or self.state != "paused":
            self._show(self, lines, message)

    def _tell(self, lines: list[str]) -> None:
        self._take(lines, True)


def _loaded(prepared: Prepared) -> Loaded:
    return load(
        prepared.compiled.plan, prepared.code, prepared.machine, prepared.compiled.c  # type: ignore[arg-type]
    )


class Jobs:
    """All jobs of a session, by number from 1."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._numbers = itertools.count(1)
        self.all: dict[int, Job] = {}

    def start(self, text: str, prepared: Prepared, host: Host) -> Job:
        """Load and attach a program as a new job. Raises what load() raises, and then there is no job."""
        job = Job(next(self._numbers), text, prepared, self._show)
        self.all[job.number] = job
        try:
            job.start(host)
        except BaseException:
            del self.all[job.number]
            self._numbers = itertools.count(job.number)
            raise
        return job

    @property
    def alive(self) -> list[Job]:
        """Those that are attached."""
        return [job for job in self.all.values() if job.alive]

    def newest(self) -> Job | None:
        """The job that was started last."""
        return self.all[max(self.all)] if self.all else None

    def with_map(self, name: str, number: int = 0) -> Job | None:
        """The job of this number, or the newest one alive, that has the map."""
        found = [self.all[number]] if number in self.all else [] if number else list(self.all.values())
        return max((job for job in found if name in job.maps and job.alive), key=_number, default=None)

    def stop_all(self) -> None:
        """End all, and wait for it."""
        alive = self.alive
        for job in alive:
            job.stop()
        for job in alive:
            job.join()


def _number(job: Job) -> int:
    return job.number
