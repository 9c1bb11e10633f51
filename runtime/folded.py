"""A map keyed by stacks → folded lines, of which flame graphs are made: `name;caller;function 23`.

The parts of the key that are no stacks come first, in their order; then the process's stack and the kernel's,
outermost function first. That is the form of stackcollapse and of BCC's `-f`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.plan import Map
from lang.types import Stack, Tuple, Type, offsets, size_of
from runtime.values import Values

_SPACES = {"user": 1, "kernel": 2}


def folded_lines(
    item: Map, keys: Sequence[bytes], numbers: Sequence[int], values: Values, between: str
) -> list[str]:
    """A line for each entry; `between` is a part of its own between the process's frames and the kernel's."""
    assert item.key is not None
    places = sorted(_parts(item.key, 0), key=_rank)
    shown = [(offset, kind, values.rows(kind, "text", size_of(kind)).one) for offset, kind in places]
    lines = []
    for key, number in zip(keys, numbers, strict=True):
        parts: list[str] = []
        for offset, kind, show in shown:
            text = show(key, offset)
            if isinstance(kind, Stack):
                if between and kind.space == "kernel":
                    parts.append(between)
                parts += _frames(text)
            else:
                parts.append(text.replace(";", ":"))
        lines.append(f"{';'.join(parts)} {number}")
    return lines


def _rank(place: tuple[int, Type]) -> int:
    kind = place[1]
    return _SPACES[kind.space] if isinstance(kind, Stack) else 0


def _parts(kind: Type, at: int) -> Iterator[tuple[int, Type]]:
    """The key's parts and where they are; tuples within are taken apart."""
    if isinstance(kind, Tuple):
        for offset, element in zip(offsets(kind.elements)[0], kind.elements, strict=True):
            yield from _parts(element, at + offset)
    else:
        yield at, kind


def _frames(text: str) -> list[str]:
    """A printed stack's functions, without offsets, outermost first."""
    frames = [line.strip() for line in text.strip("\n").split("\n") if line.strip()]
    return [frame.rpartition("+")[0] or frame for frame in reversed(frames)]
