"""Functions on strings → C: loops that the verifier can bound."""

from __future__ import annotations

from collections.abc import Callable

from codegen.function import Function, Value
from codegen.pieces import number
from lang import ast
from lang.functions_text import SHORT
from lang.types import INT64, UINT64, Array, Pointer, Str, Type, size_of

CONCATENATED = 1024  # bytes of str_concat's result


def text_of(f: Function, node: ast.Expression) -> Value:
    """A string, or what a char pointer or array holds, as a string in memory."""
    value = f.evaluate(node)
    if isinstance(value.type, Str):
        return value
    if isinstance(value.type, Array):
        return Value(value.text, Str(size_of(value.type)))
    assert isinstance(value.type, Pointer)
    kind = Str(f.program.checked.settings.max_strlen)
    room = f.memory("text", kind)
    f.read_string(room, str(size_of(kind)), value.text, value.type.space)
    return Value(room, kind)


def length(f: Function, node: ast.Call) -> Value:
    value = f.constant(node.arguments[0])
    if isinstance(value, str):
        return Value(number(len(value.encode("utf-8", "surrogateescape"))), UINT64)
    text = text_of(f, node.arguments[0])
    f.program.helper("text_length")
    counted = f"ebt_text_length({text.text}, {size_of(text.type)})"
    return Value(f.temporary("length", "u64", counted), UINT64)


def _strcap(f: Function, node: ast.Call) -> Value:
    kind = f.body.type(node.arguments[0])
    if isinstance(kind, Pointer):
        return length(f, node)
    return Value(number(size_of(kind)), UINT64)


def _strncmp(f: Function, node: ast.Call) -> Value:
    most = f.constant(node.arguments[2])
    assert isinstance(most, int)
    a, b = text_of(f, node.arguments[0]), text_of(f, node.arguments[1])
    size = min(most, size_of(a.type), size_of(b.type))
    if size == 0:
        return Value("0", UINT64)
    f.program.helper("same_text")
    return Value(f.temporary("differ", "u64", f"!ebt_same_text({a.text}, {b.text}, {size})"), UINT64)


def _strstr(f: Function, node: ast.Call) -> Value:
    """The index of the first occurrence, or -1."""
    needle = f.constant(node.arguments[1])
    text = text_of(f, node.arguments[0])
    if isinstance(needle, str) and len(needle.encode("utf-8", "surrogateescape")) <= SHORT:
        return _find_short(f, text, needle.encode("utf-8", "surrogateescape"))
    part = text_of(f, node.arguments[1])
    f.program.helper("find_text")
    found = f"ebt_find_text({text.text}, {size_of(text.type)}, {part.text}, {size_of(part.type)})"
    return Value(f.temporary("at", "s64", found), INT64)


def _find_short(f: Function, text: Value, needle: bytes) -> Value:
    """A short literal is looked for as up to four numbers that slide over the text."""
    if not needle:
        return Value("0", INT64)
    f.program.helper("find_short_text")
    whole = int.from_bytes(needle, "big")
    words = [f"{whole >> 64 * i & (1 << 64) - 1:#x}ULL" for i in range(4)]
    mask = (1 << 8 * (len(needle) % 8)) - 1 if len(needle) % 8 else (1 << 64) - 1
    name = f.names.fresh("wanted")
    f.code.line(f"const u64 {name}[4] = {{{', '.join(words)}}};")
    found = f"ebt_find_short_text({text.text}, {size_of(text.type)}, {name}, {mask:#x}ULL, {len(needle)})"
    return Value(f.temporary("at", "s64", found), INT64)


def _memcmp(f: Function, node: ast.Call) -> Value:
    size = f.constant(node.arguments[2])
    assert isinstance(size, int)
    a, b = (_bytes(f, item, size) for item in node.arguments[:2])
    f.program.helper("compare_bytes")
    return Value(f.temporary("order", "s64", f"ebt_compare_bytes({a}, {b}, {size})"), INT64)


def _bytes(f: Function, node: ast.Expression, size: int) -> str:
    """The address of `size` bytes in BPF memory."""
    value = f.evaluate(node)
    if not isinstance(value.type, Pointer):
        return value.text if value.text.startswith("&") else f"(const char *){value.text}"
    room = f.memory("bytes", Str(size))
    which = "user" if value.type.space == "user" else "kernel"
    f.code.line(f"bpf_probe_read_{which}(&{room}, {size}, (void *){value.text});")
    return room


def _concat(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    """The first string's text, then the second's behind it, in memory that has room for both."""
    a, b = text_of(f, node.arguments[0]), text_of(f, node.arguments[1])
    room = f.memory("joined", Str(CONCATENATED + size_of(b.type)))
    f.copy(room, a.text, min(size_of(a.type), CONCATENATED))
    f.program.helper("text_length")
    size = min(size_of(a.type), CONCATENATED)
    at = f.temporary("at", "u64", f"ebt_text_length({room}, {size})")
    with f.code.block(f"if ({at} < {size})"):
        f.code.line(f"bpf_probe_read_kernel(&{room}[{at}], {size_of(b.type)}, {b.text});")
    f.copy(place, room, min(size_of(kind), CONCATENATED))


VALUES: dict[str, Callable[[Function, ast.Call], Value]] = {
    "strlen": length,
    "strcap": _strcap,
    "strncmp": _strncmp,
    "strstr": _strstr,
    "memcmp": _memcmp,
}
WRITERS: dict[str, Callable[[Function, str, Type, ast.Call], None]] = {"str_concat": _concat}
