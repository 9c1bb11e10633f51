"""`syscall:NAME` and `sysret:NAME` → Targets: by the tracepoints of system calls, else by what serves them.

Each architecture has a function for each system call that is called with all registers of the caller
(`__x64_sys_NAME`; ARCH_HAS_SYSCALL_WRAPPER). Calls without arguments are another name of `__do_sys_NAME`.
"""

from __future__ import annotations

from collections.abc import Callable

from lang.checked import Target
from lang.diagnostics import nearest
from lang.expand import Expansion
from lang.expand_function import trampoline_refusal
from lang.machine import Field, Machine
from lang.records import replace
from lang.registers import SYSCALL_REGISTERS
from lang.resolution import Candidate
from lang.syscalls import WITHOUT_ARGUMENTS
from lang.syscalls import syscall_names as syscall_table

ENTER, EXIT = "sys_enter_", "sys_exit_"
_PLAIN = "sys_"  # a kernel without wrappers: the function has the call's own arguments
# Calls at whose return the caller's registers are another program's, or what a signal interrupted.
_REPLACES_REGISTERS = frozenset({"execve", "execveat", "sigreturn", "rt_sigreturn"})


def syscall(kind: str) -> Callable[[Expansion], list[Target]]:
    """The expander of one of the two kinds."""

    def expand(expansion: Expansion) -> list[Target]:
        if len(expansion.parts) != 1 or not expansion.parts[0]:
            return expansion.malformed(kind)
        return _Calls(expansion, kind).expand()

    return expand


def syscall_names(machine: Machine, name: str) -> list[str]:
    """The system calls that a `*` pattern matches and this kernel can observe, sorted."""
    found = [item.removeprefix(ENTER) for _, item in machine.tracepoints("syscalls", ENTER + name)]
    return found if found and machine.supports("tracepoint").works else [*wrappers(machine, name)]


def wrappers(machine: Machine, name: str) -> dict[str, str]:
    """The system calls that a `*` pattern matches → the functions that serve them."""
    prefix = machine.syscall_prefix
    if not prefix:
        return {}
    found = {}
    for _, item in machine.functions(WITHOUT_ARGUMENTS + name, "vmlinux"):
        plain = item.removeprefix(WITHOUT_ARGUMENTS)
        if plain in syscall_table(machine.arch):  # there are functions of other ABIs, such as ia32_
            found[plain] = item
    for _, item in machine.functions(prefix + name, "vmlinux"):
        found[item.removeprefix(prefix)] = item
    return dict(sorted(found.items()))


