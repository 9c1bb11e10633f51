"""Fields of a map's records → C: `@m[k].field` read, assigned and aggregated, without the record's rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.mapaccess import (
    MAP_FULL,
    add_shared,
    aggregate_value,
    lookup,
    operand,
    shared_entry,
    store_latest,
    update,
    value_member,
)  # fmt: skip
from codegen.mapkeys import Entry, entry
from codegen.names import identifier
from codegen.pieces import bare, ends_itself
from lang import ast
from lang.convert import aggregates, castable
from lang.functions_rows import FORMATTERS
from lang.records import fields
from lang.types import Aggregate, Array, Last, Pointer, Record, Str, Type, offsets, size_of


def of_target(target: ast.Map | ast.MapEntry) -> tuple[str, tuple[ast.Expression, ...]]:
    """A map's name, and the key that is written behind it."""
    return (target.name, ()) if isinstance(target, ast.Map) else (target.map.name, target.keys)


def load_field(f: Function, target: ast.Map | ast.MapEntry, field: str) -> Value:
    """One field: an aggregation's value over all CPUs, or what was last assigned; zero without an entry."""
    name, keys = of_target(target)
    at = entry(f, name, keys)
    assert isinstance(at.kind, Record)
    number = at.kind.names.index(field)
    item = at.kind.elements[number]
    if isinstance(item, Aggregate):
        text = aggregate_value(f, at.map.name, at.key, item, offsets(at.kind.elements)[0][number])
        return Value(text, castable(item))
    kind = castable(item)
    if isinstance(item, Last):
        room = f.memory(field, kind) if is_memory(kind) else _zero(f, field, kind)
        store_latest(f, room, at.map.name, at.key, at.kind, number)
        return _in_room(room, kind)
    return _load_plain(f, at, field, kind)


def _load_plain(f: Function, at: Entry, field: str, kind: Type) -> Value:
    found = lookup(f, at)
    place = f"{_record(f, at, found)}{identifier(field)}"
    if not is_memory(kind):
        c_type = f.program.types.name(kind)
        return Value(f.temporary(field, c_type, f"{found} ? {place} : 0"), kind)
    room = f.memory(field, kind)
    with f.code.block(f"if ({found})"):
        f.copy(room, f"&{place}", size_of(kind))
    return _in_room(room, kind)


def _zero(f: Function, field: str, kind: Type) -> str:
    return f.temporary(field, f.program.types.name(kind), "0")


def _in_room(room: str, kind: Type) -> Value:
    plain = not is_memory(kind) or isinstance(kind, Str | Array)
    return Value(room if plain else f"&{room}", kind)


def _record(f: Function, at: Entry, found: str) -> str:
    """C in front of a field's name, behind a pointer to the map's value."""
    member = value_member(f, at)
    return f"{found}->{member}." if member else f"{found}->"


def assign_field(f: Function, node: ast.FieldAssign) -> None:
    """`@m[k].field = …`: a plain value, or an aggregation in this CPU's copy of the record."""
    record = f.program.user_map(of_target(node.target)[0])[1].value
    assert isinstance(record, Record)
    kind = record.elements[record.names.index(node.field)]
    if isinstance(kind, Aggregate):
        _aggregate(f, node, kind)
    else:
        _assign(f, node, castable(kind), isinstance(kind, Last))


def _assign(f: Function, node: ast.FieldAssign, kind: Type, stamped: bool) -> None:
    """Into the entry where it lies; one that is not there yet is made first, all zero."""
    text = "" if is_memory(kind) else bare(f.evaluate(node.value).text)
    if isinstance(kind, Pointer):
        text = f"({f.program.types.name(kind)}){text}"
    at = entry(f, *of_target(node.target))
    shared = f.program.is_shared(f.program.user_map(of_target(node.target)[0])[1])
    found = shared_entry(f, at) if shared else lookup(f, at)
    if not at.scalar and not shared:
        with f.code.block(f"if (!{found})"):
            fresh = f.struct_memory("new", f.program.tables[at.map.name].value, at.map.value_size)
            update(f, node, at, f"&{fresh}")
            f.code.line(f"{found} = {at.map.name}.lookup({at.key});")
    with f.code.block(f"if ({found})"):
        place = f"{_record(f, at, found)}{identifier(node.field)}" + (".value" if stamped else "")
        if is_memory(kind):
            f.zero(place, size_of(kind))
            f.store(place, kind, node.value)
        else:
            f.code.line(f"{place} = {text};")
        if stamped:
            f.code.line(f"{found}->{identifier(node.field)}.written = bpf_ktime_get_ns();")
        elif at.scalar:
            f.code.line(f"{found}->written = 1;")


def _aggregate(f: Function, node: ast.FieldAssign, kind: Aggregate) -> None:
    assert isinstance(node.value, ast.Call)
    value = operand(f, node.value, kind)
    at = entry(f, *of_target(node.target))
    field = identifier(node.field)
    if f.program.is_shared(f.program.user_map(of_target(node.target)[0])[1]):
        found = shared_entry(f, at)
        with f.code.block(f"if ({found})"):
            add_shared(f, f"{found}->{field}", kind, value)
        if not at.scalar:
            with f.code.otherwise():
                f.code.line(f.count_failure(node, MAP_FULL))
        return
    found = lookup(f, at)
    with f.code.block(f"if ({found})"):
        for line in _merge(f"{found}->{field}", kind, value):
            f.code.line(line)
    if at.scalar:
        return
    with f.code.otherwise():
        fresh = f.struct_memory("new", f.program.tables[at.map.name].value, at.map.value_size)
        for line in _merge(f"{fresh}.{field}", kind, value):
            f.code.line(line)
        update(f, node, at, f"&{fresh}")


