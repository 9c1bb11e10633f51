"""The command line → an exit code: which command, which script, and every failure as one message."""

from __future__ import annotations

from ebt import interrupts  # isort: split

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from codegen.pipeline import compile_script
from ebt.doctor import doctor
from ebt.failures import WRONG, describe, tell
from ebt.listing import list_probes
from ebt.options import Options, UsageError, read_options
from ebt.run import machine_for, run_script
from ebt.show import show_stage
from lang.source import Source

VERSION = "0.1.0"
MAX_SCRIPT_BYTES = 64 << 20
USAGE = """\
usage: ebt [options] FILE [parameters]
       ebt [options] -e 'PROGRAM' [parameters]
       ebt compile FILE|-e 'PROGRAM' [--kernel PROFILE | --btf FILE] [-o FILE]
       ebt doctor
       ebt -l [PATTERN]

FILE is a script (.ebt or .bt); - reads it from standard input.

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
    source: list[Source] = []
    verbose = "-v" in words
    try:
        return _command(words, source)
    except UsageError as wrong:
        tell(f"ebt: error: {wrong}")
        return WRONG
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that no exit handler writes to the pipe again
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as problem:
        told = describe(problem, source[0] if source else None, verbose)
        if told is None:
            raise
        tell(told[0])
        return told[1]


def _command(words: list[str], source: list[Source]) -> int:
    commands: dict[str, Callable[[Options, list[Source]], int]] = {"compile": _compile, "doctor": _doctor}
    command = commands.get(words[0]) if words else None
    options = read_options(words[1:] if command else words)
    if options.help:
        print(USAGE, end="")
        return 0
    if options.version:
        print(f"ebt v{VERSION}")
        return 0
    if command is not None:
        return command(options, source)
    if options.list:
        return list_probes(
            machine_for(options, loads=True), options.words[0] if options.words else "", options.verbose
        )
    if options.kernel:
        raise UsageError("--kernel compiles for another kernel: use ebt compile")
    script, parameters = _script(options)
    source.append(script)
    return run_script(script, parameters, options)


def _script(options: Options) -> tuple[Source, tuple[str, ...]]:
    """The script and its positional parameters."""
    if options.program is not None:
        return Source("stdin", options.program), tuple(options.words)
    if not options.words:
        raise UsageError("no script: give a file, or a program with -e; see ebt --help")
    name, *parameters = options.words
    return Source(name if name != "-" else "stdin", _read(name)), tuple(parameters)


def _read(name: str) -> str:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_SCRIPT_BYTES)
        else:
            with open(name, "rb") as file:
                data = file.read(MAX_SCRIPT_BYTES)
    except OSError as problem:
        raise UsageError(f"cannot read '{name}': {problem.strerror}") from None
    return data.decode("utf-8", "surrogateescape")


def _compile(options: Options, source: list[Source]) -> int:
    script, parameters = _script(options)
    source.append(script)
    machine = machine_for(options, loads=False)
    compiled = compile_script(script, machine, parameters, dict(os.environ), options.pid, options.unsafe)
    for item in compiled.warnings if options.warnings else ():
        tell(item.render())
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


def _doctor(options: Options, source: list[Source]) -> int:
    if options.words:
        raise UsageError("doctor takes no arguments")
    return doctor()


interrupts.loaded()
