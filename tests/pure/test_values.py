"""Values of every type as text, as JSON and as JSON keys; formatters; stacks."""

import os
import struct
import time
from collections import OrderedDict
from collections.abc import Sequence

import pytest

from codegen.plan import Settings
from lang.diagnostics import CompilerBug
from lang.machine import Field
from lang.types import (
    BOOL,
    CHAR,
    INT8,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    VOID,
    Aggregate,
    Array,
    Buffer,
    Enum,
    Formatted,
    Inet,
    Pointer,
    Record,
    Stack,
    Str,
    Struct,
    Symbol,
    Timestamp,
    Tuple,
    Type,
    size_of,
)
from runtime import libbcc, usersymbols
from runtime.formatters import cgroup_path, errname, formatter, mac, signame, timestamp, username
from runtime.symbolize import Found, Symbolizer
from runtime.values import Style, Values, json_int

STACKS = {7: (0xFFFFFFFF81000010, 0xFFFFFFFFC0000005, 0x10)}
SHAPE = Struct("struct", "shape", 24, 5)
MEMBERS = {
    5: (
        Field("name", Array(CHAR, 8), 0),
        Field("bytes", Array(UINT8, 2), 8),
        Field("low", UINT32, 12, bits=3, shift=0),
        Field("high", INT32, 12, bits=4, shift=3),
        Field("next", Pointer(VOID), 16),
        Field("again", UINT64, 16),  # a union's other member
    )
}


def kernel_symbol(address: int) -> Found:
    known = {0xFFFFFFFF81000010: ("do_idle", 16, "kernel"), 0xFFFFFFFFC0000005: ("ext4_sync", 5, "ext4")}
    return known.get(address)


def user_symbol(pid: int, address: int) -> Found:
    return ("main", 2, "/bin/true") if (pid, address) == (9, 0xFFFFFFFF81000010) else None


def frames(id: int, count: int) -> Sequence[int] | None:
    return STACKS[id][:count] if id in STACKS else None


def values(*, json: bool = False) -> Values:
    settings = Settings(enums=(("night", ((0, "DUSK"), (1, "DAWN"))),))
    return Values(settings, Symbolizer(kernel_symbol, user_symbol, frames), json=json, struct_fields=MEMBERS)


def show(kind: Type, raw: bytes, style: Style = "text") -> str:
    (text,) = values(json=style == "json").rows(kind, style, size_of(kind)).many(raw)
    return text


NESTED = Tuple((UINT32, Str(4), Tuple((INT64, BOOL))))
RECORD = Record(("a", "b"), (INT64, Tuple((UINT32, UINT32))))
NIGHT = Enum("night", 16)


