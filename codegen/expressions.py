"""Typed expression → C: `evaluate` gives a value, `store` writes it where it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codegen import access, builtins, calls, flow, operators
from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.mapaccess import load_entry
from codegen.pieces import address, member_names, move, number, store_text, text_value
from lang import ast
from lang.checked import VariableInfo
from lang.convert import literal_type
from lang.types import BOOL, UINT64, VOID, Record, Tuple, Type


def evaluate(f: Function, node: ast.Expression) -> Value:
    """The value of an expression; statements that it needs are written before it."""
    meaning = f.body.meanings.get(node)
    if isinstance(meaning, ast.Block) and not meaning.has_value:
        f.statement(meaning)
        return Value("0", VOID)
    if meaning is not None:
        return evaluate(f, meaning)
    return _EVALUATE[type(node)](f, node)


def store(f: Function, place: str, kind: Type, node: ast.Expression) -> None:
    """Write an expression's value, as `kind`, to a C lvalue. The lvalue's memory is zeroed or may stay dirty
    beyond a string's NUL: the caller decides."""
    while isinstance(node, ast.Group):
        node = node.inner
    if node in f.body.meanings:
        store(f, place, kind, f.body.meanings[node])
        return
    if not is_memory(kind):
        f.code.line(f"{place} = {scalar(f, node)};")
        return
    if isinstance(node, ast.Call):
        writer = calls.WRITERS.get(node.name)
        if writer is not None:
            writer(f, place, kind, node)
            return
    if isinstance(node, ast.Name) and node.name in builtins.WRITERS:
        builtins.WRITERS[node.name](f, place, kind)
        return
    if isinstance(node, ast.Ternary):
        operators.store_ternary(f, place, kind, node)
        return
    if isinstance(node, ast.IfValue):
        flow.store_if_value(f, place, kind, node)
        return
    if isinstance(node, ast.Block):
        flow.store_block(f, place, kind, node)
        return
    if isinstance(node, ast.Binary) and node.operator == "??":
        store(f, place, kind, operators.side_taken(f, node))
        return
    if isinstance(node, ast.Tuple | ast.Record) and isinstance(kind, Tuple | Record):
        for item, element, name in zip(node.elements, kind.elements, member_names(kind), strict=True):
            store(f, f"{place}.{name}", element, item)
        return
    text = f.constant(node)
    if isinstance(text, str):
        store_text(f, place, text)
        return
    where = access.place_of(f, node)
    if where is not None:
        access.read_into(f, place, kind, where)
        return
    move(f, place, kind, evaluate(f, node))


def scalar(f: Function, node: ast.Expression) -> str:
    """A scalar's C expression, in brackets where it stands beside an operator."""
    return evaluate(f, node).text


# ---- Literals and names


def _literal(f: Function, node: ast.Integer) -> Value:
    return Value(number(node.value), literal_type(node.value))


def _string(f: Function, node: ast.String) -> Value:
    return text_value(f, node.value)


def _boolean(f: Function, node: ast.Boolean) -> Value:
    return Value("true" if node.value else "false", BOOL)


def _parameter(f: Function, node: ast.Parameter | ast.ParameterCount) -> Value:
    value = f.constant(node)
    if isinstance(value, str):
        return text_value(f, value)
    assert isinstance(value, int)
    return Value(number(value), f.body.type(node))


def _name(f: Function, node: ast.Name) -> Value:
    kind = f.body.type(node)
    found = builtins.read(f, node.name, kind)
    if found is not None:
        return found
    if node.name in builtins.WRITERS:
        room = f.memory(node.name, kind)
        builtins.WRITERS[node.name](f, room, kind)
        return address(room, kind)
    value = f.constant(node)
    if isinstance(value, int):
        return Value(number(value), kind)
    constant = f.program.machine.constant(node.name)
    if constant is None:
        raise f.bug(node, f"no lowering for '{node.name}'")
    return Value(number(constant[0]), kind)


def _group(f: Function, node: ast.Group) -> Value:
    return evaluate(f, node.inner)


# ---- Variables and maps


def _variable(f: Function, node: ast.Variable) -> Value:
    info = f.body.variables[node]
    kind = _variable_type(f, node, info)
    name = f.variables.get(info)
    if name is None:
        raise f.bug(node, f"{node.name} has no C variable")
    if is_memory(kind):
        return address(name, kind)
    if f.stepping:
        return Value(f.temporary(node.name[1:], f.program.types.name(kind), name), kind)
    return Value(name, kind, info in f.known and not f.callback)


def _variable_type(f: Function, node: ast.Variable, info: VariableInfo) -> Type:
    if info.type is None:
        raise f.bug(node, f"{node.name} has no type")
    return info.type


def _map(f: Function, node: ast.Map) -> Value:
    return load_entry(f, node, node.name, ())


def _map_entry(f: Function, node: ast.MapEntry) -> Value:
    return load_entry(f, node, node.map.name, node.keys)


def _size_of(f: Function, node: ast.SizeOf | ast.OffsetOf) -> Value:
    value = f.constant(node)
    assert isinstance(value, int)
    return Value(str(value), UINT64)


def _tuple(f: Function, node: ast.Tuple | ast.Record) -> Value:
    kind = f.body.type(node)
    room = f.memory("tuple", kind)
    store(f, room, kind, node)
    return address(room, kind)


def _comptime(f: Function, node: ast.Comptime) -> Value:
    return f.evaluate(node.operand)


def _call(f: Function, node: ast.Call) -> Value:
    value = f.constant(node)
    if isinstance(value, int):
        kind = f.body.type(node)
        return Value(("true" if value else "false") if kind == BOOL else number(value), kind)
    if node.name in calls.VALUES:
        return calls.VALUES[node.name](f, node)
    if node.name in calls.WRITERS:
        kind = f.body.type(node)
        room = f.memory(node.name, kind)
        calls.WRITERS[node.name](f, room, kind, node)
        return address(room, kind)
    raise f.bug(node, f"no lowering for {node.name}()")


_EVALUATE: dict[type[ast.Node], Callable[[Function, Any], Value]] = {
    ast.Integer: _literal,
    ast.String: _string,
    ast.Boolean: _boolean,
    ast.Parameter: _parameter,
    ast.ParameterCount: _parameter,
    ast.Name: _name,
    ast.Group: _group,
    ast.Variable: _variable,
    ast.Map: _map,
    ast.MapEntry: _map_entry,
    ast.Member: access.member,
    ast.Element: access.element,
    ast.Index: access.index,
    ast.Unary: operators.unary,
    ast.Binary: operators.binary,
    ast.Ternary: operators.ternary,
    ast.Cast: operators.cast,
    ast.StepBefore: operators.step,
    ast.StepAfter: operators.step,
    ast.SizeOf: _size_of,
    ast.OffsetOf: _size_of,
    ast.Tuple: _tuple,
    ast.Record: _tuple,
    ast.Call: _call,
    ast.Comptime: _comptime,
    ast.Block: flow.block_value,
    ast.IfValue: flow.if_value,
}
