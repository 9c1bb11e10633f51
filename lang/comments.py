"""Text → its comments and # lines, in order, with where they stand."""

from __future__ import annotations

import re

from lang.records import dataclass
from lang.source import Source, Span

_FOUND = re.compile(
    r'"(?:\\.|[^"\\\n])*"|(?P<comment>//[^\n]*|/\*(?:.|\n)*?\*/|^[ \t]*#(?:[^\n\\]|\\.|\\\n)*)', re.MULTILINE
)


@dataclass(frozen=True)
class Comment:
    """`apart`: an empty line stands in front of it."""

    start: int
    text: str
    apart: bool

    def span(self, source: Source) -> Span:
        return Span(source, self.start, self.start + len(self.text))


def comments(text: str) -> list[Comment]:
    """All comments; a `//` in a string, or in a predicate, is none."""
    found = []
    for match in _FOUND.finditer(text):
        if match["comment"]:
            body = match["comment"].lstrip(" \t")
            start = match.end() - len(body)
            lead = text[:start].rstrip(" \t")
            found.append(Comment(start, body, lead.endswith("\n\n")))
    return found
