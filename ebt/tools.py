"""A bare word → the standard tool of that name; all tools, for `ebt list`.

A tool is a script of stdlib/, called by its file's name, or by a name that its comment gives (lang.page).
A word with a `/` or with the ending .ebt or .bt is a file. A bare word is a tool first: a file in the working
directory cannot take a tool's place; `./NAME` runs the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ebt.messages import WRONG, tell
from lang.diagnostics import nearest
from lang.page import read_page
from lang.records import dataclass

ENDING = ".ebt"
_SHARED = "lib"  # what tools import: no tools
_PAGE_BYTES = 16 << 10


@dataclass(frozen=True)
class Tool:
    """A name that runs a script; that of an alias stands for `words` in front of the user's."""

    name: str
    path: str
    subject: str
    words: tuple[str, ...] = ()
    summary: str = ""


def is_bare(word: str) -> bool:
    """Whether the word may name a tool: it is no path, and no file by its ending."""
    return "/" not in word and not word.endswith((ENDING, ".bt")) and word not in ("", "-", ".", "..")


def find_tool(word: str) -> Tool | None:
    """The tool of this name, or None. Reads no other script where a file has the name."""
    if not is_bare(word):
        return None
    for subject, path in _scripts():
        if os.path.basename(path) == word + ENDING:
            return Tool(word, path, subject)
    return next((tool for tool in all_tools() if tool.name == word), None)


def all_tools() -> list[Tool]:
    """Every name of every tool, by subject and name."""
    tools = []
    for subject, path in _scripts():
        name = os.path.basename(path).removesuffix(ENDING)
        with open(path, "rb") as file:
            page = read_page(file.read(_PAGE_BYTES).decode("utf-8", "replace"))
        tools.append(Tool(name, path, subject, (), page.summary))
        for alias in page.aliases:
            summary = alias.summary or f"{name} {' '.join(alias.words)}"
            tools.append(Tool(alias.name, path, subject, alias.words, summary))
    return sorted(tools, key=lambda tool: (tool.subject, tool.name))


def _scripts() -> Iterator[tuple[str, str]]:
    """(subject, path) of each tool's script."""
    folder = library()
    for subject in os.listdir(folder):
        if "." in subject or subject in (_SHARED, "__pycache__"):
            continue
        below = os.path.join(folder, subject)
        for name in os.listdir(below):
            if name.endswith(ENDING):
                yield subject, os.path.join(below, name)


def library() -> str:
    """The folder of the standard library: beside this package, wherever ebt is installed."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "stdlib")


def tool_of(path: str) -> str:
    """The name of the tool whose script this is; empty for any other script."""
    folder, name = os.path.split(path)
    above, subject = os.path.split(folder)
    known = above == library() and subject != _SHARED and name.endswith(ENDING)
    return name.removesuffix(ENDING) if known else ""


def list_tools(words: list[str]) -> int:
    """Print the tools whose name, subject or summary holds the words, a line each, by subject."""
    tools = all_tools()
    asked = " ".join(words).lower()
    found = [
        tool
        for tool in tools
        if asked == tool.subject or asked in tool.name.lower() or asked in tool.summary.lower()
    ]
    if not found:
        hint = "".join(f"; {item}" for item in nearest(asked, [tool.name for tool in tools]))
        tell(f"ebt: error: no tool's name, subject or summary holds '{asked}'{hint}")
        return WRONG
    width = max(len(tool.name) for tool in found)
    before = ""
    for tool in found:
        if tool.subject != before:
            print(f"{chr(10) if before else ''}{tool.subject}")
            before = tool.subject
        print(f"  {tool.name:<{width}}  {tool.summary}".rstrip())
    return 0
