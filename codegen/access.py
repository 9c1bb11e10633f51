"""Members, elements and dereferences → where the thing lies, and its value read from there."""

from __future__ import annotations

from codegen import builtins
from codegen.ctypes import is_memory
from codegen.direct import takes_pointer
from codegen.function import Function, Place, Value
from codegen.mapfields import load_field
from codegen.names import identifier
from codegen.pieces import number, text_value
from lang import ast
from lang.convert import value_type
from lang.machine import Field
from lang.types import Array, Pointer, Record, Space, Str, Struct, Tuple, Type, size_of


def place_of(f: Function, node: ast.Expression) -> Place | None:
    """Where the thing lies, if it is in memory that must be read: members, elements, dereferences."""
    while isinstance(node, ast.Group):
        node = node.inner
    match node:
        case ast.Member():
            return _member_place(f, node)
        case ast.Index():
            return _index_place(f, node)
        case ast.Unary(_, "*", operand):
            pointer = f.evaluate(operand)
            kind = f.body.type(node)
            c_type = _pointer_to(f, kind)
            space: Space = pointer.type.space if isinstance(pointer.type, Pointer) else default_space(f)
            behind = f"({c_type}){pointer.text}"
            return Place(f"(*{behind})", kind, space, pointer=behind)
    return None


def default_space(f: Function) -> Space:
    """Where an integer that is used as an address points: user memory in user probes."""
    return "user" if f.target.kind in ("uprobe", "uretprobe") else "kernel"


def _pointer_to(f: Function, kind: Type) -> str:
    if isinstance(kind, Array | Str):
        return "char *"
    text = f.program.types.name(kind)
    return f"{text}*" if text.endswith("*") else f"{text} *"


def _member_place(f: Function, node: ast.Member) -> Place | None:
    if isinstance(node.base, ast.Name) and node.base.name == "args":
        return _tracepoint_place(f, node)
    if isinstance(node.base, ast.Name) and node.base.name == "opt":
        return None
    base = f.body.type(node.base)
    if isinstance(base, Pointer):
        assert isinstance(base.to, Struct)
        pointer = leading(f, node.base)
        name, item = _member(f, base.to, node.name)
        spot = (base.to, item.offset) if pointer.known else None
        kind = value_type(item.type, base.space)
        return Place(f"{pointer.text}->{name}", kind, base.space, item, spot=spot)
    return _in_struct(f, node, base) if isinstance(base, Struct) else None


def leading(f: Function, node: ast.Expression) -> Value:
    """A pointer that leads to what is read: where the verifier can know it, in such a way that it does."""
    while isinstance(node, ast.Group) or node in f.body.meanings:
        node = node.inner if isinstance(node, ast.Group) else f.body.meanings[node]
    place = _member_place(f, node) if isinstance(node, ast.Member) else None
    if place is None or (place.item is not None and place.item.data_loc):
        return f.evaluate(node)
    assert isinstance(node, ast.Member)
    if place.spot is None or not takes_pointer(f.program.machine, place.spot, place.type):
        return f.read(place, node.name)
    text = f.shared(("leads", place.text), node.name, f.program.types.name(place.type), place.text)
    return Value(text, place.type, known=True)


def _member(f: Function, struct: Struct, name: str) -> tuple[str, Field]:
    """C for the member, behind `.` or `->`, and what it is."""
    item = next(item for item in f.program.machine.fields(struct) if item.name == name)
    return f.program.types.member(struct, item), item


def _in_struct(f: Function, node: ast.Member, struct: Struct) -> Place:
    """A member of a struct that lies somewhere, or whose copy a variable, a map or a tuple holds."""
    outer = place_of(f, node.base)
    if outer is None:
        copy = f.evaluate(node.base).text
        name, item = _member(f, struct, node.name)
        text = f"(({f.program.types.name(struct)} *){copy})->{name}"
        return Place(text, value_type(item.type, default_space(f)), "memory", item)
    name, item = _member(f, struct, node.name)
    text = f"({outer.pointer})->{name}" if outer.pointer else f"{outer.text}.{name}"
    inner: Space = "user" if outer.space == "user" else "kernel"
    spot = (outer.spot[0], outer.spot[1] + item.offset) if outer.spot else None
    return Place(text, value_type(item.type, inner), outer.space, item, spot=spot)


def _tracepoint_place(f: Function, node: ast.Member) -> Place | None:
    item = next((item for item in f.target.fields or () if item.name == node.name), None)
    if item is None or f.target.kind == "sysret" or f.mechanism != "tracepoint":
        return None
    kind = f.body.type(node)
    return Place(f"ctx->{builtins.tracepoint_member(f, item)}", kind, "context", item)


def option_value(f: Function, node: ast.Member | ast.Call) -> Value:
    """`opt.name` or getopt(), a constant."""
    value = f.constant(node)
    if isinstance(value, str):
        return text_value(f, value)
    assert value is not None
    text = number(value) if not isinstance(value, bool) else "true" if value else "false"
    return Value(text, f.body.type(node))


