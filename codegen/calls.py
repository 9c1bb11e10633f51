"""Builtin functions → C. Two tables to extend: VALUES give a scalar or nothing, WRITERS fill memory.

A function of lang/functions.py needs an entry in one of them, or is an aggregation (codegen/mapaccess.py).
"""

from __future__ import annotations

from collections.abc import Callable

from codegen import builtins
from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.mapaccess import delete_entry, has_entry
from codegen.pieces import bare
from codegen.plan import Action
from codegen.program import RING
from lang import ast
from lang.convert import as_int
from lang.types import (
    BOOL,
    INT64,
    UINT64,
    VOID,
    Array,
    Pointer,
    Space,
    Stack,
    Str,
    Type,
    size_of,
)  # fmt: skip

NOTHING = Value("0", VOID)
_INET, _INET6 = 2, 10  # AF_INET, AF_INET6 of include/linux/socket.h


# ---- Events


def emit_event(
    f: Function,
    action: Action,
    node: ast.Node,
    values: tuple[ast.Expression, ...] = (),
    text: str = "",
    map_name: str = "",
    top: int = 0,
    div: int = 0,
) -> None:
    """Reserve a record in the ring, fill it in place, submit it; a full ring is counted."""
    kinds = tuple(_sent_type(f, item) for item in values)
    # Scalars are evaluated before the record is reserved: what they need may leave the statement.
    ready = [None if is_memory(kind) else f.evaluate(item) for item, kind in zip(values, kinds, strict=True)]
    event, struct = f.program.event(action, node.span, kinds, text, map_name, top, div)
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


def _sent_type(f: Function, node: ast.Expression) -> Type:
    value = f.constant(node)
    if isinstance(value, int) and not isinstance(value, bool):
        return INT64 if value < 1 << 63 else UINT64
    return f.body.type(node)


def _outgoing(f: Function, kind: Type, value: Value) -> str:
    if isinstance(kind, Pointer) and not isinstance(value.type, Pointer):
        return f"({f.program.types.name(kind)}){value.text}"
    return bare(value.text)


def _printf(f: Function, node: ast.Call) -> Value:
    text = f.constant(node.arguments[0])
    assert isinstance(text, str)
    emit_event(f, "printf", node, node.arguments[1:], text)
    return NOTHING


def _print(f: Function, node: ast.Call) -> Value:
    first, *rest = node.arguments
    if isinstance(first, ast.Map) and not _has_map(f, first):
        return NOTHING
    if isinstance(first, ast.Map):
        top, div = (_literal(f, item) for item in (*rest, None, None)[:2])
        emit_event(f, "print_map", node, (), "", f.program.user_map(first.name)[0].name, top, div)
    else:
        emit_event(f, "print_value", node, (first,))
    return NOTHING


def _has_map(f: Function, node: ast.Map) -> bool:
    """Whether any probe that is attached here has the map."""
    info = f.program.checked.maps.get(node.name)
    return info is not None and info.value is not None


def _literal(f: Function, node: ast.Expression | None) -> int:
    value = f.constant(node) if node is not None else 0
    assert isinstance(value, int)
    return value


def _map_action(action: Action) -> Callable[[Function, ast.Call], Value]:
    def lower(f: Function, node: ast.Call) -> Value:
        first = node.arguments[0]
        assert isinstance(first, ast.Map)
        if _has_map(f, first):
            emit_event(f, action, node, (), "", f.program.user_map(first.name)[0].name)
        return NOTHING

    return lower


def _time(f: Function, node: ast.Call) -> Value:
    text = f.constant(node.arguments[0]) if node.arguments else "%H:%M:%S\n"
    assert isinstance(text, str)
    emit_event(f, "time", node, (), text)
    return NOTHING


def _exit(f: Function, node: ast.Call) -> Value:
    emit_event(f, "exit", node, node.arguments or (ast.Integer(node.span, 0),))
    f.leave()
    return NOTHING


