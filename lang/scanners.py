"""A regular expression → what `re` compiles it to, as plain data, and back.

Compiling the scanners that a small script needs takes 6 ms of a start; from this form it takes one. It is of
one version of Python only, as its makers tell nobody how it looks: where anything is amiss, `re` compiles.
"""

from __future__ import annotations

import re
import struct
from importlib import import_module
from typing import Any

Frozen = tuple[int, bytes, int, dict[str, int]]  # flags, code, number of groups, their names


def freeze(pattern: str) -> Frozen | None:
    """The compiled form; None where this Python has another one."""
    try:
        compiler = import_module("re._compiler")
        parsed = compiler._parser.parse(pattern, 0)
        code = compiler._code(parsed, 0)
        state = parsed.state
        names: dict[str, int] = dict(state.groupdict)
        return int(state.flags), struct.pack(f"{len(code)}I", *code), state.groups - 1, names
    except (ImportError, AttributeError, TypeError, struct.error):
        return None


def thaw(pattern: str, frozen: Frozen | None) -> re.Pattern[str]:
    """The regular expression."""
    if frozen is None:
        return re.compile(pattern)
    flags, code, groups, names = frozen
    by_number: list[Any] = [None] * (groups + 1)
    for name, number in names.items():
        by_number[number] = name
    numbers = memoryview(code).cast("I").tolist()
    try:
        made: re.Pattern[str] = import_module("_sre").compile(
            pattern, flags, numbers, groups, names, tuple(by_number)
        )
    except (AttributeError, TypeError, ValueError, RuntimeError, OverflowError):
        return re.compile(pattern)
    return made
