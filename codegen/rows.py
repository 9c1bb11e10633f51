"""Rows and the formatters in them → C: raw values are sent, user space makes them text."""

from __future__ import annotations

from collections.abc import Callable

from codegen.events import emit_event
from codegen.function import Function, Value
from codegen.plan import Column
from lang import ast
from lang.checked import MapInfo
from lang.functions_rows import FORMATTERS, cells, sort_name, table_columns
from lang.types import VOID, Record


def _emit(f: Function, node: ast.Call) -> Value:
    found = cells(node)
    columns = tuple(Column(item.title, item.key) for item in found)
    emit_event(f, "emit", node, tuple(item.value for item in found), columns=columns)
    return Value("0", VOID)


def _formatted(f: Function, node: ast.Call) -> Value:
    """The number itself: its type says what becomes of it."""
    kind = f.body.type(node)
    return Value(f"({f.program.types.name(kind)}){f.evaluate(node.arguments[0]).text}", kind)


def _table(f: Function, node: ast.Call) -> Value:
    first, *options = node.arguments
    assert isinstance(first, ast.Map)
    spec, info = f.program.user_map(first.name)
    columns = tuple(Column(item.title, item.key) for item in table_columns(info))
    named = {item.name: item.value for item in options if isinstance(item, ast.NamedArgument)}
    sort = sort_name(f, named["sort"]) if "sort" in named else columns[len(columns) - _fields(info)].key
    top = f.constant(named["top"]) if "top" in named else 0
    assert isinstance(top, int)
    emit_event(f, "table", node, (), sort, spec.name, top, columns=columns)
    return Value("0", VOID)


def _fields(info: MapInfo) -> int:
    return len(info.value.names) if isinstance(info.value, Record) else 1


VALUES: dict[str, Callable[[Function, ast.Call], Value]] = {
    "emit": _emit,
    "table": _table,
    **dict.fromkeys(sorted(FORMATTERS), _formatted),
}
