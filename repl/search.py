"""Many names, a few letters → the names that are meant, the likeliest first: pure, and quick for 60,000."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from lang.records import dataclass

_FEW = 20  # below this many, names that only hold the letters in order are looked for too
_SCORED = 1000  # of those, no more than this many are compared
_BLOCK = 1 << 16  # characters searched without a pause: other threads draw what is typed in the meantime
_LINE = re.compile("[^\n]+")
_PART = "_:./-"  # what a part of a name stands behind


@dataclass(frozen=True, eq=False)
class Names:
    """Names ready to be searched: all of them, a line each, as written and in lower case."""

    written: str
    text: str

    @staticmethod
    def of(names: Iterable[str]) -> Names:
        """Sorted, each once."""
        written = "\n".join(["", *sorted(set(names)), ""])
        return Names(written, written.lower() if written.isascii() else written)

    def __len__(self) -> int:
        return max(self.text.count("\n") - 1, 0)

    def search(self, word: str, most: int = 200) -> list[str]:
        """Those that begin with the word, have a part that does, hold it, or its letters in their order."""
        word = word.lower()
        if not word:
            return [self._name(match.start()) for match in islice(_LINE.finditer(self.text), most)]
        found = dict.fromkeys(self._holding("\n" + word, 1, most))
        if len(found) < most:
            inside = list(self._holding(word, 0, most))
            found |= dict.fromkeys(name for name in inside if _begins_a_part(name.lower(), word))
            found |= dict.fromkeys(inside)
        if len(found) < _FEW and len(word) > 1:
            spread = islice(self._spread(word), _SCORED)
            found |= dict.fromkeys(sorted(spread, key=lambda name: looseness(word, name.lower())))
        return list(found)[:most]

    def _holding(self, what: str, offset: int, most: int) -> Iterator[str]:
        """The names whose lines hold the text, each once."""
        at = self.text.find(what)
        while at >= 0 and most > 0:
            yield self._name(at + offset)
            most -= 1
            at = self.text.find(what, self.text.index("\n", at + offset))

    def _spread(self, word: str) -> Iterator[str]:
        """The names that hold the letters in their order. Each step of the pattern has one way to go."""
        steps = "".join(f"[^\n{re.escape(letter)}]*{re.escape(letter)}" for letter in word)
        pattern = re.compile(f"^{steps}", re.MULTILINE)
        at = 1
        while at < len(self.text):
            end = self.text.find("\n", at + _BLOCK) + 1 or len(self.text)
            for match in pattern.finditer(self.text, at, end):
                yield self._name(match.start())
            at = end

    def _name(self, at: int) -> str:
        return self.written[self.text.rindex("\n", 0, at) + 1 : self.text.index("\n", at)]


def _begins_a_part(name: str, word: str) -> bool:
    at = name.find(word, 1)
    while at > 0 and name[at - 1] not in _PART:
        at = name.find(word, at + 1)
    return at > 0


def looseness(word: str, name: str) -> tuple[int, int, str]:
    """How far the letters of the word lie apart in the name: parts that they begin count in favour."""
    loose, length = min((_from(word, name, at) for at in _places(word[0], name)), default=(len(name), 0))
    return loose, length, name


def _from(word: str, name: str, first: int) -> tuple[int, int]:
    """(looseness, length) of the letters taken at the earliest place from `first` on."""
    at, loose = first, 0 if first == 0 or name[first - 1] in _PART else 3
    for letter in word[1:]:
        next = name.find(letter, at + 1)
        if next < 0:
            return len(name) * 4, len(name)
        skipped = min(next - at - 1, 8)
        loose += (1 + skipped // 2 if name[next - 1] in _PART else 1 + skipped) if skipped else 0
        at = next
    return loose + len(name) // 8, len(name)


def _places(letter: str, name: str) -> Iterator[int]:
    at = name.find(letter)
    while at >= 0:
        yield at
        at = name.find(letter, at + 1)
