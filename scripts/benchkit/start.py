"""Part 1: programs started → time to attached and to the end, processor, memory; new, again, after boot."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchkit.run import BenchError, Sample, Tracer, attached, in_turn, memory
from benchkit.setup import SetUp, each
from benchkit.table import Row

ROOT = Path(__file__).resolve().parents[2]
COUNT = "tracepoint:syscalls:sys_enter_openat { @[pid] = count(); }"
PROGRAMS = {
    "one-liner (count opens by pid)": COUNT,
    "a line for each call (printf)": 'tracepoint:syscalls:sys_enter_sync { printf("%d %s\\n", pid, comm); }',
    "10 probes": " ".join(
        f"tracepoint:syscalls:sys_enter_{name} {{ @{name}[comm] = count(); }}"
        for name in ("read", "write", "openat", "close", "fsync", "mmap", "munmap", "ioctl", "dup", "sync")
    ),
}
TOOLS = ("opensnoop", "biolatency", "syscount", "runqlat")
Command = Callable[[Tracer], list[str]]


def start(setup: SetUp) -> list[Row]:
    """Each program compiled anew by ebt, and once more; beside it what the others take."""
    rows = []
    programs = dict(list(PROGRAMS.items())[:1]) if setup.quick else PROGRAMS
    for what, text in programs.items():
        rows += _program(setup, what, text)
    for tool in TOOLS[:1] if setup.quick else TOOLS:
        rows += _tool(setup, tool)
    return rows


def _program(setup: SetUp, what: str, text: str) -> list[Row]:
    bcc = setup.peers.bcc("count by pid") if text == COUNT else ()
    originals = setup.peers.original("syscount") if text == COUNT else ()

    def command(tracer: Tracer) -> list[str]:
        if tracer.family == "BCC":
            return list(tracer.command)
        return tracer.program(f"{text} // {time.time_ns()}" if tracer.name == "ebt" else text)

    fresh = (setup.peers.ebt, *setup.peers.bpftraces, *bcc, *originals)
    rows = _rows(setup, f"{what}: new", fresh, command, 0.7, 0.1)
    ebt = setup.peers.ebt
    return rows + _again(setup, what, fresh, rows, lambda tracer: ebt.program(text), 0.35, 0.5)


def _tool(setup: SetUp, tool: str) -> list[Row]:
    script = next((ROOT / "stdlib").glob(f"*/{tool}.ebt"))

    def changed(_: Tracer) -> list[str]:
        """A script of this text has not been run yet; its imports stay where they are."""
        path = script.parent / f".bench-{os.getpid()}.ebt"
        path.write_text(f"{script.read_text()}// {time.time_ns()}\n")
        return [*setup.peers.ebt.command, str(path)]

    def command(tracer: Tracer) -> list[str]:
        if tracer.family == "ebt":
            return changed(tracer)
        return list(tracer.command) if tracer.family == "BCC" else [*tracer.command, _twin(tracer, tool)]

    peers = [tracer for tracer in setup.peers.bpftraces if _starts(setup, tracer, tool)]
    fresh = (setup.peers.ebt, *peers, *setup.peers.original(tool))
    try:
        rows = _rows(setup, f"{tool}: new", fresh, command, 0.7, 0.1)
    finally:
        (script.parent / f".bench-{os.getpid()}.ebt").unlink(missing_ok=True)
    ebt = setup.peers.ebt
    return rows + _again(setup, tool, fresh, rows, lambda tracer: [*ebt.command, tool], 0.35, 0.5)


def _twin(tracer: Tracer, tool: str) -> str:
    return str(Path(tracer.command[-1]).parent.parent / f"sbin/{tool}.bt")


def _starts(setup: SetUp, tracer: Tracer, tool: str) -> bool:
    """Whether the .bt twin can be attached on this kernel at all."""

    def once() -> bool:
        if not os.path.exists(_twin(tracer, tool)):
            raise BenchError("there is no such tool")
        with attached(tracer, [*tracer.command, _twin(tracer, tool)]):
            return True

    return bool(setup.attempt(f"{tool}.bt of {tracer.name}", once))


def _again(
    setup: SetUp, what: str, fresh: Sequence[Tracer], rows: Sequence[Row], command: Command, wall: float,
    peak: float,
) -> list[Row]:  # fmt: skip
    """ebt's second run of the same text, beside what the others have just taken: they keep nothing."""
    found = _rows(setup, f"{what}: again", fresh[:1], command, wall, 0.1, peak)
    peers = [tracer.name for tracer in fresh[1:]]
    result = []
    for row, old in zip(found, rows, strict=True):
        theirs = {name: old.values[name] for name in peers if name in old.values}
        result.append(replace(row, values={**row.values, **theirs}))
    return result


def _rows(
    setup: SetUp, what: str, tracers: Sequence[Tracer], command: Command, wall: float, bcc: float,
    peak: float = 0.9,
) -> list[Row]:  # fmt: skip
    setup.progress(f"start: {what}")

    def once(tracer: Tracer) -> Sample:
        with attached(tracer, command(tracer)) as running:
            pass
        return running.stop()

    in_turn(1, tracers, once)  # to warm up
    found = in_turn(3, tracers, once)
    sizes = in_turn(1, tracers, lambda tracer: memory(tracer, command(tracer)))
    return [
        Row(what, "start to attached", "ms", each(found, lambda one: one.to_attached * 1000),
            {"bpftrace": wall, "BCC": bcc}),
        Row(what, "processor, start to end", "ms", each(found, lambda one: one.cpu * 1000)),
        Row(what, "peak memory, the process", "MiB", each(sizes, lambda size: size[0] / 1024),
            {"bpftrace": peak, "BCC": 0.9}),
        Row(what, "peak memory, with its children", "MiB", each(sizes, lambda size: size[1] / 1024)),
    ]  # fmt: skip


def after_boot(setup: SetUp) -> list[Row]:
    """The first use after a boot, when no file is in memory; and the first ever, with no cache of ebt's."""
    rows = []
    for what, ever in (("the first use after a boot", False), ("the first use ever", True)):
        setup.progress(what)

        def once(tracer: Tracer, ever: bool = ever) -> Sample:
            os.sync()
            Path("/proc/sys/vm/drop_caches").write_text("3")
            number = time.time_ns()
            more = {"XDG_CACHE_HOME": str(setup.scratch / f"cache{number}")} if ever else {}
            text = f"{COUNT} // {number}" if tracer.family == "ebt" else COUNT
            with attached(tracer, tracer.program(text), environment=more) as running:
                pass
            return running.stop()

        found = in_turn(2, setup.peers.tracers, once)
        rows += [
            Row(what, "start to attached", "ms", each(found, lambda one: one.to_attached * 1000)),
            Row(what, "processor, start to end", "ms", each(found, lambda one: one.cpu * 1000)),
        ]
    return rows
