"""Typed arguments → perf_event_open(2): the events that programs are attached to."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

from kernel.bpfcall import ATTACH_PERF_EVENT, BpfError, call, link_create, pack

_SYS_PERF = 241 if os.uname().machine == "aarch64" else 298

PERF_HARDWARE, PERF_SOFTWARE, PERF_TRACEPOINT, PERF_BREAKPOINT = 0, 1, 2, 5
_CLOEXEC = 8
_DISABLED, _INHERIT, _FREQUENCY, _WATERMARK, _USE_CLOCK = (1 << n for n in (0, 1, 10, 14, 25))
_BPF_OUTPUT, _SAMPLE_TIME, _SAMPLE_RAW, _CLOCK_MONOTONIC = 10, 1 << 2, 1 << 10, 1
_IOC_ENABLE, _IOC_SET_BPF = 0x2400, 0x40042408


def perf_event_open(
    kind: int, config: int = 0, *, period: int = 0, frequency: int = 0, config1: int = 0,
    config2: int = 0, access: int = 0, inherited: bool = False, pid: int = -1, cpu: int = -1,
    doing: str = "opening a perf event",
) -> int:  # fmt: skip
    """A perf event's descriptor. `period` counts events (ns for clocks), `frequency` samples a second.

    A breakpoint has its address in `config1`, its length in `config2` and its kind of `access`. One that is
    `inherited` follows the threads that the thread starts. Every event is opened disabled, so that nothing
    fires before a program is attached.
    """
    flags = _DISABLED | (_FREQUENCY if frequency else 0) | (_INHERIT if inherited else 0)
    record = pack(
        "IIQQQQQIIQQ40x", kind, 112, config, frequency or period, 0, 0, flags,
        1 if period or frequency else 0, access, config1, config2,
    )  # fmt: skip
    return _opened(record, pid, cpu, doing)


def open_output(cpu: int, wake_after: int) -> int:
    """The event behind one CPU's buffer of a perf event array: samples with their monotonic time.

    It wakes its reader after so many bytes: to do so for each sample costs the traced program microseconds.
    """
    record = pack(
        "IIQQQQQIIQQ20xi16x", PERF_SOFTWARE, 112, _BPF_OUTPUT, 1, _SAMPLE_RAW | _SAMPLE_TIME, 0,
        _USE_CLOCK | _WATERMARK, wake_after, 0, 0, 0, _CLOCK_MONOTONIC,
    )  # fmt: skip
    return _opened(record, -1, cpu, "opening a perf buffer")


def _opened(record: ctypes.Array[ctypes.c_char], pid: int, cpu: int, doing: str) -> int:
    arguments = (ctypes.c_int(pid), ctypes.c_int(cpu), ctypes.c_int(-1), ctypes.c_ulong(_CLOEXEC))
    opened = call(_SYS_PERF, record, *arguments)
    if opened < 0:
        raise BpfError(-opened, doing)
    return opened


def perf_attach(event_fd: int, prog_fd: int) -> None:
    """Run the program at each occurrence of the event, from now until the event is closed."""
    _ioctl(event_fd, _IOC_SET_BPF, prog_fd)
    _ioctl(event_fd, _IOC_ENABLE, 0)


def perf_link(event_fd: int, prog_fd: int, cookie: int = 0) -> int:
    """The same by a BPF link: closing it takes the program away, whatever becomes of the event.

    The program can ask for the cookie (82e6b1eee6a8, in v5.15). Raises BpfError, EINVAL before 5.15.
    """
    link = link_create(prog_fd, event_fd, ATTACH_PERF_EVENT, tail=struct.pack("=Q", cookie))
    try:
        _ioctl(event_fd, _IOC_ENABLE, 0)
    except BpfError:
        os.close(link)
        raise
    return link


def _ioctl(fd: int, request: int, argument: int) -> None:
    try:
        fcntl.ioctl(fd, request, argument)
    except OSError as error:
        raise BpfError(error.errno or errno.EIO, "attaching to a perf event") from error
