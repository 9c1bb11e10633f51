"""Typed expression → C: `evaluate` gives a value, `store` writes it where it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codegen import builtins, calls
from codegen.ctypes import is_memory
from codegen.function import Function, Place, Value
from codegen.mapaccess import load_entry, step_entry
from codegen.names import c_string
from lang import ast
from lang.checked import VariableInfo
from lang.convert import as_int, literal_type
from lang.infer import COMPARISONS, value_type
from lang.machine import Field
from lang.types import (
    BOOL, INT64, UINT64, Array, Bool, Int, Pointer, Record, Str, Struct, Tuple, Type, Void, size_of,
)  # fmt: skip

MAX_CHAIN = 64  # characters of a literal that are compared one by one


def evaluate(f: Function, node: ast.Expression) -> Value:
    """The value of an expression; statements that it needs are written before it."""
    return _EVALUATE[type(node)](f, node)


def store(f: Function, place: str, kind: Type, node: ast.Expression) -> None:
    """Write an expression's value, as `kind`, to a C lvalue. The lvalue's memory is zeroed or may stay dirty
    beyond a string's NUL: the caller decides."""
    while isinstance(node, ast.Group):
        node = node.inner
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
        _store_ternary(f, place, kind, node)
        return
    if isinstance(node, ast.Tuple | ast.Record) and isinstance(kind, Tuple | Record):
        names = kind.names if isinstance(kind, Record) else tuple(f"f{i}" for i in range(len(kind.elements)))
        for item, element, name in zip(node.elements, kind.elements, names, strict=True):
            store(f, f"{place}.{name}", element, item)
        return
    text = f.constant(node)
    if isinstance(text, str):
        store_text(f, place, text)
        return
    where = _place(f, node)
    if where is not None:
        f.read_into(place, kind, where)
        return
    value = evaluate(f, node)
    f.copy(place, value.text, min(size_of(value.type), size_of(kind)))


def store_text(f: Function, place: str, text: str) -> None:
    """A literal string, with its NUL."""
    size = len(text.encode("utf-8", "surrogateescape")) + 1
    f.code.line(f"__builtin_memcpy(&{place}, {c_string(text)}, {size});")


def _store_ternary(f: Function, place: str, kind: Type, node: ast.Ternary) -> None:
    if node.then is None:
        raise f.bug(node, "a ?: with a value in memory")
    with f.code.block(f"if ({condition(f, node.condition)})"):
        store(f, place, kind, node.then)
    with f.code.otherwise():
        store(f, place, kind, node.otherwise)


def scalar(f: Function, node: ast.Expression) -> str:
    """A scalar's C expression, in brackets where it stands beside an operator."""
    return evaluate(f, node).text


def wide(f: Function, node: ast.Expression, kind: Int) -> str:
    """The expression as a 64-bit operand of the given signedness."""
    value = evaluate(f, node)
    return widen(value, kind)


def widen(value: Value, kind: Int) -> str:
    name = "s64" if kind.signed else "u64"
    source = as_int(value.type)
    if source is not None and source.bits == 64 and source.signed == kind.signed and not value.text.lstrip("-").isdigit():
        return value.text
    if value.text.isdigit() and int(value.text) < 1 << 31:
        return value.text
    return f"({name}){value.text}"


def condition(f: Function, node: ast.Expression) -> str:
    """A C condition, without a pair of brackets around the whole of it."""
    return bare(evaluate(f, node).text)


