"""Rows and the formatters in them → C: raw values are sent, user space makes them text."""

from __future__ import annotations

from collections.abc import Callable

from codegen.events import emit_event
from codegen.function import Function, Value
from codegen.pieces import member_names
from codegen.plan import Column, TableCell
from lang import ast
from lang.checked import MapInfo
from lang.functions_rows import (
    FORMATTERS,
    TABLE_OPTIONS,
    cells,
    is_empty,
    shown_name,
    shown_side,
    shown_type,
    sort_name,
    table_columns,
)
from lang.types import VOID, Formatted, Record, Tuple, Type


def _emit(f: Function, node: ast.Call) -> Value:
    found = cells(f, node)
    columns = tuple(Column(item.title, item.key) for item in found)
    emit_event(f, "emit", node, tuple(item.value for item in found), columns=columns)
    return Value("0", VOID)


def _formatted(f: Function, node: ast.Call) -> Value:
    """The number itself: its type says what becomes of it."""
    kind = f.body.type(node)
    return Value(f"({f.program.types.name(kind)}){f.evaluate(node.arguments[0]).text}", kind)


def _percent(f: Function, node: ast.Call) -> Value:
    """Millionths; what divides by nothing is nothing."""
    part, whole = (f.evaluate(item).text for item in node.arguments[:2])
    whole = f.temporary("whole", "u64", whole)
    return Value(f"({whole} ? (u64){part} * 1000000 / {whole} : 0)", f.body.type(node))


def _meminfo(f: Function, node: ast.Call) -> Value:
    """User space knows it when it prints."""
    return Value("0", f.body.type(node))


def _format(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    assert isinstance(kind, Formatted) and isinstance(kind.of, Tuple)
    names = member_names(kind.of)
    for item, element, name in zip(node.arguments[1:], kind.of.elements, names, strict=True):
        f.store(f"{place}.{name}", element, item)


def _table(f: Function, node: ast.Call) -> Value:
    first, *options = node.arguments
    assert isinstance(first, ast.Map)
    spec, info = f.program.user_map(first.name)
    columns = tuple(Column(item.title, item.key) for item in table_columns(info))
    named = [item for item in options if isinstance(item, ast.NamedArgument)]
    how = {item.name: item.value for item in named}
    sort = sort_name(f, how["sort"]) if "sort" in how else columns[len(columns) - _fields(info)].key
    top = f.constant(how["top"]) if "top" in how else 0
    assert isinstance(top, int)
    begins = f.constant(how["begins"]) if "begins" in how else ""
    assert isinstance(begins, str)
    shown = ((item.name, shown_side(f, item.value)) for item in named if item.name not in TABLE_OPTIONS)
    names = [column.key for column in columns]
    chosen = tuple(
        TableCell(title, title, names.index(shown_name(value)), shown_type(f, value), _joined(f, value))
        for title, value in shown
        if not is_empty(value)
    )
    emit_event(f, "table", node, (), sort, spec.name, top, columns=columns, shown=chosen, begins=begins)
    return Value("0", VOID)


def _joined(f: Function, shown: ast.Expression) -> str:
    """The C name of the other map that a column shows."""
    return f.program.user_map(shown.map.name)[0].name if isinstance(shown, ast.MapEntry) else ""


def _fields(info: MapInfo) -> int:
    return len(info.value.names) if isinstance(info.value, Record) else 1


WRITERS: dict[str, Callable[[Function, str, Type, ast.Call], None]] = {"format": _format}
VALUES: dict[str, Callable[[Function, ast.Call], Value]] = {
    "emit": _emit,
    "table": _table,
    "percent": _percent,
    "meminfo": _meminfo,
    **dict.fromkeys(sorted(FORMATTERS), _formatted),
}