@pytest.mark.parametrize(
    "kind, raw, text, json",
    [
        (INT8, b"\xff", "-1", "-1"),
        (UINT8, b"\xff", "255", "255"),
        (UINT16, b"\x01\x02", "513", "513"),
        (INT64, b"\xff" * 8, "-1", "-1"),
        (UINT64, b"\xff" * 8, "18446744073709551615", '"18446744073709551615"'),
        (BOOL, b"\x00", "false", "false"),
        (BOOL, b"\x01", "true", "true"),
        (NIGHT, b"\x01\0", "DAWN", "1"),
        (NIGHT, b"\x05\0", "5", "5"),
        (Pointer(VOID), struct.pack("<Q", 4096), "0x1000", "4096"),
        (Pointer(VOID), bytes(8), "0x0", "0"),
        (Str(4), b'a"\n\0', 'a"\n', '"a\\"\\n"'),
        (Str(2), b"ab", "ab..", '"ab.."'),
        (Str(200), b"x" * 199 + b"\0", "x" * 199, '"' + "x" * 199 + '"'),
        (Str(4), b"\0abc", "", '""'),
        (Buffer(3), b"\x02\0\0\0\x01Az\0", "\\x01A", "[1,65]"),
        (Array(UINT32, 3), struct.pack("<3I", 1, 2, 3), "[1,2,3]", "[1,2,3]"),
        (Array(Array(UINT8, 2), 2), b"\1\2\3\4", "[[1,2],[3,4]]", "[[1,2],[3,4]]"),
        (NESTED, struct.pack("<I4sqB7x", 1, b"ab", -2, 1), "(1, ab, (-2, true))", '[1,"ab",[-2,true]]'),
        (Tuple((UINT32,)), b"\1\0\0\0", "(1)", "[1]"),
        (RECORD, struct.pack("<qII", 1, 5, 6), "{ .a = 1, .b = (5, 6) }", '{"a": 1, "b": [5,6]}'),
        (Record((), ()), b"", "{}", "{}"),
        (Symbol("kernel"), struct.pack("<Q", 0xFFFFFFFFC0000005), "ext4_sync", '"ext4_sync"'),
        (Symbol("kernel"), struct.pack("<Q", 16), "0x10", '"0x10"'),
        (Symbol("user"), struct.pack("<QII", 0xFFFFFFFF81000010, 9, 0), "main", '"main"'),
        (Symbol("user"), struct.pack("<QII", 32, 9, 0), "0x20", '"0x20"'),
        (Inet(), struct.pack("<I16s", 2, bytes([127, 0, 0, 1])), "127.0.0.1", '"127.0.0.1"'),
        (Inet(), struct.pack("<I16s", 10, bytes(15) + b"\1"), "::1", '"::1"'),
        (Inet(), bytes(20), "", '""'),
        (Aggregate("count"), struct.pack("<Q", 4), "4", "4"),
        (Aggregate("sum", signed=True), struct.pack("<q", -4), "-4", "-4"),
        (Aggregate("max", signed=True), struct.pack("<qQ", -4, 1), "-4", "-4"),
        (Aggregate("avg", signed=True), struct.pack("<Qq", 2, -5), "-2", "-2"),
        (Aggregate("avg"), bytes(16), "0", "0"),
        (
            Aggregate("stats"),
            struct.pack("<QQ", 3, 7),
            "{ .count = 3, .average = 2, .total = 7 }",
            '{"count": 3, "average": 2, "total": 7}',
        ),
        (
            Formatted("mac", Array(UINT8, 6)),
            bytes.fromhex("0a1b2c3d4e5f"),
            "0A:1B:2C:3D:4E:5F",
            '"0A:1B:2C:3D:4E:5F"',
        ),
        (Formatted("username", UINT64), bytes(8), "root", '"root"'),
        (VOID, b"", "null", "null"),
    ],
)
def test_every_type(kind: Type, raw: bytes, text: str, json: str) -> None:
    if not raw:
        assert values().rows(kind, "text", 4).many(bytes(4)) == [text]
        assert values(json=True).rows(kind, "json", 4).many(bytes(4)) == [json]
        return
    assert show(kind, raw) == text
    assert show(kind, raw, "json") == json


def test_struct_members_overlap_and_have_bits() -> None:
    raw = struct.pack("<8s2B2xIQ", b"box", 1, 2, 0b1111_101, 32)
    assert show(SHAPE, raw) == (
        "{ .name = box, .bytes = [1,2], .low = 5, .high = -1, .next = 0x20, .again = 32 }"
    )
    assert show(SHAPE, raw, "json") == (
        '{"name": "box", "bytes": [1,2], "low": 5, "high": -1, "next": 32, "again": 32}'
    )
    with pytest.raises(CompilerBug, match="struct other"):
        values().cell(Struct("struct", "other", 8, 6), "text")


def test_keys_lose_their_parentheses_and_in_json_the_spaces_between() -> None:
    raw = struct.pack("<I4sqB7x", 1, b"a b", -2, 1)
    assert values().key_rows(NESTED, size_of(NESTED)).many(raw) == ["1, a b, (-2, true)"]
    assert values(json=True).key_rows(NESTED, size_of(NESTED)).many(raw) == ["1,a b,(-2,true)"]
    record = struct.pack("<qII", 1, 5, 6)
    assert values(json=True).key_rows(RECORD, 16).many(record) == ["{.a=1,.b=(5,6)}"]


