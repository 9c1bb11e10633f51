"""Functions on whole maps and single entries → C. Their events are codegen/events.py's."""

from __future__ import annotations

from collections.abc import Callable

from codegen.calls_text import length
from codegen.function import Function, Value
from codegen.mapaccess import delete_entry, has_entry
from lang import ast
from lang.records import replace
from lang.types import BOOL, INT64, Stack, Str


def _map_and_key(node: ast.Call) -> tuple[str, tuple[ast.Expression, ...]]:
    first, *keys = node.arguments
    if isinstance(first, ast.MapEntry):
        return first.map.name, first.keys
    assert isinstance(first, ast.Map)
    return first.name, tuple(keys)


def _delete(f: Function, node: ast.Call) -> Value:
    return Value(delete_entry(f, *_map_and_key(node)), BOOL)


def delete_unasked(f: Function, node: ast.Call) -> None:
    """delete() as a statement: nobody asks whether the entry was there."""
    delete_entry(f, *_map_and_key(node), wanted=False)


def _has_key(f: Function, node: ast.Call) -> Value:
    return Value(has_entry(f, *_map_and_key(node)), BOOL)


def _len(f: Function, node: ast.Call) -> Value:
    """The entries of a map, or the frames of a stack."""
    first = node.arguments[0]
    if isinstance(first, ast.Map):
        return _count(f, first.name)
    if isinstance(f.body.type(first), Str):
        return length(f, node)
    stack = f.evaluate(first)
    assert isinstance(stack.type, Stack)
    return Value(f"(s64)({stack.text})->frames", INT64)


def _count(f: Function, name: str) -> Value:
    """bpf_for_each_map_elem says how many entries it went through: its callback does nothing."""
    spec, _ = f.program.user_map(name)
    callback = f.program.function_names.fresh(f"{f.root}_count")
    inner = replace(
        f, code=type(f.code)(), names=type(f.names)(), variables={}, scratch=[], scratch_sizes=[],
        stack_used=0, record={}, name=callback, context="u64 address", callback=True, prologue_at=0,
    )  # fmt: skip
    reference = f.program.refer(callback)
    f.callbacks.append((callback, "each"))
    f.program.add_callback(inner)
    text = f"bpf_for_each_map_elem({f.program.refer(spec.name)}, {reference}, 0, 0)"
    return Value(f.temporary("entries", "s64", text), INT64)


MAPS: dict[str, Callable[[Function, ast.Call], Value]] = {
    "delete": _delete,
    "has_key": _has_key,
    "len": _len,
}
