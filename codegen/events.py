"""Emitting statements → C: reserve a record in the ring, fill it in place, submit it."""

from __future__ import annotations

from codegen import builtins
from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.pieces import bare
from codegen.plan import Action, Column
from codegen.program import RING
from lang import ast
from lang.types import INT64, UINT64, Pointer, Timestamp, Type


def emit_event(
    f: Function,
    action: Action,
    node: ast.Node,
    values: tuple[ast.Expression, ...] = (),
    text: str = "",
    map_name: str = "",
    top: int = 0,
    div: int = 0,
    columns: tuple[Column, ...] = (),
) -> None:
    """Reserve a record in the ring, fill it in place, submit it; a full ring is counted."""
    kinds = tuple(_sent_type(f, item) for item in values)
    # Scalars are evaluated before the record is reserved: what they need may leave the statement.
    ready = [
        None if is_memory(kind) else _evaluate(f, item) for item, kind in zip(values, kinds, strict=True)
    ]
    event, struct = f.program.event(action, node.span, kinds, text, map_name, top, div, columns)
    record = f.names.fresh("event")
    f.code.line(f"struct {struct} *{record} = {RING}.ringbuf_reserve(sizeof(*{record}));")
    with f.code.block(f"if ({record})"):
        f.code.line(f"{record}->site = {event.site};")
        for number, (item, kind, value) in enumerate(zip(values, kinds, ready, strict=True)):
            place = f"{record}->field{number}"
            if value is None:
                f.store(place, kind, item)
            else:
                f.code.line(f"{place} = {_outgoing(f, kind, value)};")
        f.code.line(f"{RING}.ringbuf_submit({record}, 0);")
    with f.code.otherwise():
        f.code.line(f.lost_event())


def _evaluate(f: Function, node: ast.Expression) -> Value:
    if _is_time(node):
        now = builtins.read(f, "nsecs", UINT64)
        assert now is not None
        return now
    return f.evaluate(node)


def _is_time(node: ast.Expression) -> bool:
    """`time()` as a value: the time of the event, in a row."""
    return isinstance(node, ast.Call) and node.name == "time"


def _sent_type(f: Function, node: ast.Expression) -> Type:
    if isinstance(node, ast.Call) and _is_time(node):
        text = f.constant(node.arguments[0]) if node.arguments else "%H:%M:%S"
        return Timestamp(str(text))
    value = f.constant(node)
    if isinstance(value, int) and not isinstance(value, bool):
        return INT64 if value < 1 << 63 else UINT64
    return f.body.type(node)


def _outgoing(f: Function, kind: Type, value: Value) -> str:
    if isinstance(kind, Pointer) and not isinstance(value.type, Pointer):
        return f"({f.program.types.name(kind)}){value.text}"
    return bare(value.text)