def bare(text: str) -> str:
    """Without the brackets around the whole expression, if they are a pair."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1]


# ---- Literals and names


def _literal(f: Function, node: ast.Integer) -> Value:
    return Value(number(node.value), literal_type(node.value))


def number(value: int) -> str:
    """An integer literal of C: 32-bit ones plain, wider ones with their suffix."""
    if value == -(1 << 63):
        return "((s64)0x8000000000000000ULL)"
    if value < 0:
        return f"({value}LL)" if value < -(1 << 31) else f"({value})"
    if value >= 1 << 63:
        return f"{value}ULL"
    return f"{value}LL" if value >= 1 << 31 else str(value)


def _string(f: Function, node: ast.Expression) -> Value:
    text = f.constant(node)
    assert isinstance(text, str)
    kind = Str(len(text.encode("utf-8", "surrogateescape")) + 1)
    room = f.memory("text", kind)
    store_text(f, room, text)
    return Value(room, kind)


def _boolean(f: Function, node: ast.Boolean) -> Value:
    return Value("true" if node.value else "false", BOOL)


def _parameter(f: Function, node: ast.Parameter | ast.ParameterCount) -> Value:
    value = f.constant(node)
    if isinstance(value, str):
        return _string(f, node)
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
    constant = f.program.machine.constant(node.name)
    if constant is None:
        raise f.bug(node, f"no lowering for '{node.name}'")
    return Value(number(constant[0]), kind)


def address(room: str, kind: Type) -> Value:
    """The value whose bytes are in an lvalue."""
    return Value(room if isinstance(kind, Str | Array) else f"&{room}", kind)


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
    return Value(name, kind)


def _variable_type(f: Function, node: ast.Variable, info: VariableInfo) -> Type:
    if info.type is None:
        raise f.bug(node, f"{node.name} has no type")
    return info.type


def _map(f: Function, node: ast.Map) -> Value:
    return load_entry(f, node, node.name, ())


def _map_entry(f: Function, node: ast.MapEntry) -> Value:
    return load_entry(f, node, node.map.name, node.keys)


# ---- Access


def _place(f: Function, node: ast.Expression) -> Place | None:
    """Where the thing lies, if it is in memory that must be read: members, elements, dereferences."""
    while isinstance(node, ast.Group):
        node = node.inner
    match node:
        case ast.Member():
            return _member_place(f, node)
        case ast.Index():
            return _index_place(f, node)
        case ast.Unary(_, "*", operand):
            pointer = evaluate(f, operand)
            kind = f.body.type(node)
            c_type = _pointer_to(f, kind)
            assert isinstance(pointer.type, Pointer)
            return Place(f"(*({c_type}){pointer.text})", kind, pointer.type.space)
    return None


def _pointer_to(f: Function, kind: Type) -> str:
    if isinstance(kind, Array | Str):
        return "char *"
    text = f.program.types.name(kind)
    return f"{text}*" if text.endswith("*") else f"{text} *"


def _member_place(f: Function, node: ast.Member) -> Place | None:
    if isinstance(node.base, ast.Name) and node.base.name == "args":
        return _tracepoint_place(f, node)
    base = f.body.type(node.base)
    if isinstance(base, Pointer):
        pointer = evaluate(f, node.base)
        prefix, struct, space = f"{pointer.text}->", base.to, base.space
    elif isinstance(base, Struct):
        outer = _place(f, node.base)
        if outer is None:
            raise f.bug(node, "a struct that is nowhere")
        prefix, struct, space = f"{outer.text}.", base, outer.space  # type: ignore[assignment]
    else:
        return None
    assert isinstance(struct, Struct)
    item = next(item for item in f.program.machine.fields(struct) if item.name == node.name)
    name = f.program.types.member(struct, item)
    return Place(prefix + name, value_type(item.type, space), space, item)


def _tracepoint_place(f: Function, node: ast.Member) -> Place | None:
    item = next((item for item in f.target.fields or () if item.name == node.name), None)
    if item is None:
        return None
    kind = f.body.type(node)
    return Place(f"ctx->{builtins.tracepoint_member(f, item)}", kind, "context", item)


def _member(f: Function, node: ast.Member) -> Value:
    base_type = None if isinstance(node.base, ast.Name) and node.base.name == "args" else f.body.type(node.base)
    if isinstance(base_type, Record):
        base = evaluate(f, node.base)
        kind = base_type.elements[base_type.names.index(node.name)]
        return _within(f, f"(({f.program.types.name(base_type)} *){base.text})->{node.name}", kind)
    place = _member_place(f, node)
    if place is None:
        number_of = next(i for i, item in enumerate(f.target.parameters or ()) if item.name == node.name)
        return f.argument(number_of, f.body.type(node))
    if isinstance(place.item, Field) and place.item.data_loc:
        return builtins.data_loc_string(f, place)
    return f.read(place, node.name)


def _within(f: Function, text: str, kind: Type) -> Value:
    return Value(text if not is_memory(kind) or isinstance(kind, Str | Array) else f"&{text}", kind)


def _element(f: Function, node: ast.Element) -> Value:
    return _tuple_element(f, node.base, node.number)


def _tuple_element(f: Function, base_node: ast.Expression, position: int) -> Value:
    base = evaluate(f, base_node)
    assert isinstance(base.type, Tuple)
    text = f"(({f.program.types.name(base.type)} *){base.text})->f{position}"
    if base.text.startswith("&"):
        text = f"{base.text[1:]}.f{position}"
    return _within(f, text, base.type.elements[position])


def _index(f: Function, node: ast.Index) -> Value:
    base = f.body.type(node.base)
    if isinstance(base, Tuple):
        position = f.constant(node.index)
        assert isinstance(position, int)
        return _tuple_element(f, node.base, position)
    if isinstance(base, Str):
        return _character(f, node, base)
    place = _index_place(f, node)
    if place is None:
        raise f.bug(node, "an index into nothing")
    return f.read(place, "element")


def _character(f: Function, node: ast.Index, base: Str) -> Value:
    text, at = evaluate(f, node.base), scalar(f, node.index)
    kind = f.body.type(node)
    if isinstance(f.constant(node.index), int):
        return Value(f"{text.text}[{at}]" if int(at) < base.size else "0", kind)
    bounded = f.temporary("at", "u32", at)
    return Value(f"({bounded} < {base.size} ? {text.text}[{bounded}] : 0)", kind)


def _index_place(f: Function, node: ast.Index) -> Place | None:
    base, kind = f.body.type(node.base), f.body.type(node)
    if isinstance(base, Pointer):
        pointer = evaluate(f, node.base)
        at = scalar(f, node.index)
        return Place(f"(({_pointer_to(f, kind)}){pointer.text})[{at}]", kind, base.space)
    if isinstance(base, Array):
        outer = _place(f, node.base)
        if outer is None:
            return None
        at = scalar(f, node.index)
        if base.length and not isinstance(f.constant(node.index), int):
            at = f"({f.temporary('at', 'u64', at)} % {base.length})"
        return Place(f"{outer.text}[{at}]", kind, outer.space)
    return None


# ---- Operators


def _unary(f: Function, node: ast.Unary) -> Value:
    value = f.constant(node)
    if isinstance(value, int) and not isinstance(value, bool):
        return Value(number(value), f.body.type(node))
    if node.operator == "*":
        place = _place(f, node)
        assert place is not None
        return f.read(place, "target")
    operand = evaluate(f, node.operand)
    kind = f.body.type(node)
    if node.operator == "!":
        return Value(f"(!{operand.text})", BOOL)
    assert isinstance(kind, Int)
    return Value(f"({node.operator}{widen(operand, kind)})", kind)


def _binary(f: Function, node: ast.Binary) -> Value:
    kind = f.body.type(node)
    value = f.constant(node)
    if isinstance(value, str):
        return _string(f, node)
    if isinstance(value, int) and not isinstance(value, bool):
        return Value(number(value), kind)
    if node.operator in ("&&", "||"):
        return _short_circuit(f, node)
    left, right = f.body.type(node.left), f.body.type(node.right)
    if isinstance(left, Str):
        return _compare_strings(f, node)
    if isinstance(left, Pointer) or isinstance(right, Pointer):
        return _pointer_operation(f, node, kind)
    if node.operator in COMPARISONS:
        return _compare(f, node)
    assert isinstance(kind, Int)
    return _arithmetic(f, node, kind)


def _short_circuit(f: Function, node: ast.Binary) -> Value:
    """`a && b`; b's own statements, if it needs any, run only where a decides nothing."""
    left = evaluate(f, node.left).text
    before = len(f.code.lines)
    depth = f.code.depth
    with f.code.block("if (1)"):
        right = evaluate(f, node.right).text
    written = f.code.lines[before:]
    del f.code.lines[before:]
    if len(written) == 2:
        return Value(f"({left} {node.operator} {right})", BOOL)
    result = f.temporary("both" if node.operator == "&&" else "either", "bool", left)
    head = f"if ({result}) {{" if node.operator == "&&" else f"if (!{result}) {{"
    f.code.lines += ["    " * depth + head, *written[1:-1], "    " * (depth + 1) + f"{result} = {bare(right)};", written[-1]]
    return Value(result, BOOL)


