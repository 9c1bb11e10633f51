"""A place behind a pointer that the verifier knows by BTF → whether a program may load it by itself.

In fentry and fexit programs the arguments and the result of the function are such pointers, and so are those
that are loaded from behind them. The kernel catches a load that fails, which gives 0 as a failed helper
does: one instruction instead of seven and a call. btf_struct_walk() of kernel/bpf/btf.c is what has to agree
to each load; here is said of which ones it will. Pointers are loaded so only where members are read from
them at once: as values they are numbers, with which the verifier lets a script do what it likes.

Not so in raw tracepoints (tp_btf), although the verifier would agree: from 6.2 on the kernel takes their
arguments to be valid and does not catch such a load, and up to 6.12 some of them are NULL all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.ctypes import is_memory
from lang import ast
from lang.checked import VariableInfo
from lang.machine import Field, Machine
from lang.types import Array, Int, Pointer, Struct, Type, size_of

if TYPE_CHECKING:
    from codegen.function import Function

_SIZES = (1, 2, 4, 8)


def known_argument(f: Function, number: int, kind: Type) -> bool:
    """Whether the verifier knows where this argument leads: BTF, and not the script alone, says it."""
    if not _may_load(f, kind):
        return False
    for target in f.body.targets:
        function = f.program.machine.function(target.name, target.module)
        if function is None or number >= len(function.parameters):
            return False
        if function.parameters[number].type != kind:
            return False
    return True


def known_result(f: Function, kind: Type) -> bool:
    """The same of what the function returns."""
    if not _may_load(f, kind):
        return False
    found = [f.program.machine.function(target.name, target.module) for target in f.body.targets]
    return all(item is not None and item.result == kind for item in found)


def loads_itself(f: Function) -> bool:
    """Whether the verifier knows by BTF where the words lead that the program is given."""
    # What a loop's body knows of the variables around it, it has from memory: the verifier may not know it.
    typed = f.mechanism in ("fentry", "fexit") and not f.callback
    return typed and f.program.machine.supports("direct_loads").works


def _may_load(f: Function, kind: Type) -> bool:
    if not isinstance(kind, Pointer) or not isinstance(kind.to, Struct) or kind.space != "kernel":
        return False
    return loads_itself(f)


def leads_only(f: Function, info: VariableInfo) -> bool:
    """Whether a variable is set once, and nothing is done with it but to read members from behind it."""
    bases = 0
    for node in ast.walk(f.body.probe):
        if isinstance(node, ast.Member) and isinstance(node.base, ast.Variable):
            bases += f.body.variables.get(node.base) is info
    return _uses(f, f.body.probe, info) == bases + 1 and set_once(f, info)


def _uses(f: Function, inside: ast.Node, info: VariableInfo) -> int:
    nodes = (node for node in ast.walk(inside) if isinstance(node, ast.Variable))
    return sum(f.body.variables.get(node) is info for node in nodes)


def set_once(f: Function, info: VariableInfo) -> bool:
    """Whether a variable has one value from where it is declared, and no loop gets it from outside."""
    if f.callback or info in f.body.hoisted:
        return False
    sets, uses = 0, _uses(f, f.body.probe, info)
    for node in ast.walk(f.body.probe):
        match node:
            case ast.While() | ast.ForRange() | ast.ForMap() if 0 < _uses(f, node, info) < uses:
                return False
            case ast.Let():
                sets += (1 if node.value is not None else 2) * (f.body.variables.get(node.variable) is info)
            case ast.Assign() | ast.AssignBy() | ast.StepBefore() | ast.StepAfter():
                target = node.target
                sets += isinstance(target, ast.Variable) and f.body.variables.get(target) is info
    return sets == 1


def takes_scalar(machine: Machine, spot: tuple[Struct, int], kind: Type) -> bool:
    """Whether a number, or a pointer to numbers, may be loaded from so many bytes into the struct."""
    if _leads_on(kind) or is_memory(kind) or size_of(kind) not in _SIZES:
        return False
    return _is_number(machine, *spot, size_of(kind))


def takes_pointer(machine: Machine, spot: tuple[Struct, int], kind: Type) -> bool:
    """Whether a pointer may be loaded from there of which the verifier then knows where it leads."""
    if not isinstance(kind, Pointer) or not isinstance(kind.to, Struct) or kind.space != "kernel":
        return False
    return _is_pointer(machine, *spot, kind.to)


def _is_number(machine: Machine, struct: Struct, offset: int, size: int) -> bool:
    """Of a union the kernel takes the first member that lies there: so each must be good."""
    found = _overlapping(machine, struct, offset, size)
    return bool(found) and all(_fits(machine, item.type, offset - item.offset, size) for item in found)


def _fits(machine: Machine, kind: Type, offset: int, size: int) -> bool:
    if isinstance(kind, Struct):
        return _is_number(machine, kind, offset, size)
    if isinstance(kind, Array):
        width = size_of(kind.of)
        return width > 0 and offset >= 0 and _fits(machine, kind.of, offset % width, size)
    if isinstance(kind, Pointer):
        return not _leads_on(kind) and offset == 0 and size == size_of(kind)
    return offset >= 0 and offset + size <= size_of(kind)


def _leads_on(kind: Type) -> bool:
    """Whether it points to a struct, or to what a recorded kernel may have left out."""
    return isinstance(kind, Pointer) and not isinstance(kind.to, Int)


def _is_pointer(machine: Machine, struct: Struct, offset: int, to: Struct) -> bool:
    found = _overlapping(machine, struct, offset, 8)
    return bool(found) and all(_leads(machine, item.type, offset - item.offset, to) for item in found)


def _leads(machine: Machine, kind: Type, offset: int, to: Struct) -> bool:
    if isinstance(kind, Struct):
        return _is_pointer(machine, kind, offset, to)
    if isinstance(kind, Array):
        width = size_of(kind.of)
        return width > 0 and offset >= 0 and _leads(machine, kind.of, offset % width, to)
    if not isinstance(kind, Pointer) or not isinstance(kind.to, Struct):
        return False
    return offset == 0 and (kind.to.kind, kind.to.name) == (to.kind, to.name)


def _overlapping(machine: Machine, struct: Struct, offset: int, size: int) -> list[Field]:
    """The members that hold any of these bytes; none if one of them is a bit field."""
    end = offset + size
    found = [
        item for item in machine.fields(struct)
        if item.offset < end and offset < item.offset + size_of(item.type)
    ]  # fmt: skip
    return [] if any(item.bits for item in found) else found
