"""A loaded plan and a writer → a whole run: begin, attach, events until something ends it, end, maps.

Every end is the same: an exit() in the script, SIGINT, SIGTERM, SIGHUP, a closed pipe, the child's or the
process's end, the time limit. The programs are detached, the `end` programs run, the ring is read to its
last record, then losses and maps are told.
"""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from codegen.plan import LOST, SETTINGS, Map, Plan
from kernel import bpfcall
from kernel.cpus import possible_cpus
from lang.later import later
from lang.machine import Field
from runtime.actions import Actions
from runtime.attaching import Attachable, attach_script
from runtime.formatters import clock_offset
from runtime.losses import Losses
from runtime.maps import Access, Maps
from runtime.perfring import PerfRing
from runtime.ring import Ring
from runtime.symbolize import Found, Symbolizer
from runtime.text import Dump, Writer
from runtime.unbatched import Unbatched
from runtime.values import Values
from runtime.waiting import Abandoned, Stops

if TYPE_CHECKING:  # most runs have no child, and need not pay for it
    import subprocess

    from runtime import mappings
    from runtime.control import Control
    from runtime.pictures import Picture
else:
    mappings = later("runtime.mappings")

NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
PROCESS_ENDED = "process ended"  # of -p: the reason of the end
_STACKS = "ebt_stacks"
# After a drain the next one waits a little, so that events come in batches and not one wake-up each.
_SHORTEST, _LONGEST = 0.0005, 0.010
_LOSSES = 1.0  # seconds between two looks at what failed, where no events come
_PATIENCE = 0.2  # for a record that is still being written at the end


class Loaded(Attachable, Protocol):
    """What runtime.load gives: programs and maps in the kernel."""

    def map_fd(self, name: str) -> int: ...

    def iterate(self) -> bool: ...

    def run_special(self, name: Literal["begin", "end", "self"]) -> object: ...

    def detach(self) -> None: ...


def run(
    loaded: Loaded,
    plan: Plan,
    writer: Writer,
    *,
    child: subprocess.Popen[bytes] | None = None,
    pid: int | None = None,
    duration: float | None = None,
    reader_fd: int | None = None,
    kernel_symbol: Callable[[int], Found],
    user_symbol: Callable[[int, int], Found],
    struct_fields: Mapping[int, Sequence[Field]] | None = None,
    access: Access | None = None,
    cpus: int | None = None,
    control: Control | None = None,
    pictures: Sequence[Picture] = (),
    folded_text: bool = True,
    begun: Callable[[], object] | None = None,
) -> int:
    """Run the plan to its end; the exit code.

    `child` was started and stopped (SIGSTOP) before its first instruction, and goes on once the probes are
    attached. `reader_fd` is the descriptor whose closing ends the run (a pipe on standard output). The
    programs are detached on every way out, also by an exception. `control` is for other threads. `pictures`
    are drawn at the end; without `folded_text` the script's folded() prints nothing, as the picture shows it.
    `begun` is called once everything is attached and the child goes on: for what nobody shall wait for.
    """
    cpus = cpus or possible_cpus()
    if access is None:
        access = Unbatched() if "map_batch" in plan.settings.without else bpfcall
    session = Session(loaded, plan, writer, access, cpus, kernel_symbol, user_symbol, struct_fields)
    session.pictures, session.actions.folded_text = pictures, folded_text
    session.begun = begun
    try:
        with Stops() as stops:
            try:
                if control is not None:
                    control.begin(session, stops)
                return session.run(stops, child, pid, duration, reader_fd)
            except BrokenPipeError:  # the files are not for those who read the output
                session.finish()
                session.draw()
                return session.actions.exit_code or 0
            except Abandoned:
                return session.actions.exit_code or 0
            finally:
                stops.interruptible = False
                if control is not None:
                    control.end()
                session.finish()
    finally:
        session.close()


