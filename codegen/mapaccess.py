"""Map reads, writes, steps and deletes → C: keys are built zeroed, missing entries read as zero."""

from __future__ import annotations

from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.mapkeys import Entry, entry, plain_key, scalar_key
from codegen.names import identifier
from codegen.pieces import bare
from codegen.plan import Map
from codegen.points import index
from codegen.program import is_histogram
from codegen.writer import ENTRY
from lang import ast
from lang.convert import aggregates, as_int, castable
from lang.records import replace
from lang.types import Aggregate, Array, Last, Pointer, Record, Str, Type, offsets, size_of

_PLACE = "place"  # in what is known of an entry: where it lies, and not its value
MAP_FULL = "map full: can't update element, an update was lost"


def lookup(f: Function, at: Entry) -> str:
    value = f.program.tables[at.map.name].value
    return f.temporary(_hint(at), f"{value} *", f"{at.map.name}.lookup({at.key})")


def _hint(at: Entry) -> str:
    """The script's own name for the map, for a C variable that points into it."""
    return at.map.script_name[1:] or "entry"


def load_entry(f: Function, node: ast.Expression, name: str, keys: tuple[ast.Expression, ...]) -> Value:
    """The value of an entry; zero, or an empty string, where there is none.

    A number that was read before, with nothing written since, is not read again.
    """
    spec, info = f.program.user_map(name)
    plain = plain_key(f, spec, keys)
    known = (ENTRY, spec.name, plain)
    remembered = f.code.known(known) if plain is not None else None
    if remembered is not None and info.value is not None:
        return Value(remembered, info.value)
    if plain and info.value is not None:
        at = Entry(spec, f"&{scalar_key(f, spec, plain)}", info.value)
    else:
        at = entry(f, name, keys)
    if isinstance(at.kind, Aggregate):
        return Value(aggregate_value(f, at.map.name, at.key, at.kind), castable(at.kind))
    if isinstance(at.kind, Record) and aggregates(at.kind):
        return record_value(f, at.map.name, at.key, at.kind)
    found = f.code.known((*known, _PLACE)) or lookup(f, at)
    member = value_member(f, at)
    if is_memory(at.kind):
        room = f.memory(name[1:] or "value", at.kind)
        with f.code.block(f"if ({found})"):
            f.copy(room, f"&{found}->{member}", size_of(at.kind))
        return Value(room if isinstance(at.kind, Str | Array) else f"&{room}", at.kind)
    c_type = f.program.types.name(at.kind)
    source = f"{found}->{member}" if member else f"*{found}"
    text = f.temporary(f"{_hint(at)}_value", c_type, f"{found} ? {source} : 0")
    if plain is not None:
        f.code.learn(known, text)
    return Value(text, at.kind)


def record_value(f: Function, name: str, key: str, kind: Record) -> Value:
    """A record that is kept for each CPU, over all CPUs: aggregations become integers."""
    whole = castable(kind)
    room = f.memory("record", whole)
    store_record(f, room, name, key, kind)
    return Value(f"&{room}", whole)


def store_record(f: Function, room: str, name: str, key: str, kind: Record) -> None:
    """The same, to an lvalue."""
    for number, (field, item) in enumerate(zip(kind.names, kind.elements, strict=True)):
        place = f"{room}.{identifier(field)}"
        if isinstance(item, Last):
            store_latest(f, place, name, key, kind, number)
        elif isinstance(item, Aggregate):
            text = aggregate_value(f, name, key, item, offsets(kind.elements)[0][number])
            f.code.line(f"{place} = {text};")


def store_latest(f: Function, place: str, name: str, key: str, kind: Record, number: int) -> None:
    """A plain field of such a record: what the CPU has that wrote it last."""
    item, field = kind.elements[number], identifier(kind.names[number])
    assert isinstance(item, Last)
    if not f.program.maps[name].kind.startswith(("percpu_", "lru_percpu")):
        _store_shared(f, place, name, key, item, field)
        return
    f.program.helper("latest")
    table, offset = f.program.refer(name), offsets(kind.elements)[0][number]
    cpu = f.temporary("cpu", "u32", f"ebt_latest({table}, {key}, {offset})")
    c_type = f"{f.program.tables[name].value} *"
    found = f.temporary("latest", c_type, f"bpf_map_lookup_percpu_elem({table}, {key}, {cpu})")
    with f.code.block(f"if ({found})"):
        if is_memory(item.of):
            f.copy(place, f"&{found}->{field}.value", size_of(item.of))
        else:
            f.code.line(f"{place} = {found}->{field}.value;")


