"""Programs and libraries → their paths, and the file offsets of their functions.

Reads ELF64 (include/uapi/linux/elf.h) of this machine's byte order directly: the symbols of .symtab and
.dynsym, placed in the file through the loadable segments. Anything else reads as having no functions.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

from kernel.demangle import demangled, without_parameters
from kernel.match import is_pattern, matcher
from lang.machine import UserFunction

_SHT_SYMTAB, _SHT_DYNSYM, _PT_LOAD, _PF_X = 2, 11, 1, 1
_MACHINES = {62: "x86_64", 183: "aarch64", 243: "riscv64", 22: "s390x", 21: "ppc64le", 258: "loongarch64"}
_STT_FUNC, _STT_GNU_IFUNC = 2, 10
_HEADER = struct.Struct("=16xHHIQQQIHHHHHH")
_SECTION = struct.Struct("=IIQQQQIIQQ")
_SEGMENT = struct.Struct("=IIQQQQQQ")
_SYMBOL = struct.Struct("=IBBHQQ")


class _Segment(NamedTuple):
    """A loadable, executable piece of the file."""

    address: int
    offset: int
    size: int


class _Table(NamedTuple):
    """A symbol table: its entries and its names, as bytes."""

    symbols: bytes
    names: bytes


def functions(path: str, name: str) -> tuple[UserFunction, ...]:
    """Functions of an ELF file that a `*` pattern matches, sorted by name; empty for what is no ELF64.

    `offset` is the file offset that a uprobe takes, `size` bytes as the symbol has it (0: unknown).
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            found = set(_functions(data, name))
    except (OSError, ValueError, struct.error):
        return ()
    return tuple(UserFunction(path, symbol, offset, size) for symbol, offset, size in sorted(found))


def functions_of_cpp(path: str, name: str) -> tuple[UserFunction, ...]:
    """Functions of C++ whose name in the source a `*` pattern matches; `name` of each is that.

    Without brackets the pattern is of names alone, and every overload is one of them.
    """
    matches, whole = matcher(name), "(" in name
    found: dict[tuple[str, int], UserFunction] = {}
    for item in functions(path, "_Z*"):
        text = demangled(item.name)
        if text is not None and matches(text if whole else without_parameters(text)):
            found.setdefault((text, item.offset), UserFunction(path, text, item.offset, item.size))
    return tuple(found[key] for key in sorted(found))


def is_elf64(path: str) -> bool:
    """Whether the file is an ELF64 of this machine's byte order."""
    try:
        with open(path, "rb") as file:
            return is_native(file.read(6))
    except OSError:
        return False


def machine(path: str) -> str:
    """The architecture of an ELF64 as uname has it, or its number. Raises OSError and struct.error."""
    with open(path, "rb") as file:
        (number,) = struct.unpack("=18xH", file.read(20))
    return _MACHINES.get(number, f"number {number}")


def section(path: str, name: str) -> bytes:
    """The bytes of a section by name; empty where the file is no ELF64 or lacks it. Raises OSError."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        head = _HEADER.unpack_from(data)
        raw = data[head[5] : head[5] + _SECTION.size * head[11]]
        sections = list(_SECTION.iter_unpack(raw))
        names_at = sections[head[12]][4]
    except (struct.error, IndexError):
        return b""
    for entry in sections:
        if data.startswith(name.encode() + b"\0", names_at + entry[0]):
            return data[entry[4] : entry[4] + entry[5]]
    return b""


class Section(NamedTuple):
    """A section's header, with its name."""

    name: str
    address: int
    offset: int
    size: int
    flags: int


def sections(data: bytes | mmap.mmap) -> list[Section]:
    """The sections of an ELF64 file. Raises struct.error or IndexError where it is damaged."""
    head = _HEADER.unpack_from(data)
    raw = data[head[5] : head[5] + _SECTION.size * head[11]]
    found = list(_SECTION.iter_unpack(raw))
    names_at = found[head[12]][4]
    texts = [data[names_at + item[0] : data.find(b"\0", names_at + item[0])] for item in found]
    return [
        Section(text.decode("utf-8", "replace"), item[3], item[4], item[5], item[2])
        for text, item in zip(texts, found, strict=True)
    ]


