"""A prototype written in the script and this kernel's BTF → the prototype to go by.

BTF is what counts where it has the function: the script's text serves older kernels, of which the modules
have no BTF, and functions that the compiler renamed. Names of the script are good for the same positions.
"""

from __future__ import annotations

from collections.abc import Sequence

from lang import ast
from lang.calling import REGISTER_ARGUMENTS, places
from lang.diagnostics import Diagnostics
from lang.machine import Function, Machine, Parameter
from lang.records import replace
from lang.types import BASE_TYPES, UINT64, VOID, Pointer, Type


def agreed(known: Function, written: Function) -> Function:
    """The kernel's own prototype, with the script's names where it has another name at the same place."""
    ours = {item.name for item in known.parameters}
    if len(known.parameters) != len(written.parameters) or all(
        item.name in ours for item in written.parameters
    ):
        return known
    pairs = zip(known.parameters, written.parameters, strict=True)
    return replace(known, parameters=tuple(replace(old, name=new.name) for old, new in pairs))


def with_parameters(known: Function, wanted: Sequence[Parameter]) -> Function | None:
    """The function, with the wanted names for its first parameters of these types; None if it lacks one.

    What is passed on the stack is no use to a probe.
    """
    parameters = list(known.parameters)
    where = places(known.parameters, REGISTER_ARGUMENTS)
    taken: set[int] = set()
    for item in wanted:
        fitting = (
            at
            for at, own in enumerate(known.parameters)
            if own.type == item.type and at not in taken and where[at] is not None
        )
        at = next(fitting, None)
        if at is None:
            return None
        taken.add(at)
        parameters = [replace(own, name="") if own.name == item.name else own for own in parameters]
        parameters[at] = replace(parameters[at], name=item.name)
    return replace(known, parameters=tuple(parameters))


def read_prototype(node: ast.Prototype, name: str, machine: Machine, found: Diagnostics) -> Function | None:
    """The function as the script says it is; None where a type is unknown, which is reported."""
    parameters = []
    for item in node.parameters:
        kind = _type(item.type, machine, found)
        if kind is None:
            return None
        parameters.append(Parameter(item.name, kind))
    # Without one the result is what the register holds, as a kretprobe has it.
    result = _type(node.result, machine, found) if node.result is not None else UINT64
    if result is None:
        return None
    return Function(name, "", tuple(parameters), result)


def _type(node: ast.Type, machine: Machine, found: Diagnostics) -> Type | None:
    if any(node.suffixes):
        found.error(node.span, "an array is passed as a pointer: write it so")
        return None
    kind: Type | None
    if node.tag in ("struct", "union"):
        # A module's own struct may be unknown: a pointer to it still has its place.
        kind = machine.struct(node.tag, node.name) or (VOID if node.suffixes else None)
    elif node.tag:
        kind = machine.enum(node.name)
    else:
        kind = BASE_TYPES.get(node.name) or machine.typedef(node.name)
    if kind is None:
        found.error(node.span, f"unknown type: '{node.span.text}'")
        return None
    for _ in node.suffixes:
        kind = Pointer(kind, "kernel")
    return kind
