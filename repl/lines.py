"""A piece of input → what it is: a command, a query of a map, a shell command, or a program.

One rule tells them apart: a program or a definition begins with a probe (a word and its ':') or with a word
of STARTS; `@map` and `2:@map` are queries, `!` begins a shell command. All else is a command, and so is
what begins with ':'. No command has the name of a word in STARTS (a test keeps it).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from lang.records import dataclass

STARTS = {
    "begin", "end", "self", "fn", "macro", "struct", "union", "enum", "typedef", "import", "option", "config",
    "let",
}  # fmt: skip
_WORD = re.compile(r"\s*(:?)([a-zA-Z_]\w*)(?=\s|$)")
_QUERY = re.compile(r"\s*(?:(\d+):)?(@\w*)\s*;?\s*\Z")


@dataclass(frozen=True)
class Nothing:
    """An empty line, or only a comment."""


@dataclass(frozen=True)
class Query:
    """Show a map; `job` is 0 for the newest that has it."""

    job: int
    map: str


@dataclass(frozen=True)
class Shell:
    command: str


@dataclass(frozen=True)
class Command:
    """`rest` is what follows the name, as typed; `words` the same, split as a shell does."""

    name: str
    words: tuple[str, ...]
    rest: str


@dataclass(frozen=True)
class Text:
    """A program or definitions."""

    text: str


@dataclass(frozen=True)
class Wrong:
    """Input that cannot be read as what it seems to be."""

    message: str


Line = Nothing | Query | Shell | Command | Text | Wrong


def read_line(text: str, commands: Collection[str]) -> Line:
    """What the input is."""
    stripped = text.strip()
    if not stripped or (stripped.startswith("//") and "\n" not in stripped):
        return Nothing()
    if stripped.startswith("!"):
        return Shell(stripped[1:].strip()) if stripped[1:].strip() else Wrong("no command behind '!'")
    query = _QUERY.match(text)
    if query is not None:
        return Query(int(query[1] or 0), query[2])
    word = _WORD.match(text)
    if word is not None and (word[1] or word[2] in commands or word[2].lower() not in STARTS):
        rest = text[word.end() :].strip()
        try:
            return Command(word[2], tuple(shlex.split(rest)), rest)
        except ValueError as problem:
            return Wrong(f"{word[2]}: {str(problem).lower()}")
    return Text(text)


def is_command(text: str, commands: Collection[str]) -> bool:
    """Whether the input, or what is typed of it, is no program."""
    return not isinstance(read_line(text, commands), Text)


def read_map(word: str) -> Query | None:
    """`@map` or `2:@map`."""
    found = _QUERY.match(word)
    return Query(int(found[1] or 0), found[2]) if found else None
