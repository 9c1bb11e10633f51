"""A loaded program and many places → one BPF link that attaches it to all of them."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from kernel import bpfcall

MULTI_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN, BPF_F_UPROBE_MULTI_RETURN


def kprobe_multi_link(prog_fd: int, names: Sequence[str], flags: int = 0, cookies: Sequence[int] = ()) -> int:
    """One link to many kernel functions (0dcac2725406, in v5.18); the kernel takes all of them or none.

    The program can ask for the function's cookie.
    """
    texts = [ctypes.create_string_buffer(name.encode()) for name in names]
    symbols = (ctypes.c_uint64 * len(texts))(*(ctypes.addressof(text) for text in texts))
    told = _words(cookies)
    tail = struct.pack("=IIQQQ", flags, len(texts), ctypes.addressof(symbols), 0, _address(told))
    link = bpfcall.link_create(prog_fd, 0, bpfcall.ATTACH_KPROBE_MULTI, tail=tail)
    del texts, told  # the kernel has read them
    return link


def uprobe_multi_link(
    prog_fd: int, path: str, places: Sequence[tuple[int, int]], flags: int = 0, cookies: Sequence[int] = ()
) -> int:
    """One link to many places of a file (89ae89f53d20, in v6.6): (offset, offset of its semaphore or 0) each.

    The kernel takes all of them or none. The program can ask for the place's cookie.
    """
    text = ctypes.create_string_buffer(os.fsencode(path))
    offsets, counters = _words([place[0] for place in places]), _words([place[1] for place in places])
    told = _words(cookies)
    tail = struct.pack(
        "=QQQQIII", ctypes.addressof(text), _address(offsets), _address(counters), _address(told),
        len(places), flags, 0,
    )  # fmt: skip
    link = bpfcall.link_create(prog_fd, 0, bpfcall.ATTACH_UPROBE_MULTI, tail=tail)
    del text, offsets, counters, told  # the kernel has read them
    return link


def _words(numbers: Sequence[int]) -> ctypes.Array[ctypes.c_uint64]:
    return (ctypes.c_uint64 * len(numbers))(*numbers)


def _address(words: ctypes.Array[ctypes.c_uint64]) -> int:
    """Where they are; 0 for none."""
    return ctypes.addressof(words) if len(words) else 0
