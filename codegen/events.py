"""Statements that tell user space something → C: a record in the ring buffer or in a perf buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from codegen import builtins
from codegen.ctypes import is_memory
from codegen.function import Function, Value, reader
from codegen.names import c_string
from codegen.pieces import bare
from codegen.plan import Action, Column, Event, TableCell
from codegen.program import RING
from lang import ast
from lang.records import replace
from lang.types import CHAR, INT64, UINT32, UINT64, VOID, Array, Pointer, Timestamp, Type

NOTHING = Value("0", VOID)
JOIN_ARGUMENTS, JOIN_BYTES = 16, 1024  # bpftrace's limits


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
    shown: tuple[TableCell, ...] = (),
    begins: str = "",
) -> None:
    """Reserve a record in the ring, fill it in place, submit it; a full ring is counted."""
    kinds = tuple(_sent_type(f, item) for item in values)
    # Scalars are evaluated before the record is reserved: what they need may leave the statement.
    ready = [
        None if is_memory(kind) else _evaluate(f, item) for item, kind in zip(values, kinds, strict=True)
    ]
    with _record(f, action, node, kinds, text, map_name, top, div, columns, shown, begins) as record:
        for number, (item, kind, value) in enumerate(zip(values, kinds, ready, strict=True)):
            place = f"{record}->field{number}"
            if value is None:
                f.store(place, kind, item)
            else:
                f.code.line(f"{place} = {_outgoing(f, kind, value)};")


@contextmanager
def _record(
    f: Function,
    action: Action,
    node: ast.Node,
    kinds: tuple[Type, ...],
    text: str = "",
    map_name: str = "",
    top: int = 0,
    div: int = 0,
    columns: tuple[Column, ...] = (),
    shown: tuple[TableCell, ...] = (),
    begins: str = "",
) -> Iterator[str]:
    """A record in the ring: inside the block its fields are filled, after it it is sent."""
    event, struct = f.program.event(
        action, node.span, kinds, text, map_name, top, div, columns, shown, begins
    )
    if node in f.taking:
        f.program.events[event.site] = replace(event, takes=True)
    record = f.names.fresh("event")
    if not f.program.has_ringbuf:
        with _perf_record(f, event, struct, record):
            yield record
        return
    f.code.line(f"struct {struct} *{record} = {RING}.ringbuf_reserve(sizeof(*{record}));")
    with f.code.block(f"if ({record})"):
        f.code.line(f"{record}->site = {event.site};")
        yield record
        f.code.line(f"{RING}.ringbuf_submit({record}, 0);")
    with f.code.otherwise():
        f.code.line(f.lost_event())


@contextmanager
def _perf_record(f: Function, event: Event, struct: str, record: str) -> Iterator[None]:
    """The same without a ring buffer: filled in memory of this CPU, then copied to its perf buffer."""
    with f.code.block(""):
        f.code.line(f"struct {struct} *{record} = (struct {struct} *){f.event_room(event.size)};")
        f.code.line(f"{record}->site = {event.site};")
        yield
        f.code.line(f"if ({RING}.perf_submit(ctx, {record}, sizeof(*{record})) < 0)")
        f.code.line(f"    {f.lost_event()}")


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


def _formatted(action: Action) -> Callable[[Function, ast.Call], Value]:
    """printf, and what else takes a format and its values."""

    def lower(f: Function, node: ast.Call) -> Value:
        text = f.constant(node.arguments[0])
        assert isinstance(text, str)
        emit_event(f, action, node, node.arguments[1:], text)
        return NOTHING

    return lower


def _print(f: Function, node: ast.Call) -> Value:
    first, *rest = node.arguments
    if isinstance(first, ast.Map):
        top, div = (_literal(f, item) for item in (*rest, None, None)[:2])
        emit_event(f, "print_map", node, (), "", f.program.user_map(first.name)[0].name, top, div)
    else:
        emit_event(f, "print_value", node, (first,))
    return NOTHING


def _of_stacks(action: Action) -> Callable[[Function, ast.Call], Value]:
    """folded, and stacked, which may have a third argument."""

    def lower(f: Function, node: ast.Call) -> Value:
        first, *rest = node.arguments
        assert isinstance(first, ast.Map)
        between, offsets = [f.constant(item) for item in rest] + ["", False][len(rest) :]
        emit_event(f, action, node, (), str(between), f.program.user_map(first.name)[0].name)
        f.program.events[-1] = replace(f.program.events[-1], offsets=bool(offsets))
        return NOTHING

    return lower


def _literal(f: Function, node: ast.Expression | None) -> int:
    value = f.constant(node) if node is not None else 0
    assert isinstance(value, int)
    return value


def _map_action(action: Action) -> Callable[[Function, ast.Call], Value]:
    def lower(f: Function, node: ast.Call) -> Value:
        first = node.arguments[0]
        assert isinstance(first, ast.Map)
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


def _join(f: Function, node: ast.Call) -> Value:
    """{u32 count; char text[16][1024]}: what the pointers of an array that NULL ends point to."""
    between = f.constant(node.arguments[1]) if len(node.arguments) == 2 else " "
    assert isinstance(between, str)
    source = f.evaluate(node.arguments[0])
    space = source.type.space if isinstance(source.type, Pointer) else "kernel"
    start = f.temporary("list", "u64", f"(u64){source.text}")
    kinds = (UINT32, Array(Array(CHAR, JOIN_BYTES), JOIN_ARGUMENTS))
    with _record(f, "join", node, kinds, between) as record:
        f.code.line(f"{record}->field0 = 0;")
        f.code.line("#pragma unroll")
        with f.code.block(f"for (u32 i = 0; i < {JOIN_ARGUMENTS}; i++)"):
            f.code.line("u64 text = 0;")
            f.code.line(f"{reader(space)}(&text, sizeof(text), (void *)({start} + i * 8));")
            f.code.line("if (!text)")
            f.code.line("    break;")
            f.code.line(f"{record}->field1[i][0] = 0;")
            f.read_string(f"{record}->field1[i]", str(JOIN_BYTES), "text", space)
            f.code.line(f"{record}->field0 = i + 1;")
    return NOTHING


def _debug(f: Function, node: ast.Call) -> Value:
    """A line in the kernel's trace_pipe."""
    text = f.constant(node.arguments[0])
    assert isinstance(text, str)
    values = [f.evaluate(item).text for item in node.arguments[1:]]
    f.program.helper("trace_printk")
    arguments = "".join(f", {value}" for value in values)
    room = f.names.fresh("format")
    f.code.line(f"char {room}[] = {c_string(text)};")
    f.code.line(f"ebt_trace_printk({room}, sizeof({room}){arguments});")
    return NOTHING


def _screen(f: Function, node: ast.Call) -> Value:
    emit_event(f, "screen", node)
    return NOTHING


def _checked(f: Function, node: ast.Call) -> Value:
    """static_assert(): the checker has seen that it holds."""
    return NOTHING


EVENTS: dict[str, Callable[[Function, ast.Call], Value]] = {
    "printf": _formatted("printf"),
    "errorf": _formatted("errorf"),
    "warnf": _formatted("warnf"),
    "cat": _formatted("cat"),
    "system": _formatted("system"),
    "print": _print,
    "folded": _of_stacks("folded"),
    "stacked": _of_stacks("stacked"),
    "clear": _map_action("clear"),
    "zero": _map_action("zero"),
    "time": _time,
    "clear_screen": _screen,
    "exit": _exit,
    "join": _join,
    "debugf": _debug,
    "static_assert": _checked,
}
