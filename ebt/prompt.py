"""`ebt repl`: the prompt with this machine, this compiler and these tools behind it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from glob import glob
from importlib import import_module
from pathlib import Path
from typing import cast

from codegen.pipeline import Compiled, compile_script
from ebt import failures, show
from ebt.asked import ShowHelp, read_script
from ebt.doctor import doctor
from ebt.explain import explanation
from ebt.imports import Imports
from ebt.machines import WithoutFeatures
from ebt.messages import WRONG, tell
from ebt.options import Options, UsageError
from ebt.request import Request, find_script, parse_request
from ebt.run import NEEDS_ROOT, require_process
from ebt.tools import all_tools, find_tool
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from kernel.recorded import RecordedMachine
from lang.ast import Script
from lang.command_line import help_text
from lang.machine import Machine
from lang.parser import parse
from lang.records import dataclass
from lang.resolution import Resolution
from lang.source import Source
from repl.display import Display
from repl.editor import edit
from repl.jobs import Jobs
from repl.plain import Plain, write
from repl.shell import Shell
from repl.state import State
from repl.status import Resolver
from runtime.bpf import Compiler
from runtime.child import ChildError
from runtime.compileserver import CompileServer
from runtime.fitting import compile_fitting
from runtime.object import Object

_DUMB = ("", "dumb", "unknown")
_MOST_FILES = 200


@dataclass(frozen=True, eq=False)
class Prepared:
    """A compiled program, ready to load, as repl.host has it."""

    title: str
    compiled: Compiled
    code: Object
    machine: Machine
    pid: int = 0
    command: str | None = None
    otherwise: Callable[[], Prepared | None] | None = None


class ThisMachine:
    """repl.host.Host over the same stages as the command line."""

    def __init__(self, unsafe: bool) -> None:
        self._live = LiveMachine()
        self._unsafe = unsafe
        self.machine: Machine = self._live
        self._sources: list[Source] = []
        self._last: tuple[tuple[str, Source | None, Machine], Compiled] | None = None

    def compile(self, text: str, before: Source | None) -> Compiled:
        """A program, checked and lowered for the machine chosen. What was asked last is remembered."""
        last = self._last
        if last is not None and last[0] == (text, before, self.machine):
            return last[1]
        compiled = self._compile(text, before, self.machine, {})
        self._last = (text, before, self.machine), compiled
        return compiled

    def _compile(
        self, text: str, before: Source | None, machine: Machine, environment: Mapping[str, str]
    ) -> Compiled:
        source = Source("input", text)
        sources = [source, *([before] if before else [])]
        script = parse(source, Imports(sources), before)
        self._sources = sources
        return compile_script(script, machine, (), {**os.environ, **environment}, 0, self._unsafe, {})

    def prepare(self, text: str, before: Source | None) -> Prepared:
        """A program, compiled to instructions for the running kernel."""
        first = partial(self.compile, text, before)
        return self._prepared(text, first, partial(self._compile, text, before), "input")

    def _prepared(
        self, title: str, first: Callable[[], Compiled],
        compile: Callable[[Machine, Mapping[str, str]], Compiled], name: str,
        pid: int = 0, command: str | None = None,
    ) -> Prepared:  # fmt: skip
        """Compiled to instructions; `otherwise` reads each member by a helper, where that makes other C."""
        with Compiler() as compiler:
            compiled, code = compile_fitting(first(), partial(compile, self._live), compiler, name)

        def otherwise() -> Prepared | None:
            again = partial(compile, self._helped())
            other = again({})
            if other.c == compiled.c:
                return None
            with Compiler() as compiler:
                other, code = compile_fitting(other, again, compiler, name)
            return Prepared(title, other, code, self._live, pid, command)

        return Prepared(title, compiled, code, self._live, pid, command, otherwise)

    def _helped(self) -> Machine:
        return cast(Machine, WithoutFeatures(self._live, ("direct_loads",)))

    def prepare_tool(self, words: Sequence[str]) -> Prepared:
        """A tool or a script with its options, as on the command line."""
        sources: list[Source] = []
        try:
            options, request = parse_request(find_script(words), sources)
        except ShowHelp as shown:
            raise UsageError(str(shown).rstrip()) from None
        _refuse(options)
        self._sources = sources
        pid = options.pid or _traced_process(request)

        compile = partial(self._compile_request, request, options)
        first = partial(compile, self._live, {})
        return self._prepared(" ".join(words), first, compile, request.source.name, pid, options.command)

    def _compile_request(
        self, request: Request, options: Options, machine: Machine, environment: Mapping[str, str]
    ) -> Compiled:
        return compile_script(
            request.input, machine, request.parameters, {**os.environ, **environment}, options.pid,
            options.unsafe or self._unsafe, request.options,
        )  # fmt: skip

    def choose_kernel(self, profile: str) -> None:
        """Compile for a recorded kernel from now on; for the running one with an empty name."""
        self.machine = RecordedMachine(Path(profile)) if profile else self._live

    def about_kernel(self) -> str:
        """What `ebt doctor` says of this machine, or of the recorded one."""
        profile = self.machine if isinstance(self.machine, RecordedMachine) else None
        text = io.StringIO()
        with redirect_stdout(text):
            doctor("text", profile)
        return text.getvalue()

    def tools(self, word: str) -> list[tuple[str, str]]:
        """(name, summary) of the tools that the word finds."""
        asked = word.lower()
        return [
            (tool.name, tool.summary)
            for tool in all_tools()
            if asked == tool.subject or asked in tool.name or asked in tool.summary.lower()
        ]

    def tool_help(self, name: str) -> str | None:
        """A tool's page; None where there is no tool of that name."""
        script = _tool_script(name)
        return help_text(script, name).rstrip() if script is not None else None

    def tool_flags(self, name: str) -> list[tuple[str, str]]:
        """(flag, description) of a tool's options."""
        script = _tool_script(name)
        options = script.options if script is not None else ()
        return [(flag, option.description) for option in options for flag in option.flags]

    def explain(self, compiled: Compiled) -> str:
        """What each probe of a program resolves to."""
        return explanation(compiled.checked.machine, compiled.checked.resolutions, compiled, "text")

    def resolved(self, point: str) -> str:
        """One line about an attach point. Raises ScriptError where it cannot be attached."""
        compiled = compile_script(Source("input", f"{point} {{ }}"), self.machine)
        return in_short(point, compiled.checked.resolutions)

    def stage(self, compiled: Compiled, stage: str) -> str:
        """ast, plan or codegen of a compiled program."""
        return {"ast": show.tree(compiled.script), "plan": show.plan(compiled)}.get(stage, compiled.c)

    def describe(self, problem: Exception) -> str | None:
        """The message of an expected failure; None for a bug."""
        if isinstance(problem, UsageError | ChildError):
            return f"error: {problem}"
        told = failures.describe(problem, self._sources, False)
        return told[0] if told is not None else None