def _map_and_key(node: ast.Call) -> tuple[str, tuple[ast.Expression, ...]]:
    first, *keys = node.arguments
    if isinstance(first, ast.MapEntry):
        return first.map.name, first.keys
    assert isinstance(first, ast.Map)
    return first.name, tuple(keys)


def _delete(f: Function, node: ast.Call) -> Value:
    return Value(delete_entry(f, *_map_and_key(node)), BOOL)


def _has_key(f: Function, node: ast.Call) -> Value:
    return Value(has_entry(f, *_map_and_key(node)), BOOL)


def _ksym(f: Function, node: ast.Call) -> Value:
    return Value(f"(u64){f.evaluate(node.arguments[0]).text}", f.body.type(node))


def _exists(f: Function, node: ast.Call) -> Value:
    return Value("true" if f.constant(node) else "false", BOOL)


VALUES: dict[str, Callable[[Function, ast.Call], Value]] = {
    "printf": _printf,
    "print": _print,
    "clear": _map_action("clear"),
    "zero": _map_action("zero"),
    "time": _time,
    "exit": _exit,
    "delete": _delete,
    "has_key": _has_key,
    "exists": _exists,
    "ksym": _ksym,
}


# ---- Functions whose value lives in memory


def _str(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    source = node.arguments[0]
    source_kind = f.body.types.get(source)
    value = f.constant(source)
    if isinstance(source, ast.Parameter | ast.Binary) and value is not None:
        _store_constant(f, place, str(value))
        return
    if isinstance(source_kind, Str):
        f.store(place, kind, source)
        return
    own = f.body.type(node)
    limit = min(size_of(own), size_of(kind))
    if isinstance(source_kind, Array):
        array = f.evaluate(source)
        f.read_string(place, str(limit), array.text, "kernel")
        return
    pointer = f.evaluate(source)
    space: Space = source_kind.space if isinstance(source_kind, Pointer) else _default_space(f)
    f.read_string(place, _length(f, node, limit), pointer.text, space)


def _store_constant(f: Function, place: str, text: str) -> None:
    f.store(place, Str(len(text.encode("utf-8", "surrogateescape")) + 1), ast.String(f.body.probe.span, text))


def _default_space(f: Function) -> Space:
    """Where an integer that is used as an address points: user memory in user probes."""
    return "user" if f.target.kind in ("uprobe", "uretprobe", "usdt") else "kernel"


def _length(f: Function, node: ast.Call, limit: int) -> str:
    """The second argument of str(), bounded for the verifier; a literal is in the type already."""
    if len(node.arguments) < 2 or isinstance(f.constant(node.arguments[1]), int):
        return str(limit)
    wanted = f.temporary("length", "u64", f.evaluate(node.arguments[1]).text)
    return f"{wanted} < {limit} ? (u32){wanted} : {limit}"


def _usym(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    builtins.write_user_symbol(f, place, f"(u64){f.evaluate(node.arguments[0]).text}")


def _stack(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    own = f.body.type(node)
    assert isinstance(own, Stack)
    builtins.write_stack(f, place, own)


def _ntop(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    """{family, address[16]} from an IPv4 address in network order, or an array of 4 or 16 bytes."""
    address = node.arguments[-1]
    source = f.body.type(address)
    if as_int(source) is not None:
        value = f.temporary("address", "u32", f.evaluate(address).text)
        size, family, text = 4, _INET, f"&{value}"
    else:
        size = source.length * size_of(source.of) if isinstance(source, Array) else size_of(source)
        family, text = (_INET if size == 4 else _INET6), f.evaluate(address).text
    given = f.evaluate(node.arguments[0]).text if len(node.arguments) == 2 else str(family)
    f.code.line(f"{place}.family = {given};")
    f.code.line(f"__builtin_memset({place}.address, 0, 16);")
    f.code.line(f"__builtin_memcpy({place}.address, {text}, {min(size, 16)});")


WRITERS: dict[str, Callable[[Function, str, Type, ast.Call], None]] = {
    "str": _str,
    "usym": _usym,
    "kstack": _stack,
    "ustack": _stack,
    "ntop": _ntop,
}
