"""What a parse is made of: Token, Tree, and Meta, the place of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Token(str):
    """A terminal's text, with its name in the grammar and its place in the source."""

    __slots__ = ("end_pos", "start_pos", "type")
    type: str
    start_pos: int
    end_pos: int


class Meta:
    """Where a tree stands: from its first to its last token, those too that are not kept."""

    __slots__ = ("empty", "end_pos", "start_pos")

    def __init__(self, start_pos: int = 0, end_pos: int = 0, empty: bool = True) -> None:
        self.start_pos, self.end_pos, self.empty = start_pos, end_pos, empty


class Tree:
    """A rule's name, what is kept of its parts, and its place."""

    __slots__ = ("children", "data", "meta")

    def __init__(self, data: str, children: list[Any], meta: Meta) -> None:
        self.data, self.children, self.meta = data, children, meta

    def bottom_up(self) -> Iterable[Tree]:
        """Each tree below, and at last this one; inner ones before outer ones, left before right."""
        waiting = [self]
        for tree in waiting:  # grows as it goes
            waiting += [child for child in reversed(tree.children) if isinstance(child, Tree)]
        return reversed(waiting)
