"""A script that was asked for → a program ready to load, compiled here or for another kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from codegen.entry import MISSED
from codegen.pipeline import Compiled, compile_script
from codegen.plan import Plan
from ebt import kept
from ebt.asked import About, Asked
from ebt.kept import Ready
from ebt.machines import choose_machine
from ebt.messages import tell
from ebt.options import Options, UsageError
from ebt.request import Request, parse_request
from ebt.run import NEEDS_ROOT, require_process
from ebt.tools import tool_of
from kernel.mounts import private_tracefs
from lang.ast import Script
from lang.check import resolutions
from lang.diagnostics import Diagnostic, ScriptError
from lang.later import later
from lang.machine import Machine, SourceLine, UserFunction, UserProbe
from lang.options import Given, values_for, wanted
from lang.parser import parse
from lang.probes import BY_NAME
from lang.records import dataclass, replace
from lang.resolution import Resolution
from lang.source import Source
from runtime.bpf import Compiler
from runtime.fitting import compile_fitting

if TYPE_CHECKING:
    from ebt import explain, show
    from kernel import resolve
else:  # for some options only
    explain, show, resolve = map(later, ("ebt.explain", "ebt.show", "kernel.resolve"))


@dataclass(frozen=True)
class Built:
    """A program with what compiling it gave beside: for messages, and for keeping it."""

    ready: Ready
    compiled: Compiled
    machine: Machine
    lasting: bool  # whether the same words give the same program while nothing in `ready.files` changes


def build(
    asked: Asked, compiler: Compiler, sources: list[Source], meanwhile: Callable[[Plan], None],
    without: tuple[str, ...] = (),
) -> Built | None:  # fmt: skip
    """Compile what was asked for, for this kernel; None where only a stage was to be shown.

    `meanwhile` is called with the plan while clang compiles. `without` are features that a first attempt
    found not to serve: that one has warned already. Raises what ebt.failures describes, and About for words
    that ask for something else than a run.
    """
    started = time.monotonic()
    named: list[tuple[str, str, int | str]] = []
    options, request = parse_request(asked, sources, partial(_resolve_and_note, named))
    if options.help or options.version or options.list:
        raise About(options)
    _refuse(options)
    private_tracefs()
    able = replace(options, without=(*options.without, *without))
    machine = Noting(choose_machine(able, loads=True, privileged=True))
    compiled = compile_for(request, machine.as_machine, options)
    shown = _shown(compiled, request, options)
    if not without:
        _warn(shown, options)
    if options.stage:
        show.show_stage(compiled, options.stage)
        return None
    _require_probes(compiled, request)
    _require_maps(compiled, options)
    front = time.monotonic()
    compiler.meanwhile = partial(meanwhile, compiled.plan)
    compiled, code = compile_fitting(
        compiled, partial(compile_for, request, machine.as_machine, options), compiler, request.source.name
    )
    if options.verbose:
        _tell_times(compiled, started, front)
    warnings = tuple(item.render() for item in shown)
    files = kept.stamps([*kept.imported(sources), *machine.files, *([options.btf] if options.btf else [])])
    plan = compiled.plan if options.verbose else _of_tool(compiled.plan)
    ready = Ready(options, plan, code.to_bytes(), warnings, files, tuple(named))
    return Built(ready, compiled, machine.machine, machine.lasting)


def _resolve_and_note(named: list[tuple[str, str, int | str]], kind: str, text: str) -> int | str:
    number = resolve.resolve(kind, text)
    named.append((kind, text, number))
    return number


def _refuse(options: Options) -> None:
    """What can be refused before compiling. Raises UsageError."""
    if options.kernel:
        raise UsageError("--kernel compiles for another kernel: use ebt compile")
    if os.geteuid() != 0:
        raise UsageError(NEEDS_ROOT)
    require_process(options.pid)


def compile_request(request: Request, options: Options) -> Compiled:
    """Compile without running: for this kernel, or the one that the options name."""
    compiled = compile_for(request, machine_for(options, loads=False), options)
    _require_maps(compiled, options)
    _warn(_shown(compiled, request, options), options)
    return compiled


def resolved(request: Request, machine: Machine, options: Options) -> tuple[Resolution, ...]:
    """What each attach point of the script comes to on a machine. Raises ScriptError as for compiling."""
    script = request.input if isinstance(request.input, Script) else parse(request.input)
    return resolutions(
        script, machine, request.parameters, dict(os.environ), options.pid, request.options
    )


def compile_for(
    request: Request, machine: Machine, options: Options, environment: Mapping[str, str] | None = None
) -> Compiled:
    """Compile for a machine; `environment` comes before the process's own."""
    return compile_script(
        request.input,
        machine,
        request.parameters,
        {**os.environ, **(environment or {})},
        options.pid,
        options.unsafe,
        request.options,
    )


