"""`self:signal:…`, `watchpoint:…` → Targets; and the kinds of bpftrace's that cannot be had."""

from __future__ import annotations

from lang.checked import Target
from lang.expand import Expansion
from lang.literals import parse_integer

PERF_BREAKPOINT = 5  # include/uapi/linux/perf_event.h, PERF_TYPE_BREAKPOINT
ITERATOR = "bpf_iter__"  # before its name: the struct that an iterator's program gets
_MODES = {"r": 1, "w": 2, "x": 4}  # include/uapi/linux/hw_breakpoint.h
_USER_TOP = 1 << 56  # above every address of a process, below the kernel's

REFUSED = {
    "asyncwatchpoint": "bpftrace has dropped it too: write watchpoint:ADDRESS:LENGTH:MODE",
    "test": "it is bpftrace's own test mode",
    "bench": "it is bpftrace's own benchmark mode",
}


def self_signal(expansion: Expansion) -> list[Target]:
    """A signal to ebt itself."""
    parts = expansion.parts
    if len(parts) != 2 or parts[0] != "signal":
        return expansion.malformed("self")
    if parts[1] != "SIGUSR1":
        return expansion.error(f"'{parts[1]}' cannot be observed: only SIGUSR1")
    if expansion.unsupported("test_run", "'self'"):
        return []
    return [Target("self", "self:signal:SIGUSR1", expansion.point.span, name="self")]


def iterator(expansion: Expansion) -> list[Target]:
    """`iter:task` and its like: objects that the kernel lists; its BTF has a struct for each kind."""
    if len(expansion.parts) == 2:
        return expansion.error("the output of an iterator cannot be pinned: it goes where ebt's goes")
    if len(expansion.parts) != 1:
        return expansion.malformed("iter")
    name = expansion.parts[0]
    if expansion.machine.struct("struct", ITERATOR + name) is None:
        return expansion.missing(f"this kernel has no iterator '{name}'", "for example: iter:task")
    return [Target("iter", f"iter:{name}", expansion.point.span, name=name)]


def watchpoint(expansion: Expansion) -> list[Target]:
    """An address that is read, written or executed: a breakpoint of the processor."""
    if len(expansion.parts) != 3:
        return expansion.malformed("watchpoint")
    try:
        address, length = parse_integer(expansion.parts[0]), parse_integer(expansion.parts[1])
    except ValueError as wrong:
        return expansion.error(str(wrong))
    mode = expansion.parts[2]
    problem = _problem(expansion, address, length, mode)
    if problem:
        return expansion.error(*problem)
    if expansion.unsupported("perf_event", "watchpoints"):
        return []
    label = f"watchpoint:{address:#x}:{length}:{mode}"
    return [
        Target(
            "watchpoint", label, expansion.point.span, offset=address, pid=expansion.pid, period=1,
            perf_type=PERF_BREAKPOINT, perf_config=sum(_MODES[letter] for letter in mode), length=length,
        )
    ]  # fmt: skip


def _problem(expansion: Expansion, address: int, length: int, mode: str) -> tuple[str, ...]:
    if length not in (1, 2, 4, 8):
        return (f"a watchpoint's length is 1, 2, 4 or 8, not {length}",)
    if not mode or "".join(sorted(set(mode))) != mode or set(mode) - set(_MODES):
        return (f"a watchpoint's mode is made of r, w and x in this order, not '{mode}'",)
    if "x" in mode and mode != "x":
        return ("a watchpoint is on execution or on access, not both",)
    if mode == "r" and expansion.machine.arch == "x86_64":
        return ("this processor cannot watch reads alone", "write rw")
    if mode == "x" and length != 8 and expansion.machine.arch == "x86_64":
        return ("a watchpoint on execution has the length 8 on this processor",)
    if address % length:
        return (f"the address {address:#x} is no multiple of the length {length}",)
    if not expansion.pid and address < _USER_TOP:
        return (f"{address:#x} is an address of a process: which one?", "give its id: -p PID")
    return ()
