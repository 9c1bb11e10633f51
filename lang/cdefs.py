"""The script's own struct, union and enum definitions + a machine → a machine that knows them too.

Layout follows the C rules of the kernel's ABI (System V): natural alignment, bit fields packed into units
of their declared type. What the script defines hides what the kernel has under the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lang import ast
from lang.diagnostics import Diagnostics, nearest
from lang.fold import Constant
from lang.machine import Field, Machine
from lang.types import (
    BOOL,
    CHAR,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    VOID,
    Array,
    Enum,
    Int,
    Pointer,
    Struct,
    Type,
    align_of,
    size_of,
)  # fmt: skip

_C_WORDS: dict[str, Type] = {
    "void": VOID, "bool": BOOL, "_Bool": BOOL, "char": CHAR, "signed char": INT8, "unsigned char": UINT8,
    "short": INT16, "short int": INT16, "unsigned short": UINT16, "unsigned short int": UINT16,
    "int": INT32, "signed": INT32, "signed int": INT32, "unsigned": UINT32, "unsigned int": UINT32,
    "long": INT64, "long int": INT64, "unsigned long": UINT64, "unsigned long int": UINT64,
    "long long": INT64, "long long int": INT64, "unsigned long long": UINT64,
    "unsigned long long int": UINT64,
    "s8": INT8, "s16": INT16, "s32": INT32, "s64": INT64, "u8": UINT8, "u16": UINT16, "u32": UINT32,
    "u64": UINT64, "int8_t": INT8, "int16_t": INT16, "int32_t": INT32, "int64_t": INT64, "uint8_t": UINT8,
    "uint16_t": UINT16, "uint32_t": UINT32, "uint64_t": UINT64, "size_t": UINT64,
}  # fmt: skip
_QUALIFIERS = {"const", "volatile", "__user", "__rcu", "__percpu", "extern", "static"}

Fold = Callable[[ast.Expression], Constant | None]


def with_definitions(
    machine: Machine, definitions: tuple[ast.CStruct | ast.CEnum, ...], fold: Fold, found: Diagnostics
) -> Machine:
    """The machine, with the script's definitions over it; the same machine where there are none."""
    if not definitions:
        return machine
    own = ScriptMachine(machine, fold, found)
    for item in definitions:
        own.define(item)
    return own