@pytest.mark.parametrize(
    "mode, text",
    [
        ("bpftrace", "\n        do_idle+16\n        ext4_sync+5\n        0x10\n"),
        ("perf", "\n\tffffffff81000010 do_idle+16\n\tffffffffc0000005 ext4_sync+5 (ext4)\n\t10 0x10\n"),
        ("raw", "\nffffffff81000010\nffffffffc0000005\n10\n"),
    ],
)
def test_kernel_stacks(mode: str, text: str) -> None:
    kind = Stack("kernel", mode)  # type: ignore[arg-type]
    assert show(kind, struct.pack("<QII", 7, 3, 0)) == text
    assert show(kind, struct.pack("<QII", 7, 0, 0)) == "\n"
    assert show(kind, struct.pack("<QII", 8, 3, 0)) == "\n        <stack lost>\n"


def test_user_stacks() -> None:
    raw = struct.pack("<QII", 7, 2, 9)
    assert show(Stack("user"), raw) == "\n        main+2\n        0xffffffffc0000005\n"
    perf = "\n\tffffffff81000010 main+2 (/bin/true)\n\tffffffffc0000005 0xffffffffc0000005 ([unknown])\n"
    assert show(Stack("user", "perf"), raw) == perf
    assert show(Stack("user", depth=1), raw) == "\n        main+2\n"


def test_times_are_local_and_have_fractions() -> None:
    now = time.time_ns()
    boot = now - (time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    shown = timestamp("%Y %s %f|%k|%l|%%f", "boot")(boot)
    year, second, rest = shown.split(" ")
    micro, nano, milli, percent = rest.split("|")
    assert year == time.strftime("%Y")
    assert abs(int(second) - now // 10**9) <= 1
    assert (len(micro), len(nano), len(milli), percent) == (6, 9, 3, "%f")
    assert nano.startswith(micro) and micro.startswith(milli)
    assert show(Timestamp("%H"), struct.pack("<Q", boot)) == time.strftime("%H", time.localtime(now // 10**9))


def test_formatters() -> None:
    assert (errname(2), errname(-2), errname(0), errname(4000)) == ("ENOENT", "ENOENT", "0", "4000")
    assert (signame(15), signame(99)) == ("SIGTERM", "99")
    assert username(4294967294) == ""
    assert mac(bytes([1, 2, 3, 4, 5, 255])) == "01:02:03:04:05:FF"
    assert cgroup_path(1 << 60) == ""
    with pytest.raises(CompilerBug, match="moon"):
        formatter("moon", ())


@pytest.mark.skipif(not os.path.isdir("/sys/fs/cgroup"), reason="no cgroups are mounted")
def test_the_root_cgroup_has_a_path() -> None:
    shown = formatter("cgroup_path", ())(os.stat("/sys/fs/cgroup").st_ino)
    assert all(part.endswith(":/") for part in shown.split(",") if part)


def test_integers_that_a_double_cannot_hold_are_strings() -> None:
    assert json_int(2**53) == "9007199254740992"
    assert json_int(2**53 + 1) == '"9007199254740993"'
    assert json_int(2**63) == "9223372036854775808"
    assert json_int(-(2**63) + 1) == '"-9223372036854775807"'


def test_the_symbols_of_processes_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile of many short processes does not keep the symbols of all."""
    alive: list[int] = []

    class Cache:
        def __init__(self, pid: int) -> None:
            self.pid = pid
            alive.append(pid)

        def resolve(self, address: int) -> Found:
            return f"f{self.pid}", address, "binary"

        def close(self) -> None:
            alive.remove(self.pid)

    monkeypatch.setattr(libbcc, "SymbolCache", Cache)
    monkeypatch.setattr(usersymbols, "_kept", OrderedDict())
    for pid in range(200):
        assert usersymbols.user_symbol(pid, 7) == (f"f{pid}", 7, "binary")
        assert usersymbols.user_symbol(0, 8) == ("f0", 8, "binary")  # asked for again and again: it stays
    assert len(alive) == 64 and alive.count(0) == 1
