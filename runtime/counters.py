"""Arrays of counters that programs only add to → what came since they were last emptied.

They are never set back: what is added between reading and setting back would be lost.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from codegen.plan import Map

_MASK = (1 << 64) - 1
Entry = tuple[bytes, bytes]


class Counters:
    """What the arrays held when they were last emptied, by their C names."""

    def __init__(self) -> None:
        self._then: dict[str, dict[bytes, bytes]] = {}

    def empty(self, item: Map, entries: Sequence[Entry]) -> list[Entry]:
        """What a script sees of the entries as the kernel gave them, which from now on are zero to it."""
        held = self.since(item, entries)
        self._then.setdefault(item.name, {}).update(entries)
        return held

    def since(self, item: Map, entries: Sequence[Entry]) -> list[Entry]:
        """The entries as a script sees them."""
        then = self._then.get(item.name, {})
        left = [(key, _without(raw, then[key]) if key in then else raw) for key, raw in entries]
        if not item.points:
            return left
        names = [name.encode().ljust(item.key_size, b"\0") for name in item.points]
        return [(names[int.from_bytes(key, "little")], raw) for key, raw in left if raw.strip(b"\0")]


def _without(now: bytes, then: bytes) -> bytes:
    shape = f"={len(now) // 8}Q"
    pairs = zip(struct.unpack(shape, now), struct.unpack(shape, then), strict=True)
    return struct.pack(shape, *(value - before & _MASK for value, before in pairs))
