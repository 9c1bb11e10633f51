"""Whether the kernel's stack can be had in tracepoints of system calls, found by taking one.

Older kernels (5.10, 6.1) hand a program at perf_syscall_enter() the registers of the process, behind which
there is no stack of the kernel.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from kernel import bpfcall
from kernel.bpfcall import instruction
from kernel.perfcall import PERF_TRACEPOINT, perf_attach, perf_event_open

_TRACEPOINT = "events/syscalls/sys_enter_getpgid/id"
_GET_STACK, _MAP_UPDATE = 67, 2


def syscall_kernel_stack(tracefs: Path, cpu: int) -> bool | None:
    """Take the stack in getpgid(2), of our own process; None where that tracepoint is not there.

    Raises OSError.
    """
    place = tracefs / _TRACEPOINT
    if not place.exists():
        return None
    held = [bpfcall.map_create("hash", 8, 8, 1, 0, "ebt_try")]
    try:
        held.append(bpfcall.prog_load("tracepoint", _code(held[0]), "GPL", "ebt_try"))
        held.append(perf_event_open(PERF_TRACEPOINT, int(place.read_text()), cpu=cpu))
        perf_attach(held[2], held[1])
        os.getpgid(0)
        found = bpfcall.map_lookup(held[0], bytes(8), 8)
        return found is not None and struct.unpack("=q", found)[0] > 0
    finally:
        for fd in reversed(held):
            os.close(fd)


def _code(map_fd: int) -> bytes:
    """map[0] = bpf_get_stack(ctx, a buffer of 8 bytes, 8, 0)."""
    instructions = (
        (0x7A, 10, 0, -8, 0), (0x7A, 10, 0, -16, 0),  # the buffer and the key are 0; r1 is ctx
        (0xBF, 2, 10, 0, 0), (0x07, 2, 0, 0, -8), (0xB7, 3, 0, 0, 8), (0xB7, 4, 0, 0, 0),
        (0x85, 0, 0, 0, _GET_STACK), (0x7B, 10, 0, -24, 0),
        (0x18, 1, 1, 0, map_fd), (0, 0, 0, 0, 0),
        (0xBF, 2, 10, 0, 0), (0x07, 2, 0, 0, -16), (0xBF, 3, 10, 0, 0), (0x07, 3, 0, 0, -24),
        (0xB7, 4, 0, 0, 0), (0x85, 0, 0, 0, _MAP_UPDATE), (0xB7, 0, 0, 0, 0), (0x95, 0, 0, 0, 0),
    )  # fmt: skip
    return b"".join(instruction(*one) for one in instructions)
