"""A script and options → a whole run: compile, load, attach, print, end; the exit code."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from codegen.pipeline import Compiled, compile_script
from ebt import interrupts
from ebt.failures import WRONG, tell
from ebt.machines import choose_machine
from ebt.options import Options, UsageError
from ebt.request import Request
from ebt.show import show_stage
from kernel.ksyms import kernel_symbol
from kernel.tracefs import private_tracefs
from lang.diagnostics import Diagnostic, ScriptError
from lang.machine import Machine
from lang.options import Given, values_for, wanted
from lang.probes import BY_NAME
from runtime.attaching import attach_script
from runtime.bpf import Compiler, user_symbol
from runtime.jsonl import JsonWriter
from runtime.load import Loaded, load
from runtime.session import run as run_session
from runtime.text import Output, TextWriter, Writer

if TYPE_CHECKING:
    import subprocess

# Starts stopped, so that the probes see it from its first instruction: like bpftrace's -c.
_STOPPED = 'kill -STOP $$; exec "$@"'


def run_script(request: Request, options: Options) -> int:
    """Run the script until it ends. Raises what ebt.failures describes."""
    started = time.monotonic()
    if os.geteuid() != 0:
        tell("ebt: error: tracing needs root (or CAP_BPF and CAP_PERFMON); 'ebt compile' works without")
        return WRONG
    if options.pid and not os.path.isdir(f"/proc/{options.pid}"):
        raise UsageError(f"-p: there is no process {options.pid}")
    with interrupts.fatal(), Compiler() as compiler:
        private_tracefs()
        machine = choose_machine(options, loads=True, privileged=True)
        compiled = _compile(request, machine, options)
        _warn(compiled, options)
        if options.stage:
            show_stage(compiled, options.stage)
            return 0
        _require_probes(compiled, request)
        front = time.monotonic()
        obj = compiler.compile(compiled.c, request.source.name, map_names=compiled.plan.named)
    with load(compiled.plan, obj, machine, compiled.c) as loaded:  # type: ignore[arg-type]
        if options.verbose:
            _tell_times(compiled, started, front)
        return _run(loaded, compiled, options)


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


def compile_request(request: Request, options: Options) -> Compiled:
    """Compile without running: for this kernel, or the one that the options name."""
    compiled = _compile(request, machine_for(options, loads=False), options)
    _warn(compiled, options)
    return compiled


def _compile(request: Request, machine: Machine, options: Options) -> Compiled:
    return compile_script(
        request.input,
        machine,
        request.parameters,
        dict(os.environ),
        options.pid,
        options.unsafe,
        request.options,
    )


def _warn(compiled: Compiled, options: Options) -> None:
    if options.warnings:
        for item in compiled.warnings:
            tell(item.render())


def _tell_times(compiled: Compiled, started: float, front: float) -> None:
    for program in compiled.plan.programs:
        for point in program.attach[:50]:
            tell(f"attaching {point.label}" + (" (its entry)" if program.hidden else ""))
    now = time.monotonic()
    tell(f"compiled in {(front - started) * 1000:.0f} ms, clang and load in {(now - front) * 1000:.0f} ms")


def _run(loaded: Loaded, compiled: Compiled, options: Options) -> int:
    out_fd = _open_output(options)
    buffering = options.buffering
    writer: Writer
    out, messages = Output(out_fd, buffering), Output(2)
    if options.format == "json":
        writer = JsonWriter(out, messages, quiet=options.quiet, warnings=options.warnings)
    else:
        writer = TextWriter(out, messages, quiet=options.quiet, warnings=options.warnings)
    if options.dry_run:
        return _dry_run(loaded, compiled, writer)
    child = _start_child(options.command) if options.command is not None else None
    try:
        return run_session(
            loaded, compiled.plan, writer, child=child, pid=options.pid or None,
            reader_fd=out_fd if out_fd == 1 else None, kernel_symbol=kernel_symbol, user_symbol=user_symbol,
        )  # fmt: skip
    finally:
        if child is not None:
            _end_child(child)


def _open_output(options: Options) -> int:
    if not options.output:
        return 1
    try:
        return os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as problem:
        raise UsageError(f"-o: cannot write '{options.output}': {problem.strerror}") from None


def _dry_run(loaded: Loaded, compiled: Compiled, writer: Writer) -> int:
    writer.attached(attach_script(loaded, compiled.plan, writer))
    writer.flush()
    return 0


def _start_child(command: str) -> subprocess.Popen[bytes]:
    import shutil
    import subprocess  # only for -c: they take 3 ms

    words = command.split()
    if not words:
        raise UsageError("-c: the command is empty")
    path = shutil.which(words[0])
    if path is None:
        raise UsageError(f"-c: there is no command '{words[0]}'")
    child = subprocess.Popen(["/bin/sh", "-c", _STOPPED, "sh", path, *words[1:]], close_fds=True)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    return child


def _end_child(child: subprocess.Popen[bytes]) -> None:
    """The run is over before the child: it is ended too, as bpftrace does."""
    import subprocess

    if child.poll() is None:
        for number in (signal.SIGTERM, signal.SIGCONT):
            os.kill(child.pid, number)
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def machine_for(options: Options, *, loads: bool) -> Machine:
    """The machine for commands that only ask or compile."""
    root = os.geteuid() == 0
    if root and not options.kernel:
        private_tracefs()
    return choose_machine(options, loads=loads, privileged=root)
