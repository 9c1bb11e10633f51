"""Fields of a map's records → C: `@m[k].field` read, assigned and aggregated, without the record's rest."""

from __future__ import annotations

from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.mapaccess import (
    MAP_FULL,
    Entry,
    add_shared,
    aggregate_value,
    entry,
    lookup,
    operand,
    shared_entry,
    store_latest,
    update,
    value_member,
)  # fmt: skip
from codegen.names import identifier
from codegen.pieces import bare
from lang import ast
from lang.convert import castable
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
