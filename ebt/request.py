"""A script that was asked for → ebt's own options, and what the words behind the script give it.

Words behind a tool, or a script that declares options, are the script's own first; what it does not declare
may be ebt's. Behind any other script they are ebt's, as with bpftrace; behind `--` the script's in any case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ebt.asked import COMMANDS, Asked, NoScript, ShowHelp, read_asked
from ebt.imports import Imports
from ebt.options import BEHIND, Options, UsageError, read_options
from ebt.tools import all_tools, is_bare
from lang.ast import Script
from lang.diagnostics import nearest
from lang.fold import Constant
from lang.later import later
from lang.options import Given, Resolve
from lang.parser import parse
from lang.records import dataclass, field
from lang.source import Source

if TYPE_CHECKING:
    from kernel import resolve
    from lang import command_line
else:  # for scripts with options
    command_line, resolve = later("lang.command_line"), later("kernel.resolve")

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


def read_request(words: Sequence[str], sources: list[Source]) -> tuple[Options, Request]:
    """ebt's options and the script. Raises UsageError, ScriptError and ShowHelp."""
    return parse_request(find_script(words), sources)


def find_script(words: Sequence[str]) -> Asked:
    """The script that the words name. Raises UsageError, which knows what may have been meant."""
    try:
        asked = read_asked(words)
    except NoScript as missing:
        raise UsageError(_nothing_of_that_name(missing)) from None
    if asked is None:
        raise UsageError("no script: give a tool, a file, or a program with -e; see ebt --help and ebt list")
    return asked


def _nothing_of_that_name(missing: NoScript) -> str:
    """A bare word that is no file was meant for a tool or a command."""
    if not is_bare(missing.name) or os.path.lexists(missing.name):
        return str(missing)
    known = [*COMMANDS, *(tool.name for tool in all_tools())]
    hint = "".join(nearest(missing.name, known)) or "ebt list shows the tools"
    return f"there is no tool, command or file '{missing.name}'; {hint}"


def parse_request(
    asked: Asked, sources: list[Source], find: Resolve | None = None
) -> tuple[Options, Request]:
    """ebt's options and the script, parsed where options must be known; `find` reads the system's names."""
    source, tool = asked.source, asked.tool
    sources.append(source)
    script = None
    if tool is not None or _ASKS.search(source.text):
        script = parse(source, Imports(sources))
    if script is not None and (tool is not None or script.options):
        called = tool.name if tool else source.name
        words = [*(tool.words if tool else ()), *asked.rest]
        given, for_ebt = _given(script, called, words, find or resolve.resolve)
        options = read_options([*asked.flags, *for_ebt])
        values = _for_flame(script, given.options, options)
        return options, Request(source, script, given.parameters, values)
    options = read_options(asked.words)
    before, behind = list(options.words), list(options.behind)
    if options.program is None:
        (before or behind).pop(0)  # the script's name
    given = Given((*before, *behind)) if script is None else _getopts(script, before, behind)
    return options, Request(source, script, given.parameters, given.options)


def _given(script: Script, name: str, words: list[str], find: Resolve) -> tuple[Given, list[str]]:
    try:
        given, for_ebt = command_line.read_words(script, words, BEHIND, find)
    except command_line.CommandLineError as wrong:
        raise UsageError(f"{name}: {wrong}") from None
    except command_line.HelpWanted:
        raise ShowHelp(command_line.help_text(script, name)) from None
    commands = [given.options.get(option.name) for option in script.options if option.kind == "command"]
    return given, [*for_ebt, *(word for text in commands if text for word in ("-c", str(text)))]


def _for_flame(
    script: Script, given: Mapping[str, Constant], options: Options
) -> Mapping[str, Constant]:
    """--flame chooses the form of a script that has one for flame graphs: its option `folded`."""
    folds = any(option.name == "folded" and option.kind == "bool" for option in script.options)
    if not options.flame or not folds or "folded" in given or given.get("verbose"):
        return given
    options.folded_text = False
    return {**given, "folded": True}


def _getopts(script: Script, before: list[str], behind: list[str]) -> Given:
    try:
        given = command_line.read_getopts(script, behind)
    except command_line.CommandLineError as wrong:
        raise UsageError(str(wrong)) from None
    return Given((*before, *given.parameters), given.options)
