"""The map `ebt_lost` → what the user must know: lost events and failed operations, as they come.

It is an array of one entry, of u64: the first counts events that found no room in the ring, number 1 + i
the failures of the plan's i-th Failure. Losses are told as they grow, at most twice a second, and in all at
the end; a failure is told when it is first seen, and with its count at the end if it came again.
"""

from __future__ import annotations

import struct
import time

from codegen.plan import Failure, Plan
from runtime.maps import Access
from runtime.text import Warn, Writer

_INTERVAL = 0.5


class Losses:
    """The counters of one run; `fd` is None where the plan has none."""

    def __init__(self, plan: Plan, fd: int | None, access: Access, writer: Writer) -> None:
        self._failures, self._fd, self._access = plan.failures, fd, access
        self._writer = writer
        self._lost = 0
        self._told: dict[int, int] = {}
        self._next = 0.0
        self._expected = threads() if any(item.expected for item in plan.failures) else 0

    @property
    def counted(self) -> bool:
        """Whether there is anything to be told."""
        return self._fd is not None

    def tell_new(self, *, now: bool = False) -> None:
        """Tell what is new since the last time."""
        if self._fd is None or (not now and time.monotonic() < self._next):
            return
        self._next = time.monotonic() + _INTERVAL
        lost, *counts = self._read()
        if lost > self._lost:
            self._writer.lost(lost - self._lost)
            self._lost = lost
        for index, (failure, count) in enumerate(zip(self._failures, counts, strict=True)):
            least = self._expected if failure.expected else 0
            if index not in self._told and count > least:
                self._told[index] = count
                self._writer.warning(_warn(failure, count))

    def tell_totals(self) -> None:
        """Tell everything that is still new, then the totals."""
        self.tell_new(now=True)
        counts = self._read()[1:] if self._told else ()
        for index, told in self._told.items():
            if counts[index] > told:
                self._writer.warning(_warn(self._failures[index], counts[index]))
        if self._lost:
            self._writer.lost_in_all(self._lost)

    def _read(self) -> tuple[int, ...]:
        """The lost events, then each failure's count."""
        assert self._fd is not None
        layout = struct.Struct(f"<{1 + len(self._failures)}Q")
        return layout.unpack(self._access.map_lookup(self._fd, bytes(4), layout.size) or bytes(layout.size))


def threads() -> int:
    """How many threads the system has now."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[3].partition("/")[2])


def _warn(failure: Failure, count: int) -> Warn:
    place = failure.place
    return Warn(place.file, place.line, place.column, failure.text, place.text, place.width, count)
