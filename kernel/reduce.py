"""BTF of a kernel and its modules → smaller BTF of the same form: what scripts can reach, and no more.

A struct is kept whole or becomes a forward declaration. How far pointers are followed is a number of
hops: several from the structs that scripts start at, none beyond what a function is given. Pointers to
functions lose the prototype, as the reader makes them `void *` anyway.
"""

from __future__ import annotations

import struct
from array import array

from kernel import btf as raw
from kernel.btf import Btf, Record

_REFERENCES = frozenset({raw.TYPEDEF, raw.VOLATILE, raw.CONST, raw.RESTRICT, raw.TYPE_TAG, raw.PTR})
_HEADER = struct.Struct("=HBBIIIII")


Signature = tuple[int, tuple[str, ...]]  # a prototype, and the names of its parameters


class Selection:
    """The types to keep of one blob, by the ids of it and its base."""

    def __init__(self, source: Btf) -> None:
        self.source = source
        self.hops: dict[int, int] = {}  # id → pointers that may still be followed from there
        self.functions: list[int] = []
        self.signatures: dict[int, tuple[str, ...]] = {}  # prototype → names for nameless parameters
        self.tracepoints: dict[int, Signature] = {}  # by typedef

    def add(self, number: int, hops: int) -> None:
        """Keep a type and what it needs; a named struct only while `hops` is not negative."""
        pending = [(number, hops)]
        while pending:
            number, hops = pending.pop()
            if number == 0 or self.hops.get(number, -2) >= hops:
                continue
            record = self.source.record(number)
            is_struct = record.kind in (raw.STRUCT, raw.UNION)
            if record.kind == raw.FUNC_PROTO or (is_struct and record.name and hops < 0):
                continue
            self.hops[number] = hops
            if is_struct:
                pending += [(member.type, hops) for member in self.source.members(number)]
            elif record.kind == raw.ARRAY:
                pending += [(self.source.array(number)[0], hops)]
            elif record.kind in _REFERENCES:
                pending.append((record.size, max(hops - 1, -1) if record.kind == raw.PTR else hops))

    def add_function(self, number: int, hops: int) -> None:
        """Keep a FUNC with its prototype."""
        self.functions.append(number)
        self.add_signature(self.source.record(number).size, hops)

    def add_signature(self, number: int, hops: int, names: tuple[str, ...] = ()) -> None:
        """Keep a prototype and the types in it; `hops` counts from the structs pointed to."""
        self.signatures.setdefault(number, names)
        for _, kind in [*self.source.parameters(number), ("", self.source.record(number).size)]:
            self.add(kind, hops + 1)

    def add_raw_tracepoint(self, typedef: int, names: tuple[str, ...]) -> None:
        """Keep a btf_trace_ typedef with its prototype, and give that the names of its parameters."""
        pointer = self.source.record(typedef).size
        self.hops[typedef] = self.hops[pointer] = 0
        prototype = self.source.record(pointer).size
        self.tracepoints[typedef] = prototype, names
        self.add_signature(prototype, 0, names)

    def share_with(self, base: Selection) -> None:
        """Have the base keep what this blob needs of it."""
        for number, hops in list(self.hops.items()):
            if number < self.source.first:
                base.add(number, hops)
        for number, names in self.signatures.items():
            if number < self.source.first:
                base.signatures.setdefault(number, names)