def in_short(point: str, found: Sequence[Resolution]) -> str:
    """`fexit:vfs_read → kretprobe`: what the first attach point came to; another place is named too."""
    taken = [
        candidate
        for item in found[:1]
        if item.chosen is not None
        for candidate in item.choices[item.chosen].candidates
        if not candidate.reason
    ]
    places = [
        item.mechanism if point.endswith(f":{item.place}") else f"{item.mechanism} {item.place}".strip()
        for item in taken
    ]
    points = sum(item.choices[item.chosen].points for item in found[:1] if item.chosen is not None)
    many = f", {points:,} points" if points > 1 else ""
    return f"{point} → {' + '.join(places) or 'attached'}{many}"


def _refuse(options: Options) -> None:
    """The flags of a run that a job cannot have. Raises UsageError."""
    wrong = {
        "-f": options.format != "text", "-o": bool(options.output), "-d": bool(options.stage),
        "--dry-run": options.dry_run, "--kernel": bool(options.kernel), "--btf": bool(options.btf),
        "--no-feature": bool(options.without), "-B": options.buffering != "auto",
        "--flame": bool(options.flame), "--heatmap": bool(options.heatmap),
    }  # fmt: skip
    for flag, given in wrong.items():
        if given:
            raise UsageError(f"{flag} is not for a job of the prompt: use ebt in a shell")
    require_process(options.pid)


def _traced_process(request: Request) -> int:
    """The process that a script's own option names: a job has no work left once it is gone. 0 for all."""
    options = request.script.options if request.script else ()
    return next((int(request.options.get(item.name, 0)) for item in options if item.kind == "pid"), 0)


def _tool_script(name: str) -> Script | None:
    tool = find_tool(name)
    if tool is None:
        return None
    source = Source(tool.path, read_script(tool.path))
    return parse(source, Imports([source]))


# --- the session


def run_prompt(options: Options) -> int:
    """Read programs and commands until the user leaves."""
    if os.geteuid() != 0:
        tell(f"ebt: error: {NEEDS_ROOT}")
        return WRONG
    server = CompileServer()
    private_tracefs()
    try:
        host = ThisMachine(options.unsafe)
        interactive = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in _DUMB
        return _in_terminal(host) if interactive else _in_pipe(host)
    finally:
        server.close()


def _in_pipe(host: ThisMachine) -> int:
    display = Display(write)
    jobs = Jobs(display.show)
    shell = Shell(State(host, jobs, lambda text: write(text + "\n"), edit, flush=display.flush))
    display.start(lambda: len(jobs.all) > 1)
    try:
        return Plain(shell, display, sys.stdin, prompt=sys.stdin.isatty()).run()
    finally:
        jobs.stop_all()
        display.close()


def _in_terminal(host: ThisMachine) -> int:
    terminal = import_module("repl.terminal")  # prompt_toolkit takes its time, and pipes do without it
    sys.setswitchinterval(0.001)  # a job that prints much must not hold up what is typed
    run: int = terminal.session(host, Resolver(host.resolved), _files)
    return run


def _files(word: str) -> list[str]:
    """Files and folders that begin with the word."""
    found = sorted(glob(f"{os.path.expanduser(word)}*"))[:_MOST_FILES]
    return [f"{path}/" if os.path.isdir(path) else path for path in found]
