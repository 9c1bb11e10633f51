"""BTF of a kernel and its modules → `lang.types`, members, prototypes and constants by name.

Shared by the live machine and the recorded one: they differ only in where the bytes come from. A module's
BTF is looked at only when the core has no such name, and indexed only when its strings hold the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Literal
from zlib import crc32

from kernel import btf as raw
from kernel.btf import Btf, BtfError, Member, Record
from kernel.takers import functions_taking
from lang.machine import Field, Function, Parameter
from lang.types import BOOL, CHAR, UINT8, UINT64, VOID, Array, Enum, Int, Pointer, Space, Struct, Type

_QUALIFIERS = frozenset({raw.VOLATILE, raw.CONST, raw.RESTRICT, raw.TYPE_TAG, raw.TYPEDEF})
_MAX_DEPTH = 64  # of typedefs, pointers and anonymous members: C code stays far below, a loop does not
_MODULE_BIT = 1 << 32  # ids of a module's own types: the hash of its name above bit 32

StructKind = Literal["struct", "union"]
Readers = Mapping[str, Callable[[], raw.Blob]]


class TypeTable:
    """The types of one kernel. All look-ups are lazy and kept; a missing thing is None or empty."""

    def __init__(self, core: Callable[[], Btf | None], modules: Callable[[], Readers]) -> None:
        """`core` opens the kernel's own BTF (or None); `modules` names the others and how to read them."""
        self._open_core = core
        self._list_modules = modules
        self._types: dict[int, Type] = {}
        self._fields: dict[int, tuple[Field, ...]] = {}
        self._functions: dict[tuple[str, str], Function | None] = {}
        self._blobs: dict[str, raw.Blob] = {}
        self._modules: dict[str, Btf] = {}

    @cached_property
    def core(self) -> Btf | None:
        """The kernel's own BTF. Raises BtfError if it is damaged."""
        return self._open_core()

    @cached_property
    def _readers(self) -> Readers:
        return dict(self._list_modules()) if self.core is not None else {}

    @cached_property
    def _module_hashes(self) -> dict[int, str]:
        return {crc32(name.encode()): name for name in self._readers}

    def module_names(self) -> tuple[str, ...]:
        """Modules that have BTF, sorted."""
        return tuple(sorted(self._readers))

    def module(self, name: str) -> Btf | None:
        """The BTF of a module, or the core's as `vmlinux`; None if it has none."""
        if name == "vmlinux":
            return self.core
        if name not in self._modules:
            blob = self._blob(name)
            if not blob:
                return None
            self._modules[name] = Btf(blob, name, self.core)
        return self._modules[name]

    def _blob(self, name: str) -> raw.Blob:
        if name not in self._blobs:
            try:
                self._blobs[name] = self._readers[name]()
            except (OSError, KeyError):  # unloaded meanwhile, or a module without BTF
                self._blobs[name] = b""
        return self._blobs[name]

    def _holders(self, name: str, module: str = "") -> Iterator[Btf]:
        """The blobs that may define a name: the core's first, then the modules', sorted."""
        if self.core is None:
            return
        if module in ("", "vmlinux"):
            yield self.core
        for other in self.module_names() if module == "" else (module,):
            if raw.holds_name(self._blob(other), name):
                found = self.module(other)
                if found is not None:
                    yield found

    def _find(self, group: str, name: str, module: str = "") -> tuple[Btf, int] | None:
        for holder in self._holders(name, module):
            for number in holder.find(group, name):
                if module in ("", holder.name) and (number >= holder.first or holder is self.core):
                    return holder, number
        return None

    def _tag(self, holder: Btf, number: int) -> int:
        if number < holder.first or holder is self.core:
            return number
        return crc32(holder.name.encode()) * _MODULE_BIT + number

    def _locate(self, tagged: int) -> tuple[Btf, int]:
        """The blob and the id behind a `Struct.id`. Raises BtfError for one of another kernel."""
        name = self._module_hashes.get(tagged // _MODULE_BIT) if tagged >= _MODULE_BIT else None
        holder = self.module(name) if name is not None else self.core
        if holder is None or (name is None and tagged >= _MODULE_BIT):
            raise BtfError(f"type {tagged} is not of this kernel")
        return holder, tagged % _MODULE_BIT

    def convert(self, holder: Btf, number: int, depth: int = 0) -> Type:
        """The type with this id. Raises BtfError for damaged BTF."""
        if holder.base is not None and number < holder.first:
            holder = holder.base
        tagged = self._tag(holder, number)
        known = self._types.get(tagged)
        if known is None:
            if depth > _MAX_DEPTH:
                raise BtfError(f"{holder.name}: type {number} refers to itself")
            known = self._types[tagged] = self._convert(holder, number, depth + 1)
        return known

    def _convert(self, holder: Btf, number: int, depth: int) -> Type:
        if number == 0:
            return VOID
        record = holder.record(number)
        match record.kind:
            case raw.INT:
                return _integer(record, holder.int_encoding(number))
            case raw.PTR:
                return self._pointer(holder, record.size, depth)
            case raw.STRUCT | raw.UNION:
                kind: StructKind = "struct" if record.kind == raw.STRUCT else "union"
                return Struct(kind, record.name, record.size, self._tag(holder, number))
            case raw.ARRAY:
                element, length = holder.array(number)
                return Array(self.convert(holder, element, depth), length)
            case raw.ENUM | raw.ENUM64:
                signed = holder.enum_signed(number)
                bits = record.size * 8
                return Enum(record.name, bits, signed) if record.name else Int(bits, signed)
            case raw.FWD:
                return self._forward(holder, record, number)
            case raw.FLOAT:
                return Array(UINT8, record.size)
        if record.kind in _QUALIFIERS or record.kind == raw.VAR:
            return self.convert(holder, record.size, depth)
        return VOID  # a function's type: only pointers to it have values

    def _pointer(self, holder: Btf, target: int, depth: int) -> Type:
        """`__user` is a type tag where the kernel's compiler has them (7472d5a642c9)."""
        space: Space = "kernel"
        if target:
            record = holder.record(target)
            if record.kind == raw.TYPE_TAG and record.name == "user":
                space = "user"
        return Pointer(self.convert(holder, target, depth), space)

    def _forward(self, holder: Btf, record: Record, number: int) -> Type:
        kind: StructKind = "union" if record.flag else "struct"
        for full in holder.find(kind, record.name):
            return self.convert(holder, full)
        return Struct(kind, record.name, 0, self._tag(holder, number))

    def struct(self, kind: str, name: str) -> Struct | None:
        """`struct` or `union` by tag; the core's before a module's."""
        found = self._find(kind, name) if kind in ("struct", "union") and name else None
        known = self.convert(*found) if found else None
        return known if isinstance(known, Struct) else None

    def fields(self, struct: Struct) -> tuple[Field, ...]:
        """All members by offset in bytes, those of anonymous members lifted."""
        known = self._fields.get(struct.id)
        if known is None:
            holder, number = self._locate(struct.id)
            known = self._fields[struct.id] = tuple(self._members(holder, number, 0, 0))
        return known

    def _members(self, holder: Btf, number: int, start: int, depth: int) -> Iterator[Field]:
        if depth > _MAX_DEPTH:
            raise BtfError(f"{holder.name}: struct {number} holds itself")
        if holder.record(number).kind not in (raw.STRUCT, raw.UNION):
            return
        for member in holder.members(number):
            place = start + member.bit_offset
            if member.name:
                yield self._field(holder, member, place)
                continue
            inner = _strip(holder, member.type)
            yield from self._members(holder, inner, place, depth + 1)

    def _field(self, holder: Btf, member: Member, place: int) -> Field:
        kind = self.convert(holder, member.type)
        bits = member.bits
        if not bits and isinstance(kind, Int):
            bits, skip = _old_bit_field(holder, member.type)
            place += skip
        if not bits:
            return Field(member.name, kind, place // 8)
        unit = kind.bits if isinstance(kind, Int | Enum) else 8
        return Field(member.name, kind, *place_bits(place, bits, unit))

    def typedef(self, name: str) -> Type | None:
        """A typedef or base type by its C name, resolved."""
        found = self._find("type", _CANONICAL.get(name, name))
        return self.convert(*found) if found else None

    def enum(self, name: str) -> Enum | None:
        """An enum by tag."""
        found = self._find("enum", name) if name else None
        known = self.convert(*found) if found else None
        return known if isinstance(known, Enum) else None

    def enum_values(self, name: str) -> dict[str, int]:
        """The constants of one enum, in declaration order; empty if there is none."""
        found = self._find("enum", name) if name else None
        return dict(found[0].enum_values(found[1])) if found else {}

    def constant(self, name: str) -> tuple[int, Enum] | None:
        """An enum constant by its own name, with its enum (which may have no name)."""
        for holder in self._holders(name):
            for number in holder.find("constant", name):
                value = dict(holder.enum_values(number)).get(name)
                if value is not None:
                    record = holder.record(number)
                    return value, Enum(record.name, record.size * 8, holder.enum_signed(number))
        return None

    def function(self, name: str, module: str = "") -> Function | None:
        """A function's prototype; of several static ones with this name, the first."""
        key = (name, module)
        if key not in self._functions:
            found = self._find("func", name, module)
            self._functions[key] = self._function(*found) if found else None
        return self._functions[key]

    def functions_taking(self, struct: str) -> frozenset[tuple[str, str]]:
        """(module, name) of the functions of which a parameter is a pointer to the struct."""
        if self.core is None:
            return frozenset()
        modules = (self.module(name) for name in self.module_names())
        return frozenset(functions_taking(self.core, (item for item in modules if item), struct))

    def function_id(self, name: str) -> int | None:
        """The BTF id of a function of the core, as the bpf system call takes it."""
        return next(self.core.find("func", name), None) if self.core is not None else None

    def _function(self, holder: Btf, number: int) -> Function:
        record = holder.record(number)
        parameters, result = self._prototype(holder, record.size)
        variadic = holder.parameters(record.size)[-1:] == [("", 0)]
        return Function(record.name, holder.name, parameters, result, variadic)

    def _prototype(self, holder: Btf, number: int) -> tuple[tuple[Parameter, ...], Type]:
        record = holder.record(number)
        if record.kind != raw.FUNC_PROTO:
            raise BtfError(f"{holder.name}: type {number} is not a prototype")
        pairs = [pair for pair in holder.parameters(number) if pair != ("", 0)]  # `...` has no argument
        named = [(name or f"arg{at}", kind) for at, (name, kind) in enumerate(pairs)]
        parameters = tuple(Parameter(name, self.convert(holder, kind)) for name, kind in named)
        return parameters, self.convert(holder, record.size)

    def raw_tracepoints(self) -> tuple[str, ...]:
        """Names of all raw tracepoints: every one has a typedef btf_trace_NAME. Sorted."""
        names: set[str] = set()
        for holder in self._speaking("btf_trace_"):
            held = (name for name in holder.prefixed("btf_trace_") if next(holder.find("type", name), 0))
            names.update(name.removeprefix("btf_trace_") for name in held)
        return tuple(sorted(names))

    def names_starting(self, prefix: str) -> tuple[str, ...]:
        """All names of whatever kind that start so, sorted."""
        return tuple(sorted({name for holder in self._speaking(prefix) for name in holder.prefixed(prefix)}))

    def _speaking(self, prefix: str) -> list[Btf]:
        """The blobs whose strings hold the prefix somewhere."""
        names = [name for name in self.module_names() if self._blob(name).find(prefix.encode()) >= 0]
        return [held for held in (self.core, *map(self.module, names)) if held is not None]

    def raw_tracepoint(self, name: str) -> tuple[Parameter, ...] | None:
        """Arguments of a raw tracepoint; None if there is none of this name.

        The typedef's own parameters are nameless: the names come from one of the functions that
        include/trace/bpf_probe.h and include/linux/tracepoint.h make of the same prototype.
        """
        found = self._find("type", f"btf_trace_{name}")
        if found is None:
            return None
        holder, number = found
        number = _strip(holder, number)
        record = holder.record(number)
        if record.kind != raw.PTR:
            return None
        plain = self._prototype(holder, record.size)[0]
        if any(name for name, _ in holder.parameters(record.size)):  # as in a recorded kernel
            return plain[1:]
        for maker in ("__probestub_", "__bpf_trace_", "__traceiter_"):
            made = self.function(maker + name, holder.name)
            if made is not None and [item.type for item in made.parameters] == [item.type for item in plain]:
                return made.parameters[1:]  # the first is `void *__data`
        return tuple(Parameter(f"arg{at}", item.type) for at, item in enumerate(plain[1:]))


# DWARF's spellings of the base types, by C's usual ones.
_CANONICAL = {
    "unsigned": "unsigned int", "short": "short int", "long": "long int", "long long": "long long int",
    "unsigned short": "short unsigned int", "unsigned long": "long unsigned int", "bool": "_Bool",
    "unsigned long long": "long long unsigned int", "unsigned short int": "short unsigned int",
    "unsigned long int": "long unsigned int", "unsigned long long int": "long long unsigned int",
    "signed int": "int", "signed": "int", "signed long": "long int", "signed short": "short int",
}


def place_bits(place: int, bits: int, unit: int) -> tuple[int, int, int]:
    """(offset, bits, shift) of a bit field at bit `place` whose declared type has `unit` bits.

    The word is the aligned storage unit of the declared type, so that a read never leaves it; where
    a packed struct lays the field across two units, it is the smallest that starts at its first byte.
    """
    start = place // unit * unit
    if place + bits > start + unit:
        start = place // 8 * 8
    return start // 8, bits, place - start


def _strip(holder: Btf, number: int) -> int:
    """The id behind typedefs and qualifiers."""
    for _ in range(_MAX_DEPTH):
        if number == 0:
            return 0
        record = holder.record(number)
        if record.kind not in _QUALIFIERS:
            return number
        number = record.size
    raise BtfError(f"{holder.name}: type {number} refers to itself")


def _old_bit_field(holder: Btf, number: int) -> tuple[int, int]:
    """(bits, bits to skip) of a bit field written the old way, as an INT of fewer bits; (0, 0) for others."""
    number = _strip(holder, number)
    record = holder.record(number)
    if record.kind != raw.INT:
        return 0, 0
    _, skip, bits = holder.int_encoding(number)
    return (bits, skip) if bits != record.size * 8 and bits <= 64 else (0, 0)


def _integer(record: Record, encoding: tuple[int, int, int]) -> Type:
    """`char` is one signed type everywhere, whatever -funsigned-char made of it (3bc753c06dd0)."""
    if record.name in ("_Bool", "bool") or encoding[0] & 4:
        return BOOL if record.size == 1 else Int(record.size * 8, False)
    if record.name == "char":
        return CHAR
    if record.size not in (1, 2, 4, 8):
        return Array(UINT64, record.size // 8)
    return Int(record.size * 8, bool(encoding[0] & 1), record.name)
