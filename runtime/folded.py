"""A map keyed by stacks → the parts of each key in order, and folded lines: `name;caller;function 23`.

The parts of the key that are no stacks come first, in their order; then the process's stack and the kernel's,
outermost function first. That is the form of stackcollapse and of BCC's `-f`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from codegen.plan import Map
from lang.types import Stack, Tuple, Type, offsets, size_of
from runtime.values import Values

Space = Literal["user", "kernel", "key"]
_SPACES = {"user": 1, "kernel": 2}


class Part(NamedTuple):
    """A function of a stack, or a part of the key that is no stack."""

    text: str
    space: Space


def key_parts(kind: Type, keys: Sequence[bytes], values: Values) -> list[tuple[Part, ...]]:
    """The parts of each key of this type: what is no stack, the process's functions, the kernel's."""
    parts_of = sorted(places(kind), key=_rank)
    shown = [(offset, part, values.rows(part, "text", size_of(part)).one) for offset, part in parts_of]
    found = []
    for key in keys:
        parts: list[Part] = []
        for offset, part, show in shown:
            text = show(key, offset)
            if isinstance(part, Stack):
                space: Space = "kernel" if part.space == "kernel" else "user"
                parts += [Part(frame, space) for frame in _frames(text, part.mode)]
            else:
                parts.append(Part(text, "key"))
        found.append(tuple(parts))
    return found


def folded_lines(
    item: Map, keys: Sequence[bytes], numbers: Sequence[int], values: Values, between: str
) -> list[str]:
    """A line for each entry; `between` is a part of its own between the process's frames and the kernel's."""
    assert item.key is not None
    has_kernel = any(isinstance(kind, Stack) and kind.space == "kernel" for _, kind in places(item.key))
    lines = []
    for parts, number in zip(key_parts(item.key, keys, values), numbers, strict=True):
        texts = [part.text.replace(";", ":") if part.space == "key" else part.text for part in parts]
        if between and has_kernel:
            inner = sum(part.space == "kernel" for part in parts)
            texts.insert(len(texts) - inner, between)
        lines.append(f"{';'.join(texts)} {number}")
    return lines


def has_stack(kind: Type | None, space: str = "") -> bool:
    """Whether a key of this type has a stack in it, or one of the user's or the kernel's."""
    found = places(kind) if kind is not None else ()
    return any(isinstance(part, Stack) and space in ("", part.space) for _, part in found)


def _rank(place: tuple[int, Type]) -> int:
    kind = place[1]
    return _SPACES[kind.space] if isinstance(kind, Stack) else 0


def places(kind: Type, at: int = 0) -> Iterator[tuple[int, Type]]:
    """The key's parts and where they are; tuples within are taken apart."""
    if isinstance(kind, Tuple):
        for offset, element in zip(offsets(kind.elements)[0], kind.elements, strict=True):
            yield from places(element, at + offset)
    else:
        yield at, kind


def _frames(text: str, mode: str) -> list[str]:
    """A printed stack's functions, without offsets, outermost first."""
    frames = frame_lines(text)
    if mode == "perf":  # ffffffff81362bdf run_ksoftirqd+47 (module)
        frames = [frame.partition(" ")[2].partition(" (")[0] for frame in frames]
    return [without_offset(frame) for frame in reversed(frames)]


def frame_lines(text: str) -> list[str]:
    """A printed stack's frames, innermost first."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def without_offset(frame: str) -> str:
    """`schedule+35` → `schedule`."""
    return frame.rpartition("+")[0] or frame
