"""Type → the cell that turns its bytes into text, as bpftrace prints it in text, in JSON and in JSON keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from codegen.plan import Settings
from lang.diagnostics import CompilerBug
from lang.machine import Field
from lang.types import (
    Aggregate,
    Array,
    Bool,
    Buffer,
    Enum,
    Formatted,
    Inet,
    Int,
    Last,
    Pointer,
    Record,
    Stack,
    Str,
    Struct,
    Symbol,
    Timestamp,
    Tuple,
    Type,
    Void,
    offsets,
    size_of,
)  # fmt: skip
from runtime.decode import MARK, Cache, Cell, Names, Rows, compile_rows, join_cells
from runtime.formatters import formatter, timestamp
from runtime.jsonl import quote

# `key` is JSON's map key: the text form without the spaces between elements.
Style = Literal["text", "json", "key"]

_CODES = {8: "b", 16: "h", 32: "i", 64: "q"}
_CACHED_BYTES = 128  # longer values differ too often to be worth remembering
_EXACT = 1 << 53
# Records and structs: what stands before, before each value, between, after.
_RECORDS: dict[Style, tuple[str, str, str, str]] = {
    "text": ("{ ", ".{} = ", ", ", " }"),
    "json": ("{", '"{}": ', ", ", "}"),
    "key": ("{", ".{}=", ",", "}"),
}


class Symbols(Protocol):
    """Addresses → names: `runtime.symbolize.Symbolizer`."""

    def kernel(self, address: int) -> str: ...

    def user(self, address: int, pid: int) -> str: ...

    def stack(self, kind: Stack, id: int, frames: int, pid: int) -> str: ...


def int_code(bits: int, signed: bool) -> str:
    """The struct code of an integer."""
    return _CODES[bits] if signed else _CODES[bits].upper()


def styled(text: str, style: Style) -> str:
    """A text as the style wants it: JSON's strings are quoted."""
    return quote(text) if style == "json" else text


def json_int(value: int) -> str:
    """An integer in JSON; one that a double cannot hold exactly becomes a string."""
    if -_EXACT <= value <= _EXACT or int(float(value)) == value:
        return str(value)
    return f'"{value}"'


def string_text(raw: bytes, trailer: str = "..") -> str:
    """The bytes to the first NUL; a buffer that is full without one was cut, and says so."""
    end = raw.find(0)
    if end < 0:
        return raw.decode("utf-8", "surrogateescape") + trailer
    return raw[:end].decode("utf-8", "surrogateescape")


def buffer_bytes(raw: bytes) -> bytes:
    """The data of a Buffer: a u32 length, then that many bytes."""
    return raw[4 : 4 + int.from_bytes(raw[:4], "little")]


def words_text(raw: bytes) -> str:
    """Texts that end with a NUL each, with blanks between."""
    return buffer_bytes(raw).rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "surrogateescape")


_PRINTABLE = [chr(byte) if 32 <= byte <= 126 else f"\\x{byte:02x}" for byte in range(256)]


def buffer_text(data: bytes) -> str:
    """Printable ASCII as it is, all else as `\\xNN`."""
    return "".join([_PRINTABLE[byte] for byte in data])


def divide(value: int, divisor: int) -> int:
    """C's integer division: toward zero."""
    return value // divisor if value >= 0 else -(-value // divisor)


def signed_type(kind: Type) -> bool:
    """Whether values of the type compare as signed numbers."""
    match kind:
        case Int(_, signed) | Enum(_, _, signed):
            return signed
        case Aggregate(signed=signed):
            return signed
    return False