# ---- Several fields of one entry: one key, one lookup


def together(f: Function, statements: Sequence[ast.Statement]) -> Iterator[list[ast.Statement]]:
    """Each statement by itself, but for those in a row that set fields of the same entry."""
    items: list[ast.Statement] = []
    for node in statements:
        if items and not _same_entry(f, items[0], node):
            yield items
            items = []
        items.append(node)
    if items:
        yield items


def _same_entry(f: Function, first: ast.Statement, second: ast.Statement) -> bool:
    """Whether both set fields of one record, and neither can change what the other finds."""
    if not isinstance(first, ast.FieldAssign) or not isinstance(second, ast.FieldAssign):
        return False
    name, keys = of_target(first.target)
    if not aggregates(f.program.user_map(name)[1].value) or not _alike(f, first.target, second.target):
        return False
    inside = [item for node in (*keys, first.value, second.value) for item in ast.walk(node)]
    return all(
        not isinstance(item, ast.StepBefore | ast.StepAfter | ast.Block)
        and not (isinstance(item, ast.Map) and item.name == name)
        and (not isinstance(item, ast.Call) or item is first.value or item is second.value
             or item.name in FORMATTERS or item.name == "str")
        for item in inside
    )  # fmt: skip


def _alike(f: Function, one: object, other: object) -> bool:
    """Whether two parts of the tree say the same, of the same variables, wherever they stand."""
    if type(one) is not type(other):
        return False
    if isinstance(one, ast.Variable) and isinstance(other, ast.Variable):
        # a variable in a branch that is left out is none of the body's
        found = [f.body.variables.get(node) for node in (one, other)]
        return one.name == other.name and found[0] is found[1]
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(_alike(f, *pair) for pair in zip(one, other, strict=True))
    if isinstance(one, ast.Node):
        names = [item.name for item in fields(one) if not item.name.endswith(("span", "spans"))]
        return all(_alike(f, getattr(one, name), getattr(other, name)) for name in names)
    return one == other


def assign_fields(f: Function, nodes: Sequence[ast.FieldAssign]) -> None:
    """Set fields of the same entry; one of a keyed map is made first, all zero, where it is not there."""
    name, keys = of_target(nodes[0].target)
    info = f.program.user_map(name)[1]
    record = info.value
    assert isinstance(record, Record)
    kinds = [record.elements[record.names.index(node.field)] for node in nodes]
    texts = [_ready(f, node, kind) for node, kind in zip(nodes, kinds, strict=True)]
    at = entry(f, name, keys)
    shared = f.program.is_shared(info)
    found = shared_entry(f, at) if shared else lookup(f, at)
    if not shared and not at.scalar:
        with f.code.block(f"if (!{found})"):
            fresh = f.struct_memory("new", f.program.tables[at.map.name].value, at.map.value_size)
            update(f, nodes[0], at, f"&{fresh}")
            f.code.line(f"{found} = {at.map.name}.lookup({at.key});")
    with f.code.block(f"if ({found})"):
        if any(isinstance(kind, Last) for kind in kinds):
            now = f.temporary("now", "u64", "bpf_ktime_get_ns()")
        for node, kind, text in zip(nodes, kinds, texts, strict=True):
            place = f"{found}->{identifier(node.field)}"
            _set_field(f, node, kind, place, text, shared)
            if isinstance(kind, Last):
                f.code.line(f"{place}.written = {now};")
    if shared and not at.scalar:
        with f.code.otherwise():
            f.code.line(f.count_failure(nodes[0], MAP_FULL))


def _ready(f: Function, node: ast.FieldAssign, kind: Type) -> str:
    """What goes into the field, in C; nothing for what is stored in place."""
    if isinstance(kind, Aggregate):
        assert isinstance(node.value, ast.Call)
        return operand(f, node.value, kind)
    plain = castable(kind)
    if is_memory(plain):
        return ""
    text = bare(f.evaluate(node.value).text)
    return f"({f.program.types.name(plain)}){text}" if isinstance(plain, Pointer) else text


def _set_field(f: Function, node: ast.FieldAssign, kind: Type, place: str, text: str, shared: bool) -> None:
    if isinstance(kind, Aggregate):
        if shared:
            add_shared(f, place, kind, text)
            return
        for line in _merge(place, kind, text):
            f.code.line(line)
        return
    plain, value = castable(kind), f"{place}.value" if isinstance(kind, Last) else place
    if is_memory(plain):
        read = f.program.user_map(of_target(node.target)[0])[1].read
        if read or not ends_itself(f, node.value):
            f.zero(value, size_of(plain))
        f.store(value, plain, node.value)
    else:
        f.code.line(f"{value} = {text};")


def _merge(place: str, kind: Aggregate, value: str) -> list[str]:
    if kind.kind in ("count", "sum"):
        return [f"{place} += {value};"]
    if kind.kind == "avg":
        return [f"{place}.count += 1;", f"{place}.total += {value};"]
    sign = "<" if kind.kind == "min" else ">"
    return [
        f"if (!{place}.written || {value} {sign} {place}.value)", f"    {place}.value = {value};",
        f"{place}.written = 1;",
    ]  # fmt: skip
