"""Raw keys and values of maps → numbers, and the order in which bpftrace prints keys."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from lang.types import Bool, Enum, Int, Record, Str, Tuple, Type, offsets, size_of
from runtime.values import int_code

_CHUNK = 1 << 16
_SIGN, _MASK = 1 << 63, (1 << 64) - 1


def key_order(kind: Type, size: int, keys: Sequence[bytes]) -> list[int]:
    """The keys' positions in order: signed numbers, strings by byte, tuples of these; else as they came."""
    match kind:
        case Tuple(elements) | Record(_, elements):
            places = list(zip(offsets(elements)[0], elements, strict=True))
        case _:
            places = [(0, kind)]
    code, at = "", 0
    for offset, item in places:
        part = _sort_code(item)
        if part:
            code += f"{offset - at}x{part}"
            at = offset + size_of(item)
    if not code:
        return list(range(len(keys)))
    order: list[Any] = unpack(keys, f"{code}{size - at}x", 1)
    if order and len(order[0]) == 1:
        order = [value for (value,) in order]  # compares twice as fast as tuples do
    return sorted(range(len(keys)), key=order.__getitem__)


def _sort_code(kind: Type) -> str:
    match kind:
        case Int(bits) | Enum(_, bits):
            return int_code(bits, True)
        case Bool():
            return "B"
        case Str(size):
            return f"{size}s"
    return ""


def unpack(raws: Sequence[bytes], code: str, slots: int) -> list[tuple[int, ...]]:
    """Each raw value as a tuple, `code` once for each slot."""
    layout = struct.Struct("<" + code * slots)
    found: list[tuple[int, ...]] = []
    for start in range(0, len(raws), _CHUNK):
        found.extend(layout.iter_unpack(b"".join(raws[start : start + _CHUNK])))
    return found


def wrapped(values: list[int], signed: bool) -> list[int]:
    """Sums as 64-bit arithmetic has them."""
    low, high = (-_SIGN, _SIGN - 1) if signed else (0, _MASK)
    if not values or (min(values) >= low and max(values) <= high):
        return values
    shift = _SIGN if signed else 0
    return [(value + shift & _MASK) - shift for value in values]
