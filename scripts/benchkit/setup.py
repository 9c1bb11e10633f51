"""What every part measures with: the programs, how thorough to be, where files may lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchkit.peers import Peers
from benchkit.run import BenchError

Item = TypeVar("Item")


@dataclass(frozen=True)
class SetUp:
    """`progress` says what is being measured; `note` keeps a line for below the table."""

    peers: Peers
    python: str
    quick: bool
    scratch: Path
    progress: Callable[[str], None]
    note: Callable[[str], None]

    def rounds(self, thorough: int, quick: int) -> int:
        return quick if self.quick else thorough

    def attempt(self, what: str, measure: Callable[[], Item]) -> Item | None:
        """The measure; None, and a note, where a peer cannot do it here."""
        try:
            return measure()
        except BenchError as reason:
            self.note(f"{what}: {reason}")
            return None


def each(
    found: Mapping[str, Sequence[Item]], value: Callable[[Item], float]
) -> dict[str, list[float]]:
    """One number of each of the measured items."""
    return {name: [value(item) for item in items] for name, items in found.items()}