def _compare_strings(f: Function, node: ast.Binary) -> Value:
    left, right = node.left, node.right
    text = f.constant(right)
    if not isinstance(text, str):
        text, left = f.constant(left), right
    if isinstance(text, str):
        return _compare_literal(f, node, left, text)
    a, b = evaluate(f, node.left), evaluate(f, node.right)
    f.program.helper("same_text")
    size = min(size_of(a.type), size_of(b.type))
    same = f.temporary("same", "bool", f"ebt_same_text({a.text}, {b.text}, {size})")
    return Value(same if node.operator == "==" else f"(!{same})", BOOL)


def _compare_literal(f: Function, node: ast.Binary, other: ast.Expression, text: str) -> Value:
    value = evaluate(f, other)
    raw = text.encode("utf-8", "surrogateescape")
    size = size_of(value.type)
    if len(raw) >= size:
        return Value("false" if node.operator == "==" else "true", BOOL)
    if len(raw) > MAX_CHAIN:
        f.program.helper("same_text")
        literal = _string(f, ast.String(node.span, text))
        same = f.temporary("same", "bool", f"ebt_same_text({value.text}, {literal.text}, {len(raw) + 1})")
        return Value(same if node.operator == "==" else f"(!{same})", BOOL)
    tests = [f"{value.text}[{i}] == {_char(byte)}" for i, byte in enumerate([*raw, 0])]
    joined = "(" + " && ".join(tests) + ")"
    return Value(joined if node.operator == "==" else f"(!{joined})", BOOL)


