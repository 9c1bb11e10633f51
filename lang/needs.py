"""A probe's statements → what they ask of the attach point: this decides which mechanisms can serve."""

from __future__ import annotations

import re

from lang import ast
from lang.records import dataclass

_ARGUMENT = re.compile(r"arg(\d+)")
_REGISTERS = {"ctx", "func", "usermode"}  # builtins that only a saved set of registers can give
_REGISTER_CALLS = {"reg", "override"}


@dataclass(frozen=True)
class Needs:
    """`registers` is the name that wants them, empty for none; `numbered` the highest N of argN, or -1."""

    registers: str = ""
    arguments: bool = False
    numbered: int = -1
    retval: bool = False
    duration: bool = False


NOTHING = Needs()


def needs_of(probe: ast.Probe) -> Needs:
    """What predicate and body read, wherever it stands: a branch that is left out counts too."""
    registers, arguments, numbered, retval, duration = "", False, -1, False, False
    for node in ast.walk(probe):
        if isinstance(node, ast.Call) and node.name in _REGISTER_CALLS:
            registers = registers or f"{node.name}()"
        if not isinstance(node, ast.Name):
            continue
        found = _ARGUMENT.fullmatch(node.name)
        if found:
            numbered = max(numbered, int(found[1]))
        arguments |= node.name == "args"
        retval |= node.name == "retval"
        duration |= node.name == "duration"
        if node.name in _REGISTERS:
            registers = registers or node.name
    return Needs(registers, arguments, numbered, retval, duration)
