"""A script's text → its page: what the comment in front of everything says of it.

The comment starts with `NAME: summary`. Two headings begin sections of indented lines: `Examples:`, and
`Also:`, which gives the script further names, each with the options that it stands for:

    // Also:
    //     ext4slower = -t ext4      what of ext4 is slow
"""

from __future__ import annotations

import re

from lang.records import dataclass

_COMMENT = re.compile(
    r"(?:#![^\n]*\n|\s)*(?:/\*(?P<block>.*?)\*/|(?P<lines>(?:[ \t]*//[^\n]*(?:\n|\Z))+))", re.DOTALL
)
_HEAD = re.compile(r"(?P<name>\w[\w.-]*): (?P<summary>.+)")
_ALIAS = re.compile(r"(?P<name>\w[\w.-]*) = (?P<words>.+?)(?:\s{2,}(?P<summary>.+))?")
_HEADINGS = ("Examples:", "Also:")


@dataclass(frozen=True)
class Alias:
    """Another name of a script: the words that it stands for; `summary` may be empty."""

    name: str
    words: tuple[str, ...]
    summary: str


@dataclass(frozen=True)
class Page:
    """`text` is the whole comment but for the sections; `name` is empty where the comment names none."""

    name: str = ""
    summary: str = ""
    text: str = ""
    examples: str = ""
    aliases: tuple[Alias, ...] = ()


def read_page(text: str) -> Page:
    """The page of a script; an empty one where it starts with no comment."""
    parts: dict[str, list[str]] = {"": [], **{heading: [] for heading in _HEADINGS}}
    where = ""
    for line in _comment(text):
        if line in _HEADINGS:
            where = line
            continue
        if line and not line[0].isspace():
            where = ""
        parts[where].append(line)
    lines = parts[""]
    head = _HEAD.fullmatch(lines[0]) if lines else None
    return Page(
        head["name"] if head else "",
        head["summary"].strip() if head else (lines[0] if lines else ""),
        re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(),
        "\n".join(parts["Examples:"]).strip("\n"),
        tuple(alias for line in parts["Also:"] if (alias := _alias(line.strip())) is not None),
    )


def _comment(text: str) -> list[str]:
    found = _COMMENT.match(text)
    if found is None:
        return []
    if found["block"] is not None:
        lines = [re.sub(r"^[ \t]*\*? ?", "", line) for line in found["block"].strip(" \t").split("\n")]
    else:
        lines = [re.sub(r"^[ \t]*// ?", "", line) for line in found["lines"].split("\n")]
    while lines and not lines[0].strip():
        lines.pop(0)
    return [line.rstrip() for line in lines]


def _alias(line: str) -> Alias | None:
    found = _ALIAS.fullmatch(line)
    if found is None:
        return None
    import shlex  # few tools have other names

    return Alias(found["name"], tuple(shlex.split(found["words"])), found["summary"] or "")
