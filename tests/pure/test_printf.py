"""printf: the rule for formats, and what each conversion makes of each type."""

import struct

import pytest

from codegen.plan import Event, EventField, Place, Settings
from lang.diagnostics import CompilerBug
from lang.printf import Conversion, conversions, parse
from lang.types import (
    BOOL,
    INT8,
    INT32,
    INT64,
    UINT8,
    UINT32,
    UINT64,
    VOID,
    Buffer,
    Enum,
    Pointer,
    Stack,
    Str,
    Tuple,
    Type,
    size_of,
)
from runtime.printf import format_values, printf_rows
from runtime.values import Values

NIGHT = Enum("night", 32)
SETTINGS = Settings(enums=(("night", ((0, "DUSK"), (1, "DAWN"))),))


class Names:
    """Symbols for tests."""

    def kernel(self, address: int) -> str:
        return f"k{address:x}"

    def user(self, address: int, pid: int) -> str:
        return f"u{address:x}@{pid}"

    def stack(self, kind: Stack, id: int, frames: int, pid: int) -> str:
        return f"<{kind.mode} {id} {frames} {pid}>"


def show(text: str, kind: Type, raw: bytes) -> str:
    """One value printed by one format."""
    rows = format_values(text, [(0, kind)], size_of(kind), Values(SETTINGS, Names()))
    (found,) = rows.many(raw)
    assert rows.one(b"head" + raw, 4) == found
    return found


@pytest.mark.parametrize(
    "text, parts",
    [
        ("", ()),
        ("plain", ("plain",)),
        ("%d", ("d",)),
        ("a%db%%c%s", ("a", "d", "b%c", "s")),
        ("100%", ("100%",)),
        ("%%d", ("%d",)),
        ("%rx%rh%r%gr", ("rx", "rh", "r", "gr")),
        ("%-10s|%5lld", ("s", "|", "d")),
        ("%y %d", ("%y ", "d")),
        ("%#-5x", ("%#-5x",)),  # flags in another order are no conversion
        ("%0-5x", ("%0-5x",)),
    ],
)
def test_parse(text: str, parts: tuple[str, ...]) -> None:
    assert tuple(part if isinstance(part, str) else part.letter for part in parse(text)) == parts


def test_conversion_fields() -> None:
    assert conversions("%-+ #0*.3llx") == (Conversion("%-+ #0*.3llx", "-+ #0", 0, 3, "ll", "x", "int"),)
    assert [(item.kind, item.bits) for item in conversions("%hhd %hd %u %ld %zx %f %n %c %p %s %rh")] == [
        ("int", 8), ("int", 16), ("int", 32), ("int", 64), ("int", 64), ("unsupported", 32),
        ("unsupported", 32), ("char", 32), ("pointer", 32), ("str", 32), ("buffer", 32),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text, value, printed",
    [
        ("%d", 1 << 40, "0"),
        ("%u", -1, "4294967295"),
        ("%x", 0x12345678ABCDEF, "78abcdef"),
        ("%lx", 0x12345678ABCDEF, "12345678abcdef"),
        ("%X", 255, "FF"),
        ("%o", 8, "10"),
        ("%hhx", 0x1FF, "ff"),
        ("%hhd", 0xFF, "-1"),
        ("%hd", 0x18000, "-32768"),
        ("%ld", -1, "-1"),
        ("%lu", -1, "18446744073709551615"),
        ("%5d", -42, "  -42"),
        ("%-5d|", 42, "42   |"),
        ("%05d", -42, "-0042"),
        ("%-05d|", 42, "42   |"),
        ("%+d", 42, "+42"),
        ("%+5d", 42, "  +42"),
        ("%+u", 42, "42"),
        ("% d", 42, "42"),
        ("%*d", 42, "42"),
        ("%.3d", 42, "42"),
        ("%#x", 255, "0xff"),
        ("%#x", 0, "0"),
        ("%#X", 255, "0XFF"),
        ("%#o", 8, "010"),
        ("%#08x", 255, "0x0000ff"),
        ("%#8x", 255, "    0xff"),
        ("%-#8x|", 255, "0xff    |"),
        ("%c", 65, "A"),
        ("%3c", 65 + 256, "  A"),
        ("%p", 4096, "0x1000"),
        ("%p", 0, "0"),
        ("%p", -1, "0xffffffffffffffff"),
        ("%s", -7, "-7"),
        ("%5s", -7, "   -7"),
        ("{%d}%%", 3, "{3}%"),
        ("'\"\\\n%d\t{{", 3, "'\"\\\n3\t{{"),
    ],
)
def test_integers(text: str, value: int, printed: str) -> None:
    assert show(text, INT64, struct.pack("<q", value)) == printed


