"""Per-CPU perf buffers → batches of records in the form of the ring buffer's, in the order of their time.

For kernels without the ring buffer. Each CPU has a buffer: a page with its positions (struct
perf_event_mmap_page), then the data, in which a record may wrap. A record is a header {u32 type; u16 misc;
u16 size}; a sample follows it with {u64 time; u32 size; data}, as asked for by PERF_SAMPLE_TIME and _RAW.

The kernel says what it dropped when there is room again, and not at all if there never is: so the programs
count themselves what was refused (runtime.losses), and `dropped` is for comparison.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import groupby
from operator import itemgetter

from kernel.bpfcall import map_update
from kernel.cpus import online_cpus
from kernel.perfcall import open_output
from runtime.ring import Run

_HEAD_AT, _TAIL_AT = 1024, 1032  # data_head, data_tail: include/uapi/linux/perf_event.h
_LOST, _SAMPLE = 2, 9
_HEADER = struct.Struct("<IHH")
_LOST_COUNT = struct.Struct("<16xQ")
_AROUND = 24  # bytes of a sample beside the event: header, time, size, and 4 that pad it
_PAD = bytes(8)  # where a record of the ring buffer has its header
_LEAST_PAGES = 16
_WAKE_AFTER = 32 << 10
_FIRST_WINDOW, _LAST_WINDOW = 8, 1 << 14

Sample = tuple[int, bytes]  # time, event
_time: Callable[[Sample], int] = itemgetter(0)


def _shape(sample: Sample) -> tuple[int, bytes]:
    """Its length and its site, which make a run."""
    return len(sample[1]), sample[1][:4]


def samples(chunk: bytes) -> tuple[list[Sample], int]:
    """The samples of a stretch of whole records, and how many the kernel says it dropped there."""
    found: list[Sample] = []
    words, view, at, dropped = memoryview(chunk).cast("Q"), memoryview(chunk), 0, 0
    while at < len(chunk):
        kind, _, size = _HEADER.unpack_from(chunk, at)
        if kind == _SAMPLE:
            count = _same(words, at // 8, size // 8)
            end = at + count * size
            found += struct.iter_unpack(f"<8xQ4x{size - _AROUND}s4x", view[at:end])
            at = end
            continue
        if kind == _LOST:
            dropped += _LOST_COUNT.unpack_from(chunk, at)[0]
        at += size
    return found, dropped


def _same(words: memoryview, first: int, step: int) -> int:
    """How many records from word `first` on have its header; compared in windows that grow."""
    head, known, window = words[first], 1, _FIRST_WINDOW
    while (at := first + known * step) < len(words):
        heads = words[at : at + window * step : step].tolist()
        if heads.count(head) != len(heads):
            return known + next(index for index, item in enumerate(heads) if item != head)
        known += len(heads)
        window = min(window * 4, _LAST_WINDOW)
    return known


class _Buffer:
    """One CPU's buffer of `size` bytes."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd, self.size = fd, size
        self._map = mmap.mmap(fd, mmap.PAGESIZE + size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._view = memoryview(self._map)
        self._head = self._view[_HEAD_AT : _HEAD_AT + 8].cast("Q")
        self._tail = self._view[_TAIL_AT : _TAIL_AT + 8].cast("Q")

    @property
    def waiting(self) -> int:
        return self._head[0] - self._tail[0]

    def take(self) -> bytes:
        """What was committed by now; its place is given back to the kernel."""
        head, tail, first = self._head[0], self._tail[0], mmap.PAGESIZE
        if head == tail:
            return b""
        start, end = first + tail % self.size, first + head % self.size
        if start < end:
            chunk = self._map[start:end]
        else:
            chunk = self._map[start : first + self.size] + self._map[first:end]
        self._tail[0] = head
        return chunk

    def close(self) -> None:
        with suppress(BufferError):
            for view in (self._head, self._tail, self._view):
                view.release()
            self._map.close()


class PerfRing:
    """The buffers of all processors that run, with the interface of `runtime.ring.Ring`.

    `fd` is ready when any of them has much to read: look at `waiting` every `patience` seconds. `waiting` and
    `size` are those of the fullest buffer.
    Raises OSError where they cannot be had.
    """

    patience: float | None = 0.05

    def __init__(self, map_fd: int, total: int) -> None:
        self._stack = ExitStack()
        self._buffers: list[_Buffer] = []
        self._held: list[Sample] = []  # later than the time at which the buffers were looked at
        self.dropped = 0
        self.data = memoryview(b"")
        cpus = online_cpus()
        self.size = _power_below(max(total // len(cpus), _LEAST_PAGES * mmap.PAGESIZE))
        with ExitStack() as stack:
            ready = stack.enter_context(select.epoll())
            self.fd = ready.fileno()
            for cpu in cpus:
                self._open(stack, ready, map_fd, cpu)
            self._stack = stack.pop_all()

    def _open(self, stack: ExitStack, ready: select.epoll, map_fd: int, cpu: int) -> None:
        event = open_output(cpu, _WAKE_AFTER)
        stack.callback(os.close, event)
        buffer = self._mapped(event)
        stack.callback(buffer.close)
        self._buffers.append(buffer)
        map_update(map_fd, struct.pack("=I", cpu), struct.pack("=I", event))
        ready.register(event, select.EPOLLIN)

    def _mapped(self, event: int) -> _Buffer:
        """As large as asked for, or as the limit on locked memory allows."""
        while True:
            try:
                return _Buffer(event, self.size)
            except OSError:
                if self.size <= _LEAST_PAGES * mmap.PAGESIZE:
                    raise
                self.size //= 2

    def __enter__(self) -> PerfRing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Bytes in the fullest buffer, and those taken out that wait for their turn."""
        return max(buffer.waiting for buffer in self._buffers) + len(self._held)

    def drain(self) -> Iterator[Run]:
        """All events up to now in the order of their time, as runs in `data`, each valid until the next."""
        now = time.monotonic_ns()
        merged = self._held
        for buffer in self._buffers:
            found, dropped = samples(buffer.take())
            merged += found
            self.dropped += dropped
        merged.sort(key=_time)
        end = bisect_right(merged, now, key=_time)
        self._held = merged[end:]
        for (length, site), group in groupby(merged[:end], key=_shape):
            events = [event for _, event in group]
            self.data = memoryview(_PAD + _PAD.join(events))
            stride = length + len(_PAD)
            yield Run(int.from_bytes(site, "little"), len(events), 0, len(events) * stride)

    def skip(self) -> None:
        """Throw away everything committed by now."""
        self._held = []
        for buffer in self._buffers:
            buffer.take()

    def close(self) -> None:
        """Unmap and close."""
        self._stack.close()


def _power_below(number: int) -> int:
    return 1 << (number.bit_length() - 1)
