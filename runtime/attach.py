"""A loaded program and one attach point → an Attached that runs until it is closed."""

from __future__ import annotations

import ctypes
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from codegen.plan import Attach, ProgramKind
from kernel.bpfcall import (
    ATTACH_ITER,
    BpfError,
    link_create,
    raw_tracepoint_open,
)
from kernel.cpus import online_cpus
from kernel.perfcall import (
    PERF_BREAKPOINT,
    PERF_HARDWARE,
    PERF_TRACEPOINT,
    perf_attach,
    perf_event_open,
    perf_link,
)
from kernel.privilege import not_permitted
from lang.later import later
from lang.records import dataclass, field

if TYPE_CHECKING:
    from kernel import multilink
else:  # for patterns
    multilink = later("kernel.multilink")

_PMU = "/sys/bus/event_source/devices"
# What one function of a list may be refused for: unknown by that name, ambiguous, not to be patched.
_REFUSES_ONE = frozenset(
    {errno.ESRCH, errno.EINVAL, errno.ENOENT, errno.EADDRNOTAVAIL, errno.EBUSY, errno.EILSEQ}
)
USER: tuple[ProgramKind, ...] = ("uprobe", "uretprobe")
_RETURN = 1  # config bit of the kprobe and uprobe PMUs, as their format/retprobe says


class AttachError(Exception):
    """An attach point that this kernel refused: its label, the errno and the reason in words."""

    def __init__(self, point: Attach, number: int, reason: str) -> None:
        super().__init__(f"cannot attach {point.label}: {reason}")
        self.point = point
        self.label = point.label
        self.errno = number
        self.reason = reason


@dataclass
class Attached:
    """One attach point in use, or the many of one link.

    Closing `descriptors` detaches the program. The `events` have none any more then, and may be closed later:
    for a tracepoint or a kprobe the kernel waits tens of milliseconds in each close, for one after the other.
    `hidden`: the program only remembers what another asks for, which must be gone first.
    """

    point: Attach
    descriptors: list[int]
    kind: ProgramKind = "special"
    events: list[int] = field(default_factory=list)
    hidden: bool = False

    def close(self) -> None:
        """Detach and close the events too; a second call does nothing."""
        for held in (self.descriptors, self.events):
            while held:
                os.close(held.pop())


def enable_printk(tracefs: str | None) -> None:
    """Have what debugf() says written to the trace from now on.

    The kernel does so itself as it loads the program, but from a work queue ("bpf: Fix deadlock between
    rcu_tasks_trace and event_mutex", Linux 6.15 and stable releases), which may be later than `begin` runs.
    """
    if tracefs is None:
        return
    with suppress(OSError), open(f"{tracefs}/events/bpf_trace/bpf_trace_printk/enable", "w") as file:
        file.write("1")


