"""A program as it is typed → what its attach points resolve to on this kernel, or why not."""

from __future__ import annotations

import re
from collections.abc import Callable

from lang.diagnostics import ScriptError
from lang.probes import BY_NAME
from lang.records import dataclass

_POINT = re.compile(r"(?:^|[};,]|\|\|)\s*([a-zA-Z_]+:[^\s{}/,;|?]+)(?=\s*[{/,;|?]|\s+|$)")
_KEPT = 500


@dataclass(frozen=True)
class Status:
    """`start` and `end` are where the attach point stands in the text; `words` is one line about it."""

    start: int
    end: int
    works: bool
    words: str


class Resolver:
    """Answers about attach points, each asked once. `ask(point)` gives the line, or raises ScriptError."""

    def __init__(self, ask: Callable[[str], str]) -> None:
        self._ask = ask
        self._known: dict[str, tuple[bool, str]] = {}

    def statuses(self, text: str, cursor: int) -> list[Status]:
        """Of each attach point that stands in the text; the one that is being typed is left out."""
        found = []
        for match in _POINT.finditer(without_bodies(text)):
            if match.end(1) == cursor == len(text.rstrip()):
                continue
            point = text[match.start(1) : match.end(1)]
            if point.partition(":")[0].lower() in BY_NAME:
                works, words = self._status(point)
                found.append(Status(match.start(1), match.end(1), works, words))
        return found

    def forget(self) -> None:
        """Another kernel is asked from now on."""
        self._known.clear()

    def _status(self, point: str) -> tuple[bool, str]:
        known = self._known.get(point)
        if known is None:
            if len(self._known) > _KEPT:
                self._known.clear()
            known = self._known[point] = self._asked(point)
        return known

    def _asked(self, point: str) -> tuple[bool, str]:
        try:
            return True, self._ask(point)
        except ScriptError as wrong:
            first = wrong.diagnostics[0]
            return False, "; ".join([first.message, *first.hints])


def without_bodies(text: str) -> str:
    """The text with blanks in place of bodies, strings and comments: positions stay."""
    plain = re.sub(
        r'"(?:\\.|[^"\\\n])*"?|//[^\n]*|/\*.*?(?:\*/|\Z)', _blank, text, flags=re.DOTALL
    )
    out, depth = [], 0
    for char in plain:
        depth -= char == "}"
        out.append(char if depth <= 0 or char == "\n" else " ")
        depth = max(depth, 0) + (char == "{")
    return "".join(out)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])