def loaded(data: bytes | mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """(offset in the file, address, bytes) of each part that is loaded."""
    head = _HEADER.unpack_from(data)
    raw = data[head[4] : head[4] + _SEGMENT.size * head[9]]
    for kind, _, offset, start, _, size, _, _ in _SEGMENT.iter_unpack(raw):
        if kind == _PT_LOAD:
            yield int(offset), int(start), int(size)


def file_offset(data: bytes | mmap.mmap, address: int) -> int | None:
    """Where in the file what lies at an address is kept; None where it is not in the file."""
    for offset, start, size in loaded(data):
        if start <= address < start + size:
            return address - start + offset
    return None


def address_at(data: bytes | mmap.mmap, place: int) -> int | None:
    """The address at which what is kept there in the file is loaded; None where it is not."""
    for offset, start, size in loaded(data):
        if offset <= place < offset + size:
            return place - offset + start
    return None


def symbol_address(data: mmap.mmap, name: str) -> int | None:
    """The address of a function or variable that the file has."""
    for table in _layout(data)[1]:
        for start, _, _, section, address, _ in _SYMBOL.iter_unpack(table.symbols):
            if section and table.names.startswith(name.encode() + b"\0", start):
                return int(address)
    return None


def symbol_from(path: str, name: str, offset: int) -> tuple[int, int] | None:
    """(bytes from what lies at a file offset to a symbol, the symbol's size) once the file is mapped.

    None for a name that the file does not have. Wherever the file is mapped, the distance is the same.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            segments, tables = _layout(data)
            holders = [item for item in segments if item.offset <= offset < item.offset + item.size]
            starts = [item.address - item.offset for item in holders]
            for table in tables:
                for start, _, _, section, address, size in _SYMBOL.iter_unpack(table.symbols):
                    if section and starts and _has_name(table, start, name):
                        return address - (starts[0] + offset), size
    except (OSError, ValueError, struct.error):
        pass
    return None


def _has_name(table: _Table, start: int, name: str) -> bool:
    """Whether the symbol whose name begins there has this name, with or without a version."""
    raw = name.encode()
    return table.names.startswith((raw + b"\0", raw + b"@"), start)


def is_native(head: bytes) -> bool:
    order = 1 if struct.pack("=H", 1) == b"\1\0" else 2
    return head[:6] == b"\x7fELF\x02" + bytes([order])


def _functions(data: mmap.mmap, name: str) -> Iterator[tuple[str, int, int]]:
    """(name, file offset, size) of the matching functions, possibly twice."""
    if not is_native(data[:6]):
        return
    segments, tables = _layout(data)
    pick = _by_pattern if is_pattern(name) else _by_name
    for table in tables:
        for symbol, address, size in pick(table, name):
            for segment in segments:
                if segment.address <= address < segment.address + segment.size:
                    yield symbol, address - segment.address + segment.offset, size
                    break


def _layout(data: mmap.mmap) -> tuple[list[_Segment], list[_Table]]:
    head = _HEADER.unpack_from(data)
    segments_at, sections_at, segment_count, section_count = head[4], head[5], head[9], head[11]
    raw = data[segments_at : segments_at + _SEGMENT.size * segment_count]
    segments = [
        _Segment(address, offset, size)
        for kind, flags, offset, address, _, size, _, _ in _SEGMENT.iter_unpack(raw)
        if kind == _PT_LOAD and flags & _PF_X
    ]
    raw = data[sections_at : sections_at + _SECTION.size * section_count]
    sections = list(_SECTION.iter_unpack(raw))
    tables = []
    for section in sections:
        kind, offset, size, link = section[1], section[4], section[5], section[6]
        if kind in (_SHT_SYMTAB, _SHT_DYNSYM) and link < len(sections):
            names_at, names_size = sections[link][4:6]
            whole = data[offset : offset + size - size % _SYMBOL.size]
            tables.append(_Table(whole, data[names_at : names_at + names_size]))
    return segments, tables


def _defined(table: _Table) -> Iterator[tuple[int, int, int]]:
    """(name offset, address, size) of the functions that the file itself has."""
    for name, info, _, section, address, size in _SYMBOL.iter_unpack(table.symbols):
        if info & 15 in (_STT_FUNC, _STT_GNU_IFUNC) and section and address:
            yield name, address, size


def _by_name(table: _Table, name: str) -> Iterator[tuple[str, int, int]]:
    """Look for the name in the strings first: names share their tails, and carry versions."""
    wanted, starts = name.encode(), set()
    at = table.names.find(wanted)
    while at >= 0:
        if table.names[at + len(wanted) : at + len(wanted) + 1] in (b"\0", b"@"):
            starts.add(at)
        at = table.names.find(wanted, at + 1)
    if starts and wanted:
        yield from ((name, address, size) for start, address, size in _defined(table) if start in starts)


def _by_pattern(table: _Table, pattern: str) -> Iterator[tuple[str, int, int]]:
    matches, names = matcher(pattern), table.names
    for start, address, size in _defined(table):
        symbol = names[start : names.find(b"\0", start)].partition(b"@")[0].decode("utf-8", "replace")
        if symbol and matches(symbol):
            yield symbol, address, size
