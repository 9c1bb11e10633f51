"""A loaded program and one attach point → an Attached that runs until it is closed."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from functools import lru_cache

from codegen.plan import Attach, ProgramKind
from kernel.bpfcall import ATTACH_ITER, BpfError, link_create, raw_tracepoint_open
from kernel.cpus import online_cpus
from kernel.perfcall import (
    PERF_BREAKPOINT,
    PERF_HARDWARE,
    PERF_TRACEPOINT,
    perf_attach,
    perf_event_open,
)
from kernel.privilege import not_permitted
from lang.records import dataclass

_PMU = "/sys/bus/event_source/devices"
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
    """One attach point in use; closing its descriptors detaches it."""

    point: Attach
    descriptors: list[int]
    kind: ProgramKind = "special"

    def close(self) -> None:
        """Detach; a second call does nothing."""
        while self.descriptors:
            os.close(self.descriptors.pop())


class Attacher:
    """Attaches programs; knows where the tracing file system is."""

    def __init__(self, tracefs: str | os.PathLike[str] | None) -> None:
        self._tracefs = tracefs

    def attach(self, kind: ProgramKind, point: Attach, prog_fd: int) -> Attached:
        """Attach a program of this kind to this point. Raises AttachError, with nothing left behind."""
        attached = Attached(point, [], kind)
        try:
            self._open(kind, attached, prog_fd)
        except OSError as error:
            attached.close()
            number = error.errno or errno.EIO
            raise AttachError(point, number, _reason(kind, point, number)) from error
        except BaseException:
            attached.close()
            raise
        return attached

    def _open(self, kind: ProgramKind, attached: Attached, prog_fd: int) -> None:
        point = attached.point
        match kind:
            case "tracepoint":
                # The program belongs to the tracepoint, not to the event's processor: one event serves all.
                event = perf_event_open(PERF_TRACEPOINT, self._tracepoint_id(point), cpu=online_cpus()[0])
                _bind(attached, event, prog_fd)
            case "raw_tracepoint":
                attached.descriptors.append(raw_tracepoint_open(point.name, prog_fd))
            case "fentry" | "fexit":
                attached.descriptors.append(raw_tracepoint_open(None, prog_fd))
            case "kprobe" | "kretprobe":
                _bind(attached, _open_kprobe(kind == "kretprobe", point), prog_fd)
            case "uprobe" | "uretprobe":
                returns, counter = kind == "uretprobe", point.semaphore
                event = _open_probe("uprobe", returns, point.path, point.offset, point.pid, counter)
                _bind(attached, event, prog_fd)
            case "perf_event" if point.perf_type == PERF_BREAKPOINT:
                _watch(attached, prog_fd)
            case "perf_event":
                for pid, cpu in _sampled(point):
                    event = perf_event_open(
                        point.perf_type, point.perf_config, period=point.period, frequency=point.frequency,
                        pid=pid, cpu=cpu,
                    )  # fmt: skip
                    _bind(attached, event, prog_fd)
            case "iter":
                attached.descriptors.append(link_create(prog_fd, 0, ATTACH_ITER))
            case "special":
                raise AttachError(point, errno.EINVAL, "it is run, not attached")

    def _tracepoint_id(self, point: Attach) -> int:
        if self._tracefs is None:
            raise AttachError(point, errno.ENOENT, "the tracing file system (tracefs) is not mounted")
        path = f"{self._tracefs}/events/{point.category}/{point.name}/id"
        with open(path, "rb", buffering=0) as file:
            return int(file.read(16))


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


def _open_kprobe(at_return: bool, point: Attach) -> int:
    """A kprobe by function name; in a module also as `module:function`, which tells two of one name apart."""
    try:
        return _open_probe("kprobe", at_return, point.name, point.offset, 0)
    except BpfError as error:
        if error.errno not in (errno.ENOENT, errno.EADDRNOTAVAIL) or point.module in ("", "vmlinux"):
            raise
    return _open_probe("kprobe", at_return, f"{point.module}:{point.name}", point.offset, 0)


def _open_probe(pmu: str, at_return: bool, target: str, offset: int, pid: int, counter: int = 0) -> int:
    """`counter`, a static probe's semaphore in the file, is config's upper half: format/ref_ctr_offset."""
    config = (_RETURN if at_return else 0) | counter << 32
    text = ctypes.create_string_buffer(os.fsencode(target))
    event = perf_event_open(
        _pmu_type(pmu), config, config1=ctypes.addressof(text), config2=offset,
        pid=pid or -1, cpu=-1 if pid else online_cpus()[0],
    )  # fmt: skip
    del text  # the kernel has copied it
    return event


# --- reasons ----------------------------------------------------------------------------------------


def _missing(kind: ProgramKind, point: Attach) -> str:
    match kind:
        case "tracepoint":
            return f"this kernel has no tracepoint {point.category}:{point.name}"
        case "raw_tracepoint":
            return f"this kernel has no raw tracepoint {point.name}"
        case "kprobe" | "kretprobe":
            if not os.path.exists(f"{_PMU}/kprobe/type"):
                return "this kernel has no kprobes (CONFIG_KPROBE_EVENTS is off)"
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


def _reason(kind: ProgramKind, point: Attach, number: int) -> str:
    worded = _REASONS.get(number)
    return worded(kind, point) if worded else os.strerror(number)
