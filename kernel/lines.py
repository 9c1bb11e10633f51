"""A binary and a line of its source → the file offsets of its code, by DWARF's line tables.

Reads .debug_line of versions 2 to 5 (https://dwarfstd.org/doc/DWARF5.pdf, section 6.2), in the file itself or
in the one of its build id below /usr/lib/debug. Only the tables of units that name the source are run.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from kernel import elf
from lang.machine import SourceLine

_COMPRESSED, _ZLIB = 0x800, 1  # SHF_COMPRESSED, ELFCOMPRESS_ZLIB
_DEBUG_FILES = "/usr/lib/debug/.build-id"
_PATH, _FOLDER = 1, 2  # DW_LNCT_path, DW_LNCT_directory_index
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}  # DW_FORM_data1 …


class _Row(NamedTuple):
    """Where the code of a statement begins."""

    address: int
    line: int
    column: int


class _Texts(NamedTuple):
    """The sections that line tables take their strings from."""

    lines: bytes
    strings: bytes


class _Bytes:
    """Bytes read one after the other. Raises IndexError or ValueError at their end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, size: int, signed: bool = False) -> int:
        self.at += size
        if self.at > len(self.data):
            raise IndexError
        return int.from_bytes(self.data[self.at - size : self.at], sys.byteorder, signed=signed)

    def leb(self, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value - (1 << shift) if signed and byte & 0x40 else value

    def text(self) -> bytes:
        stop = self.data.index(b"\0", self.at)
        start, self.at = self.at, stop + 1
        return self.data[start:stop]


def source_line(path: str, file: str, line: int, column: int = 0) -> SourceLine:
    """The code of a line: one place in each function that has some, its lowest address.

    `file` is the source's name, or its path from any folder on. Without code there, the reason.
    """
    try:
        with open(path, "rb") as binary:
            data = binary.read()
        rows = _rows_of(data, file)
        if rows is None:
            return SourceLine((), f"{path} has no line numbers: it was built without -g")
        if not rows:
            return SourceLine((), f"{path} has no code of a source file '{file}'")
        chosen = [row for row in rows if row.line == line and column in (0, row.column)]
        if not chosen:
            return SourceLine((), _no_code(rows, file, line, column))
        offsets = _first_of_each(path, [elf.file_offset(data, row.address) for row in chosen])
        return SourceLine(offsets, "" if offsets else f"line {line} of {file} is not in {path}")
    except (OSError, IndexError, ValueError, struct.error, zlib.error) as problem:
        return SourceLine((), f"the line numbers of {path} cannot be read ({type(problem).__name__})")


def _no_code(rows: list[_Row], file: str, line: int, column: int) -> str:
    if column and (columns := sorted({row.column for row in rows if row.line == line})):
        return f"column {column} of line {line} has no code; there is some at {', '.join(map(str, columns))}"
    later = min((row.line for row in rows if row.line > line), default=0)
    return f"line {line} of {file} has no code" + (f"; the next that has is {later}" if later else "")


def _first_of_each(path: str, offsets: list[int | None]) -> tuple[int, ...]:
    """Of the places in one function the first: a loop's line has several, and runs once."""
    functions = sorted({(item.offset, item.size) for item in elf.functions(path, "*")}, reverse=True)
    first: dict[int, int] = {}
    for offset in offsets:
        if offset is not None:
            holder = next((start for start, size in functions if start <= offset < start + size), -1)
            first[holder] = min(offset, first.get(holder, offset))
    return tuple(sorted(first.values()))


def _rows_of(data: bytes, file: str) -> list[_Row] | None:
    """The statements of a source file; None where the binary has no line tables."""
    if not elf.is_native(data[:6]):
        return None
    table = _section(data, ".debug_line")
    if not table:
        data = _separate(data)
        table = _section(data, ".debug_line")
    if not table:
        return None
    texts = _Texts(_section(data, ".debug_line_str"), _section(data, ".debug_str"))
    found: list[_Row] = []
    for unit, wide in _units(table):
        found += _run(unit, wide, texts, os.fsencode(file))
    return found


def _section(data: bytes, name: str) -> bytes:
    """A section's bytes, unpacked where they are compressed; empty where there is none."""
    for item in elf.sections(data) if data else ():
        if item.name != name:
            continue
        raw = data[item.offset : item.offset + item.size]
        if not item.flags & _COMPRESSED:
            return raw
        kind, _, _, _ = struct.unpack_from("=IIQQ", raw)
        if kind != _ZLIB:
            raise ValueError("compressed by zstd")
        return zlib.decompress(raw[24:])
    return b""


def _separate(data: bytes) -> bytes:
    """The file with the debug information of this one, which its build id names; empty without one."""
    note = _section(data, ".note.gnu.build-id")
    name = note[16:].hex()
    try:
        with open(f"{_DEBUG_FILES}/{name[:2]}/{name[2:]}.debug", "rb") as file:
            return file.read() if len(name) > 2 else b""
    except OSError:
        return b""


def _units(table: bytes) -> Iterator[tuple[bytes, bool]]:
    """(what follows a unit's length, whether offsets have 8 bytes)."""
    reader = _Bytes(table)
    while reader.at + 4 <= len(table):
        length, wide = reader.number(4), False
        if length == 0xFFFFFFFF:
            length, wide = reader.number(8), True
        yield table[reader.at : reader.at + length], wide
        reader.at += length


def _run(unit: bytes, wide: bool, texts: _Texts, file: bytes) -> list[_Row]:
    """The rows of one unit for this source file."""
    reader, size = _Bytes(unit), 8 if wide else 4
    version = reader.number(2)
    if not 2 <= version <= 5:
        raise ValueError(f"line table of version {version}")
    if version == 5:
        reader.number(2)
    length = reader.number(size)
    start = reader.at + length
    step = reader.number(1)
    if version >= 4:
        reader.number(1)
    statement, base = reader.number(1), reader.number(1, signed=True)
    scale, first = reader.number(1), reader.number(1)
    counts = [reader.number(1) for _ in range(first - 1)]
    names = _names(reader, texts, size) if version == 5 else _old_names(reader)
    wanted = {at for at, name in names if name == file or name.endswith(b"/" + file)}
    if not wanted:
        return []
    reader.at = start
    return list(_rows(reader, wanted, (step, bool(statement), base, scale, first, counts)))


def _old_names(reader: _Bytes) -> list[tuple[int, bytes]]:
    """(index, path) of the files, as versions 2 to 4 list them."""
    folders = [b""]
    while folder := reader.text():
        folders.append(folder)
    found: list[tuple[int, bytes]] = []
    while name := reader.text():
        folder = folders[reader.leb()]
        reader.leb(), reader.leb()  # when it was changed, and how long it is
        found.append((len(found) + 1, _joined(folder, name)))
    return found


def _names(reader: _Bytes, texts: _Texts, size: int) -> list[tuple[int, bytes]]:
    folders = [name for name, _ in _entries(reader, texts, size)]
    files = _entries(reader, texts, size)
    return [(at, _joined(folders[folder], name)) for at, (name, folder) in enumerate(files)]


def _joined(folder: bytes, name: bytes) -> bytes:
    return name if name.startswith(b"/") or not folder else folder + b"/" + name


def _entries(reader: _Bytes, texts: _Texts, size: int) -> list[tuple[bytes, int]]:
    """(path, folder's index) of a list of version 5, which says itself how it is written."""
    forms = [(reader.leb(), reader.leb()) for _ in range(reader.number(1))]
    found = []
    for _ in range(reader.leb()):
        values = {kind: _value(reader, form, texts, size) for kind, form in forms}
        name, folder = values.get(_PATH, b""), values.get(_FOLDER, 0)
        found.append((name if isinstance(name, bytes) else b"", folder if isinstance(folder, int) else 0))
    return found


def _value(reader: _Bytes, form: int, texts: _Texts, size: int) -> bytes | int:
    match form:
        case 0x08:  # DW_FORM_string
            return reader.text()
        case 0x1F | 0x0E:  # DW_FORM_line_strp, DW_FORM_strp
            held = texts.lines if form == 0x1F else texts.strings
            start = reader.number(size)
            return held[start : held.index(b"\0", start)]
        case 0x0F:  # DW_FORM_udata
            return reader.leb()
        case 0x09:  # DW_FORM_block
            reader.at += reader.leb()
            return 0
    return reader.number(_FIXED[form])


def _rows(
    reader: _Bytes, wanted: set[int], machine: tuple[int, bool, int, int, int, list[int]]
) -> Iterator[_Row]:
    """Run the unit's program: the rows that begin a statement of a wanted file."""
    step, default, base, scale, first, counts = machine
    address, file, line, column, statement = 0, 1, 1, 0, default
    while reader.at < len(reader.data):
        code = reader.number(1)
        if code >= first:
            address += (code - first) // scale * step
            line += base + (code - first) % scale
            if statement and file in wanted:
                yield _Row(address, line, column)
            continue
        match code:
            case 0:
                length = reader.leb()
                end = reader.at + length
                what = reader.number(1)
                if what == 1:  # DW_LNE_end_sequence
                    address, file, line, column, statement = 0, 1, 1, 0, default
                elif what == 2:  # DW_LNE_set_address
                    address = reader.number(length - 1)
                reader.at = end
            case 1:  # DW_LNS_copy
                if statement and file in wanted:
                    yield _Row(address, line, column)
            case 2:
                address += reader.leb() * step
            case 3:
                line += reader.leb(signed=True)
            case 4:
                file = reader.leb()
            case 5:
                column = reader.leb()
            case 6:
                statement = not statement
            case 8:  # DW_LNS_const_add_pc
                address += (255 - first) // scale * step
            case 9:  # DW_LNS_fixed_advance_pc
                address += reader.number(2)
            case _:
                for _ in range(counts[code - 1]):
                    reader.leb()
