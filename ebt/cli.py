"""The command line → an exit code: which command, which script, and every failure as one message."""

from __future__ import annotations

from ebt import interrupts  # isort: split

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from ebt.asked import About, NoScript, ShowHelp, names_command, read_asked
from ebt.messages import WRONG, tell
from ebt.options import UsageError, read_options, read_options_before
from ebt.run import run_asked
from lang import cachefile
from lang.source import Source


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # as .venv/bin/ebt leaves it while it imports
        signal.signal(signal.SIGINT, signal.default_int_handler)
    source: list[Source] = []
    cachefile.listen(lambda text: tell(f"ebt: warning: {text}"))
    try:
        return _printed(words, source)
    except UsageError as wrong:
        tell(str(wrong) if str(wrong).startswith("HINT:") else f"ebt: error: {wrong}")
        return WRONG
    except BrokenPipeError:
        _silence()
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as problem:
        failures = import_module("ebt.failures")
        told: tuple[str, int] | None = failures.describe(problem, source, _asks_for_more(words, source))
        if told is None:
            raise
        if isinstance(problem, OSError):
            _silence()
        tell(told[0])
        return told[1]


def _asks_for_more(words: list[str], sources: list[Source]) -> bool:
    """Whether a -v is ebt's own: in front of the script, or behind one that has no such option."""
    front, rest = read_options_before(words)
    takes_it = bool(sources) and '"-v"' in sources[0].text
    return front.verbose or ("-v" in rest and not takes_it)


def _silence() -> None:
    """Standard output cannot be written any more: no exit handler is to try it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _printed(words: list[str], sources: list[Source]) -> int:
    """Run a command and write what it has printed."""
    try:
        code = _command(words, sources)
    except ShowHelp as shown:
        print(shown, end="")
        code = 0
    except About as wanted:
        code = int(import_module("ebt.commands").about(wanted.options))
    sys.stdout.flush()
    return code


def _command(words: list[str], sources: list[Source]) -> int:
    if not words and sys.stdin.isatty() and sys.stdout.isatty():
        words = ["repl"]
    if names_command(words):
        return int(import_module("ebt.commands").COMMANDS[words[0]](words[1:], sources))
    front, rest = read_options_before(words)
    if front.help or front.version or front.list:
        raise About(read_options(words))
    try:
        asked = read_asked(words)
    except NoScript:
        asked = None
    return run_asked(asked or import_module("ebt.request").find_script(words), sources)


interrupts.loaded()
