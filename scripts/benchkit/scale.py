"""Part 5: ever more probes, ever longer scripts → time to attached, processor and memory."""

from __future__ import annotations

import shutil
import subprocess
import time
from functools import partial

from benchkit.run import BenchError, Sample, Tracer, attached, in_turn
from benchkit.setup import SetUp, each
from benchkit.table import Row

PROBES = (1, 10, 100, 1000)
LINES = (10, 100, 1000)
_LONG = 4000  # characters: such a start takes bpftrace 20 s
_PEERS_MOST = 100  # probes: bpftrace 0.27 takes 5 GiB for them, and ten times that for ten times as many
_LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


def scale(setup: SetUp) -> list[Row]:
    """Probes on a copy of libc that nobody runs; scripts of statements that do not repeat."""
    rows = []
    names = _functions(setup)
    for count in PROBES[:2] if setup.quick else PROBES:
        points = ",\n".join(f"uprobe:{setup.scratch}/c:{name}" for name in names[:count])
        what, text = f"{count:,} probe{'s' if count > 1 else ''}", f"{points} {{ @ = count(); }}"
        rows += _rows(setup, what, text, alone=count > _PEERS_MOST)
    for count in LINES[:2] if setup.quick else LINES:
        rows += _rows(setup, f"{count:,} lines", lines(count))
    return rows


def _functions(setup: SetUp) -> list[str]:
    shutil.copy(_LIBC, setup.scratch / "c")
    said = subprocess.run(["nm", "-D", "--defined-only", _LIBC], capture_output=True, text=True).stdout
    found: dict[str, str] = {}
    for line in said.splitlines():
        address, kind, name = line.split()[:3]
        if kind == "T" and "@" in name and name.partition("@")[0].isidentifier():
            found.setdefault(address, name.partition("@")[0])
    if len(found) < PROBES[-1]:
        raise BenchError(f"libc has only {len(found)} functions (is nm installed?)")
    return sorted(set(found.values()))


def lines(count: int) -> str:
    """A script of so many lines: twenty probes at most, a map for every ten lines."""
    calls = (
        "read", "write", "openat", "close", "fsync", "mmap", "munmap", "ioctl", "dup", "sync", "pread64",
        "pwrite64", "readv", "writev", "lseek", "access", "fstat", "statx", "unlink", "rename",
    )  # fmt: skip
    probes = min(len(calls), max(1, count // 10))
    inside = count // probes - 2
    text = []
    for number, name in enumerate(calls[:probes]):
        text.append(f"tracepoint:syscalls:sys_enter_{name} /pid > {number}/ {{")
        for line in range(inside):
            match line % 4:
                case 0:
                    text.append(f"    @m{number}_{line // 10}[comm, {line}] = count();")
                case 1:
                    text.append(f"    $a{line} = (nsecs / {line + 3}) % 1024;")
                case 2:
                    kept = f"@s{number}_{line // 10} = sum($a{line - 1});"
                    text.append(f"    if ($a{line - 1} > {line} && cpu == 0) {{ {kept} }}")
                case _:
                    text.append(f"    @h{number}_{line // 10} = lhist($a{line - 2}, 0, 1000, 100);")
        text.append("}")
    return "\n".join(text)


def _rows(setup: SetUp, what: str, text: str, alone: bool = False) -> list[Row]:
    setup.progress(f"scale: {what}")
    script = setup.scratch / "scale.bt"
    limits = dict.fromkeys(("BPFTRACE_MAX_PROBES", "BPFTRACE_MAX_BPF_PROGS"), "5000")

    def once(tracer: Tracer) -> Sample:
        script.write_text(f"{text}\n// {time.time_ns()}\n")
        with attached(tracer, [*tracer.command, str(script)], environment=limits) as running:
            pass
        return running.stop()

    found: dict[str, list[Sample]] = {}
    rounds = 1 if len(text) > _LONG else setup.rounds(3, 1)
    for tracer in setup.peers.tracers[: 1 if alone else None]:
        got = setup.attempt(
            f"{what}: {tracer.name}", partial(in_turn, rounds, [tracer], once)
        )
        found.update(got or {})
    return [
        Row(what, "start to attached", "ms", each(found, lambda one: one.to_attached * 1000)),
        Row(what, "processor, start to end", "ms", each(found, lambda one: one.cpu * 1000)),
        Row(what, "peak memory, largest process", "MiB", each(found, lambda one: one.peak / 1024)),
    ]


def idle(setup: SetUp) -> list[Row]:
    """Attached, and nothing happens."""
    setup.progress("idle")
    seconds = setup.rounds(6, 3)
    text = 'tracepoint:syscalls:sys_enter_sync /pid == 1/ { printf("%d\\n", pid); @ = count(); }'

    def once(tracer: Tracer) -> float:
        with attached(tracer, tracer.program(text)) as running:
            time.sleep(0.5)
            before, started = running.processor, time.perf_counter()
            time.sleep(seconds)
            return (running.processor - before) / (time.perf_counter() - started) * 100

    return [Row("attached, no events", "of one processor", "%", in_turn(1, setup.peers.tracers, once))]
