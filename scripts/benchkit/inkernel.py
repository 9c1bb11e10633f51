"""Part 3: a probe and a load → nanoseconds a call, as the kernel counts them, and instructions verified."""

from __future__ import annotations

from collections.abc import Sequence

from benchkit.machine import Calls, bpf_statistics, calls
from benchkit.run import Tracer, attached, in_turn, run
from benchkit.setup import SetUp, each
from benchkit.table import Row

_WRITE = "tracepoint:syscalls:sys_enter_write"
_PAIR = f"""{_WRITE} {{ @start[tid] = nsecs; }}
tracepoint:syscalls:sys_exit_write /@start[tid]/ {{ @ = hist(nsecs - @start[tid]); delete(@start[tid]); }}"""
# name → the program, the load that calls it
IN_KERNEL = {
    "count by comm": (f"{_WRITE} {{ @[comm] = count(); }}", "write"),
    "hist": (f"{_WRITE} {{ @ = hist(args->count); }}", "write"),
    "sum by two keys": (f"{_WRITE} {{ @[pid, comm] = sum(args->count); }}", "write"),
    # ebt's strings are 1024 bytes unless told otherwise, as today's bpftrace's; 64 in older ones
    "count by path, 64 bytes": (
        "tracepoint:syscalls:sys_enter_openat { @[str(args->filename, 64)] = count(); }",
        "open",
    ),
    "count by path, default size": (
        "tracepoint:syscalls:sys_enter_openat { @[str(args->filename)] = count(); }",
        "open",
    ),
    "count by kstack": (f"{_WRITE} {{ @[kstack] = count(); }}", "write"),
    "entry and exit, hist of the time": (_PAIR, "write"),
}
LOADS = {
    "write": "import os\nfd = os.open('/dev/null', os.O_WRONLY)\nfor _ in range({n}): os.write(fd, b'x')",
    "open": "import os\nfor _ in range({n}): os.close(os.open('/etc/passwd', os.O_RDONLY))",
}
_FOR_QUICK = ("count by comm", "sum by two keys", "entry and exit, hist of the time")


def in_kernel(setup: SetUp) -> list[Row]:
    """What a call of each program costs beside bpftrace's and C written by hand."""
    rows = []
    for name, (program, load) in IN_KERNEL.items():
        if setup.quick and name not in _FOR_QUICK:
            continue
        setup.progress(f"in the kernel: {name}")
        count = 100_000 if setup.quick else 300_000
        command = [setup.python, "-I", "-c", LOADS[load].format(n=count)]

        def cost(tracer: Tracer, program: str = program, load: Sequence[str] = command) -> Calls:
            words = list(tracer.command) if tracer.family == "BCC" else tracer.program(program)
            with attached(tracer, words) as running:
                run(load, tracer.environ())  # to warm up
                before = calls(running.pid)
                run(load, tracer.environ())
                return calls(running.pid).since(before)

        with bpf_statistics():
            found = in_turn(setup.rounds(2, 2), [*setup.peers.tracers, *setup.peers.bcc(name)], cost)
        target = {"bpftrace": 1.0, "BCC": 1.0}
        rows.append(Row(name, "a call", "ns", each(found, lambda one: one.nanoseconds), target))
        rows.append(Row(name, "instructions verified", "", each(found, lambda one: one.verified)))
    return rows