class ScriptMachine:
    """A machine under a script's own definitions. Their structs have negative ids."""

    def __init__(self, machine: Machine, fold: Fold, found: Diagnostics) -> None:
        self._machine = machine
        self._fold = fold
        self._found = found
        self._structs: dict[tuple[str, str], Struct] = {}
        self._fields: dict[int, tuple[Field, ...]] = {}
        self._aligns: dict[int, int] = {}
        self._enums: dict[str, dict[str, int]] = {}
        self._constants: dict[str, tuple[int, Enum]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    # ---- Questions of lang.machine.Machine

    def struct(self, kind: str, name: str) -> Struct | None:
        return self._structs.get((kind, name)) or self._machine.struct(kind, name)

    def fields(self, struct: Struct) -> tuple[Field, ...]:
        own = self._fields.get(struct.id)
        return own if own is not None else self._machine.fields(struct)

    def enum(self, name: str) -> Enum | None:
        return Enum(name) if name in self._enums else self._machine.enum(name)

    def enum_values(self, name: str) -> dict[str, int]:
        own = self._enums.get(name)
        return own if own is not None else self._machine.enum_values(name)

    def constant(self, name: str) -> tuple[int, Enum] | None:
        return self._constants.get(name) or self._machine.constant(name)

    # ---- Definitions

    def define(self, node: ast.CStruct | ast.CEnum) -> Struct | None:
        """Add one definition; what is wrong with it is reported."""
        if isinstance(node, ast.CEnum):
            self._define_enum(node)
            return None
        return self._define_struct(node)

    def _define_enum(self, node: ast.CEnum) -> None:
        values: dict[str, int] = {}
        following = 0
        for item in node.constants:
            if item.value is not None:
                value = self._fold(item.value)
                if isinstance(value, bool) or not isinstance(value, int):
                    self._found.error(item.span, f"the value of {item.name} is not a constant")
                    value = following
                following = value
            values[item.name] = following
            self._constants[item.name] = (following, Enum(node.name))
            following += 1
        if node.name:
            self._enums[node.name] = values

    def _define_struct(self, node: ast.CStruct) -> Struct:
        number = -1 - len(self._fields)
        self._fields[number] = ()
        place = _Layout(node.tag == "union")
        for member in node.members:
            self._place(place, member)
        size = place.finish()
        struct = Struct(node.tag, node.name, size, number)  # type: ignore[arg-type]
        self._fields[number] = tuple(place.fields)
        self._aligns[number] = place.align
        if node.name:
            self._structs[(node.tag, node.name)] = struct
        return struct

    def _place(self, place: _Layout, member: ast.CMember) -> None:
        kind = self._member_type(member)
        if kind is None:
            return
        align = self._align(kind)
        if member.bits:
            self._place_bits(place, member, kind)
            return
        offset = place.put(size_of(kind), align)
        if not member.name and isinstance(kind, Struct):
            for item in self._fields[kind.id]:
                place.fields.append(Field(item.name, item.type, offset + item.offset, item.bits, item.shift))
            return
        place.fields.append(Field(member.name, kind, offset))

    def _place_bits(self, place: _Layout, member: ast.CMember, kind: Type) -> None:
        width = size_of(kind) * 8
        if not isinstance(kind, Int) or member.bits > width:
            self._found.error(member.span, f"a bit field of {member.bits} bits does not fit in '{kind}'")
            return
        offset, shift = place.put_bits(member.bits, width)
        if member.name:
            place.fields.append(Field(member.name, kind, offset, member.bits, shift))

    def _member_type(self, member: ast.CMember) -> Type | None:
        inner = member.kind
        kind = self._define_struct(inner) if isinstance(inner, ast.CStruct) else self._base(inner)
        if kind is None:
            return None
        for node in reversed(member.lengths):
            length = self._fold(node)
            if isinstance(length, bool) or not isinstance(length, int) or length < 0:
                self._found.error(node.span, "an array's length must be a constant")
                return None
            kind = Array(kind, length)
        return kind

    def _base(self, node: ast.Type) -> Type | None:
        words = [word for word in node.name.split() if word not in _QUALIFIERS]
        name = " ".join(words)
        kind: Type | None
        if node.tag in ("struct", "union"):
            kind = self.struct(node.tag, name)
        elif node.tag == "enum":
            kind = self.enum(name)
        else:
            kind = _C_WORDS.get(name) or self._machine.typedef(name)
        if kind is None and node.suffixes:
            kind = VOID  # a pointer to what is never looked into
        if kind is None:
            shown = f"{node.tag} {name}".strip()
            self._found.error(node.span, f"unknown type: '{shown}'", *nearest(name, _C_WORDS))
            return None
        for _ in node.suffixes:
            kind = Pointer(kind)
        return kind

    def _align(self, kind: Type) -> int:
        if isinstance(kind, Array):
            return self._align(kind.of)
        if isinstance(kind, Struct):
            return self._aligns.get(kind.id, 8)
        return align_of(kind)


class _Layout:
    """Where the next member of a struct goes; all of a union's go to 0."""

    def __init__(self, union: bool) -> None:
        self._union = union
        self._end = 0  # bits
        self._size = 0  # bits
        self.align = 1
        self.fields: list[Field] = []

    def put(self, size: int, align: int) -> int:
        """The offset in bytes of a member of this size and alignment."""
        self.align = max(self.align, align)
        start = 0 if self._union else -(-self._end // (align * 8)) * align * 8
        self._end = start + size * 8
        self._size = max(self._size, self._end)
        return start // 8

    def put_bits(self, bits: int, width: int) -> tuple[int, int]:
        """(offset in bytes of the unit, shift in it) of a bit field in units of `width` bits."""
        self.align = max(self.align, width // 8)
        start = 0 if self._union else self._end
        if start // width != (start + bits - 1) // width:
            start = -(-start // width) * width
        self._end = start + bits
        self._size = max(self._size, self._end)
        return start // width * (width // 8), start % width

    def finish(self) -> int:
        """The whole size in bytes."""
        return -(-self._size // (self.align * 8)) * self.align
