"""A program's text up to the cursor → the types of what stands there: arguments, members along a chain."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lang.expand_events import ITERATOR
from lang.machine import Machine
from lang.probes import BY_NAME
from lang.types import Pointer, Struct, Type

_POINT = re.compile(r"([a-zA-Z_]+):([^\s{}/,|?]+)")
_LINKS = 8  # variables that stand for variables are followed so far


def arguments(before: str, machine: Machine) -> dict[str, Type]:
    """Name → type of `args` in the body that the text ends in."""
    kind, target = _probe_of(before)
    name = target.rpartition(":")[2]
    match kind:
        case "tracepoint":
            point = machine.tracepoint(*target.partition(":")[::2])
            return {item.name: item.type for item in point.fields} if point else {}
        case "rawtracepoint":
            return {item.name: item.type for item in machine.raw_tracepoint(name) or ()}
        case "kprobe" | "kretprobe" | "fentry" | "fexit":
            function = machine.function(name)
            return {item.name: item.type for item in function.parameters} if function else {}
        case "syscall" | "sysret":
            found = machine.syscall_arguments(name) or ()
            return {item.name: item.type for item in found if item.name != "__syscall_nr"}
    return {}


def _probe_of(before: str) -> tuple[str, str]:
    """(kind, target) of the last attach point of the body that the text ends in."""
    points = _POINT.findall(header_of(before))
    written, target = points[-1] if points else ("", "")
    kind = BY_NAME.get(written.lower())
    return kind.name if kind else "", target


def type_of(names: Sequence[str], before: str, machine: Machine, depth: int = 0) -> Type | None:
    """The type of a chain such as `curtask.real_parent` or `$x.y`, as far as it can be told from the text."""
    kind: Type | None
    if names[0] == "args" and len(names) > 1:
        kind, names = arguments(before, machine).get(names[1]), names[1:]
    elif names[0] == "curtask":
        kind = machine.struct("struct", "task_struct")
    elif names[0] == "ctx" and (probe := _probe_of(before))[0] == "iter":
        kind = machine.struct("struct", ITERATOR + probe[1])
    elif names[0].startswith("$") and depth < _LINKS:
        kind = _variable(names[0], before, machine, depth)
    else:
        return None
    return follow(kind, names[1:], machine)


def _variable(name: str, before: str, machine: Machine, depth: int) -> Type | None:
    assigned = re.findall(rf"{re.escape(name)}\s*=\s*([@$]?\w+(?:(?:\.|->)\w+)*)\s*;", before)
    cast = re.findall(rf"{re.escape(name)}\s*=\s*\(\s*struct\s+(\w+)\s*\*\s*\)", before)
    if cast:
        return machine.struct("struct", cast[-1])
    return type_of(re.split(r"\.|->", assigned[-1]), before, machine, depth + 1) if assigned else None


def fields(kind: Type | None, machine: Machine) -> list[tuple[str, str]]:
    """(name, type) of the members of a struct, or of what a pointer leads to; none for other types."""
    struct = kind.to if isinstance(kind, Pointer) else kind
    found = machine.fields(struct) if isinstance(struct, Struct) else ()
    return [(item.name, as_written(item.type)) for item in found]


def as_written(kind: Type) -> str:
    """A type as the kernel's source has it: `char *`, `char[16]`, `char[]`."""
    return re.sub(r"^int8(?=\[| \*)", "char", str(kind)).replace("[0]", "[]")


def follow(kind: Type | None, names: Sequence[str], machine: Machine) -> Type | None:
    """The type at the end of a chain of members; None where one is missing."""
    for name in names:
        struct = kind.to if isinstance(kind, Pointer) else kind
        if not isinstance(struct, Struct):
            return None
        kind = next((item.type for item in machine.fields(struct) if item.name == name), None)
    return kind


def header_of(before: str) -> str:
    """What stands in front of the open body: its attach points."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        char = before[at]
        if char == "}":
            depth += 1
        elif char == "{":
            if depth == 0 and open_braces(before[:at]) == 0:
                return before[max(before.rfind("}", 0, at), before.rfind(";", 0, at)) + 1 : at]
            depth -= 1
    return before[max(before.rfind("}"), before.rfind(";")) + 1 :]  # a predicate: no brace yet


def open_braces(text: str) -> int:
    """How many braces are open at the end of the text; those in strings and comments do not count."""
    plain = re.sub(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', "", text, flags=re.DOTALL)
    return max(plain.count("{") - plain.count("}"), 0)
