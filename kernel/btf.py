"""BTF bytes (a kernel's, a module's or a file's) → type records by id and by name.

The format is that of include/uapi/linux/btf.h. Nothing is turned into Python objects at open: an
index of type offsets and of hashed names is made once, cached, and used straight from its bytes.
`kernel.typetable` turns the records into `lang.types`.
"""

from __future__ import annotations

import mmap
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from lang import cachefile
from lang.checksum import blake2b
from lang.records import dataclass

Blob = bytes | mmap.mmap

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(1, 11)
RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)

MAGIC = 0xEB9F
# Words that follow the three of every type: a fixed part, and a part for each of its `vlen` elements.
# Kind 0 is none: its size makes the walk fail.
_FIXED = (1 << 40, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0)
_EACH = (0, 0, 0, 0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 3)
# The classes of names that can be asked for; an enum's constants are indexed with the enum's id.
_CLASSES = {
    INT: b"type", FLOAT: b"type", TYPEDEF: b"type", STRUCT: b"struct", UNION: b"union",
    ENUM: b"enum", ENUM64: b"enum", FUNC: b"func",
}
_SEEDS = {name: crc32(name) for name in (b"type", b"struct", b"union", b"enum", b"func", b"constant")}
_HEADER = struct.Struct("=HBxIIIII")
_INDEX_VERSION = 1
_INDEX_HEADER = struct.Struct("=4sIIIII")


class BtfError(Exception):
    """The bytes are not BTF that this machine's kernel could have written: damaged, cut or foreign."""


class Record(NamedTuple):
    """One type as the file has it: `size` is the size in bytes or the id of the type referred to."""

    kind: int
    name: str
    flag: bool
    elements: int
    size: int
    at: int


class Member(NamedTuple):
    """A struct's or union's member: the raw bit offset, and the bit field's width (0: none)."""

    name: str
    type: int
    bit_offset: int
    bits: int


@dataclass(frozen=True)
class Header:
    """Where the two sections of a blob are, in bytes from its start."""

    type_at: int
    type_size: int
    string_at: int
    string_size: int


def read_header(blob: Blob, name: str) -> Header:
    """Check the header of struct btf_header and return the sections; BtfError says what is wrong."""
    if len(blob) < 24:
        raise BtfError(f"{name}: too short for BTF ({len(blob)} bytes)")
    magic, version, size, type_at, type_size, string_at, string_size = _HEADER.unpack_from(blob)
    if magic == 0x9FEB:
        raise BtfError(f"{name}: BTF of the other byte order; this machine is {sys.byteorder}-endian")
    if bytes(blob[:4]) == b"\x7fELF":
        raise BtfError(f"{name}: an ELF file of another word size or byte order than this machine's")
    if magic != MAGIC:
        raise BtfError(f"{name}: not BTF (it starts with {bytes(blob[:4])!r})")
    if version != 1 or size < 24:
        raise BtfError(f"{name}: BTF version {version} with a header of {size} bytes is not known")
    header = Header(size + type_at, type_size, size + string_at, string_size)
    if max(header.type_at + type_size, header.string_at + string_size) > len(blob):
        raise BtfError(f"{name}: BTF is cut short at {len(blob)} bytes")
    if header.type_at % 4 or type_size % 4 or not string_size or blob[header.string_at + string_size - 1]:
        raise BtfError(f"{name}: BTF header is damaged")
    return header


def read_blob(path: Path) -> Blob:
    """The bytes of a BTF file, mapped where the kernel allows it.

    /sys/kernel/btf/vmlinux can be mapped privately since commit a539e2a6d51d ("btf: Allow mmap of vmlinux
    btf"); before, and for modules, it is read in pages. Raises OSError.
    """
    with path.open("rb", buffering=0) as file:
        try:
            return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        except (OSError, ValueError):
            return file.read()


