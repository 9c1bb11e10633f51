"""A loaded program and many places → one BPF link that attaches it to all of them."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from kernel import bpfcall

MULTI_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN, BPF_F_UPROBE_MULTI_RETURN


def kprobe_multi_link(prog_fd: int, names: Sequence[str], flags: int = 0) -> int:
    """One link to many kernel functions (0dcac2725406, in v5.18); the kernel takes all of them or none."""
    texts = [ctypes.create_string_buffer(name.encode()) for name in names]
    symbols = (ctypes.c_uint64 * len(texts))(*(ctypes.addressof(text) for text in texts))
    tail = struct.pack("=IIQQQ", flags, len(texts), ctypes.addressof(symbols), 0, 0)
    link = bpfcall.link_create(prog_fd, 0, bpfcall.ATTACH_KPROBE_MULTI, tail=tail)
    del texts  # the kernel has read them
    return link


def uprobe_multi_link(
    prog_fd: int, path: str, places: Sequence[tuple[int, int]], flags: int = 0
) -> int:
    """One link to many places of a file (89ae89f53d20, in v6.6): (offset, offset of its semaphore or 0) each.

    The kernel takes all of them or none.
    """
    text = ctypes.create_string_buffer(os.fsencode(path))
    offsets = (ctypes.c_uint64 * len(places))(*(offset for offset, _ in places))
    counters = (ctypes.c_uint64 * len(places))(*(counter for _, counter in places))
    tail = struct.pack(
        "=QQQQIII", ctypes.addressof(text), ctypes.addressof(offsets), ctypes.addressof(counters), 0,
        len(places), flags, 0,
    )  # fmt: skip
    link = bpfcall.link_create(prog_fd, 0, bpfcall.ATTACH_UPROBE_MULTI, tail=tail)
    del text, offsets, counters  # the kernel has read them
    return link