def _shown(compiled: Compiled, request: Request, options: Options) -> tuple[Diagnostic, ...]:
    """The warnings to show: a tool's probes that a kernel may well lack are told with -v alone."""
    quiet = not options.verbose and bool(tool_of(request.source.name))
    return tuple(item for item in compiled.warnings if not (quiet and item.lack))


def _warn(warnings: tuple[Diagnostic, ...], options: Options) -> None:
    if options.warnings:
        for item in warnings:
            tell(item.render())


def _of_tool(plan: Plan) -> Plan:
    """A standard tool's plan: calls that were under way when it was attached are not the user's concern."""
    failures = tuple(
        replace(item, expected=item.text == MISSED and bool(tool_of(item.place.file)))
        for item in plan.failures
    )
    return replace(plan, failures=failures)


def _require_probes(compiled: Compiled, request: Request) -> None:
    """A .bt script may do without some of its probes; without any it would print nothing for ever."""
    if any(program.kind != "special" for program in compiled.plan.programs):
        return
    values = values_for(compiled.script.options, request.options)
    for probe in wanted(compiled.script, Given(request.parameters, values)):
        for point in probe.attach_points:
            kind = BY_NAME.get(point.provider.lower())
            if not point.optional and kind is not None and not kind.special:
                message = "no probe of the script can be attached here"
                raise ScriptError([Diagnostic("error", point.span, message)])


def _require_maps(compiled: Compiled, options: Options) -> None:
    """What --flame and --heatmap are to show is there. Raises UsageError."""
    if options.flame or options.heatmap:
        import_module("ebt.drawing").require_maps(compiled.plan, options)


def _tell_times(compiled: Compiled, started: float, front: float) -> None:
    for program in compiled.plan.programs:
        for point in program.attach[:50]:
            tell(f"attaching {point.label} by {explain.way_of(program, point)}")
    now = time.monotonic()
    tell(f"compiled in {(front - started) * 1000:.0f} ms, clang and load in {(now - front) * 1000:.0f} ms")


def machine_for(options: Options, *, loads: bool) -> Machine:
    """The machine for commands that only ask or compile."""
    root = os.geteuid() == 0
    if root and not options.kernel:
        private_tracefs()
    return choose_machine(options, loads=loads, privileged=root)


# What does not change while this boot lasts and its modules stay, which the cache's key names.
_OF_THIS_BOOT = {
    "arch", "constant", "cpus", "enum", "enum_values", "fields", "function", "functions", "knows_symbols",
    "pid_namespace", "raw_tracepoint", "raw_tracepoints", "struct", "supports", "symbol", "syscall_arguments",
    "syscall_prefix", "title", "tracepoint", "tracepoints", "typedef", "unloaded_module",
    "without_kprobes", "ambiguous",
}  # fmt: skip


class Noting:
    """A machine that notes which files the compiler asked about: a program kept is good while they stay."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.files: list[str] = []
        self.lasting = True

    @property
    def as_machine(self) -> Machine:
        """Itself: the rest of the protocol is the machine's own."""
        return cast(Machine, self)

    def __getattr__(self, name: str) -> Any:
        if name not in _OF_THIS_BOOT:
            self.lasting = False
        return getattr(self.machine, name)

    def binary(self, name: str, pid: int = 0) -> str | None:
        """As the machine's. A library's path comes from the loader's cache."""
        path = self.machine.binary(name, pid)
        self.files += ["/etc/ld.so.cache", *([path] if path else [name])]
        self.lasting = self.lasting and not pid
        return path

    def user_functions(self, path: str, name: str) -> tuple[UserFunction, ...]:
        """As the machine's."""
        self.files.append(path)
        return self.machine.user_functions(path, name)

    def cpp_functions(self, path: str, name: str) -> tuple[UserFunction, ...] | None:
        """As the machine's."""
        self.files.append(path)
        return self.machine.cpp_functions(path, name)

    def source_line(self, path: str, file: str, line: int, column: int) -> SourceLine:
        """As the machine's; the line numbers may be in another file."""
        self.lasting = False
        return self.machine.source_line(path, file, line, column)

    def user_probes(self, path: str, provider: str, name: str) -> tuple[UserProbe, ...]:
        """As the machine's."""
        self.files.append(path)
        return self.machine.user_probes(path, provider, name)

    def mapped_files(self, pid: int, name: str) -> tuple[str, ...]:
        """As the machine's; what a process has mapped changes without a trace."""
        self.lasting = False
        return self.machine.mapped_files(pid, name)