class Btf:
    """One BTF blob, alone or split from a base; ids and string offsets go on where the base's end."""

    def __init__(self, blob: Blob, name: str = "vmlinux", base: Btf | None = None, key: str = "") -> None:
        """Open a blob. `key` names its content for the cache of indexes; "" hashes the content.

        Raises BtfError.
        """
        self.name = name
        self.base = base
        self.blob = blob
        self.header = read_header(blob, name)
        self.first: int = base.end if base else 1
        self.string_base: int = base.string_end if base else 0
        self.string_end: int = self.string_base + self.header.string_size
        index = _index(self, key)
        _, _, types, names, signed, _ = _INDEX_HEADER.unpack_from(index)
        self.signed_enums: bool = bool(signed) or (base is not None and base.signed_enums)
        self.end: int = self.first + types
        start = _INDEX_HEADER.size
        self._offsets = index[start : start + 4 * types].cast("I")
        self._names = index[start + 4 * types : start + 4 * types + 8 * names].cast("Q")

    def string(self, offset: int) -> str:
        """The string at an offset of the (joined) string section."""
        if offset == 0:
            return ""
        if offset < self.string_base and self.base is not None:
            return self.base.string(offset)
        start = self.header.string_at + offset - self.string_base
        stop = self.header.string_at + self.header.string_size
        if offset >= self.string_end:
            raise BtfError(f"{self.name}: a name lies outside of the strings")
        return self.blob[start : self.blob.find(b"\0", start, stop)].decode("utf-8", "replace")

    def record(self, number: int) -> Record:
        """The type with this id (from 1). Raises BtfError for an id that the blob does not have."""
        if number < self.first and self.base is not None:
            return self.base.record(number)
        if not self.first <= number < self.end:
            raise BtfError(f"{self.name}: there is no type {number}")
        at = self.header.type_at + self._offsets[number - self.first]
        name, info, size = struct.unpack_from("=III", self.blob, at)
        return Record(info >> 24 & 31, self.string(name), bool(info >> 31), info & 0xFFFF, size, at + 12)

    def _owner(self, number: int) -> Btf:
        return self.base._owner(number) if self.base is not None and number < self.first else self

    def _elements(self, record: Record, words: int) -> Iterator[tuple[int, ...]]:
        body = self.blob[record.at : record.at + 4 * words * record.elements]
        return struct.iter_unpack("=" + "I" * words, body)

    def members(self, number: int) -> list[Member]:
        """The members of the struct or union with this id, in order."""
        own, record = self._owner(number), self.record(number)
        found = []
        for name, kind, place in own._elements(record, 3):
            bits, offset = (place >> 24, place & 0xFFFFFF) if record.flag else (0, place)
            found.append(Member(own.string(name), kind, offset, bits))
        return found

    def parameters(self, number: int) -> list[tuple[str, int]]:
        """(name, type id) of the parameters of a FUNC_PROTO; type 0 at the end stands for `...`."""
        own, record = self._owner(number), self.record(number)
        return [(own.string(name), kind) for name, kind in own._elements(record, 2)]

    def array(self, number: int) -> tuple[int, int]:
        """(element type id, length) of an ARRAY."""
        own, record = self._owner(number), self.record(number)
        element, _, length = struct.unpack_from("=III", own.blob, record.at)
        return element, length

    def int_encoding(self, number: int) -> tuple[int, int, int]:
        """(encoding, bit offset, bits) of an INT; the encodings are 1 signed, 2 char, 4 bool."""
        own, record = self._owner(number), self.record(number)
        (word,) = struct.unpack_from("=I", own.blob, record.at)
        return word >> 24 & 15, word >> 16 & 255, word & 255

    def enum_values(self, number: int) -> list[tuple[str, int]]:
        """(name, value) of an ENUM's or ENUM64's constants, with the enum's signedness."""
        own, record = self._owner(number), self.record(number)
        signed = self.enum_signed(number)
        if record.kind == ENUM64:
            raw = [(name, high << 32 | low) for name, low, high in own._elements(record, 3)]
            top = 1 << 63
        else:
            raw = [(name, low) for name, low in own._elements(record, 2)]
            top = 1 << 31
        fold = 2 * top if signed else 0
        return [(own.string(name), value - fold if value & top else value) for name, value in raw]

    def enum_signed(self, number: int) -> bool:
        """Whether an enum is signed.

        The flag that says so came with commit 6089fb325cf7 ("bpf: Add btf enum64 support"); where no enum of
        the kernel has it, the blob is from before, and a constant with its top bit set was negative.
        """
        own, record = self._owner(number), self.record(number)
        if record.flag or record.kind == ENUM64 or own.signed_enums:
            return record.flag
        return any(value >> 31 for _, value in own._elements(record, 2))

    def find(self, group: str, name: str) -> Iterator[int]:
        """Ids of this name, lowest first; `group` is type, struct, union, enum, func or constant.

        For `constant` they are the ids of the enums that may hold it.
        """
        key, text = group.encode(), name.encode()
        if self.base is not None:
            yield from self.base.find(group, name)
        wanted = crc32(text, _SEEDS[key])
        names, at = self._names, bisect_left(self._names, wanted << 32)
        while at < len(names) and names[at] >> 32 == wanted:
            number = names[at] & 0xFFFFFFFF
            at += 1
            record = self.record(number)
            if key == b"constant" or (record.name == name and _CLASSES.get(record.kind) == key):
                yield number

    def prefixed(self, prefix: str) -> list[str]:
        """All names in the strings that start with a prefix, in file order."""
        header, wanted, found = self.header, b"\0" + prefix.encode(), []
        stop = header.string_at + header.string_size
        at = self.blob.find(wanted, header.string_at, stop)
        while at >= 0:
            end = self.blob.find(b"\0", at + 1, stop)
            found.append(self.blob[at + 1 : end].decode("utf-8", "replace"))
            at = self.blob.find(wanted, end, stop)
        return found

    def ids(self, kind: int) -> Iterator[int]:
        """Own ids of one kind, in order: a walk over everything, for lists that are cached."""
        words = _words(self)
        for place, offset in enumerate(self._offsets):
            if words[offset // 4 + 1] >> 24 & 31 == kind:
                yield self.first + place


    def walk(self, kind: int) -> Iterator[tuple[int, memoryview]]:
        """(id, words of the record: name, info, size or type, and what follows) of the own types of one kind.

        Only a FUNC_PROTO's parameters follow.
        """
        words = _words(self)
        for place, offset in enumerate(self._offsets):
            at = offset // 4
            info = words[at + 1]
            if info >> 24 & 31 == kind:
                more = 2 * (info & 0xFFFF) if kind == FUNC_PROTO else 0
                yield self.first + place, words[at : at + 3 + more]

    def names_of(self, kind: int) -> list[str]:
        """Names of the own types of one kind, in order of id; a walk like `ids`."""
        words, low = _words(self), self.string_base
        start = self.header.string_at
        strings = self.blob[start : start + self.header.string_size]
        names = []
        for offset in self._offsets:
            at = offset // 4
            if words[at + 1] >> 24 & 31 == kind:
                name = words[at] - low
                if name >= 0:
                    names.append(strings[name : strings.find(b"\0", name)].decode("utf-8", "replace"))
                else:
                    names.append(self.string(name + low))
        return names


def holds_name(blob: Blob, name: str) -> bool:
    """Whether the bytes of a BTF blob hold this name as a whole string, found without an index."""
    return blob.find(b"\0" + name.encode() + b"\0") >= 0


def _index(btf: Btf, key: str) -> memoryview:
    """The index of a blob, from the cache or made and cached: its layout is `_pack`'s."""
    header = btf.header
    content = key or blake2b(btf.blob, digest_size=16).hexdigest()
    full = f"{_INDEX_VERSION} {content} {len(btf.blob)} {btf.first} {btf.string_base}"
    stored = cachefile.load("btf", full)
    if stored is not None and len(stored) >= _INDEX_HEADER.size:
        magic, version, types, names, _, sizes = _INDEX_HEADER.unpack_from(stored)
        whole = _INDEX_HEADER.size + 4 * types + 8 * names == len(stored)
        if magic == b"btfi" and version == _INDEX_VERSION and sizes == header.type_size and whole:
            return stored
    made = _make_index(btf)
    cachefile.store("btf", full, made)
    return memoryview(made)


def _words(btf: Btf) -> memoryview:
    """A copy of the type section as 32-bit words."""
    start = btf.header.type_at
    return memoryview(btf.blob[start : start + btf.header.type_size]).cast("I")


def _make_index(btf: Btf) -> bytes:
    """Walk all types once: their offsets, the hashes of their names, whether any enum is signed."""
    words = _words(btf)
    offsets = array("I")
    enums: list[int] = []
    named: dict[bytes, list[int]] = {group: [] for group in _SEEDS}  # alternating: name offset, id
    groups = [named[_CLASSES[kind]] if kind in _CLASSES else None for kind in range(32)]
    at, end, number, signed = 0, len(words), btf.first, 0
    fixed, each = _FIXED, _EACH
    try:
        while at < end:
            info = words[at + 1]
            kind = info >> 24 & 31
            offsets.append(at * 4)
            group = groups[kind]
            if group is not None and words[at]:
                group += (words[at], number)
            if kind in (ENUM, ENUM64):
                enums += (at, number)
                signed |= info >> 31
            at += 3 + fixed[kind] + each[kind] * (info & 0xFFFF)
            number += 1
    except IndexError:
        raise BtfError(f"{btf.name}: BTF is damaged at type {number}") from None
    if at != end:
        raise BtfError(f"{btf.name}: BTF is cut within type {number - 1}")
    constants = named[b"constant"]
    for at, number in zip(enums[::2], enums[1::2], strict=True):
        width = 2 if words[at + 1] >> 24 & 31 == ENUM else 3
        for place in range(at + 3, at + 3 + width * (words[at + 1] & 0xFFFF), width):
            constants += (words[place], number)
    hashed = (_hashes(btf, _SEEDS[group], items) for group, items in named.items())
    keys = array("Q", sorted(chain.from_iterable(hashed)))
    head = _INDEX_HEADER.pack(b"btfi", _INDEX_VERSION, len(offsets), len(keys), signed, 4 * end)
    return head + offsets.tobytes() + keys.tobytes()


def _hashes(btf: Btf, seed: int, items: list[int]) -> Iterator[int]:
    """`crc << 32 | id` of each (name offset, id) pair of a flat list."""
    start = btf.header.string_at
    strings = btf.blob[start : start + btf.header.string_size]
    low, find = btf.string_base, strings.find
    for at, number in zip(items[::2], items[1::2], strict=True):
        if at >= low:
            at -= low
            yield crc32(strings[at : find(b"\0", at)], seed) << 32 | number
        else:
            yield crc32(btf.string(at).encode(), seed) << 32 | number
