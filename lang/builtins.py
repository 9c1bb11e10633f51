"""The builtin variables: name → type, where it may be used, and what it is. A table to extend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from lang.calling import REGISTER_ARGUMENTS
from lang.checked import Target
from lang.diagnostics import listed
from lang.expand_events import ITERATOR
from lang.machine import Machine
from lang.probes import BY_NAME, KINDS, Kind
from lang.records import dataclass
from lang.settings import Settings
from lang.types import (
    INT64,
    UINT8,
    UINT32,
    UINT64,
    Formatted,
    Int,
    Pointer,
    Stack,
    Str,
    Struct,
    Symbol,
    Type,
    Void,
)  # fmt: skip

COMM_BYTES = 16  # TASK_COMM_LEN, include/linux/sched.h


@dataclass(frozen=True)
class Scene:
    """Where a builtin is used: the machine, the settings, and the targets of the body.

    They agree in all that the body asks of them, but perhaps in their texts: those of `probe` and `func`.
    """

    machine: Machine
    settings: Settings
    targets: tuple[Target, ...]

    @property
    def target(self) -> Target:
        return self.targets[0]

    @property
    def kind(self) -> Kind:
        return BY_NAME[self.target.kind]


@dataclass(frozen=True)
class Builtin:
    """`allowed` is asked of the probe's kind; `refusal` is the message where it says no."""

    name: str
    type: Callable[[Scene], Type | None]
    doc: str
    allowed: Callable[[Kind], bool] = lambda kind: True
    refusal: str = ""


def _fixed(kind: Type) -> Callable[[Scene], Type | None]:
    return lambda scene: kind


def _task(scene: Scene) -> Type | None:
    task = scene.machine.struct("struct", "task_struct")
    return Pointer(task if isinstance(task, Struct) else Void(), "kernel")


def _stack(space: str) -> Callable[[Scene], Type | None]:
    def kind(scene: Scene) -> Type | None:
        return Stack("kernel" if space == "kernel" else "user", scene.settings.stack_mode)

    return kind


def _func(scene: Scene) -> Type | None:
    if scene.kind.named:
        return _longest(target.name for target in scene.targets)
    return Symbol("user" if scene.target.kind.startswith("u") else "kernel")


def _probe(scene: Scene) -> Type | None:
    return _longest(target.label for target in scene.targets)


def _longest(texts: Iterable[str]) -> Str:
    return Str(max(len(text.encode()) for text in texts) + 1)


def _probetype(scene: Scene) -> Type | None:
    return Str(len(scene.target.kind) + 1)


def _context(scene: Scene) -> Type | None:
    if scene.target.kind == "iter":
        given = scene.machine.struct("struct", ITERATOR + scene.target.name)
        return Pointer(given if isinstance(given, Struct) else Void(), "kernel")
    registers = scene.machine.struct("struct", "pt_regs")
    return Pointer(registers if isinstance(registers, Struct) else Void(), "kernel")


def _argument(number: int, scene: Scene) -> Type | None:
    """A static probe's arguments have the sizes that its note says, all others are words."""
    if number < len(scene.target.operands):
        item = scene.target.operands[number]
        return Int(item.size * 8, item.signed)
    return UINT64


def _retval(scene: Scene) -> Type | None:
    if scene.target.kind == "sysret":
        return INT64
    if scene.target.kind != "fexit":
        return UINT64
    return scene.target.result or UINT64  # no prototype: a kretprobe serves


_NUMBERED = listed(kind.name for kind in KINDS if kind.numbered)
_TIMED = listed(kind.name for kind in KINDS if kind.entry)
_RETURNING = listed(kind.name for kind in KINDS if kind.retval)

