"""Operators, casts and conditions → C, with bpftrace's rules for widths, signs and division."""

from __future__ import annotations

from codegen.access import place_of
from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.mapaccess import step_entry
from codegen.pieces import address, bare, number, text_value, widen
from lang import ast
from lang.convert import COMPARISONS, as_int
from lang.types import BOOL, INT64, UINT64, Array, Bool, Int, Pointer, Stack, Str, Type, Void, size_of

# Characters of a literal that are compared one by one. Of more the C compiler makes a number each, 0 or 1,
# before it looks at any: 2 to their power are the states that the verifier goes through.
MAX_CHAIN = 8


def unary(f: Function, node: ast.Unary) -> Value:
    value = f.constant(node)
    if isinstance(value, int) and not isinstance(value, bool):
        return Value(number(value), f.body.type(node))
    if node.operator == "*":
        place = place_of(f, node)
        assert place is not None
        return f.read(place, "target")
    operand = f.evaluate(node.operand)
    kind = f.body.type(node)
    if node.operator == "!":
        return Value(f"(!{operand.text})", BOOL)
    assert isinstance(kind, Int)
    return Value(f"({node.operator}{widen(operand, kind)})", kind)


def binary(f: Function, node: ast.Binary) -> Value:
    if node.operator == "??":
        return f.evaluate(side_taken(f, node))
    return binary_as(f, node, f.body.type(node))


