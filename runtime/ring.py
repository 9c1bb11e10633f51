"""BPF ring buffer descriptor → batches of records, decoded where they lie.

A ring's memory is one page with the consumer's position (ours), one with the producer's, and the data, which
is mapped twice in a row so that no record wraps. A record is a header of two u32 (length with a busy bit and
a discard bit; page number), the data, and padding to 8. All positions only grow.

On x86 loads are not reordered with older loads, so what is read after a header is what was written before it.
On weaker machines (aarch64) the interpreter offers no barrier; the poll(2) before each drain is a system
call that orders everything committed before it, and a record seen as busy is left for the next drain.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from runtime.decode import stride_of

_BUSY, _DISCARD = 1 << 31, 1 << 30
_HEAD = struct.Struct("<I4xI")  # length, site: the first word of each record of ours
BATCH_BYTES = 512 << 10


class Run(NamedTuple):
    """So many neighbouring records of one site and one length, in data[start:end], headers included."""

    site: int
    records: int
    start: int
    end: int


def next_run(data: memoryview, words: memoryview, at: int, end: int) -> tuple[Run | None, int]:
    """The next run of committed records in data[at:end], and where it ends.

    None at the end, and before a record that is still being written; discarded records are left out.
    `words` is the same memory as `data`, as u32.
    """
    unpack = _HEAD.unpack_from
    while at < end:
        head = length, site = unpack(data, at)
        if length & _BUSY:
            break
        stride = stride_of(length & ~_DISCARD)
        if length & _DISCARD:
            at += stride
            continue
        count, after = 1, at + stride
        if after < end and unpack(data, after) == head:
            count = _same(words, at, min(end, at + max(BATCH_BYTES, 2 * stride)), length, site)
            after = at + stride * count
        return Run(site, count, at, after), after
    return None, at


def _same(words: memoryview, at: int, end: int, length: int, site: int) -> int:
    """How many records from `at` on have this length and site; the first two do.

    If the first k have this length, header k+1 is where the stride puts it: so comparing at fixed
    distances, in windows that grow while they match, finds the first record that differs.
    """
    step = stride_of(length) // 4
    limit = (end - at) // (4 * step)
    known, window = 2, 8
    while known < limit:
        take = min(window, limit - known)
        first = at // 4 + known * step
        last = first + (take - 1) * step
        lengths, sites = words[first : last + 1 : step].tolist(), words[first + 2 : last + 3 : step].tolist()
        if lengths.count(length) != take or sites.count(site) != take:
            pairs = zip(lengths, sites, strict=True)
            return known + next(index for index, pair in enumerate(pairs) if pair != (length, site))
        known += take
        window = min(window * 4, 1 << 14)
    return min(known, limit)


class Ring:
    """A mapped ring buffer. Use as a context manager, or call `close`."""

    patience: float | None = None  # its descriptor is ready as soon as there is a record

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self.fd, self.size = fd, size
        self._mask = size - 1
        self._mine = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._theirs = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = memoryview(self._mine)[:8].cast("Q")
        self._all = memoryview(self._theirs)
        self._producer = self._all[:8].cast("Q")
        self.data = self._all[page : page + 2 * size]
        self._words = self.data.cast("I")

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Bytes that were reserved and not yet read."""
        return self._producer[0] - self._consumer[0]

    def drain(self) -> Iterator[Run]:
        """All records committed by now, as runs in `data`, each valid until the next one is asked for.

        What was handed out is given back to the kernel after each batch, and when the caller stops early.
        """
        goal, position = self._producer[0], self._consumer[0]
        while position < goal:
            start = at = position & self._mask
            end = start + min(goal - position, self.size)
            run = None
            try:
                while at - start < BATCH_BYTES:
                    run, at = next_run(self.data, self._words, at, end)
                    if run is None:
                        break
                    yield run
            finally:
                position += at - start
                if at != start:
                    self._consumer[0] = position
            if run is None:
                return

    def skip(self) -> None:
        """Throw away everything committed by now."""
        for _ in self.drain():
            pass

    def close(self) -> None:
        """Unmap."""
        with suppress(BufferError):  # a traceback may still hold a view; the memory goes with it
            for view in (self._consumer, self._producer, self._words, self.data, self._all):
                view.release()
            self._theirs.close()
            self._mine.close()