def _store_shared(f: Function, place: str, name: str, key: str, item: Last, field: str) -> None:
    """A plain field of a record that all CPUs share."""
    found = f.temporary("entry", f"{f.program.tables[name].value} *", f"{name}.lookup({key})")
    with f.code.block(f"if ({found})"):
        if is_memory(item.of):
            f.copy(place, f"&{found}->{field}.value", size_of(item.of))
        else:
            f.code.line(f"{place} = {found}->{field}.value;")


def aggregate_value(f: Function, name: str, key: str, kind: Aggregate, offset: int = 0) -> str:
    """The value of an aggregation over all CPUs, in a C variable; `offset` bytes into the map's value."""
    if not f.program.maps[name].kind.startswith(("percpu_", "lru_percpu")):
        return _shared_value(f, name, key, kind, offset)
    reader = {"min": "least", "max": "most", "avg": "mean"}.get(kind.kind, "total")
    sign = "s64" if kind.signed else "u64"
    f.program.read_over_cpus(reader, sign)
    return f.temporary("over_cpus", sign, f"ebt_{reader}_{sign}({f.program.refer(name)}, {key}, {offset})")


def value_member(f: Function, at: Entry) -> str:
    """`value` where the map's value is a struct of ours, empty where it is the bare value."""
    return "value" if f.program.tables[at.map.name].value == f"struct {at.map.name}_value" else ""


def assign_entry(
    f: Function, node: ast.Node, name: str, keys: tuple[ast.Expression, ...], value: ast.Expression
) -> None:
    """`@m[k] = value`, for values that are no aggregation."""
    _, info = f.program.user_map(name)
    assert info.value is not None
    if is_memory(info.value):
        _assign_memory(f, node, name, keys, value)
        return
    text = bare(f.evaluate(value).text)
    if isinstance(info.value, Pointer):
        text = f"({f.program.types.name(info.value)}){text}"
    at = entry(f, name, keys)
    write_entry(f, node, at, text)


def write_entry(f: Function, node: ast.Node, at: Entry, text: str) -> None:
    """Set an entry to a scalar's C expression."""
    if at.scalar:
        found = lookup(f, at)
        with f.code.block(f"if ({found})"):
            f.code.line(f"{found}->value = {text};")
            f.code.line(f"{found}->written = 1;")
        return
    c_type = f.program.types.name(at.kind)
    f.stack_used += 8
    new = f.temporary("new", c_type, text)
    update(f, node, at, f"&{new}")


def update(f: Function, node: ast.Node, at: Entry, value: str) -> None:
    with f.code.block(f"if ({at.map.name}.update({at.key}, {value}) < 0)"):
        f.code.line(f.count_failure(node, MAP_FULL))


def _assign_memory(
    f: Function, node: ast.Node, name: str, keys: tuple[ast.Expression, ...], value: ast.Expression
) -> None:
    spec, info = f.program.user_map(name)
    assert info.value is not None
    c_type = f.program.tables[spec.name].value
    if info.key is None:
        at = entry(f, name, keys)
        found = lookup(f, at)
        with f.code.block(f"if ({found})"):
            f.zero(f"{found}->value", size_of(info.value))
            f.store(f"{found}->value", info.value, value)
            f.code.line(f"{found}->written = 1;")
        return
    room = f.struct_memory("new", c_type, spec.value_size)
    f.store(f"{room}.value" if c_type.endswith("_value") else room, info.value, value)
    at = entry(f, name, keys)
    update(f, node, at, f"&{room}")


def step_entry(f: Function, target: ast.Map | ast.MapEntry, operator: str, before: bool, kind: Type) -> Value:
    """`@m[k]++` and its like: in place where the entry exists; like bpftrace's, not atomic."""
    name, keys = (target.name, ()) if isinstance(target, ast.Map) else (target.map.name, target.keys)
    at = entry(f, name, keys)
    found = lookup(f, at)
    member = value_member(f, at)
    place = f"{found}->{member}" if member else f"(*{found})"
    c_type = f.program.types.name(kind)
    old = f.temporary("old", c_type, f"{found} ? {place} : 0")
    sign = operator[0]
    if at.scalar:
        with f.code.block(f"if ({found})"):
            f.code.line(f"{place} = {old} {sign} 1;")
            f.code.line(f"{found}->written = 1;")
    else:
        with f.code.block(f"if ({found})"):
            f.code.line(f"{place} = {old} {sign} 1;")
        with f.code.otherwise():
            new = f.temporary("new", f.program.types.name(at.kind), f"0 {sign} 1" if sign == "-" else "1")
            update(f, target, at, f"&{new}")
    return Value(f"({old} {sign} 1)" if before else old, kind)


