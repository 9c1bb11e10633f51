"""Builtin functions → C: VALUES give a scalar or nothing, WRITERS fill memory. The tables are by subject.

A function of lang/functions.py needs an entry in one of them, unless it is an aggregation
(codegen/mapaccess.py), known at compile time, or short for something else.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen import calls_maps, calls_memory, calls_text, calls_values, rows
from codegen.access import option_value
from codegen.events import EVENTS
from codegen.function import Function, Value
from codegen.path import write_path
from lang import ast
from lang.types import Type

VALUES: dict[str, Callable[[Function, ast.Call], Value]] = {
    **EVENTS,
    **rows.VALUES,
    **calls_maps.MAPS,
    **calls_values.VALUES,
    **calls_text.VALUES,
    "getopt": option_value,
}
WRITERS: dict[str, Callable[[Function, str, Type, ast.Call], None]] = {
    **calls_memory.WRITERS,
    **calls_text.WRITERS,
    **rows.WRITERS,
    "path": write_path,
}
