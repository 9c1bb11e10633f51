"""`syscall:NAME` and `sysret:NAME` → Targets: system calls by the names of their tracepoints."""

from __future__ import annotations

from collections.abc import Callable

from lang.checked import Target
from lang.diagnostics import nearest
from lang.expand import Expansion
from lang.machine import Field, Machine

ENTER, EXIT = "sys_enter_", "sys_exit_"


def syscall(kind: str) -> Callable[[Expansion], list[Target]]:
    """The expander of one of the two kinds."""

    def expand(expansion: Expansion) -> list[Target]:
        if len(expansion.parts) != 1 or not expansion.parts[0]:
            return expansion.malformed(kind)
        name, machine = expansion.parts[0].removeprefix(ENTER).removeprefix(EXIT), expansion.machine
        if expansion.unsupported("tracepoint", "tracepoints, which system calls are observed through,"):
            return []
        found = [item.removeprefix(ENTER) for _, item in machine.tracepoints("syscalls", ENTER + name)]
        if not found:
            return _missing(expansion, name)
        exact = "*" not in name
        return [
            Target(
                kind, f"{kind}:{item}", expansion.point.span, "syscalls", item,
                fields=syscall_fields(machine, item) if exact else None,
            )
            for item in found
        ]  # fmt: skip

    return expand


def syscall_fields(machine: Machine, name: str) -> tuple[Field, ...] | None:
    """The arguments of a system call as its entry's tracepoint has them."""
    event = machine.tracepoint("syscalls", ENTER + name)
    return None if event is None else tuple(item for item in event.fields if item.name != "__syscall_nr")


def _missing(expansion: Expansion, name: str) -> list[Target]:
    known = [item.removeprefix(ENTER) for _, item in expansion.machine.tracepoints("syscalls", ENTER + "*")]
    if not known:
        message = "this kernel has no tracepoints for system calls (CONFIG_FTRACE_SYSCALLS is off)"
        return expansion.missing(message, f"try kprobe:*sys_{name}, the function that serves the call")
    what = "system call matches" if "*" in name else "system call is called"
    return expansion.missing(f"no {what} '{name}' here", *nearest(name, known))