def delete_entry(f: Function, name: str, keys: tuple[ast.Expression, ...], wanted: bool = True) -> str:
    """Delete an entry. C expression, where it is wanted: whether it was there."""
    at = entry(f, name, keys)
    if not at.scalar and not wanted:
        f.code.line(f"{at.map.name}.delete({at.key});")
        return "0"
    if not at.scalar:
        return f.temporary("deleted", "bool", f"{at.map.name}.delete({at.key}) == 0")
    f.program.maps[at.map.name] = replace(at.map, added=False)  # set back here: the reader does so too
    found = lookup(f, at)
    size = at.map.value_size
    with f.code.block(f"if ({found})"):
        f.zero(f"*{found}", size)
    return "true"


def has_entry(f: Function, name: str, keys: tuple[ast.Expression, ...]) -> str:
    """Whether there is such an entry; what is then read of it needs no other lookup."""
    spec, info = f.program.user_map(name)
    plain = plain_key(f, spec, keys)
    if not plain or info.value is None:
        at = entry(f, name, keys)
        return f.temporary("present", "bool", f"{at.map.name}.lookup({at.key}) != 0")
    found = lookup(f, Entry(spec, f"&{scalar_key(f, spec, plain)}", info.value))
    f.code.learn((ENTRY, spec.name, plain, _PLACE), found)
    return f.temporary("present", "bool", f"{found} != 0")


# ---- Aggregations


def aggregate(
    f: Function, node: ast.Node, name: str, keys: tuple[ast.Expression, ...], call: ast.Call
) -> None:
    """`@m[k] = count()` and its like, in this CPU's copy of the entry."""
    spec, info = f.program.user_map(name)
    kind = info.value
    assert isinstance(kind, Aggregate)
    value = operand(f, call, kind)
    if spec.points:
        _count_point(f, spec)
        return
    if is_histogram(kind) and info.key is None:
        _count_scalar_bucket(f, spec, kind, value)
        return
    at = entry(f, name, keys)
    if is_histogram(kind):
        _count_bucket(f, node, at, kind, value)
        return
    if f.program.is_shared(info):
        _add_atomically(f, node, at, kind, value)
        return
    found = lookup(f, at)
    with f.code.block(f"if ({found})"):
        for line in _merge(found, kind, value, flagged=at.scalar):
            f.code.line(line)
    if at.scalar:
        return
    with f.code.otherwise():
        c_type = f.program.tables[at.map.name].value
        fresh = f.names.fresh("new")
        f.stack_used += 16
        f.code.line(f"{c_type} {fresh} = {_initial(kind, value)};")
        update(f, node, at, f"&{fresh}")


def _add_atomically(f: Function, node: ast.Node, at: Entry, kind: Aggregate, value: str) -> None:
    """The same in an entry that all CPUs share."""
    flagged = at.scalar and kind.kind == "sum"
    found = shared_entry(f, at)
    with f.code.block(f"if ({found})"):
        add_shared(f, f"{found}->value" if flagged else f"(*{found})", kind, value)
        if flagged:
            f.code.line(f"{found}->written = 1;")
    if not at.scalar:
        with f.code.otherwise():
            f.code.line(f.count_failure(node, MAP_FULL))


def shared_entry(f: Function, at: Entry) -> str:
    """A pointer to the entry that all CPUs share; of those that find none, one makes it, all zero."""
    found = lookup(f, at)
    if not at.scalar:
        with f.code.block(f"if (!{found})"):
            value = f.program.tables[at.map.name].value
            if at.map.value_size > 8:
                none = f.struct_memory("none", value, at.map.value_size)
            else:
                f.stack_used += 8
                none = f.temporary("none", value, "0")
            f.code.line(f"{at.map.name}.insert({at.key}, &{none});")
            f.code.line(f"{found} = {at.map.name}.lookup({at.key});")
    return found