class Attacher:
    """Attaches programs; knows where the tracing file system is.

    `links` says to use a BPF link for a perf event where the kernel has it (b89fbfbb854c, in v5.15).
    """

    def __init__(self, tracefs: str | os.PathLike[str] | None, links: bool = True) -> None:
        self._tracefs = tracefs
        self._links = links
        self._ids: dict[tuple[str, str], int] = {}  # of tracepoints that were looked up
        self._cpu: int | None = None

    def look_up(self, points: Iterable[Attach]) -> None:
        """Read what attaching to these tracepoints will need: who traces opens is not to see ebt's."""
        for point in points:
            with suppress(OSError, AttachError):  # attaching tells why
                self._ids[point.category, point.name] = self._tracepoint_id(point)
        if self._ids:
            self._first_cpu()

    def _first_cpu(self) -> int:
        """The processor of events that belong to none."""
        if self._cpu is None:
            self._cpu = online_cpus()[0]
        return self._cpu

    def attach_many(
        self, kind: ProgramKind, points: Sequence[Attach], prog_fd: int
    ) -> tuple[list[Attached], list[Attach]]:
        """Attach to many functions, or places of files, by few links; what was attached, what is left.

        The kernel takes or refuses a list as a whole (ESRCH, EINVAL), so a refused one is halved.
        """
        done: list[Attached] = []
        waiting = _for_one_link(kind, points)
        told = {point for part in waiting for point in part}
        left = [point for point in points if point not in told]
        try:
            while waiting:
                part = waiting.pop()
                try:
                    done.append(Attached(part[0], [_link_many(kind, part, prog_fd)]))
                except BpfError as error:
                    if len(part) == 1:
                        left += part
                    elif error.errno in _REFUSES_ONE:
                        middle = len(part) // 2
                        waiting += [part[middle:], part[:middle]]
                    else:
                        raise AttachError(part[0], *_why(kind, part[0], error)) from error
        except BaseException:
            for attached in done:
                attached.close()
            raise
        return done, left

    def attach(self, kind: ProgramKind, point: Attach, prog_fd: int) -> Attached:
        """Attach a program of this kind to this point. Raises AttachError, with nothing left behind."""
        attached = Attached(point, [], kind)
        try:
            self._open(kind, attached, prog_fd)
        except OSError as error:
            attached.close()
            raise AttachError(point, *_why(kind, point, error)) from error
        except BaseException:
            attached.close()
            raise
        return attached

    def _open(self, kind: ProgramKind, attached: Attached, prog_fd: int) -> None:
        point = attached.point
        match kind:
            case "tracepoint":
                # The program belongs to the tracepoint, not to the event's processor: one event serves all.
                event = perf_event_open(PERF_TRACEPOINT, self._tracepoint_id(point), cpu=self._first_cpu())
                self._bind(attached, event, prog_fd)
            case "raw_tracepoint":
                attached.descriptors.append(raw_tracepoint_open(point.name, prog_fd))
            case "fentry" | "fexit":
                attached.descriptors.append(raw_tracepoint_open(None, prog_fd))
            case "kprobe" | "kretprobe":
                self._bind(attached, _open_kprobe(kind == "kretprobe", point, self._first_cpu()), prog_fd)
            case "uprobe" | "uretprobe":
                returns, counter = kind == "uretprobe", point.semaphore
                event = open_probe(
                    "uprobe", returns, point.path, point.offset, point.pid, self._first_cpu(), counter
                )
                self._bind(attached, event, prog_fd)
            case "perf_event" if point.perf_type == PERF_BREAKPOINT:
                _watch(attached, prog_fd)
            case "perf_event":
                for pid, cpu in _sampled(point):
                    event = perf_event_open(
                        point.perf_type, point.perf_config, period=point.period, frequency=point.frequency,
                        pid=pid, cpu=cpu,
                    )  # fmt: skip
                    self._bind(attached, event, prog_fd)
            case "iter":
                attached.descriptors.append(link_create(prog_fd, 0, ATTACH_ITER))
            case "special":
                raise AttachError(point, errno.EINVAL, "it is run, not attached")

    def _bind(self, attached: Attached, event: int, prog_fd: int) -> None:
        if self._links:
            attached.events.append(event)
            try:
                attached.descriptors.append(perf_link(event, prog_fd, attached.point.number))
                return
            except BpfError as error:
                if error.errno != errno.EINVAL:
                    raise
            self._links = False  # this kernel has none
            attached.events.remove(event)
        _bind(attached, event, prog_fd)

    def _tracepoint_id(self, point: Attach) -> int:
        found = self._ids.get((point.category, point.name))
        if found is not None:
            return found
        if self._tracefs is None:
            raise AttachError(point, errno.ENOENT, "the tracing file system (tracefs) is not mounted")
        path = f"{self._tracefs}/events/{point.category}/{point.name}/id"
        with open(path, "rb", buffering=0) as file:
            return int(file.read(16))


def _for_one_link(kind: ProgramKind, points: Sequence[Attach]) -> list[list[Attach]]:
    """The points that one link may serve, link by link: a file's places; functions that their names tell."""
    if kind in USER:
        files: dict[str, list[Attach]] = {}
        for point in points:
            files.setdefault(point.path, []).append(point)
        return list(files.values())
    names = Counter(point.name for point in points)
    told = [point for point in points if names[point.name] == 1]
    return [told] if told else []


def _link_many(kind: ProgramKind, points: Sequence[Attach], prog_fd: int) -> int:
    flags = multilink.MULTI_RETURN if kind in ("kretprobe", "uretprobe") else 0
    numbers = [point.number for point in points]
    if kind in USER:
        places = [(point.offset, point.semaphore) for point in points]
        return multilink.uprobe_multi_link(prog_fd, points[0].path, places, flags, numbers)
    return multilink.kprobe_multi_link(prog_fd, [point.name for point in points], flags, numbers)


def _bind(attached: Attached, event: int, prog_fd: int) -> None:
    attached.descriptors.append(event)
    perf_attach(event, prog_fd)


def _sampled(point: Attach) -> list[tuple[int, int]]:
    """(pid, cpu) of the events that sample: one follows a process, else one for each processor."""
    if point.pid:
        return [(point.pid, -1)]
    return [(-1, cpu) for cpu in (online_cpus() if point.cpus == "all" else online_cpus()[:1])]


def _watch(attached: Attached, prog_fd: int) -> None:
    """A breakpoint in every thread of a process and those that it starts, or on every processor."""
    point = attached.point
    threads = [int(name) for name in os.listdir(f"/proc/{point.pid}/task")] if point.pid else []
    places = [(thread, -1) for thread in threads] or [(-1, cpu) for cpu in online_cpus()]
    for pid, cpu in places:
        event = perf_event_open(
            PERF_BREAKPOINT, access=point.perf_config, config1=point.offset, config2=point.length, period=1,
            inherited=bool(threads), pid=pid, cpu=cpu,
        )  # fmt: skip
        _bind(attached, event, prog_fd)


