"""Command-line words → the script that they name and its text, before anything is parsed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ebt.options import Options, UsageError, read_options_before
from ebt.tools import Tool, find_tool
from lang.records import dataclass
from lang.source import Source

# words that are no script's name; see ebt.commands
COMMANDS = ("check", "compile", "doctor", "explain", "fmt", "list", "profile", "repl", "tplist")
MAX_SCRIPT_BYTES = 64 << 20


def names_command(words: Sequence[str]) -> bool:
    """Whether the words begin with a command; `profile` is one before `save`, else the tool of that name."""
    return bool(words) and words[0] in COMMANDS and (words[0] != "profile" or "save" in words)


class NoScript(UsageError):
    """There is no file of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"cannot read '{name}': No such file or directory")
        self.name = name


class ShowHelp(Exception):
    """The script's own help was asked for: its text."""


class About(Exception):
    """The words ask for ebt's help, its version or a list of probes."""

    def __init__(self, options: Options) -> None:
        super().__init__("no run")
        self.options = options


@dataclass(frozen=True)
class Asked:
    """What the words say by themselves.

    `front` are ebt's options in front of the script, `flags` the same as words; `rest` is behind its name.
    """

    words: tuple[str, ...]
    front: Options
    flags: tuple[str, ...]
    rest: tuple[str, ...]
    source: Source
    tool: Tool | None = None


def read_asked(words: Sequence[str]) -> Asked | None:
    """Find the script; None where the words name none. Raises UsageError."""
    front, rest = read_options_before(words)
    flags = tuple(words[: len(words) - len(rest)])
    if front.program is not None:
        return Asked(tuple(words), front, flags, tuple(rest), Source("stdin", front.program))
    if not rest:
        return None
    name = rest.pop(0)
    tool = find_tool(name)
    path = tool.path if tool is not None else name
    source = Source("stdin" if path == "-" else path, read_script(path))
    return Asked(tuple(words), front, flags, tuple(rest), source, tool)


def read_script(name: str) -> str:
    """A script's text; `-` is standard input."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_SCRIPT_BYTES)
        else:
            with open(name, "rb") as file:
                data = file.read(MAX_SCRIPT_BYTES)
    except FileNotFoundError:
        raise NoScript(name) from None
    except OSError as problem:
        raise UsageError(f"cannot read '{name}': {problem.strerror}") from None
    return data.decode("utf-8", "surrogateescape")