class Writer:
    """One reduced blob in the making."""

    def __init__(self, selection: Selection, base: Writer | None = None) -> None:
        self._selection = selection
        self._source = selection.source
        self._base = base
        own = sorted({*selection.hops, *selection.signatures} | set(selection.functions))
        self._first: int = base.end if base else 1
        kept = [number for number in own if number >= self._source.first]
        self._ids = {number: self._first + place for place, number in enumerate(kept)}
        self.end: int = self._first + len(kept)
        self._forwards: dict[tuple[int, str], int] = {}
        self._words = array("I")
        self._strings = bytearray(b"" if base else b"\0")
        self._offsets: dict[str, int] = {"": 0}
        self._string_base = base.string_end if base else 0
        self._apart = self._signatures_apart()
        self.end += 2 * len(self._apart)

    @property
    def string_end(self) -> int:
        """Where a split blob's string offsets start."""
        return self._string_base + len(self._strings)

    def write(self) -> bytes:
        """The blob; afterwards `end` and `string_end` hold for the blobs split from it."""
        for number in self._ids:
            self._write_type(number, self._source.record(number))
        for signature, pointer in self._apart.items():
            self._write_apart(signature, pointer)
        for kind, name in self._forwards:
            self._words.extend((self._string(name), raw.FWD << 24 | (kind == raw.UNION) << 31, 0))
        if not self._strings:
            self._strings += b"\0"
        body = self._words.tobytes()
        head = _HEADER.pack(raw.MAGIC, 1, 0, _HEADER.size, 0, len(body), len(body), len(self._strings))
        return head + body + self._strings

    def _signatures_apart(self) -> dict[Signature, int]:
        """Pointers to prototypes of their own, for tracepoints whose shared one has other names."""
        found: dict[Signature, int] = {}
        for number, names in self._selection.tracepoints.values():
            if self._named(number) != names and (number, names) not in found:
                found[number, names] = self.end + 2 * len(found)
        return found

    def _named(self, number: int) -> tuple[str, ...] | None:
        if number < self._source.first and self._base is not None:
            return self._base._named(number)
        return self._selection.signatures.get(number)

    def _write_apart(self, signature: Signature, pointer: int) -> None:
        number, names = signature
        self._words.extend((0, raw.PTR << 24, pointer + 1))
        record = self._source.record(number)
        self._words.extend((0, record.kind << 24 | record.elements, self._reference(record.size)))
        self._write_parameters(number, names)

    def _string(self, text: str) -> int:
        known = self._known_string(text)
        if known is None:
            known = self._offsets[text] = self.string_end
            self._strings += text.encode() + b"\0"
        return known

    def _known_string(self, text: str) -> int | None:
        known = self._offsets.get(text)
        return self._base._known_string(text) if known is None and self._base else known

    def _reference(self, number: int) -> int:
        """The new id of an old one; a forward declaration for a struct that is not kept."""
        known = self._known_id(number)
        if known is not None:
            return known
        record = self._source.record(number)
        if record.kind not in (raw.STRUCT, raw.UNION):
            return 0  # a prototype
        return self._forward((record.kind, record.name))

    def _known_id(self, number: int) -> int | None:
        if number == 0:
            return 0
        if number < self._source.first and self._base is not None:
            return self._base._known_id(number)
        return self._ids.get(number)

    def _forward(self, key: tuple[int, str]) -> int:
        known = self._known_forward(key)
        if known is None:
            known = self._forwards[key] = self.end
            self.end += 1
        return known

    def _known_forward(self, key: tuple[int, str]) -> int | None:
        known = self._forwards.get(key)
        return self._base._known_forward(key) if known is None and self._base else known

    def _write_type(self, number: int, record: Record) -> None:
        kind, size = record.kind, record.size
        if kind in _REFERENCES or kind in (raw.FUNC, raw.FUNC_PROTO):
            apart = self._apart.get(self._selection.tracepoints.get(number, (0, ())))
            size = apart or self._reference(size)
        info = record.flag << 31 | kind << 24 | record.elements
        self._words.extend((self._string(record.name), info, size))
        match kind:
            case raw.INT:
                encoding, offset, bits = self._source.int_encoding(number)
                self._words.append(encoding << 24 | offset << 16 | bits)
            case raw.ARRAY:
                element, length = self._source.array(number)
                self._words.extend((self._reference(element), 0, length))
            case raw.STRUCT | raw.UNION:
                for member in self._source.members(number):
                    place = member.bits << 24 | member.bit_offset
                    self._words.extend((self._string(member.name), self._reference(member.type), place))
            case raw.ENUM | raw.ENUM64:
                self._write_constants(number, wide=kind == raw.ENUM64)
            case raw.FUNC_PROTO:
                self._write_parameters(number, self._selection.signatures.get(number, ()))

    def _write_constants(self, number: int, wide: bool) -> None:
        for name, value in self._source.enum_values(number):
            self._words.extend((self._string(name), value & 0xFFFFFFFF))
            if wide:
                self._words.append(value >> 32 & 0xFFFFFFFF)

    def _write_parameters(self, number: int, names: tuple[str, ...]) -> None:
        pairs = self._source.parameters(number)
        names = names or tuple(name for name, _ in pairs)
        for name, (_, kind) in zip(names, pairs, strict=True):
            self._words.extend((self._string(name), self._reference(kind)))
