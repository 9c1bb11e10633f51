"""A map keyed by stacks → its entries as BCC's tools show them: a function a line, whose, the number."""

from __future__ import annotations

from collections.abc import Sequence

from codegen.plan import Map
from lang.types import Stack, size_of
from runtime.folded import places
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
    shown = [(at, kind, values.rows(kind, "text", size_of(kind)).one) for at, kind in places(item.key)]
    stacks = [entry for entry in shown if isinstance(entry[1], Stack)]
    stacks.sort(key=lambda entry: isinstance(entry[1], Stack) and entry[1].space != "kernel")
    others = [entry for entry in shown if not isinstance(entry[1], Stack)]
    lines = []
    for key, number in zip(keys, numbers, strict=True):
        found = [
            frames for at, kind, show in stacks
            if isinstance(kind, Stack) and (frames := _frames(show(key, at), kind.mode, offsets))
        ]  # fmt: skip
        for index, frames in enumerate(found):
            if index and between:
                lines.append(_INDENT + between)
            lines += [_INDENT + frame for frame in frames]
        if others:
            first, *rest = [show(key, at) for at, _, show in others]
            lines.append(f"{_INDENT}{'-':16} {first}{' (' + ', '.join(rest) + ')' if rest else ''}")
        lines += [f"{_INDENT}{_INDENT}{number}", ""]
    return lines


def _frames(text: str, mode: str, offsets: bool) -> list[str]:
    """A printed stack's functions, innermost first; in the mode `perf` as they are, with their addresses."""
    frames = [line.strip() for line in text.split("\n") if line.strip()]
    if mode == "perf" or offsets:
        return frames
    return [frame.rpartition("+")[0] or frame for frame in frames]
