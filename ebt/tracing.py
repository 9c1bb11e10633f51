"""A program that is loaded, or is to be → its run: output, child, pictures, session.

Imported while clang compiles, or once a kept program was found: nothing before needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from codegen.plan import Plan
from ebt.kept import Ready
from ebt.messages import tell
from ebt.options import Options, UsageError
from kernel.ksyms import kernel_symbol
from runtime.attaching import attach_script
from runtime.jsonl import JsonWriter
from runtime.load import Loaded, LoadError, create_maps, load
from runtime.session import run as run_session
from runtime.text import Output, TextWriter, Writer
from runtime.usersymbols import user_symbol

if TYPE_CHECKING:
    import subprocess

    from runtime.pictures import Picture

__all__ = ["LoadError", "Loaded", "create_maps", "load", "run"]


def run(loaded: Loaded, ready: Ready, begun: Callable[[], object] | None = None) -> int:
    """Run to the end; the exit code. `begun` is called once everything is attached."""
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
            pictures=pictures, folded_text=options.folded_text, begun=begun,
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
