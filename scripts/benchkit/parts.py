"""The parts of the benchmark: name → a function from the set-up to rows. A table to extend."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchkit.machine import bpf_statistics, calls
from benchkit.run import BenchError, Sample, Tracer, attached, in_turn, memory, run
from benchkit.table import Row

HERE = Path(__file__).resolve().parent
EMPTY = "BEGIN { exit(); }"
ONE_TRACEPOINT = "tracepoint:syscalls:sys_enter_openat { @[pid] = count(); } BEGIN { exit(); }"
# of dd alone: bpftrace writes each line by itself, and without the filter would trace nothing but that
PRINT_WRITES = """tracepoint:syscalls:sys_enter_write /comm == "dd"/ {
    printf("%d %s %d %d\\n", pid, comm, args->fd, args->count);
}"""
RING_MIB = 16

# name → the program, the load that calls it. Loads are Python programs; N is the number of calls.
IN_KERNEL = {
    "count by comm": ("tracepoint:syscalls:sys_enter_write { @[comm] = count(); }", "write"),
    "hist": ("tracepoint:syscalls:sys_enter_write { @ = hist(args->count); }", "write"),
    "sum by two keys": ("tracepoint:syscalls:sys_enter_write { @[pid, comm] = sum(args->count); }", "write"),
    # ebt's strings are 1024 bytes unless told otherwise, as today's bpftrace's; 64 in older ones
    "count by path, 64 bytes": (
        "tracepoint:syscalls:sys_enter_openat { @[str(args->filename, 64)] = count(); }",
        "open",
    ),
    "count by path, default size": (
        "tracepoint:syscalls:sys_enter_openat { @[str(args->filename)] = count(); }",
        "open",
    ),
    "count by kstack": ("tracepoint:syscalls:sys_enter_write { @[kstack] = count(); }", "write"),
}
LOADS = {
    "write": "import os\nfd = os.open('/dev/null', os.O_WRONLY)\nfor _ in range({n}): os.write(fd, b'x')",
    "open": "import os\nfor _ in range({n}): os.close(os.open('/etc/passwd', os.O_RDONLY))",
}


@dataclass(frozen=True)
class SetUp:
    """What to measure with: the tracers (ebt first), how thorough to be, where files may lie."""

    tracers: tuple[Tracer, ...]
    python: str
    quick: bool
    scratch: Path
    progress: Callable[[str], None]

    def rounds(self, thorough: int, quick: int) -> int:
        return quick if self.quick else thorough


def start(setup: SetUp) -> list[Row]:
    """A one-liner from start to end, warm."""
    rows = []
    for what, program in (("exit at once", EMPTY), ("one tracepoint, then exit", ONE_TRACEPOINT)):
        setup.progress(f"start: {what}")

        def once(tracer: Tracer, program: str = program) -> Sample:
            return run([*tracer.command, "-e", program], tracer.environ())

        def peaks(tracer: Tracer, program: str = program) -> tuple[int, int]:
            return memory([*tracer.command, "-e", program], tracer.environ())

        in_turn(1, setup.tracers, once)  # to warm up
        found = in_turn(setup.rounds(21, 9), setup.tracers, once)
        sizes = in_turn(setup.rounds(5, 3), setup.tracers, peaks)
        rows += [
            Row(what, "wall time", "ms", _each(found, lambda sample: sample.wall * 1000), 1.3),
            Row(what, "processor, user + system", "ms", _each(found, lambda sample: sample.cpu * 1000)),
            Row(what, "peak memory, all", "MiB", _each(found, lambda sample: sample.peak / 1024), 0.9),
            Row(what, "peak memory, the process", "MiB", _each(sizes, lambda size: size[0] / 1024)),
            Row(what, "peak memory, its child", "MiB", _each(sizes, lambda size: size[1] / 1024 or None)),
        ]
    return rows


def front_end(setup: SetUp) -> list[Row]:
    """A script of sixty lines → C, as a command and by stage."""
    script = HERE / "sixty.ebt"
    setup.progress("front end")
    ebt = setup.tracers[:1]
    command = [*ebt[0].command, "compile", str(script)]
    in_turn(1, ebt, lambda tracer: run(command, tracer.environ()))
    whole = in_turn(setup.rounds(15, 7), ebt, lambda tracer: run(command, tracer.environ()))
    nothing = in_turn(
        setup.rounds(15, 7), ebt, lambda tracer: run([*tracer.command, "--version"], tracer.environ())
    )
    stages: dict[str, list[float]] = {}
    for _ in range(setup.rounds(9, 5)):
        worker = [setup.python, "-I", str(HERE / "frontend.py"), str(script), "5"]
        done = subprocess.run(worker, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"the front end failed: {done.stderr.strip().splitlines()[-1]}")
        for name, values in json.loads(done.stdout).items():
            stages.setdefault(name, []).extend(values)
    what = f"{len(script.read_text().splitlines())} lines to C"
    return [
        Row(what, "ebt compile, whole process", "ms", _each(whole, lambda sample: sample.wall * 1000)),
        Row(what, "ebt --version, to compare", "ms", _each(nothing, lambda sample: sample.wall * 1000)),
        *(Row(what, name, "ms", {"ebt": values}) for name, values in stages.items()),
    ]


def events(setup: SetUp) -> list[Row]:
    """A line of text for each write of dd: how many come through, and what that costs."""
    count = 1_000_000 if setup.quick else 3_000_000
    tracers = list(setup.tracers)
    for tracer in setup.tracers[1:]:
        pages = RING_MIB * 256 // _processors()
        tracers.append(
            tracer.with_environment(f"{tracer.name} {RING_MIB} MiB", BPFTRACE_PERF_RB_PAGES=str(pages))
        )
    setup.progress(f"events: {count:,} writes")
    found = in_turn(setup.rounds(3, 1), tracers, lambda tracer: _print_writes(setup, tracer, count))
    what = f"{count:,} writes by dd, a line each"
    return [
        Row(what, "delivered", "%", _each(found, lambda item: item.delivered / count * 100)),
        Row(what, "lines delivered", "", _each(found, lambda item: item.delivered)),
        Row(what, "told as lost", "", _each(found, lambda item: item.lost)),
        Row(what, "dd's wall time", "s", _each(found, lambda item: item.load_wall)),
        Row(what, "tracer's processor time, whole run", "s", _each(found, lambda item: item.sample.cpu)),
        Row(
            what,
            "  for each line",
            "us",
            _each(found, lambda item: item.sample.cpu * 1e6 / max(item.delivered, 1)),
            0.7,
        ),
        Row(what, "peak memory", "MiB", _each(found, lambda item: item.sample.peak / 1024)),
    ]


@dataclass(frozen=True)
class _Delivery:
    delivered: int
    lost: int
    load_wall: float
    sample: Sample


def _print_writes(setup: SetUp, tracer: Tracer, count: int) -> _Delivery:
    output = setup.scratch / "events"
    with attached(tracer, PRINT_WRITES, output) as running:
        load = run(["dd", "if=/dev/zero", "of=/dev/null", "bs=1", f"count={count}"], tracer.environ())
        sample = running.stop()
    # the two writes more are dd's own words at its end
    delivered = lost = 0
    with open(output, "rb") as file:
        for line in file:
            if b" dd 1 1\n" in line:
                delivered += 1
            elif b"ost" in line and (number := re.search(rb"[Ll]ost (\d+) events?", line)):
                lost += int(number[1])
    output.unlink()
    return _Delivery(delivered, lost, load.wall, sample)


def in_kernel(setup: SetUp) -> list[Row]:
    """What a call of the probe costs in the kernel, by the kernel's own count (kernel.bpf_stats_enabled)."""
    rows = []
    for name, (program, load) in IN_KERNEL.items():
        setup.progress(f"in the kernel: {name}")
        count = 100_000 if setup.quick else 300_000
        command = [setup.python, "-I", "-c", LOADS[load].format(n=count)]

        def cost(tracer: Tracer, program: str = program, command: Sequence[str] = command) -> float:
            with attached(tracer, program, setup.scratch / "kernel") as running:
                run(command, tracer.environ())  # to warm up
                before = calls(running.pid)
                run(command, tracer.environ())
                after = calls(running.pid)
            return (after[0] - before[0]) / (after[1] - before[1])

        with bpf_statistics():
            found = in_turn(setup.rounds(5, 3), setup.tracers, cost)
        rows.append(Row("in the kernel, a call", name, "ns", found, 1.0))
    return rows


def _each(found: dict[str, list], value: Callable) -> dict[str, list[float]]:  # type: ignore[type-arg]
    taken = {name: [value(item) for item in items] for name, items in found.items()}
    return {name: values for name, values in taken.items() if None not in values}


def _processors() -> int:
    return (
        len([1 for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])
        or 1
    )


@dataclass(frozen=True)
class Part:
    """`traces`: it needs root and a kernel that may be traced."""

    name: str
    measure: Callable[[SetUp], list[Row]]
    traces: bool = True


PARTS = (
    Part("start", start),
    Part("frontend", front_end, traces=False),
    Part("events", events),
    Part("kernel", in_kernel),
)