class _Calls:
    """One attach point while it is resolved."""

    def __init__(self, expansion: Expansion, kind: str) -> None:
        self.expansion, self.kind, self.machine = expansion, kind, expansion.machine
        self.name = expansion.parts[0].removeprefix(ENTER).removeprefix(EXIT)
        self.way = "kprobe" if kind == "syscall" else "kretprobe"

    def expand(self) -> list[Target]:
        found = self._by_trampoline() if self._asks_of_the_entry() else []
        return found or self._by_tracepoint()

    def _asks_of_the_entry(self) -> bool:
        needs = self.expansion.needs
        return self.kind == "sysret" and "*" not in self.name and (needs.arguments or needs.duration)

    def _by_trampoline(self) -> list[Target]:
        """At the return of the function that serves the call, where the caller's registers still lie.

        So the arguments need not be kept from the entry, and no other call on the system is slowed down.
        """
        machine, symbol = self.machine, self.machine.syscall_prefix + self.name
        support = machine.supports("fentry")
        function = machine.function(symbol) if symbol != self.name else None
        reason = "" if support.works else support.reason
        if not reason and self.name in _REPLACES_REGISTERS:
            reason = "at its return the caller's registers are others"
        if not reason and machine.arch not in SYSCALL_REGISTERS:
            reason = f"ebt does not know where {machine.arch} keeps the arguments of a system call"
        if not reason and not machine.functions(symbol, "vmlinux"):
            reason = f"no traceable function is called {symbol}"
        reason = reason or trampoline_refusal(function, symbol, machine.arch)
        if not reason and syscall_fields(machine, self.name) is None:
            reason = "its arguments are not known by name"
        source = "" if reason else "from the caller's registers, in the order of the call's arguments"
        self.expansion.tried.append(Candidate("fexit", symbol, reason, source))
        if reason or function is None:
            return []
        self.expansion.tried.append(Candidate("tracepoint", EXIT + self.name, "not needed: fexit serves"))
        self.expansion.tried.append(self._unused("fexit"))
        return [replace(self._target(self.name, symbol), mechanism="fexit", parameters=function.parameters)]

    def _by_tracepoint(self) -> list[Target]:
        points = [item for _, item in self.machine.tracepoints("syscalls", ENTER + self.name)]
        support = self.machine.supports("tracepoint")
        refused = "" if support.works else support.reason
        if not refused and not points and not self.machine.tracepoints("syscalls", ENTER + "*"):
            refused = "this kernel has no tracepoints for system calls (CONFIG_FTRACE_SYSCALLS is off)"
        elif not refused and not points:
            return self._unknown()
        if not refused:
            self._tell("tracepoint", points, "")
            self.expansion.tried.append(self._unused("tracepoint"))
            return [self._target(item.removeprefix(ENTER)) for item in points]
        self._tell("tracepoint", points or [ENTER + self.name], refused)
        return self._by_wrapper(refused)

    def _by_wrapper(self, refused: str) -> list[Target]:
        support = self.machine.supports("kprobe")
        reason = "" if support.works else support.reason
        found = wrappers(self.machine, self.name)
        if not reason and not found:
            return self._unknown()
        if not reason and self.expansion.needs.arguments and self.machine.arch not in SYSCALL_REGISTERS:
            reason = f"ebt does not know where {self.machine.arch} keeps the arguments of a system call"
        self._tell(self.way, list(found.values()) or [f"*sys_{self.name}"], reason)
        if reason:
            what = f"'{self.kind}:{self.name}' cannot be attached on this kernel"
            return self.expansion.missing(f"{what}: {refused}; {reason}")
        return [self._target(item, symbol) for item, symbol in found.items()]

    def _target(self, name: str, symbol: str = "") -> Target:
        exact = "*" not in self.name
        return Target(
            self.kind, f"{self.kind}:{name}", self.expansion.point.span, "syscalls", name,
            fields=syscall_fields(self.machine, name) if exact else None,
            mechanism=self.way if symbol else "tracepoint", symbol=symbol,
        )  # fmt: skip

    # ---- What is told of it

    def _tell(self, way: str, places: list[str], reason: str) -> None:
        place = places[0] if len(places) == 1 else f"{len(places)} system calls"
        source = ""
        if not reason and way == "tracepoint":
            source = "from the tracepoint's record"
            source += ", kept since the call's entry" if self.kind == "sysret" else ""
        elif not reason:
            source = "from the caller's registers, in the order of the call's arguments"
        if way == "tracepoint" and self.kind == "sysret":
            place = place.replace(ENTER, EXIT)
        self.expansion.tried.append(Candidate(way, place, reason, source))

    def _unused(self, serves: str) -> Candidate:
        place = f"{self.machine.syscall_prefix or '*sys_'}{self.name}"
        return Candidate(self.way, place, f"not needed: {serves} serves")

    def _unknown(self) -> list[Target]:
        what = "system call matches" if "*" in self.name else "system call is called"
        hints = nearest(self.name, syscall_names(self.machine, "*"))
        return self.expansion.missing(f"no {what} '{self.name}' here", *hints)


def syscall_fields(machine: Machine, name: str) -> tuple[Field, ...] | None:
    """The arguments of a system call by name, in their order."""
    fields = machine.syscall_arguments(name)
    return None if fields is None else tuple(item for item in fields if item.name != "__syscall_nr")