def add_shared(f: Function, place: str, kind: Aggregate, value: str) -> None:
    """Add to an aggregation that all CPUs share."""
    if kind.kind != "avg":
        f.code.line(f"__sync_fetch_and_add(&{place}, {value});")
        return
    f.code.line(f"__sync_fetch_and_add(&{place}.count, 1);")
    f.code.line(f"__sync_fetch_and_add(&{place}.total, {value});")


def _shared_value(f: Function, name: str, key: str, kind: Aggregate, offset: int) -> str:
    """The value of an aggregation that all CPUs share, `offset` bytes into the map's value."""
    sign = "s64" if kind.signed else "u64"
    found = f.temporary("entry", "char *", f"(char *){name}.lookup({key})")
    if kind.kind == "avg":
        count = f.temporary("count", "u64", f"{found} ? *(u64 *)({found} + {offset}) : 0")
        total = f.temporary("total", sign, f"{found} ? *({sign} *)({found} + {offset + 8}) : 0")
        mean = f"(u64){total} / {count}"
        if kind.signed:  # BPF divides unsigned numbers only
            mean = f"({total} < 0 ? -(s64)((u64)-{total} / {count}) : (s64)({mean}))"
        return f.temporary("mean", sign, f"{count} ? {mean} : 0")
    return f.temporary("total", sign, f"{found} ? *({sign} *)({found} + {offset}) : 0")


def operand(f: Function, call: ast.Call, kind: Aggregate) -> str:
    if not call.arguments:
        return "1"
    value = f.evaluate(call.arguments[0])
    source = as_int(value.type)
    signed = kind.signed
    name = "s64" if signed else "u64"
    if source is not None and source.bits == 64 and source.signed == signed and value.text.isidentifier():
        return value.text
    return f.temporary("n", name, bare(value.text))


def _merge(found: str, kind: Aggregate, value: str, flagged: bool) -> list[str]:
    match kind.kind:
        case "count":
            return [f"*{found} += 1;"]
        case "sum" if flagged:
            return [f"{found}->value += {value};", f"{found}->written += 1;"]
        case "sum":
            return [f"*{found} += {value};"]
        case "min" | "max":
            sign = "<" if kind.kind == "min" else ">"
            return [
                f"if (!{found}->written || {value} {sign} {found}->value)", f"    {found}->value = {value};",
                f"{found}->written = 1;",
            ]  # fmt: skip
    return [f"{found}->count += 1;", f"{found}->total += {value};"]


def _initial(kind: Aggregate, value: str) -> str:
    match kind.kind:
        case "count":
            return "1"
        case "sum":
            return value
        case "min" | "max":
            return f"{{ {value}, 1 }}"
    return f"{{ 1, {value} }}"


def _bucket(f: Function, kind: Aggregate, value: str) -> str:
    """C expression: the number of the bucket that a value falls into."""
    if kind.kind == "hist":
        f.program.helper("hist")
        return f"ebt_hist_bucket({value}, {kind.bits})"
    f.program.helper("lhist")
    return f"ebt_lhist_bucket({value}, {kind.low}, {kind.high}, {kind.step})"


def _count_point(f: Function, spec: Map) -> None:
    """`@m[probe] = count()` where each point has a counter of its own."""
    _count_slot(f, spec, f.temporary("key", "u32", index(f, spec.points)))


def _count_scalar_bucket(f: Function, spec: Map, kind: Aggregate, value: str) -> None:
    _count_slot(f, spec, f.temporary("bucket", "u32", _bucket(f, kind, value)))


def _count_slot(f: Function, spec: Map, slot: str) -> None:
    f.stack_used += 8
    found = f.temporary(spec.script_name[1:] or "entry", "u64 *", f"{spec.name}.lookup(&{slot})")
    with f.code.block(f"if ({found})"):
        f.code.line(f"*{found} += 1;")


def _count_bucket(f: Function, node: ast.Node, at: Entry, kind: Aggregate, value: str) -> None:
    f.code.line(f"{at.key[1:]}.bucket = {_bucket(f, kind, value)};")
    found = lookup(f, at)
    with f.code.block(f"if ({found})"):
        f.code.line(f"*{found} += 1;")
    with f.code.otherwise():
        one = f.temporary("one", "u64", "1")
        update(f, node, at, f"&{one}")
