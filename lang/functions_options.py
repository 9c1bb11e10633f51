"""The builtin function that asks for the command line."""

from __future__ import annotations

from lang import ast
from lang.options import getopt_default
from lang.signature import Function, Typing
from lang.types import BOOL, INT64, UINT64, Str, Type


def _getopt(typing: Typing, call: ast.Call) -> Type | None:
    if not isinstance(call.arguments[0], ast.String):
        typing.error(call.arguments[0], "getopt() expects a string literal as the option's name")
        return None
    if len(call.arguments) > 2 and not isinstance(call.arguments[2], ast.String):
        typing.error(call.arguments[2], "getopt() expects a string literal as the option's description")
    default, value = getopt_default(call), typing.constant(call)
    if default is None or value is None:
        typing.error(call.arguments[1], "getopt() expects a literal as the option's default")
        return None
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT64 if -(1 << 63) <= value < 1 << 63 else UINT64
    return Str(len(value.encode("utf-8", "surrogateescape")) + 1)


OPTIONS = (
    Function("getopt", 1, 3, _getopt, 'getopt("name"[, default[, "description"]])', "an option's value"),
)