def binary_as(f: Function, node: ast.Binary, kind: Type) -> Value:
    """A binary operation whose result has the type; the node itself need not be a checked one."""
    value = f.constant(node)
    if isinstance(value, str):
        return text_value(f, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Value(number(value), kind)
    if node.operator in ("&&", "||"):
        if value is not None:
            return Value("true" if value else "false", BOOL)
        second = f.constant(node.right)
        decided = isinstance(second, int) and bool(second) == (node.operator == "&&")
        if decided or f.constant(node.left) is not None:
            only = f.evaluate(node.left if decided else node.right)
            return Value(only.text if isinstance(only.type, Bool) else f"({only.text} != 0)", BOOL)
        return _short_circuit(f, node)
    left, right = f.body.type(node.left), f.body.type(node.right)
    if isinstance(left, Str):
        return _compare_strings(f, node)
    if isinstance(left, Stack):
        a, b = f.evaluate(node.left).text, f.evaluate(node.right).text
        return Value(f"(({a})->id {node.operator} ({b})->id)", BOOL)  # the hash of the frames
    if isinstance(left, Pointer) or isinstance(right, Pointer):
        return _pointer_operation(f, node, kind)
    if node.operator in COMPARISONS:
        return _compare(f, node)
    assert isinstance(kind, Int)
    return _arithmetic(f, node, kind)


def _short_circuit(f: Function, node: ast.Binary) -> Value:
    """`a && b`; b's own statements, if it needs any, run only where a decides nothing."""
    left = f.evaluate(node.left).text
    before = len(f.code.lines)
    depth = f.code.depth
    with f.code.block("if (1)"):
        right = f.evaluate(node.right).text
    written = f.code.lines[before:]
    del f.code.lines[before:]
    if len(written) == 2:
        return Value(f"({left} {node.operator} {right})", BOOL)
    result = f.temporary("both" if node.operator == "&&" else "either", "bool", left)
    head = f"if ({result}) {{" if node.operator == "&&" else f"if (!{result}) {{"
    f.code.lines += [
        "    " * depth + head,
        *written[1:-1],
        "    " * (depth + 1) + f"{result} = {bare(right)};",
        written[-1],
    ]
    return Value(result, BOOL)


def _compare_strings(f: Function, node: ast.Binary) -> Value:
    left, right = node.left, node.right
    text = f.constant(right)
    if not isinstance(text, str):
        text, left = f.constant(left), right
    if isinstance(text, str):
        return _compare_literal(f, node, left, text)
    a, b = f.evaluate(node.left), f.evaluate(node.right)
    f.program.helper("same_text")
    size = min(size_of(a.type), size_of(b.type))
    same = f.temporary("same", "bool", f"ebt_same_text({a.text}, {b.text}, {size})")
    return Value(same if node.operator == "==" else f"(!{same})", BOOL)


def _compare_literal(f: Function, node: ast.Binary, other: ast.Expression, text: str) -> Value:
    value = f.evaluate(other)
    raw = text.encode("utf-8", "surrogateescape")
    size = size_of(value.type)
    if len(raw) >= size:
        return Value("false" if node.operator == "==" else "true", BOOL)
    if len(raw) > MAX_CHAIN:
        f.program.helper("same_text")
        literal = text_value(f, text)
        same = f.temporary("same", "bool", f"ebt_same_text({value.text}, {literal.text}, {len(raw) + 1})")
        return Value(same if node.operator == "==" else f"(!{same})", BOOL)
    tests = [f"{value.text}[{i}] == {_char(byte)}" for i, byte in enumerate([*raw, 0])]
    joined = "(" + " && ".join(tests) + ")"
    return Value(joined if node.operator == "==" else f"(!{joined})", BOOL)


def _char(byte: int) -> str:
    char = chr(byte)
    if (char.isalnum() and byte < 128) or char in " _-./:+*=<>()[]{}@#%&":
        return f"'{char}'"
    return str(byte if byte < 128 else byte - 256)


def _pointer_operation(f: Function, node: ast.Binary, kind: Type) -> Value:
    left, right = f.evaluate(node.left), f.evaluate(node.right)
    if node.operator in COMPARISONS:
        return Value(f"((u64){left.text} {node.operator} (u64){right.text})", BOOL)
    assert isinstance(kind, Pointer)
    pointer, other = (left, right) if isinstance(left.type, Pointer) else (right, left)
    scale = 1 if isinstance(kind.to, Void) else max(size_of(kind.to), 1)
    amount = other.text if scale == 1 else f"(u64){other.text} * {scale}"
    c_type = f.program.types.name(kind)
    return Value(f"({c_type})((u64){pointer.text} {node.operator} {amount})", kind)


def _compare(f: Function, node: ast.Binary) -> Value:
    left, right = f.evaluate(node.left), f.evaluate(node.right)
    a, b = as_int(left.type), as_int(right.type)
    assert a is not None and b is not None
    if _compares_plainly(left, right) or _compares_plainly(right, left):
        return Value(f"({left.text} {node.operator} {right.text})", BOOL)
    signed = any(item.signed and item.spelling != "literal" for item in (a, b))
    both = INT64 if signed or (a.signed and b.signed) else UINT64
    return Value(f"({widen(left, both)} {node.operator} {widen(right, both)})", BOOL)


def _compares_plainly(value: Value, literal: Value) -> bool:
    """Whether C compares the two as meant without a cast: an unsigned value, and a small literal."""
    kind = as_int(value.type)
    return kind is not None and not kind.signed and literal.text.isdigit() and int(literal.text) < 1 << 31


def _arithmetic(f: Function, node: ast.Binary, kind: Int) -> Value:
    operator = node.operator
    left, right = f.evaluate(node.left), f.evaluate(node.right)
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


def side_taken(f: Function, node: ast.Binary) -> ast.Expression:
    """The side of `a ?? b` that this kernel has."""
    return f.body.meanings[node]


def ternary(f: Function, node: ast.Ternary) -> Value:
    kind = f.body.type(node)
    live = f.program.checked.live_branch(node.condition)
    if live is not None and node.then is not None:
        return f.evaluate(node.then if live else node.otherwise)
    if is_memory(kind):
        room = f.memory("chosen", kind)
        store_ternary(f, room, kind, node)
        return address(room, kind)
    c_type = f.program.types.name(kind) if not isinstance(kind, Void) else "int"
    first = f.evaluate(node.condition)
    if node.then is None:
        result = f.temporary("chosen", c_type, first.text)
        with f.code.block(f"if (!{result})"):
            f.code.line(f"{result} = {bare(f.evaluate(node.otherwise).text)};")
        return Value(result, kind)
    if isinstance(kind, Void):
        with f.code.block(f"if ({bare(first.text)})"):
            f.evaluate(node.then)
        with f.code.otherwise():
            f.evaluate(node.otherwise)
        return Value("0", kind)
    result = f.temporary("chosen", c_type, "0")
    with f.code.block(f"if ({bare(first.text)})"):
        f.code.line(f"{result} = {bare(f.evaluate(node.then).text)};")
    with f.code.otherwise():
        f.code.line(f"{result} = {bare(f.evaluate(node.otherwise).text)};")
    return Value(result, kind)


def cast(f: Function, node: ast.Cast) -> Value:
    kind, value = f.body.type(node), f.evaluate(node.operand)
    if isinstance(kind, Bool):
        text = f"({value.text}[0] != 0)" if isinstance(value.type, Str) else f"({value.text} != 0)"
        return Value(text, kind)
    if isinstance(kind, Array):
        return _bytes_of(f, kind, value)
    c_type = f.program.types.name(kind)
    if isinstance(value.type, Array):
        whole = f.temporary("number", c_type, "0")
        f.code.line(f"__builtin_memcpy(&{whole}, {value.text}, {size_of(value.type)});")
        return Value(whole, kind)
    if isinstance(kind, Pointer):
        return Value(
            f"(({c_type})(u64){value.text})" if as_int(value.type) else f"(({c_type}){value.text})", kind
        )
    if isinstance(value.type, Pointer):
        return Value(f"(({c_type})(u64){value.text})", kind)
    return Value(f"(({c_type}){value.text})", kind)


def _bytes_of(f: Function, kind: Array, value: Value) -> Value:
    """An integer's bytes as an array."""
    size = size_of(kind)
    whole = f.temporary("number", f"u{size * 8}", value.text)
    room = f.memory("bytes", kind)
    f.code.line(f"__builtin_memcpy(&{room}, &{whole}, {size});")
    return Value(room, kind)


def step(f: Function, node: ast.StepBefore | ast.StepAfter) -> Value:
    before = isinstance(node, ast.StepBefore)
    kind = f.body.type(node)
    if isinstance(node.target, ast.Variable):
        name = f.variables[f.body.variables[node.target]]
        f.code.forget(name)
        c_type = f.program.types.name(kind)
        if before:
            f.code.line(f"{name}{node.operator};")
            return Value(f.temporary(node.target.name[1:], c_type, name), kind)
        old = f.temporary("old", c_type, name)
        f.code.line(f"{name}{node.operator};")
        return Value(old, kind)
    return step_entry(f, node.target, node.operator, before, kind)


def condition(f: Function, node: ast.Expression) -> str:
    """A C condition, without a pair of brackets around the whole of it."""
    return bare(f.evaluate(node).text)


def conditions(f: Function, node: ast.Expression) -> list[ast.Expression]:
    """What must hold, one after the other: what is read for one is known to the next, and to what follows."""
    while isinstance(node, ast.Group):
        node = node.inner
    live = f.program.checked.live_branch(node)
    if live is None and isinstance(node, ast.Binary) and node.operator == "&&":
        return [*conditions(f, node.left), *conditions(f, node.right)]
    return [] if live else [node]


def store_ternary(f: Function, place: str, kind: Type, node: ast.Ternary) -> None:
    live = f.program.checked.live_branch(node.condition)
    if live is not None and node.then is not None:
        f.store(place, kind, node.then if live else node.otherwise)
        return
    if node.then is None:
        raise f.bug(node, "a ?: with a value in memory")
    with f.code.block(f"if ({condition(f, node.condition)})"):
        f.store(place, kind, node.then)
    with f.code.otherwise():
        f.store(place, kind, node.otherwise)