def member(f: Function, node: ast.Member) -> Value:
    if isinstance(node.base, ast.Name) and node.base.name == "opt":
        return option_value(f, node)
    base_type = (
        None if isinstance(node.base, ast.Name) and node.base.name == "args" else f.body.type(node.base)
    )
    if isinstance(base_type, Record) and isinstance(node.base, ast.Map | ast.MapEntry):
        return load_field(f, node.base, node.name)
    if isinstance(base_type, Record):
        base = f.evaluate(node.base)
        kind = base_type.elements[base_type.names.index(node.name)]
        c_type = f.program.types.name(base_type)
        return _within(f, f"(({c_type} *){base.text})->{identifier(node.name)}", kind)
    place = _member_place(f, node)
    if place is None and f.target.kind == "sysret" and f.mechanism != "fexit":
        item = next(item for item in f.target.fields or () if item.name == node.name)
        kind = f.body.type(node)
        return Value(f"(({f.program.types.name(kind)}){f.at_entry(identifier(item.name), item)})", kind)
    if place is None and f.target.kind in ("syscall", "sysret"):
        item = next(item for item in f.target.fields or () if item.name == node.name)
        kind = f.body.type(node)
        return Value(f"(({f.program.types.name(kind)}){f.syscall_word(item)})", kind)
    if place is None:
        number_of = next(i for i, item in enumerate(f.target.parameters or ()) if item.name == node.name)
        return f.argument(number_of, f.body.type(node))
    if isinstance(place.item, Field) and place.item.data_loc:
        return builtins.data_loc_string(f, place)
    return f.read(place, node.name)


def _within(f: Function, text: str, kind: Type) -> Value:
    return Value(text if not is_memory(kind) or isinstance(kind, Str | Array) else f"&{text}", kind)


def element(f: Function, node: ast.Element) -> Value:
    return _tuple_element(f, node.base, node.number)


def _tuple_element(f: Function, base_node: ast.Expression, position: int) -> Value:
    base = f.evaluate(base_node)
    assert isinstance(base.type, Tuple)
    text = f"(({f.program.types.name(base.type)} *){base.text})->f{position}"
    if base.text.startswith("&"):
        text = f"{base.text[1:]}.f{position}"
    return _within(f, text, base.type.elements[position])


def index(f: Function, node: ast.Index) -> Value:
    base = f.body.type(node.base)
    if isinstance(base, Tuple):
        position = f.constant(node.index)
        assert isinstance(position, int)
        return _tuple_element(f, node.base, position)
    if isinstance(base, Str):
        return _character(f, node, base)
    place = _index_place(f, node)
    value = _own_element(f, node) if place is None else f.read(place, "element")
    outside = f.code.known(("outside", node))
    if outside is None or is_memory(value.type):
        return value
    return Value(f"({outside} ? 0 : {value.text})", value.type)


def _own_element(f: Function, node: ast.Index) -> Value:
    """An element of an array that is a value of ours: a variable's, a map's, a function's result."""
    array, kind = f.evaluate(node.base), f.body.type(node)
    assert isinstance(array.type, Array)
    text = f"(({_pointer_to(f, kind)}){array.text})"
    if isinstance(kind, Array):
        at = _bounded(f, node, array.type.length)
        return Value(f"({text} + {at} * {size_of(kind)})", kind)
    at = f.evaluate(node.index).text
    if isinstance(f.constant(node.index), int):
        return _within(f, f"{text}[{at}]", kind)
    return _within(f, f"{text}[{_bounded(f, node, array.type.length)}]", kind)


def _character(f: Function, node: ast.Index, base: Str) -> Value:
    text, at = f.evaluate(node.base), f.evaluate(node.index).text
    kind = f.body.type(node)
    if isinstance(f.constant(node.index), int):
        return Value(f"{text.text}[{at}]" if int(at) < base.size else "0", kind)
    bounded = f.temporary("at", "u32", at)
    return Value(f"({bounded} < {base.size} ? {text.text}[{bounded}] : 0)", kind)


def _index_place(f: Function, node: ast.Index) -> Place | None:
    base, kind = f.body.type(node.base), f.body.type(node)
    if isinstance(base, Pointer):
        pointer = f.evaluate(node.base)
        at = f.evaluate(node.index).text
        return Place(f"(({_pointer_to(f, kind)}){pointer.text})[{at}]", kind, base.space)
    if isinstance(base, Array):
        outer = place_of(f, node.base)
        if outer is None:
            return None
        at = _bounded(f, node, base.length)
        return Place(f"{outer.text}[{at}]", kind, outer.space)
    return None


def _bounded(f: Function, node: ast.Index, length: int) -> str:
    """The index, which the verifier knows to be within; one that is not is told, and what it reads is 0."""
    at = f.evaluate(node.index).text
    if not length or isinstance(f.constant(node.index), int):
        return at
    found = f.temporary("at", "u64", at)
    outside = f.temporary("outside", "bool", f"{found} >= {length}")
    with f.code.block(f"if ({outside})"):
        f.code.line(f"{found} = 0;")
        f.code.line(f.count_failure(node, "array access out of bounds, this can lead to unexpected results"))
    f.code.learn(("outside", node), outside)
    return found


def read_into(f: Function, room: str, kind: Type, place: Place) -> None:
    """Read what lies at a place into an lvalue of a type that can hold it."""
    if place.item is not None and place.item.data_loc:
        builtins.read_data_loc(f, room, kind, place)
    else:
        f.read_into(room, kind, place)
