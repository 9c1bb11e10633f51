"""A script that was asked for → a whole run: compile it or take what was kept, load, attach, print, end."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from codegen.plan import Plan
from ebt import interrupts, kept
from ebt.asked import Asked
from ebt.kept import Ready
from ebt.messages import tell
from ebt.options import Options, UsageError
from kernel.ksyms import kernel_symbol
from kernel.mounts import private_tracefs
from lang.source import Source
from runtime.attaching import attach_script
from runtime.jsonl import JsonWriter
from runtime.load import Loaded, LoadError, load
from runtime.session import run as run_session
from runtime.text import Output, TextWriter, Writer
from runtime.usersymbols import user_symbol

if TYPE_CHECKING:
    import subprocess

    from ebt.compiling import Built
    from kernel.live import LiveMachine
    from kernel.typetable import TypeTable
    from runtime.bpf import Compiler
    from runtime.pictures import Picture

NEEDS_ROOT = "tracing needs root (or CAP_BPF and CAP_PERFMON); 'ebt compile' works without"


def run_asked(asked: Asked, sources: list[Source]) -> int:
    """Run the script until it ends. Raises what ebt.failures describes, and About."""
    found = _load_kept(asked, sources)
    if found is None:
        found = _load_built(asked, sources)
    if found is None:
        return 0
    ready, loaded = found
    with loaded:
        return _run(loaded, ready)


def _load_kept(asked: Asked, sources: list[Source]) -> tuple[Ready, Loaded] | None:
    """Load what was compiled before; None where it must be compiled (again)."""
    if os.geteuid() != 0 or asked.front.verbose or asked.front.stage:
        return None
    ready = kept.find(asked)
    if ready is None:
        return None
    sources.append(asked.source)
    require_process(ready.options.pid)
    with interrupts.fatal():
        private_tracefs()
        try:
            loaded = load(ready.plan, ready.object, _TypesOnDemand())
        except LoadError:  # compiled anew it may do; if not, the message knows the C
            kept.forget(asked)
            sources.clear()
            return None
    if ready.options.warnings:
        for text in ready.warnings:
            tell(text)
    return ready, loaded


def _load_built(asked: Asked, sources: list[Source]) -> tuple[Ready, Loaded] | None:
    """Compile and load. The compiler's process starts first: it opens clang while we import the front end."""
    with interrupts.fatal():
        compiler_class: type[Compiler] = import_module("runtime.bpf").Compiler
        with compiler_class() as compiler:
            built: Built | None = import_module("ebt.compiling").build(asked, compiler, sources)
    if built is None:
        return None
    loaded = load(built.ready.plan, built.ready.object, built.machine, built.compiled.c)  # type: ignore[arg-type]
    if built.lasting:
        kept.keep(asked, built.ready)
    return built.ready, loaded


class _TypesOnDemand:
    """This kernel's types, for programs that are bound to a function: opened when the first one asks."""

    @property
    def types(self) -> TypeTable:
        machine: LiveMachine = import_module("kernel.live").LiveMachine()
        return machine.types


def require_process(pid: int) -> None:
    """The process of -p lives. Raises UsageError."""
    if pid and not os.path.isdir(f"/proc/{pid}"):
        raise UsageError(f"-p: there is no process {pid}")


def _run(loaded: Loaded, ready: Ready) -> int:
    options = ready.options
    out_fd = _open_output(options)
    buffering = options.buffering
    writer: Writer
    out, messages = Output(out_fd, buffering), Output(2)
    if options.format == "json":
        writer = JsonWriter(out, messages, quiet=options.quiet, warnings=options.warnings)
    else:
        writer = TextWriter(out, messages, quiet=options.quiet, warnings=options.warnings)
    pictures = _pictures(ready)
    if options.dry_run:
        return _dry_run(loaded, ready.plan, writer)
    child = _start(options.command) if options.command is not None else None
    try:
        code = run_session(
            loaded, ready.plan, writer, child=child, pid=options.pid or None,
            reader_fd=out_fd if out_fd == 1 else None, kernel_symbol=kernel_symbol, user_symbol=user_symbol,
            pictures=pictures, folded_text=options.folded_text,
        )  # fmt: skip
    finally:
        if child is not None:
            import_module("runtime.child").end_child(child)
    for picture in pictures:
        if picture.told and not options.quiet:
            tell(picture.told)
    return code


def _open_output(options: Options) -> int:
    if not options.output:
        return 1
    try:
        return os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as problem:
        raise UsageError(f"-o: cannot write '{options.output}': {problem.strerror}") from None


def _pictures(ready: Ready) -> list[Picture]:
    """What --flame and --heatmap ask for. Raises UsageError where they cannot be made."""
    if not ready.options.flame and not ready.options.heatmap:
        return []
    pictures: list[Picture] = import_module("ebt.drawing").pictures_of(ready)
    return pictures


def _dry_run(loaded: Loaded, plan: Plan, writer: Writer) -> int:
    writer.attached(attach_script(loaded, plan, writer))
    writer.flush()
    return 0


def _start(command: str) -> subprocess.Popen[bytes]:
    module = import_module("runtime.child")  # most runs have no child, and need not pay for it
    try:
        child: subprocess.Popen[bytes] = module.start_child(command)
    except module.ChildError as problem:
        raise UsageError(str(problem)) from None
    return child
