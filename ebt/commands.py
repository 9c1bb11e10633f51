"""The commands beside a run, each a function of its words: compile, check, fmt, list, doctor, help …"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ebt.asked import read_script
from ebt.compiling import compile_for, compile_request, machine_for, resolved
from ebt.doctor import doctor
from ebt.explain import explanation
from ebt.listing import list_probes
from ebt.messages import WRONG, tell
from ebt.options import Options, UsageError, read_options
from ebt.profile import profile
from ebt.request import read_request
from ebt.show import show_stage
from ebt.tools import find_tool, list_tools
from ebt.tplist import tplist
from kernel.recorded import RecordedMachine
from lang.canonical import canonical
from lang.diagnostics import ScriptError
from lang.later import later
from lang.parser import parse_file
from lang.source import Source

if TYPE_CHECKING:
    from ebt import prompt
else:  # for ebt repl
    prompt = later("ebt.prompt")

VERSION = "0.1.0"
USAGE = """\
usage: ebt [options] TOOL|FILE [parameters]
       ebt [options] -e 'PROGRAM' [parameters]
       ebt list [WORD]
       ebt compile TOOL|FILE|-e 'PROGRAM' [--kernel PROFILE | --btf FILE] [-o FILE]
       ebt check TOOL|FILE|-e 'PROGRAM' [--kernel PROFILE | --btf FILE]
       ebt explain TOOL|FILE|-e 'PROGRAM' [--kernel PROFILE | --btf FILE] [-f json]
       ebt fmt TOOL|FILE|-e 'PROGRAM'
       ebt doctor [--kernel PROFILE]
       ebt repl
       ebt profile save FILE
       ebt -l [PATTERN]
       ebt tplist [-p PID] [-l LIB] [-v] [FILTER]

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
  --flame FILE     draw the script's stacks: an SVG picture to open in a browser
  --heatmap FILE   draw the script's histograms over time, likewise
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


def about(options: Options) -> int:
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
        return about(options)
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
        return about(options)
    compile_request(request, options)
    return 0


def _explain(words: list[str], sources: list[Source]) -> int:
    """Print what each probe comes to on a kernel; 1 where the script cannot run there."""
    options, request = read_request(words, sources)
    if options.help:
        return about(options)
    machine = machine_for(options, loads=False)
    if os.geteuid() != 0 and not options.kernel:
        tell("ebt: without root nothing can be tried here: every mechanism is taken to work")
    found = resolved(request, machine, options)
    try:
        compiled = compile_for(request, machine, options)
    except ScriptError as wrong:
        print(explanation(machine, found, None, options.format), flush=True)
        tell(str(wrong))
        return WRONG
    print(explanation(machine, found, compiled, options.format), flush=True)
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
        return about(options)
    if options.words:
        raise UsageError("doctor takes no arguments")
    return doctor(options.format, RecordedMachine(Path(options.kernel)) if options.kernel else None)


def _list(words: list[str], sources: list[Source]) -> int:
    options = read_options(words)
    return about(options) if options.help else list_tools(options.words)


def _repl(words: list[str], sources: list[Source]) -> int:
    options = read_options(words)
    if options.help:
        return about(options)
    if options.words or options.program is not None:
        raise UsageError("repl takes no script: type it at the prompt, or 'run FILE' there")
    return prompt.run_prompt(options)
def _profile(words: list[str], sources: list[Source]) -> int:
    options = read_options(words)
    return about(options) if options.help else profile(options.words, options.btf)


def _tplist(words: list[str], _sources: list[Source]) -> int:
    return tplist(words)


COMMANDS: dict[str, Callable[[list[str], list[Source]], int]] = {
    "compile": _compile,
    "check": _check,
    "fmt": _format,
    "doctor": _doctor,
    "explain": _explain,
    "list": _list,
    "repl": _repl,
    "profile": _profile,
    "tplist": _tplist,
}