@pytest.mark.parametrize(
    "text, kind, raw, printed",
    [
        ("%d", UINT32, b"\xff\xff\xff\xff", "-1"),
        ("%u", INT8, b"\xff", "4294967295"),
        ("%lu", INT8, b"\xff", "18446744073709551615"),
        ("%d", UINT8, b"\xff", "255"),
        ("%ld", UINT32, b"\xff\xff\xff\xff", "4294967295"),
        ("%ld", INT32, b"\xff\xff\xff\xff", "-1"),
        ("%s", UINT64, b"\xff" * 8, "18446744073709551615"),
        ("%d", BOOL, b"\x01", "1"),
        ("%s", BOOL, b"\x01", "true"),
        ("%-6s|", BOOL, b"\x00", "false |"),
        ("%d", NIGHT, b"\x01\0\0\0", "1"),
        ("%s", NIGHT, b"\x01\0\0\0", "DAWN"),
        ("%6s", NIGHT, b"\x07\0\0\0", "     7"),
        ("%p", Pointer(VOID), struct.pack("<Q", 0xFFFF888000000000), "0xffff888000000000"),
        ("%s", Pointer(VOID), struct.pack("<Q", 255), "0xff"),
        ("%lx", Pointer(VOID), struct.pack("<Q", 255), "ff"),
        ("%s", Str(8), b"abc\0zzzz", "abc"),
        ("%s", Str(4), b"abcd", "abcd.."),
        ("%-6s|", Str(4), b"ab\0\0", "ab    |"),
        ("%6.1s|", Str(4), b"ab\0\0", "    ab|"),
        ("%4s|", Str(4), "é\0\0".encode(), "  é|"),  # widths count bytes
        ("%s", Str(4), b"\xff\xfe\0\0", "\udcff\udcfe"),
        ("%c", UINT8, b"\xe9", "\udce9"),
        ("%r", Buffer(8), b"\x03\0\0\0a\x01\\zzzzz", "a\\x01\\"),
        ("%rx", Buffer(8), b"\x03\0\0\0a\x01\\zzzzz", "\\x61\\x01\\x5c"),
        ("%rh", Buffer(8), b"\x03\0\0\0a\x01\\zzzzz", "61 01 5c"),
        ("%rh", Buffer(4), b"\0\0\0\0zzzz", ""),
        ("%10r|", Buffer(4), b"\x01\0\0\0a\0\0\0", "         a|"),
        ("%s", Tuple((UINT32, Str(4))), b"\x05\0\0\0ab\0\0", "(5, ab)"),
    ],
)
def test_types(text: str, kind: Type, raw: bytes, printed: str) -> None:
    assert show(text, kind, raw) == printed


def event(text: str, *fields: EventField, size: int) -> Event:
    return Event(3, "printf", size, Place("x.ebt", 1, 9), fields, text)


def test_ring_records() -> None:
    """Records as the ring holds them: header, site, fields at their offsets, padding to 8."""
    fields = [EventField(UINT32, 8), EventField(Str(16), 12), EventField(UINT64, 32), EventField(UINT64, 40)]
    item = event("%d %s %d %d\n", *fields, size=48)
    rows = printf_rows(item, Values(Settings(), Names()))
    record = struct.pack("<IIIII16s4xQQ", 48, 0, 3, 0, 77, b"dd", 1, 512)
    assert rows.stride == 56
    assert rows.many(memoryview(record * 3)) == ["77 dd 1 512\n"] * 3
    assert rows.one(memoryview(b"\0" * 56 + record), 56) == "77 dd 1 512\n"


def test_fields_in_another_order_and_none() -> None:
    values = Values(Settings(), Names())
    swapped = printf_rows(event("%d %d", EventField(UINT32, 12), EventField(UINT32, 8), size=16), values)
    assert swapped.many(struct.pack("<6I", 16, 0, 3, 0, 1, 2)) == ["2 1"]
    plain = printf_rows(event("hi {x}%%\n", size=8), values)
    assert plain.many(bytes(32)) == ["hi {x}%\n"] * 2
    assert plain.one(bytes(16), 0) == "hi {x}%\n"


@pytest.mark.parametrize(
    "text, fields",
    [
        ("%d %d", (EventField(UINT32, 8),)),
        ("%d", (EventField(UINT32, 8), EventField(UINT32, 12))),
        ("%d", (EventField(Str(4), 8),)),
        ("%f", (EventField(UINT32, 8),)),
        ("%r", (EventField(UINT32, 8),)),
    ],
)
def test_what_the_checker_refuses_is_a_bug_here(text: str, fields: tuple[EventField, ...]) -> None:
    with pytest.raises(CompilerBug):
        printf_rows(event(text, *fields, size=16), Values(Settings(), Names()))
