"""Command-line words → Options: bpftrace's flags, in its meaning, before or after the script."""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from typing import Literal

from lang.records import dataclass, field

STAGES = ("ast", "types", "plan", "codegen", "all")
BUFFERINGS = ("line", "full", "none")
_SHORT = "B:c:d:e:f:hlo:p:qvV"
_LONG = [
    "help", "version", "dry-run", "no-warnings", "kernel=", "btf=", "list", "verbose", "quiet",
    "output=", "format=", "pid=", "cmd=", "no-feature=", "verify-llvm-ir", "unsafe",
    "flame=", "heatmap=",
]  # fmt: skip
_SAME = {
    "--help": "-h", "--version": "-V", "--list": "-l", "--verbose": "-v", "--quiet": "-q", "--output": "-o",
    "--format": "-f", "--pid": "-p", "--cmd": "-c",
}  # fmt: skip
# ebt's own that may stand behind a script too, where the script has none of that name; true: a value follows.
BEHIND = {
    **dict.fromkeys(("-c", "-p", "-o", "-f", "-B", "-d", "--cmd", "--pid", "--output", "--format"), True),
    **dict.fromkeys(("--kernel", "--btf", "--no-feature", "--flame", "--heatmap"), True),
    **dict.fromkeys(("-q", "-v", "--quiet", "--verbose", "--dry-run", "--no-warnings", "--unsafe"), False),
}


class UsageError(Exception):
    """The command line is wrong: one line for the user."""


@dataclass
class Options:
    """What was asked for. `program` is -e's text; `words` the script's name, if no -e, and its parameters."""

    program: str | None = None
    words: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)  # the words behind --
    command: str | None = None
    pid: int = 0
    output: str = ""
    format: Literal["text", "json"] = "text"
    buffering: Literal["auto", "line", "full", "none"] = "auto"
    quiet: bool = False
    verbose: bool = False
    warnings: bool = True
    unsafe: bool = False
    stage: str = ""
    dry_run: bool = False
    list: bool = False
    help: bool = False
    version: bool = False
    kernel: str = ""
    btf: str = ""
    without: tuple[str, ...] = ()
    flame: str = ""
    heatmap: str = ""
    folded_text: bool = True  # false: a tool's own form for flame graphs was chosen, but not to be printed


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line, flags anywhere. Raises UsageError."""
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    try:
        found, words = getopt.gnu_getopt(_keep_negative(arguments[:at]), _SHORT, _LONG)
    except getopt.GetoptError as wrong:
        raise UsageError(f"{wrong.msg}; see ebt --help") from None
    options = _options(found, [word.removeprefix("\0") for word in words])
    options.behind = list(arguments[at + 1 :])
    return options


def read_options_before(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Read the flags in front of the script; the words from there on. Raises UsageError."""
    try:
        found, words = getopt.getopt(_keep_negative(arguments), _SHORT, _LONG)
    except getopt.GetoptError as wrong:
        raise UsageError(f"{wrong.msg}; see ebt --help") from None
    return _options(found, []), [word.removeprefix("\0") for word in words]


def _options(found: list[tuple[str, str]], words: list[str]) -> Options:
    options = Options(words=words)
    for flag, value in found:
        _apply(options, _SAME.get(flag, flag), value)
    if options.command is not None and options.pid:
        raise UsageError("-c and -p cannot be used together")
    return options


def _keep_negative(arguments: Sequence[str]) -> list[str]:
    """A negative number is a parameter, not a flag: marked with a NUL, which no argument can hold."""
    return ["\0" + word if word[:1] == "-" and word[1:].isdigit() else word for word in arguments]


def _apply(options: Options, flag: str, value: str) -> None:
    match flag:
        case "-e":
            if options.program is not None:
                raise UsageError("-e can be given once")
            options.program = value
        case "-c":
            options.command = value
        case "-p":
            options.pid = _pid(value)
        case "-o":
            options.output = value
        case "-f":
            options.format = "json" if _one_of("-f", value, ("text", "json")) == "json" else "text"
        case "-B":
            options.buffering = _one_of("-B", value, BUFFERINGS)  # type: ignore[assignment]
        case "-d":
            options.stage = _one_of("-d", value, STAGES)
        case "--kernel":
            options.kernel = value
        case "--btf":
            options.btf = value
        case "--no-feature":
            options.without = tuple(name.strip() for name in value.split(",") if name.strip())
        case "--flame":
            options.flame = _file(flag, value)
        case "--heatmap":
            options.heatmap = _file(flag, value)
        case "--verify-llvm-ir":
            pass  # for bpftrace's own debugging: accepted, as scripts pass it
        case "--no-warnings":
            options.warnings = False
        case "--unsafe":
            options.unsafe = True
        case "-q":
            options.quiet = True
        case "-v":
            options.verbose = True
        case "-l":
            options.list = True
        case "-h":
            options.help = True
        case "-V":
            options.version = True
        case "--dry-run":
            options.dry_run = True


def _one_of(flag: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise UsageError(f"{flag} takes {' or '.join(choices)}, not '{value}'")
    return value


def _file(flag: str, value: str) -> str:
    if not value:
        raise UsageError(f"{flag} takes the name of a file")
    return value


def _pid(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 1 << 22:
        raise UsageError(f"-p takes a process id, not '{text}'")
    return int(text)
