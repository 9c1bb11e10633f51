"""The command line → an exit code: which command, which script, and every failure as one message."""

from __future__ import annotations

from ebt import interrupts  # isort: split

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ebt.doctor import doctor
from ebt.failures import WRONG, describe, tell
from ebt.listing import list_probes
from ebt.options import Options, UsageError, read_options, read_options_before
from ebt.profile import profile
from ebt.request import ShowHelp, read_request, read_script
from ebt.run import compile_request, machine_for, run_script
from ebt.show import show_stage
from ebt.tools import find_tool, list_tools
from lang import cachefile
from lang.canonical import canonical
from lang.parser import parse_file
from lang.source import Source

VERSION = "0.1.0"
USAGE = """\
usage: ebt [options] TOOL|FILE [parameters]
       ebt [options] -e 'PROGRAM' [parameters]
       ebt list [WORD]
       ebt compile TOOL|FILE|-e 'PROGRAM' [--kernel PROFILE | --btf FILE] [-o FILE]
       ebt check TOOL|FILE|-e 'PROGRAM' [--kernel PROFILE | --btf FILE]
       ebt fmt TOOL|FILE|-e 'PROGRAM'
       ebt doctor
       ebt profile save FILE
       ebt -l [PATTERN]

TOOL is a standard tool: ebt list shows them, ebt TOOL --help tells of one. FILE is a script (.ebt or .bt);
- reads it from standard input. A bare word is a tool if one has that name, ./WORD is the file. Options
behind a tool, or a script that declares options, are its own; those that it does not have may be ebt's.

options:
  -e PROGRAM       run this program
  -l [PATTERN]     list probes: ebt -l 'tracepoint:syscalls:*open*'; with -v their arguments,
                   ebt -l 'struct task_struct' prints a type
  -c COMMAND       run the command, trace until it ends
  -p PID           trace this process only, until it ends
  -o FILE          write the script's output to a file
  -f text|json     output format; json is one object a line
  -B line|full|none  output buffering
  -q               no message about attached probes
  -v               tell what is attached, and the verifier's log if it refuses
  -d STAGE         print a stage and end: ast types plan codegen all
  --dry-run        attach, say so, and end
  --kernel PROFILE compile for a recorded kernel (ebt compile)
  --btf FILE       take types from this BTF or vmlinux file
  --no-feature A,B do without these kernel features
  --no-warnings    no warnings
  --unsafe         let the script change the system: system(), signal(), override() …
  -h, --help       this text
  -V, --version    ebt's version

examples:
  ebt -e 'tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args.filename)); }'
  ebt -e 'tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes = hist(args.ret); }'
  ebt -e 'profile:hz:99 { @[kstack] = count(); }'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # as .venv/bin/ebt leaves it while it imports
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cachefile.listen(lambda text: tell(f"ebt: warning: {text}"))
    source: list[Source] = []
    verbose = "-v" in words
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
        told = describe(problem, source, verbose)
        if told is None:
            raise
        if isinstance(problem, OSError):
            _silence()
        tell(told[0])
        return told[1]


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
    sys.stdout.flush()
    return code


def _command(words: list[str], sources: list[Source]) -> int:
    command = _COMMANDS.get(words[0]) if words else None
    if command is not None:
        return command(words[1:], sources)
    front, rest = read_options_before(words)
    if front.help or front.version or front.list:
        return _about(read_options(words))
    options, request = read_request(words, sources)
    if options.help or options.version or options.list:
        return _about(options)
    if options.kernel:
        raise UsageError("--kernel compiles for another kernel: use ebt compile")
    return run_script(request, options)


def _about(options: Options) -> int:
    """What needs no script: the usage, the version, a list of probes."""
    if options.help:
        print(USAGE, end="")
    elif options.version:
        print(f"ebt v{VERSION}")
    else:
        words = [*options.words, *options.behind, ""]
        return list_probes(machine_for(options, loads=True), words[0], options.verbose)
    return 0


def _compile(words: list[str], sources: list[Source]) -> int:
    options, request = read_request(words, sources)
    if options.help:
        return _about(options)
    compiled = compile_request(request, options)
    if options.stage:
        show_stage(compiled, options.stage)
    elif options.output:
        try:
            Path(options.output).write_text(compiled.c, "utf-8")
        except OSError as problem:
            raise UsageError(f"-o: cannot write '{options.output}': {problem.strerror}") from None
    else:
        print(compiled.c, end="", flush=True)
    return 0


def _check(words: list[str], sources: list[Source]) -> int:
    """Compile and say nothing but what is wrong."""
    options, request = read_request(words, sources)
    if options.help:
        return _about(options)
    compile_request(request, options)
    return 0


def _format(words: list[str], sources: list[Source]) -> int:
    """Print a script in its canonical form."""
    options = read_options(words)
    if options.help or (options.program is None and len(options.words) != 1):
        raise UsageError("ebt fmt takes one script: ebt fmt FILE, or ebt fmt -e 'PROGRAM'")
    name = options.words[0] if options.program is None else "stdin"
    tool = find_tool(name) if options.program is None else None
    name = tool.path if tool else name
    sources.append(Source(name, read_script(name) if options.program is None else options.program))
    print(canonical(parse_file(sources[0])[0]), end="", flush=True)
    return 0


def _doctor(words: list[str], sources: list[Source]) -> int:
    options = read_options(words)
    if options.help:
        return _about(options)
    if options.words:
        raise UsageError("doctor takes no arguments")
    return doctor()


def _list(words: list[str], sources: list[Source]) -> int:
    options = read_options(words)
    return _about(options) if options.help else list_tools(options.words)


def _profile(words: list[str], sources: list[Source]) -> int:
    options = read_options(words)
    return _about(options) if options.help else profile(options.words, options.btf)


_COMMANDS: dict[str, Callable[[list[str], list[Source]], int]] = {
    "compile": _compile,
    "check": _check,
    "fmt": _format,
    "doctor": _doctor,
    "list": _list,
    "profile": _profile,
}

interrupts.loaded()
