"""What went wrong at compile, load or attach → the message that the user reads, and the exit code."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from codegen.plan import Place
from ebt.messages import REFUSED, WRONG
from ebt.tools import tool_of
from kernel.btf import BtfError
from kernel.recorded import ProfileError
from lang.diagnostics import CompilerBug, Diagnostic, ScriptError
from lang.source import Source, Span
from runtime.attach import AttachError
from runtime.bpf import CompileError
from runtime.libbcc import LibbccMissing
from runtime.load import LoadError
from runtime.text import OutputError

# what the machine, not ebt, is short of
_NO_ROOM = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
)  # fmt: skip


def describe(problem: Exception, sources: Sequence[Source], verbose: bool) -> tuple[str, int] | None:
    """(message, exit code) of an expected failure; None for what is a bug."""
    match problem:
        case ScriptError():
            return _lack(problem, sources, verbose) or str(problem), WRONG
        case CompileError():
            return _clang(problem, sources), REFUSED
        case LoadError():
            log = f"\n{problem.log.rstrip()}" if verbose and problem.log else ""
            return _at(problem.place, str(problem), sources) + log, REFUSED
        case AttachError():
            return _at(problem.point.place, str(problem), sources), REFUSED
        case LibbccMissing() | ProfileError() | BtfError() | OutputError():
            return f"ebt: error: {problem}", WRONG
        case OSError() if problem.errno in _NO_ROOM:
            where = f"cannot write '{problem.filename}': " if problem.filename else "cannot write: "
            return f"ebt: error: {where}{problem.strerror}", WRONG
        case CompilerBug():
            return f"ebt: {problem}\nhint: this is a fault of ebt, please report it with the script", REFUSED
    return None


def _lack(problem: ScriptError, sources: Sequence[Source], verbose: bool) -> str:
    """One line where a tool cannot run because of what this kernel lacks; -v shows the probes."""
    first = problem.diagnostics[0]
    tool = tool_of(sources[0].name) if sources else ""
    if verbose or not tool or not first.lack:
        return ""
    reason = first.hints[-1].partition(": ")[2] if len(first.hints) > 1 else first.message
    if len(first.hints) == 1 and first.hints[0].startswith("this kernel"):
        reason += f": {first.hints[0]}"
    return f"ebt: error: {tool} cannot run here: {reason}"


def _named(sources: Sequence[Source], name: str) -> Source | None:
    """The script, or the file that it imports, of this name."""
    return next((source for source in sources if source.name == name), None)


def _at(place: Place | None, message: str, sources: Sequence[Source]) -> str:
    source = _named(sources, place.file) if place is not None else None
    if place is None or source is None:
        return f"ebt: error: {message}"
    return Diagnostic("error", _span(source, place.line, place.column, place.width), message).render()


def _span(source: Source, line: int, column: int, width: int) -> Span:
    lines = source.text.split("\n")
    start = sum(len(item) + 1 for item in lines[: line - 1]) + column - 1
    start = min(start, len(source.text))
    return Span(source, start, min(start + max(width, 1), len(source.text)))


def _clang(problem: CompileError, sources: Sequence[Source]) -> str:
    """clang refused our C: a fault of ebt, told at the script's line."""
    errors = [item for item in problem.complaints if item.severity != "note"]
    if not errors:
        return f"ebt: internal compiler error: {problem}\n{problem.output.rstrip()}"
    first = errors[0]
    source = _named(sources, first.file)
    message = f"internal compiler error: clang refuses the C of this line: {first.message}"
    if source is not None and source.line(first.line):
        width = len(source.line(first.line))
        hint = "this is a fault of ebt, please report it with the script; 'ebt compile' shows the C"
        return Diagnostic("error", _span(source, first.line, 1, width), message, (hint,)).render()
    return f"ebt: {message}\n{problem.output.rstrip()}"
