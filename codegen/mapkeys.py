"""The key of a map as written → a C variable that holds it, and the address to look it up by."""

from __future__ import annotations

import re

from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.pieces import address, bare, move
from codegen.plan import Map
from codegen.program import key_parts
from lang import ast
from lang.records import dataclass
from lang.types import Tuple, Type, size_of

_PLAIN = re.compile(r"(\(\w+\))*\w+")  # a C variable or a number, cast or not


@dataclass(frozen=True)
class Entry:
    """A map and the C expression of its key's address."""

    map: Map
    key: str
    kind: Type

    @property
    def scalar(self) -> bool:
        return self.map.key is None


def entry(f: Function, name: str, keys: tuple[ast.Expression, ...]) -> Entry:
    """The map and a key for it, evaluated and written to memory."""
    spec, info = f.program.user_map(name)
    assert info.value is not None
    if info.key is None:
        return Entry(spec, f"&{_first(f)}", info.value)
    return Entry(spec, f"&{_key(f, spec, info.key, keys)}", info.value)


def _first(f: Function) -> str:
    """The index of a scalar map's only entry."""
    return f.shared("first", "first", "u32", "0")


def _key(f: Function, spec: Map, kind: Type, keys: tuple[ast.Expression, ...]) -> str:
    c_type = f.program.tables[spec.name].key
    if not c_type.startswith("struct ") or c_type.endswith("*"):
        return scalar_key(f, spec, bare(f.evaluate(keys[0]).text))
    room = f.struct_memory("key", c_type, spec.key_size)
    parts = key_parts(kind)
    if len(keys) == 1 and len(parts) > 1 and not isinstance(keys[0], ast.Tuple):
        _move_key(f, room, kind, f.evaluate(keys[0]))  # a tuple in a variable, used as the whole key
        return room
    given = keys[0].elements if len(keys) == 1 and isinstance(keys[0], ast.Tuple) and len(parts) > 1 else keys
    for number, (node, part) in enumerate(zip(given, parts, strict=True)):
        f.store(f"{room}.key{number}", part, node)
    return room


def _move_key(f: Function, room: str, kind: Type, value: Value) -> None:
    source = value.type
    assert isinstance(source, Tuple)
    if source == kind:
        f.copy(room, value.text, size_of(kind))
        return
    base = f"{value.text[1:]}." if value.text.startswith("&") else f"{value.text}->"
    for number, (part, given) in enumerate(zip(key_parts(kind), source.elements, strict=True)):
        text = f"{base}f{number}"
        if is_memory(part):
            move(f, f"{room}.key{number}", part, address(text, given))
        else:
            f.code.line(f"{room}.key{number} = {text};")


def plain_key(f: Function, spec: Map, keys: tuple[ast.Expression, ...]) -> str | None:
    """The key's text where it is a number, a variable or was read, cast or not; empty for a scalar map."""
    if spec.key is None:
        return ""
    c_type = f.program.tables[spec.name].key
    if len(keys) != 1 or (c_type.startswith("struct ") and not c_type.endswith("*")):
        return None
    node = keys[0]
    while isinstance(node, ast.Group | ast.Cast):
        node = node.inner if isinstance(node, ast.Group) else node.operand
    if not isinstance(node, ast.Name | ast.Variable | ast.Integer | ast.Member):
        return None
    text = bare(f.evaluate(keys[0]).text)
    return text if _PLAIN.fullmatch(text) else None


def scalar_key(f: Function, spec: Map, text: str) -> str:
    """A C variable that holds the key; the same one for the same variable of the program."""
    c_type = f.program.tables[spec.name].key
    if not _PLAIN.fullmatch(text):
        f.stack_used += 8
        return f.temporary("key", c_type, text)
    known = ("key", c_type, text)
    f.stack_used += 0 if f.code.known(known) else 8
    return f.shared(known, "key", c_type, text)
