"""Command-line words → the script, ebt's own options, and what the words behind the script give it.

Words behind a tool, or a script that declares options, are the script's own first; what it does not declare
may be ebt's. Behind any other script they are ebt's, as with bpftrace; behind `--` the script's in any case.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence

from ebt.imports import Imports
from ebt.options import BEHIND, Options, UsageError, read_options, read_options_before
from ebt.tools import all_tools, find_tool, is_bare
from kernel.resolve import resolve
from lang.ast import Script
from lang.command_line import CommandLineError, HelpWanted, help_text, read_getopts, read_words
from lang.diagnostics import nearest
from lang.fold import Constant
from lang.options import Given
from lang.parser import parse
from lang.records import dataclass, field
from lang.source import Source

COMMANDS = ("check", "compile", "doctor", "fmt", "list")  # ebt.cli has them; here for "did you mean"
MAX_SCRIPT_BYTES = 64 << 20
# Whether a script may have options: then it is parsed before anything else is begun.
_ASKS = re.compile(r"^[ \t]*(?:option|import)\b|\bgetopt\s*\(", re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """One script to compile: parsed already where its options had to be known."""

    source: Source
    script: Script | None = None
    parameters: tuple[str, ...] = ()
    options: Mapping[str, Constant] = field(default_factory=dict)

    @property
    def input(self) -> Source | Script:
        """What the compiler takes."""
        return self.script or self.source


class ShowHelp(Exception):
    """The script's own help was asked for: its text."""


def read_request(words: Sequence[str], sources: list[Source]) -> tuple[Options, Request]:
    """ebt's options and the script. Raises UsageError, ScriptError and ShowHelp."""
    options, rest = read_options_before(words)
    if options.program is None and not rest:
        raise UsageError("no script: give a tool, a file, or a program with -e; see ebt --help and ebt list")
    front = list(words[: len(words) - len(rest)])
    tool = None
    if options.program is not None:
        source = Source("stdin", options.program)
    else:
        name = rest.pop(0)
        tool = find_tool(name)
        source = _script(name) if tool is None else Source(tool.path, read_script(tool.path))
    sources.append(source)
    script = None
    if tool is not None or _ASKS.search(source.text):
        script = parse(source, Imports(sources))
    if script is not None and (tool is not None or script.options):
        called = tool.name if tool else source.name
        given, for_ebt = _given(script, called, [*(tool.words if tool else ()), *rest])
        return read_options([*front, *for_ebt]), Request(source, script, given.parameters, given.options)
    options = read_options(words)
    before, behind = list(options.words), list(options.behind)
    if options.program is None:
        (before or behind).pop(0)  # the script's name
    given = Given((*before, *behind)) if script is None else _getopts(script, before, behind)
    return options, Request(source, script, given.parameters, given.options)


def _script(name: str) -> Source:
    """The file's text. A bare word that is no file was meant for a tool or a command."""
    if is_bare(name) and not os.path.lexists(name):
        known = [*COMMANDS, *(tool.name for tool in all_tools())]
        hint = "".join(nearest(name, known)) or "ebt list shows the tools"
        raise UsageError(f"there is no tool, command or file '{name}'; {hint}")
    return Source(name if name != "-" else "stdin", read_script(name))


def _given(script: Script, name: str, words: list[str]) -> tuple[Given, list[str]]:
    try:
        given, for_ebt = read_words(script, words, BEHIND, resolve)
    except CommandLineError as wrong:
        raise UsageError(f"{name}: {wrong}") from None
    except HelpWanted:
        raise ShowHelp(help_text(script, name)) from None
    commands = [given.options.get(option.name) for option in script.options if option.kind == "command"]
    return given, [*for_ebt, *(word for text in commands if text for word in ("-c", str(text)))]


def _getopts(script: Script, before: list[str], behind: list[str]) -> Given:
    try:
        given = read_getopts(script, behind)
    except CommandLineError as wrong:
        raise UsageError(str(wrong)) from None
    return Given((*before, *given.parameters), given.options)


def read_script(name: str) -> str:
    """A script's text; `-` is standard input."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_SCRIPT_BYTES)
        else:
            with open(name, "rb") as file:
                data = file.read(MAX_SCRIPT_BYTES)
    except OSError as problem:
        raise UsageError(f"cannot read '{name}': {problem.strerror}") from None
    return data.decode("utf-8", "surrogateescape")