class Values:
    """Makes cells. One object serves one run: names, caches and tables are shared by all its cells.

    `struct_fields` gives the members of each `Struct` by its id; without them a struct cannot be printed.
    """

    def __init__(
        self,
        settings: Settings,
        symbols: Symbols,
        *,
        json: bool = False,
        struct_fields: Mapping[int, Sequence[Field]] | None = None,
    ) -> None:
        self.names = Names()
        self.style: Style = "json" if json else "text"
        self.symbols = symbols
        self._trailer = settings.truncation_trailer
        self._enums = {name: dict(constants) for name, constants in settings.enums}
        self._structs = struct_fields or {}

    def rows(self, kind: Type, style: Style, stride: int) -> Rows:
        """Functions that print values of this type, `stride` bytes apart."""
        return compile_rows([(0, self.cell(kind, style))], stride, self.names)

    def key_rows(self, kind: Type, stride: int) -> Rows:
        """The same for map keys: a tuple's parentheses are left away."""
        style: Style = "key" if self.style == "json" else "text"
        cell = self.cell(kind, style)
        if isinstance(kind, Tuple) and kind.elements:
            cell = Cell(cell.code, cell.fragment[1:-1])
        return compile_rows([(0, cell)], stride, self.names)

    def cell(self, kind: Type, style: Style) -> Cell:
        """The cell of one type. Raises CompilerBug for a type that cannot be a value."""
        match kind:
            case Int(bits, signed):
                exact = style == "json" and bits == 64
                fragment = self.names.call(json_int) if exact else "{" + MARK + "}"
                return Cell(int_code(bits, signed), fragment)
            case Bool():
                return Cell("B", "{" + self.names.bind(("false", "true")) + f"[{MARK} != 0]}}")
            case Enum(name, bits, signed):
                return self._enum(name, int_code(bits, signed), style)
            case Pointer():
                return Cell("Q", self.names.call(json_int) if style == "json" else "0x{" + MARK + ":x}")
            case Str(size):
                return self.opaque(size, lambda raw: styled(string_text(raw, self._trailer), style))
            case Buffer(size, True):
                return self.opaque(size_of(kind), lambda raw: styled(words_text(raw), style))
            case Buffer(size):
                return self.opaque(size_of(kind), _json_bytes if style == "json" else _buffer_value)
            case Array(of, length):
                return self._array(of, length, style)
            case Tuple(elements):
                return self._tuple(elements, style)
            case Record(names, elements):
                places, size = offsets(elements)
                cells = [self.cell(item, style) for item in elements]
                return self._record(names, list(zip(places, cells, strict=True)), size, style)
            case Struct():
                return self.opaque(kind.size, self._struct(kind, style), cached=False)
            case Aggregate():
                return self._aggregate(kind, style)
            case Void():
                return Cell("", "null")
            case Last(of):
                inner = self.cell(of, style)
                return Cell(f"8x{inner.code}{size_of(kind) - 8 - size_of(of)}x", inner.fragment)
        return self._resolved(kind, style)

    def opaque(self, size: int, make: Callable[[bytes], str], *, cached: bool = True) -> Cell:
        """A cell whose bytes go through a function; short values are remembered."""
        if cached and size <= _CACHED_BYTES:
            return Cell(f"{size}s", self.names.index(Cache(make)))
        return Cell(f"{size}s", self.names.call(make))

    def string(self, raw: bytes) -> str:
        """The text in a fixed buffer; one that was cut says so."""
        return string_text(raw, self._trailer)

    def enum_text(self, name: str) -> Callable[[int], str]:
        """Number → constant of this enum, or the number where it has none."""
        known = self._enums.get(name, {})
        return lambda value: known.get(value, str(value))

    def _enum(self, name: str, code: str, style: Style) -> Cell:
        if style == "json":
            return Cell(code, self.names.call(json_int))
        return Cell(code, self.names.index(Cache(self.enum_text(name))))

    def _array(self, of: Type, length: int, style: Style) -> Cell:
        if length == 0:
            return Cell("", "[]")
        rows = self.rows(of, style, size_of(of))
        return self.opaque(size_of(of) * length, lambda raw: f"[{','.join(rows.many(raw))}]")

    def _tuple(self, elements: tuple[Type, ...], style: Style) -> Cell:
        places, size = offsets(elements)
        cells = list(zip(places, [self.cell(item, style) for item in elements], strict=True))
        start, end = ("[", "]") if style == "json" else ("(", ")")
        return join_cells(cells, size, start, ", " if style == "text" else ",", end)

    def _record(self, names: Sequence[str], cells: list[tuple[int, Cell]], size: int, style: Style) -> Cell:
        if not cells:
            return Cell(f"{size}x", "{{}}")
        start, label, between, end = _RECORDS[style]
        named = [
            (offset, Cell(cell.code, label.format(name) + cell.fragment))
            for name, (offset, cell) in zip(names, cells, strict=True)
        ]
        return join_cells(named, size, start, between, end)

    def _struct(self, kind: Struct, style: Style) -> Callable[[bytes], str]:
        """Members may overlap (unions, bit fields), so each is printed by itself."""
        if kind.id not in self._structs:
            raise CompilerBug(f"the plan does not say what members {kind} has")
        members = [(item.name, self._member(item, style)) for item in self._structs[kind.id] if item.name]
        if not members:
            return lambda _raw: "{}"
        start, label, between, end = _RECORDS[style]
        named = [(label.format(name), show) for name, show in members]
        return lambda raw: start + between.join([name + show(raw) for name, show in named]) + end

    def _member(self, item: Field, style: Style) -> Callable[[bytes], str]:
        kind = item.type
        if isinstance(kind, Array) and isinstance(kind.of, Int) and kind.of.spelling == "char":
            kind = Str(kind.length)
        size = size_of(kind)
        one = self.rows(kind, style, size).one
        if not item.bits:
            return lambda raw: one(raw, item.offset)
        mask, signed = (1 << item.bits) - 1, signed_type(kind)

        def bits(raw: bytes) -> str:
            value = int.from_bytes(raw[item.offset : item.offset + 8], "little") >> item.shift & mask
            if signed and value >> (item.bits - 1):
                value -= 1 << item.bits
            return one(value.to_bytes(size, "little", signed=signed), 0)

        return bits

    def _aggregate(self, kind: Aggregate, style: Style) -> Cell:
        """An aggregate of one CPU, or already reduced in the kernel."""
        number = json_int if style == "json" else str
        code = int_code(64, kind.signed)
        match kind.kind:
            case "count" | "sum":
                return Cell(code, self.names.call(number))
            case "min" | "max":
                return Cell(code + "8x", self.names.call(number))
            case "avg":
                mean = self.names.call(lambda count, total: number(average(count, total)), 2)
                return Cell("Q" + code, mean)
            case "stats":
                record = self.names.call(lambda count, total: stats_text(count, total, 1, style), 2)
                return Cell("Q" + code, record)
        raise CompilerBug(f"{kind} has no value of its own")

    def _resolved(self, kind: Type, style: Style) -> Cell:
        """Types whose text is looked up in user space."""
        make: Callable[..., str]
        match kind:
            case Symbol("user"):
                code, count, make = "QI4x", 2, self.symbols.user
            case Symbol():
                code, count, make = "Q", 1, self.symbols.kernel
            case Stack():
                code, count = "QII", 3
                make = lambda id, frames, pid: self.symbols.stack(kind, id, frames, pid)  # noqa: E731
            case Inet():
                code, count, make = "I16s", 2, inet_text
            case Timestamp(format, clock):
                code, count, make = "Q", 1, timestamp(format, clock)
            case Formatted(name, of, arguments):
                show = formatter(name, arguments)
                if isinstance(of, Int):
                    code, count, make = int_code(of.bits, of.signed), 1, show
                else:
                    code, count, make = f"{size_of(of)}s", 1, show
            case _:
                raise CompilerBug(f"no text for a value of type {kind!r}")
        if style == "json":
            return Cell(code, self.names.call(lambda *values: styled(make(*values), "json"), count))
        return Cell(code, self.names.call(make, count))


def average(count: int, total: int) -> int:
    """The mean as C has it: 0 for none, cut toward zero."""
    return divide(total, count) if count else 0


def stats_text(count: int, total: int, div: int, style: Style) -> str:
    """The record that stats() prints; `div` divides the average alone."""
    mean = divide(average(count, total), div)
    if style == "json":
        return f'{{"count": {json_int(count)}, "average": {json_int(mean)}, "total": {json_int(total)}}}'
    return f"{{ .count = {count}, .average = {mean}, .total = {total} }}"


def inet_text(family: int, raw: bytes) -> str:
    """An IPv4 or IPv6 address; empty for any other family."""
    import socket  # every start would pay for it

    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw)
    return ""


def _buffer_value(raw: bytes) -> str:
    return buffer_text(buffer_bytes(raw))


def _json_bytes(raw: bytes) -> str:
    return f"[{','.join(map(str, buffer_bytes(raw)))}]"
