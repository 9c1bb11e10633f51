"""Texts that differ between the points of one program (`probe`, `func`) → their places in a map of texts.

One C function for many points costs clang what one does. The texts of all points lie in one map; what a
program reads there is set when it is loaded, for each point anew.
"""

from __future__ import annotations

from lang.records import dataclass, field

LABELS = "ebt_labels"
POINT = "ebt_point"  # what a program refers to for its point's number: no map
_ALIGN = 8


@dataclass
class Labels:
    """What one program shows of its points: a record for each, of one text or two, aligned to 8 bytes."""

    kinds: list[tuple[str, ...]] = field(default_factory=list)  # for each kind of text, that of each point
    at: int = 0  # of the first record, once all programs are known
    indexed: bool = False  # the program looks for its point's record among them

    def place(self, texts: tuple[str, ...]) -> int:
        """Where in each record a kind of text lies; `texts` are those of the points, in order."""
        if texts not in self.kinds:
            self.kinds.append(texts)
        return sum(map(_room, self.kinds[: self.kinds.index(texts)]))

    @property
    def size(self) -> int:
        """Bytes of a record."""
        return sum(map(_room, self.kinds))

    @property
    def members(self) -> list[str]:
        """C of a record's members."""
        kinds = enumerate(self.kinds)
        return [f"char text{n}[{_room(texts)}] __attribute__((aligned({_ALIGN})));" for n, texts in kinds]

    @property
    def records(self) -> tuple[str, ...]:
        """What is in the map for each point, up to its last NULs."""
        return tuple("".join(map(_padded, self.kinds, texts)) for texts in zip(*self.kinds, strict=True))


def _room(texts: tuple[str, ...]) -> int:
    return -(-(max(len(text.encode()) for text in texts) + 1) // _ALIGN) * _ALIGN


def _padded(texts: tuple[str, ...], text: str) -> str:
    return text + "\0" * (_room(texts) - len(text.encode()))
