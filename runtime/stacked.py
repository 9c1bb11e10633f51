"""A map keyed by stacks → its entries as BCC's tools show them: a function a line, whose, the number."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.plan import Map
from lang.types import Stack, size_of
from runtime.folded import frame_lines, places, without_offset
from runtime.values import Values

_INDENT = "    "


def stacked_lines(
    item: Map, keys: Sequence[bytes], numbers: Sequence[int], values: Values, between: str, offsets: bool
) -> list[str]:
    """The lines of all entries: the kernel's functions, the process's, innermost first; a `-` with the parts
    of the key that are no stacks, the first in 16 columns and the others in brackets; the number.

    `between` stands in a line of its own where both stacks have functions. As in BCC's offcputime.
    """
    assert item.key is not None
    stacks, others = [], []
    for at, kind in places(item.key):
        show = values.rows(kind, "text", size_of(kind)).one
        if isinstance(kind, Stack):
            stacks.append((at, kind, show))
        else:
            others.append((at, show))
    stacks.sort(key=lambda stack: stack[1].space != "kernel")
    lines = []
    for key, number in zip(keys, numbers, strict=True):
        found = [_frames(show(key, at), kind.mode, offsets) for at, kind, show in stacks]
        for index, frames in enumerate(filter(None, found)):
            if index and between:
                lines.append(_INDENT + between)
            lines += [_INDENT + frame for frame in frames]
        if others:
            first, *rest = [show(key, at) for at, show in others]
            lines.append(f"{_INDENT}{'-':16} {first}{' (' + ', '.join(rest) + ')' if rest else ''}")
        lines += [f"{_INDENT}{_INDENT}{number}", ""]
    return lines


def _frames(text: str, mode: str, offsets: bool) -> list[str]:
    """A printed stack's functions, innermost first; in the mode `perf` as they are, with their addresses."""
    frames = frame_lines(text)
    return frames if mode == "perf" or offsets else [without_offset(frame) for frame in frames]
