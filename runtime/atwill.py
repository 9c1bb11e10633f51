"""A loaded kprobe program → one run of it in this process, where the kernel has no BPF_PROG_TEST_RUN for it.

As bpftrace did until it used that: a uprobe of this process alone, on a function that this thread then calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading

from kernel.binaries import find_binary
from kernel.bpfcall import BpfError
from kernel.elf import functions
from kernel.perfcall import perf_attach
from runtime.attach import open_probe

_FUNCTION = "a64l"  # of the C library: nobody calls it


def run_by_uprobe(prog_fd: int) -> int:
    """Run the program once. Raises BpfError."""
    path = find_binary("libc") or ""
    found = functions(path, _FUNCTION) if path else ()
    if not found:
        raise BpfError(errno.ENOENT, f"the C library has no function {_FUNCTION}")
    event = open_probe("uprobe", False, path, found[0].offset, threading.get_native_id())
    try:
        perf_attach(event, prog_fd)
        getattr(ctypes.CDLL(path), _FUNCTION)(b"")
    finally:
        os.close(event)
    return 0