def _char(byte: int) -> str:
    char = chr(byte)
    if char.isalnum() and byte < 128 or char in " _-./:+*=<>()[]{}@#%&":
        return f"'{char}'"
    return str(byte if byte < 128 else byte - 256)


def _pointer_operation(f: Function, node: ast.Binary, kind: Type) -> Value:
    left, right = evaluate(f, node.left), evaluate(f, node.right)
    if node.operator in COMPARISONS:
        return Value(f"((u64){left.text} {node.operator} (u64){right.text})", BOOL)
    assert isinstance(kind, Pointer)
    pointer, other = (left, right) if isinstance(left.type, Pointer) else (right, left)
    scale = 1 if isinstance(kind.to, Void) else max(size_of(kind.to), 1)
    amount = other.text if scale == 1 else f"(u64){other.text} * {scale}"
    c_type = f.program.types.name(kind)
    return Value(f"({c_type})((u64){pointer.text} {node.operator} {amount})", kind)


def _compare(f: Function, node: ast.Binary) -> Value:
    left, right = evaluate(f, node.left), evaluate(f, node.right)
    a, b = as_int(left.type), as_int(right.type)
    assert a is not None and b is not None
    signed = any(item.signed and item.spelling != "literal" for item in (a, b))
    both = INT64 if signed or (a.signed and b.signed) else UINT64
    return Value(f"({widen(left, both)} {node.operator} {widen(right, both)})", BOOL)


def _arithmetic(f: Function, node: ast.Binary, kind: Int) -> Value:
    operator = node.operator
    left, right = evaluate(f, node.left), evaluate(f, node.right)
    if operator in ("/", "%"):
        return _divide(f, node, left, right, kind)
    if operator in ("<<", ">>"):
        amount = right.text if right.text.isdigit() and int(right.text) < 64 else f"((u64){right.text} & 63)"
        text = f"((u64){left.text} {operator} {amount})"
        return Value(f"((s64){text})" if kind.signed else text, kind)
    return Value(f"({widen(left, kind)} {operator} {widen(right, kind)})", kind)


def _divide(f: Function, node: ast.Binary, left: Value, right: Value, kind: Int) -> Value:
    """BPF divides unsigned numbers only; a zero divisor counts as 1 and is told."""
    divisor = widen(right, UINT64)
    value = f.constant(node.right)
    if not (isinstance(value, int) and value):
        divisor = f.temporary("divisor", "u64", divisor)
        text = "divide or modulo by 0 detected: 1 is used as the result"
        with f.code.block(f"if (!{divisor})"):
            f.code.line(f"{divisor} = 1;")
            f.code.line(f.count_failure(node, text))
    text = f"({widen(left, UINT64)} {node.operator} {divisor})"
    return Value(f"((s64){text})" if kind.signed else text, kind)