class Session:
    """One run's parts. Use `run`."""

    def __init__(
        self,
        loaded: Loaded,
        plan: Plan,
        writer: Writer,
        access: Access,
        cpus: int,
        kernel_symbol: Callable[[int], Found],
        user_symbol: Callable[[int, int], Found],
        struct_fields: Mapping[int, Sequence[Field]] | None = None,
    ) -> None:
        self._loaded, self._plan, self._writer, self._access = loaded, plan, writer, access
        self._maps_by_name = {item.name: item for item in plan.maps}
        self._cpus = cpus
        self._live_symbol = user_symbol
        self._mapped: mappings.Mappings | None = None
        symbols = self._symbols = Symbolizer(kernel_symbol, self._user_symbol, self._frames)
        structs = struct_fields or dict(plan.settings.structs)
        values = Values(plan.settings, symbols, json=writer.json, struct_fields=structs)
        self._maps = Maps(plan.maps, loaded.map_fd, access, cpus, values)
        self.actions = Actions(plan, values, self._maps, writer)
        self._ring = self._open_ring()
        lost_fd = loaded.map_fd(LOST) if LOST in self._maps_by_name else None
        self._losses = Losses(plan, lost_fd, access, writer)
        self._attached = False
        self.pictures: Sequence[Picture] = ()
        self._drawing: list[Picture] = []
        self.begun: Callable[[], object] | None = None

    def run(
        self,
        stops: Stops,
        child: subprocess.Popen[bytes] | None,
        pid: int | None,
        duration: float | None,
        reader_fd: int | None,
    ) -> int:
        """The stages in their order; the exit code."""
        stops.interruptible = True
        self._write_settings(child.pid if child else 0)
        self._loaded.run_special("begin")
        if any(item.kind == "special" and item.attach[0].name == "self" for item in self._plan.programs):
            stops.watch_signal(signal.SIGUSR1, lambda: self._loaded.run_special("self"))
        self._attach(child.pid if child else 0)
        self._begin_pictures()
        root = child.pid if child else pid
        if root and self._plan.settings.user_code:
            self._mapped = mappings.Mappings(root)
        if reader_fd is not None:
            stops.watch_reader(reader_fd)
        if pid is not None:
            stops.watch_process(pid, PROCESS_ENDED)
        if child is not None:
            stops.watch_process(child.pid, "child ended")
            os.kill(child.pid, signal.SIGCONT)
        deadline = None if duration is None else time.monotonic() + duration
        if self.begun is not None:
            self.begun()
        if self._loaded.iterate():
            stops.stop("the iteration is over")
        if not self._plan.waits:
            stops.stop("nothing is attached")
        self._loop(stops, deadline)
        self._end(stops)
        return self.actions.exit_code or 0

    def dump(self, name: str, top: int = 0) -> Dump | None:
        """What `print(@map, top)` shows now, by the map's C name; None for nothing."""
        return self._maps.dump(name, top)

    def dump_json(self, name: str) -> Dump | None:
        """The same with keys and values as JSON."""
        return self._read_as(json=True)[0].dump(name)

    def _read_as(self, *, json: bool) -> tuple[Maps, Values]:
        """The maps in another style than the writer's."""
        structs = dict(self._plan.settings.structs)
        values = Values(self._plan.settings, self._symbols, json=json, struct_fields=structs)
        return self._maps.styled(values), values

    def clear(self, name: str) -> None:
        """Empty a map, by its C name."""
        self._maps.clear(name)

    def finish(self) -> None:
        """Detach, once."""
        if self._attached:
            self._attached = False
            self._loaded.detach()

    def close(self) -> None:
        """Unmap the ring."""
        if self._ring is not None:
            self._ring.close()

    # --- start ---

    def _open_ring(self) -> Ring | PerfRing | None:
        for item in self._plan.maps:
            if item.kind == "ringbuf":
                return Ring(self._loaded.map_fd(item.name), item.max_entries)
            if item.kind == "perf_array":
                return PerfRing(self._loaded.map_fd(item.name), self._plan.settings.ring_bytes)
        return None

    def _write_settings(self, cpid: int) -> None:
        if SETTINGS in self._maps_by_name:
            start = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            data = struct.pack("<QQq", start, cpid, clock_offset("sw_tai", "boot"))
            self._access.map_update(self._loaded.map_fd(SETTINGS), bytes(4), data)

    def _attach(self, child: int) -> None:
        """Attach and say so; begin's output comes after the banner."""
        self._attached = True
        self._writer.attached(attach_script(self._loaded, self._plan, self._writer, child))
        if NOTIFY in os.environ:
            self._writer.line(NOTIFY)

    # --- events ---

    def _loop(self, stops: Stops, deadline: float | None) -> None:
        """Read events until something ends the run. Sleeps when idle, reads in batches under load."""
        pause = _SHORTEST
        fd = self._ring.fd if self._ring else None
        self._drain()
        while not self._over(stops):
            self._writer.idle()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            left = self._tick(left)
            if not self._wait(stops, left, fd):
                self._losses.tell_new()
                continue
            waiting = self._ring.waiting if self._ring else 0
            self._drain()
            self._losses.tell_new()
            if self._over(stops):
                return
            pause = self._next_pause(pause, waiting)
            self._writer.idle()
            stops.wait(pause)

    def _wait(self, stops: Stops, left: float | None, fd: int | None) -> bool:
        """Sleep until something happens; whether there are records."""
        ring = self._ring
        limits = (left, ring.patience if ring else None, _LOSSES if self._losses.counted else None)
        ready = stops.wait(min((item for item in limits if item is not None), default=None), fd)
        return ready or (ring is not None and ring.patience is not None and ring.waiting > 0)

    def _begin_pictures(self) -> None:
        for picture in self.pictures:
            picture.begin(*self._read_as(json=False))
            self._drawing.append(picture)

        def before_clear(name: str) -> None:
            for picture in self._drawing:
                picture.before_clear(name)

        self._maps.before_clear = before_clear

    def _tick(self, left: float | None) -> float | None:
        """Let pictures read maps, and look at processes; how long there is to wait, at most `left`."""
        for picture in self._drawing:
            picture.tick()
            due = picture.due()
            if due is not None:
                left = _sooner(left, due)
        if self._mapped is not None:
            self._mapped.tick()
            left = _sooner(left, self._mapped.due)
        return left

    def _user_symbol(self, pid: int, address: int) -> Found:
        """By the process, else by what it had mapped."""
        found = self._live_symbol(pid, address)
        return self._mapped.resolve(pid, address) if found is None and self._mapped else found

    def draw(self) -> None:
        """Write the pictures, once."""
        drawing, self._drawing = self._drawing, []
        for picture in drawing:
            picture.end()

    def _over(self, stops: Stops) -> bool:
        return stops.reason is not None or self.actions.exited

    def _next_pause(self, pause: float, waiting: int) -> float:
        """Longer while the ring stays nearly empty, shorter as it fills: none beyond an eighth."""
        size = self._ring.size if self._ring else 1
        if waiting > size // 8:
            return 0.0
        if waiting > size // 32:
            return max(pause / 2, _SHORTEST)
        return min(max(pause, _SHORTEST) * 2, _LONGEST)

    def _drain(self) -> None:
        """Execute all events committed by now; after an exit() the rest is thrown away."""
        if self._ring is None:
            return
        if self.actions.exited:
            self._ring.skip()
            return
        ring, handle = self._ring, self.actions.handle
        for item in ring.drain():
            if handle(ring.data, item):
                break

    # --- end ---

    def _end(self, stops: Stops) -> None:
        """Detach, end programs, the last events, losses, maps."""
        exited = self.actions.exit_code
        stops.interruptible = False
        self.finish()
        stops.interruptible = True
        self._drain_all()
        self.actions.exit_code = None
        self._loaded.run_special("end")
        self._drain_all()
        self.draw()
        self.actions.exit_code = exited if exited is not None else self.actions.exit_code
        self._losses.tell_totals()
        maps = self._plan.settings.print_maps_on_exit
        self._writer.end(maps)
        if maps:
            for item in sorted(self._maps_to_print(), key=lambda item: item.script_name):
                dump = self._maps.dump(item.name, at_exit=True)
                if dump is not None:
                    self._writer.map(dump)
        self._writer.flush()

    def _maps_to_print(self) -> list[Map]:
        return [item for item in self._plan.maps if item.script_name]

    def _drain_all(self) -> None:
        """Read to the last record. Nothing is attached any more, so what is being written ends soon."""
        deadline = time.monotonic() + _PATIENCE
        self._drain()
        while self._ring is not None and self._ring.waiting and time.monotonic() < deadline:
            time.sleep(0.001)
            self._drain()

    def _frames(self, id: int, count: int) -> Sequence[int] | None:
        item = self._maps_by_name.get(_STACKS)
        if item is None:
            return None
        raw = self._access.map_lookup(self._loaded.map_fd(_STACKS), struct.pack("<Q", id), item.value_size)
        if raw is None:
            return None
        return struct.unpack_from(f"<{min(count, len(raw) // 8)}Q", raw)


def _sooner(left: float | None, due: float) -> float:
    """Seconds until `due` on the monotonic clock, at most `left`."""
    until = max(due - time.monotonic(), 0)
    return until if left is None else min(left, until)