BUILTINS = {
    item.name: item
    for item in (
        Builtin("pid", _fixed(UINT32), "process id (thread group) in ebt's pid namespace"),
        Builtin("tid", _fixed(UINT32), "thread id in ebt's pid namespace"),
        Builtin("uid", _fixed(UINT64), "user id"),
        Builtin("gid", _fixed(UINT64), "group id"),
        Builtin("comm", _fixed(Str(COMM_BYTES)), "name of the current thread"),
        Builtin("nsecs", _fixed(UINT64), "nanoseconds since boot, time asleep included"),
        Builtin("elapsed", _fixed(UINT64), "nanoseconds since the script started"),
        Builtin("username", _fixed(Formatted("username", UINT32)), "name of the user"),
        Builtin("cpid", _fixed(UINT64), "process id of -c's command; 0 without"),
        Builtin("ncpus", _fixed(UINT64), "how many CPUs are possible"),
        Builtin("numaid", _fixed(UINT64), "number of the current NUMA node"),
        Builtin("jiffies", _fixed(UINT64), "ticks of the kernel's timer"),
        Builtin("probetype", _probetype, "the kind of the probe"),
        Builtin(
            "ctx", _context, "the probe's registers, struct pt_regs *; of iter what the kernel gives",
            lambda kind: kind.registers or kind.name == "iter",
            "the ctx builtin can not be used with '{kind}' probes",
        ),
        Builtin(
            "usermode", _fixed(UINT8), "1 where user mode was interrupted (x86-64)",
            lambda kind: kind.registers or kind.program == "perf_event",
            "the usermode builtin can not be used with '{kind}' probes",
        ),
        Builtin("cpu", _fixed(UINT64), "number of the current CPU"),
        Builtin("rand", _fixed(UINT32), "a random number"),
        Builtin("cgroup", _fixed(UINT64), "id of the current cgroup (version 2)"),
        Builtin("curtask", _task, "the current task: struct task_struct *"),
        Builtin("kstack", _stack("kernel"), "the kernel's stack"),
        Builtin("ustack", _stack("user"), "the process's stack"),
        Builtin("probe", _probe, "the attach point's text"),
        Builtin(
            "func", _func, "the function that the probe is in", lambda kind: kind.func,
            "the func builtin can not be used with '{kind}' probes",
        ),
        Builtin(
            "retval", _retval, "what the function returned", lambda kind: kind.retval,
            "the retval builtin can only be used with {returning} probes",
        ),
        Builtin(
            "duration", _fixed(UINT64), "nanoseconds between the call's entry and its return",
            lambda kind: bool(kind.entry), "the duration builtin can only be used with {timed} probes",
        ),
    )
}  # fmt: skip

ARGUMENT = re.compile(r"arg(\d+)")


def find_builtin(name: str) -> Builtin | None:
    """The builtin of this name; `arg0` … `arg9` share one entry."""
    found = BUILTINS.get(name)
    if found is None and ARGUMENT.fullmatch(name):
        return Builtin(
            name, lambda scene: _argument(int(name[3:]), scene), "an argument by number",
            lambda kind: kind.numbered,
            "the {name} builtin can only be used with {numbered} probes",
        )  # fmt: skip
    return found


def refusal(builtin: Builtin, scene: Scene) -> str | None:
    """Why the builtin cannot stand in this probe, or None where it can."""
    if builtin.allowed(scene.kind):
        found = ARGUMENT.fullmatch(builtin.name)
        return _beyond(int(found[1]), scene) if found else None
    return builtin.refusal.format(
        kind=scene.kind.name, name=builtin.name, returning=_RETURNING, numbered=_NUMBERED, timed=_TIMED
    )


def _beyond(number: int, scene: Scene) -> str | None:
    """Why there is no argument of this number here."""
    if scene.kind.name == "usdt":
        operands = scene.target.operands
        if number < len(operands) and operands[number].kind == "unknown":
            return f"arg{number} lies where ebt cannot read it: {operands[number].text}"
    elif scene.kind.registers:
        if number < REGISTER_ARGUMENTS:
            return None
        return f"arg{number} is not in a register: there are arg0 to arg{REGISTER_ARGUMENTS - 1}"
    if scene.kind.entry in ("fentry",) and scene.target.parameters is None:
        return None  # no prototype: registers serve
    count = len(scene.target.operands or scene.target.parameters or ())
    if number < count:
        return None
    return f"'{scene.target.label}' has {count} argument{'' if count == 1 else 's'}: there is no arg{number}"