def _ternary(f: Function, node: ast.Ternary) -> Value:
    kind = f.body.type(node)
    if is_memory(kind):
        room = f.memory("chosen", kind)
        _store_ternary(f, room, kind, node)
        return address(room, kind)
    c_type = f.program.types.name(kind) if not isinstance(kind, Void) else "int"
    first = evaluate(f, node.condition)
    if node.then is None:
        result = f.temporary("chosen", c_type, first.text)
        with f.code.block(f"if (!{result})"):
            f.code.line(f"{result} = {bare(scalar(f, node.otherwise))};")
        return Value(result, kind)
    if isinstance(kind, Void):
        with f.code.block(f"if ({bare(first.text)})"):
            evaluate(f, node.then)
        with f.code.otherwise():
            evaluate(f, node.otherwise)
        return Value("0", kind)
    result = f.temporary("chosen", c_type, "0")
    with f.code.block(f"if ({bare(first.text)})"):
        f.code.line(f"{result} = {bare(scalar(f, node.then))};")
    with f.code.otherwise():
        f.code.line(f"{result} = {bare(scalar(f, node.otherwise))};")
    return Value(result, kind)


def _cast(f: Function, node: ast.Cast) -> Value:
    kind, value = f.body.type(node), evaluate(f, node.operand)
    if isinstance(kind, Bool):
        text = f"({value.text}[0] != 0)" if isinstance(value.type, Str) else f"({value.text} != 0)"
        return Value(text, kind)
    c_type = f.program.types.name(kind)
    if isinstance(kind, Pointer):
        return Value(f"(({c_type})(u64){value.text})" if as_int(value.type) else f"(({c_type}){value.text})", kind)
    if isinstance(value.type, Pointer):
        return Value(f"(({c_type})(u64){value.text})", kind)
    return Value(f"(({c_type}){value.text})", kind)


def _step(f: Function, node: ast.StepBefore | ast.StepAfter) -> Value:
    before = isinstance(node, ast.StepBefore)
    kind = f.body.type(node)
    if isinstance(node.target, ast.Variable):
        name = f.variables[f.body.variables[node.target]]
        c_type = f.program.types.name(kind)
        if before:
            f.code.line(f"{name}{node.operator};")
            return Value(f.temporary(node.target.name[1:], c_type, name), kind)
        old = f.temporary("old", c_type, name)
        f.code.line(f"{name}{node.operator};")
        return Value(old, kind)
    return step_entry(f, node.target, node.operator, before, kind)


def _size_of(f: Function, node: ast.SizeOf | ast.OffsetOf) -> Value:
    value = f.constant(node)
    assert isinstance(value, int)
    return Value(str(value), UINT64)


def _tuple(f: Function, node: ast.Tuple | ast.Record) -> Value:
    kind = f.body.type(node)
    room = f.memory("tuple", kind)
    store(f, room, kind, node)
    return address(room, kind)


def _call(f: Function, node: ast.Call) -> Value:
    if node.name in calls.VALUES:
        return calls.VALUES[node.name](f, node)
    kind = f.body.types.get(node)
    if node.name in calls.WRITERS and kind is not None:
        room = f.memory(node.name, kind)
        calls.WRITERS[node.name](f, room, kind, node)
        return address(room, kind)
    return _name(f, ast.Name(node.span, node.name)) if not node.arguments and kind is None else _builtin(f, node)


def _builtin(f: Function, node: ast.Call) -> Value:
    """`pid()`: a builtin that was written as a call."""
    kind = f.body.type(node)
    found = builtins.read(f, node.name, kind)
    if found is not None:
        return found
    if node.name not in builtins.WRITERS:
        raise f.bug(node, f"no lowering for {node.name}()")
    room = f.memory(node.name, kind)
    builtins.WRITERS[node.name](f, room, kind)
    return address(room, kind)


_EVALUATE: dict[type[ast.Node], Callable[[Function, Any], Value]] = {
    ast.Integer: _literal, ast.String: _string, ast.Boolean: _boolean, ast.Parameter: _parameter,
    ast.ParameterCount: _parameter, ast.Name: _name, ast.Group: _group, ast.Variable: _variable, ast.Map: _map,
    ast.MapEntry: _map_entry, ast.Member: _member, ast.Element: _element, ast.Index: _index, ast.Unary: _unary,
    ast.Binary: _binary, ast.Ternary: _ternary, ast.Cast: _cast, ast.StepBefore: _step, ast.StepAfter: _step,
    ast.SizeOf: _size_of, ast.OffsetOf: _size_of, ast.Tuple: _tuple, ast.Record: _tuple, ast.Call: _call,
}  # fmt: skip
