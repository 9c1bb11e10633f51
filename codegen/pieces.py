"""Pieces of C expressions: literals, widening, brackets; moving values between places in memory."""

from __future__ import annotations

import re

from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.names import c_string, identifier
from lang import ast
from lang.convert import as_int
from lang.types import Array, Int, Record, Str, Tuple, Type, size_of


def widen(value: Value, kind: Int) -> str:
    name = "s64" if kind.signed else "u64"
    source = as_int(value.type)
    if (
        source is not None
        and source.bits == 64
        and source.signed == kind.signed
        and not value.text.lstrip("-").isdigit()
    ):
        return value.text
    if value.text.isdigit() and int(value.text) < 1 << 31:
        return value.text
    return f"({name}){value.text}"


_COMPARISON = re.compile(r"\(([^\s()]+) (==|!=|<|>|<=|>=) ([^\s()]+)\)")
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">": "<=", "<=": ">", ">=": "<"}


def negated(text: str) -> str:
    """The opposite of a C condition, as one would write it."""
    found = _COMPARISON.fullmatch(text)
    if found:
        return f"{found[1]} {_OPPOSITE[found[2]]} {found[3]}"
    return text[2:-1] if text.startswith("(!") and bare(text) != text else f"!{text}"


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


def number(value: int) -> str:
    """An integer literal of C: 32-bit ones plain, wider ones with their suffix."""
    if value == -(1 << 63):
        return "((s64)0x8000000000000000ULL)"
    if value < 0:
        return f"({value}LL)" if value < -(1 << 31) else f"({value})"
    if value >= 1 << 63:
        return f"{value}ULL"
    return f"{value}LL" if value >= 1 << 31 else str(value)


def address(room: str, kind: Type) -> Value:
    """The value whose bytes are in an lvalue."""
    return Value(room if isinstance(kind, Str | Array) else f"&{room}", kind)


def store_text(f: Function, place: str, text: str) -> None:
    """A literal string, with its NUL."""
    size = len(text.encode("utf-8", "surrogateescape")) + 1
    f.code.line(f"__builtin_memcpy(&{place}, {c_string(text)}, {size});")


def text_value(f: Function, text: str) -> Value:
    """A literal string in memory."""
    kind = Str(len(text.encode("utf-8", "surrogateescape")) + 1)
    room = f.memory("text", kind)
    store_text(f, room, text)
    return Value(room, kind)


def ends_itself(f: Function, node: ast.Expression) -> bool:
    """Whether the kernel writes the string with its NUL: what lies behind that is no part of the text."""
    while isinstance(node, ast.Group) or node in f.body.meanings:
        node = node.inner if isinstance(node, ast.Group) else f.body.meanings[node]
    if isinstance(node, ast.Name):
        return node.name == "comm"
    if not isinstance(node, ast.Call) or node.name != "str" or f.constant(node.arguments[0]) is not None:
        return False
    return not isinstance(f.body.type(node.arguments[0]), Str)


def move(f: Function, place: str, kind: Type, value: Value) -> None:
    """Write a value that lies in memory to an lvalue of a type that can hold it: by member if they differ."""
    source = value.type
    if isinstance(kind, Tuple | Record) and isinstance(source, Tuple | Record) and source != kind:
        base = f"{value.text[1:]}." if value.text.startswith("&") else f"{value.text}->"
        for name, wanted, given in zip(member_names(kind), kind.elements, source.elements, strict=True):
            text = f"{base}{name}"
            if is_memory(wanted):
                move(f, f"{place}.{name}", wanted, address(text, given))
            else:
                f.code.line(f"{place}.{name} = {text};")
        return
    f.copy(place, value.text, min(size_of(source), size_of(kind)))


def member_names(kind: Tuple | Record) -> tuple[str, ...]:
    """The C members of a tuple or record, in order."""
    if isinstance(kind, Record):
        return tuple(identifier(name) for name in kind.names)
    return tuple(f"f{i}" for i in range(len(kind.elements)))