@lru_cache(maxsize=4)
def _pmu_type(name: str) -> int:
    with open(f"{_PMU}/{name}/type", encoding="ascii") as file:
        return int(file.read())


def _open_kprobe(at_return: bool, point: Attach, cpu: int) -> int:
    """A kprobe by function name, or by address where it has none.

    In a module also as `module:function`, which tells two of one name apart.
    """
    try:
        return open_probe("kprobe", at_return, point.name, point.offset, 0, cpu)
    except BpfError as error:
        if error.errno not in (errno.ENOENT, errno.EADDRNOTAVAIL) or point.module in ("", "vmlinux"):
            raise
    return open_probe("kprobe", at_return, f"{point.module}:{point.name}", point.offset, 0, cpu)


def open_probe(
    pmu: str, at_return: bool, target: str, offset: int, pid: int, cpu: int = -1, counter: int = 0
) -> int:
    """The event of a probe at a place in a function or a file; without those `offset` is an address.

    It is a process's, or with `pid` 0 everybody's, and then belongs to a processor all the same.
    `counter`, a static probe's semaphore in the file, is config's upper half: format/ref_ctr_offset.
    """
    config = (_RETURN if at_return else 0) | counter << 32
    text = ctypes.create_string_buffer(os.fsencode(target))
    event = perf_event_open(
        _pmu_type(pmu), config, config1=ctypes.addressof(text) if target else 0, config2=offset,
        pid=pid or -1, cpu=-1 if pid else cpu,
    )  # fmt: skip
    del text  # the kernel has copied it
    return event


# --- reasons ----------------------------------------------------------------------------------------

_NO_INSTRUCTION = "no instruction of the kernel that may be probed lies there"


def _missing(kind: ProgramKind, point: Attach) -> str:
    match kind:
        case "tracepoint":
            return f"this kernel has no tracepoint {point.category}:{point.name}"
        case "raw_tracepoint":
            return f"this kernel has no raw tracepoint {point.name}"
        case "kprobe" | "kretprobe":
            if not os.path.exists(f"{_PMU}/kprobe/type"):
                return "this kernel has no kprobes (CONFIG_KPROBE_EVENTS is off)"
            if not point.name:
                return _NO_INSTRUCTION
            return f"{point.name} cannot be probed: no such function, or it is inlined"
        case "uprobe" | "uretprobe":
            if not os.path.exists(f"{_PMU}/uprobe/type"):
                return "this kernel has no uprobes (CONFIG_UPROBE_EVENTS is off)"
            return f"there is no file {point.path}"
        case "perf_event" if point.perf_type == PERF_BREAKPOINT:
            return "this machine has no breakpoint left for it"
        case "perf_event" if point.perf_type == PERF_HARDWARE:
            return "this machine has no such hardware counter"
    return "this kernel does not have it"


def _invalid(kind: ProgramKind, point: Attach) -> str:
    match kind:
        case "kprobe" | "kretprobe" if not point.name:
            return _NO_INSTRUCTION  # what 5.10 answers to an address outside the kernel
        case "kprobe" | "kretprobe":
            return f"{point.name} may not be probed there: protected, or no instruction starts there"
        case "uprobe" | "uretprobe":
            return f"no instruction starts at offset {point.offset:#x} of {point.path}"
    return "the kernel calls the request invalid"


_Worded = Callable[[ProgramKind, Attach], str]
_REASONS: dict[int, _Worded] = {
    errno.EPERM: lambda kind, point: not_permitted(),
    errno.EACCES: lambda kind, point: not_permitted(),
    errno.ENOENT: _missing,
    errno.ENODEV: _missing,
    errno.EOPNOTSUPP: _missing,
    errno.ENXIO: _missing,
    errno.EINVAL: _invalid,
    errno.EILSEQ: _invalid,
    errno.ESRCH: lambda kind, point: f"there is no process {point.pid}",
    errno.EADDRNOTAVAIL: lambda kind, point: f"the kernel has several functions called {point.name}",
    errno.EMFILE: lambda kind, point: "too many open files (see ulimit -n)",
    errno.E2BIG: lambda kind, point: "too many programs on one probe (the kernel takes 64)",
    errno.EBUSY: lambda kind, point: "something else holds it",
    errno.ENOSPC: lambda kind, point: "the processor has too few breakpoints (x86-64: four)",
    524: lambda kind, point: "this kernel cannot attach a program there",  # ENOTSUPP, inside the kernel only
}


def _why(kind: ProgramKind, point: Attach, error: OSError) -> tuple[int, str]:
    """The errno and the reason in words."""
    number = error.errno or errno.EIO
    worded = _REASONS.get(number)
    return number, worded(kind, point) if worded else os.strerror(number)
