"""Maps in text: reading, reducing over processors, order, top and div, clear and zero, by a map in memory."""

import struct

import pytest

from codegen.plan import Map, Settings
from lang.types import (
    BOOL,
    INT32,
    INT64,
    UINT32,
    UINT64,
    VOID,
    Aggregate,
    Enum,
    Int,
    Pointer,
    Record,
    Stack,
    Str,
    Tuple,
    Type,
    size_of,
)
from runtime.maps import Maps
from runtime.symbolize import Symbolizer
from runtime.text import Output, TextWriter
from runtime.values import Values

CPUS = 2
NIGHT = Enum("night", 32)


class Memory:
    """Maps of the kernel, in memory: descriptor → key → all processors' values."""

    def __init__(self) -> None:
        self.maps: dict[int, dict[bytes, bytes]] = {1: {}}

    def map_lookup(self, fd: int, key: bytes, value_size: int) -> bytes | None:
        value = self.maps[fd].get(key)
        assert value is None or len(value) == value_size
        return value

    def map_update(self, fd: int, key: bytes, value: bytes, flags: int = 0) -> None:
        assert flags != 2 or key in self.maps[fd]
        self.maps[fd][key] = value

    def map_entries(
        self, fd: int, key_size: int, value_size: int, max_entries: int
    ) -> list[tuple[bytes, bytes]]:
        assert all((len(key), len(value)) == (key_size, value_size) for key, value in self.maps[fd].items())
        return list(self.maps[fd].items())

    def map_take(self, fd: int, key_size: int, value_size: int, size: int) -> list[tuple[bytes, bytes]]:
        found = self.map_entries(fd, key_size, value_size, size)
        self.maps[fd].clear()
        return found


class Kept(Output):
    """An output that keeps what is written."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.parts: list[str] = []

    def write(self, text: str) -> None:
        self.parts.append(text)


class Fixture:
    """One map of a plan, its entries, and what printing it gives."""

    def __init__(self, key: Type | None, value: Type, *, json: bool = False) -> None:
        self.per_cpu = isinstance(value, Aggregate)
        hist = isinstance(value, Aggregate) and value.kind in ("hist", "lhist")
        flagged = key is None and (not self.per_cpu or (isinstance(value, Aggregate) and value.kind == "sum"))
        key_size = 4 if key is None else size_of(key)
        if hist and key is not None:
            key_size = (key_size + 7) // 8 * 8 + 8
        size = size_of(value)
        kind = ("percpu_" if self.per_cpu else "") + ("array" if key is None else "hash")
        value_size = (size + 7) // 8 * 8 + 8 if flagged else size
        self.map = Map("m", "@m", kind, key, value, key_size, value_size, 100)  # type: ignore[arg-type]
        self.memory = Memory()
        settings = Settings(enums=(("night", ((0, "DUSK"), (1, "DAWN"))),))
        symbols = Symbolizer(lambda address: None, lambda pid, address: None, lambda id, count: [id] * count)
        self.maps = Maps(
            [self.map], {"m": 1}.__getitem__, self.memory, CPUS, Values(settings, symbols, json=json)
        )

    def put(self, key: bytes, *cpus: bytes) -> None:
        stride = -(-self.map.value_size // 8) * 8 if self.per_cpu else self.map.value_size
        assert len(cpus) == (CPUS if self.per_cpu else 1)
        self.memory.maps[1][key] = b"".join(value.ljust(stride, b"\0") for value in cpus)

    def shown(self, top: int = 0, div: int = 0, *, at_exit: bool = False) -> str:
        dump = self.maps.dump("m", top, div, at_exit=at_exit)
        out = Kept()
        if dump is not None:
            TextWriter(out, out).map(dump)
        return "".join(out.parts)


def u32(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


def u64(*values: int) -> bytes:
    return b"".join(struct.pack("<Q", value & (1 << 64) - 1) for value in values)


def test_counts_sum_over_processors_and_sort_by_value() -> None:
    item = Fixture(Str(16), Aggregate("count"))
    item.put(b"many".ljust(16, b"\0"), u64(40), u64(2))
    item.put(b"few".ljust(16, b"\0"), u64(0), u64(3))
    item.put(b"also few".ljust(16, b"\0"), u64(3), u64(0))
    assert item.shown() == "@m[also few]: 3\n@m[few]: 3\n@m[many]: 42\n"
    assert item.shown(top=1) == "@m[many]: 42\n"
    assert item.shown(top=2, div=4) == "@m[few]: 0\n@m[many]: 10\n"
    assert item.shown(top=9) == item.shown()


def test_several_keys_lose_the_parentheses() -> None:
    item = Fixture(Tuple((UINT32, Str(4))), Aggregate("count"))
    item.put(u32(1) + b"foo\0", u64(1), u64(0))
    assert item.shown() == "@m[1, foo]: 1\n"


@pytest.mark.parametrize(
    "kind, entries, text",
    [
        (INT64, [(1, 5), (2, -3), (3, 0)], "@m[2]: -3\n@m[3]: 0\n@m[1]: 5\n"),
        (UINT64, [(1, 5), (2, -3)], "@m[1]: 5\n@m[2]: 18446744073709551613\n"),
        (BOOL, [(9, 0), (1, 1)], "@m[1]: true\n@m[9]: false\n"),
        (Pointer(VOID), [(9, 16), (-1, 32), (1, 48)], "@m[-1]: 0x20\n@m[1]: 0x30\n@m[9]: 0x10\n"),
        (NIGHT, [(1, 1), (2, 0), (3, 7)], "@m[2]: DUSK\n@m[1]: DAWN\n@m[3]: 7\n"),
    ],
)
def test_plain_values_and_their_order(kind: Type, entries: list[tuple[int, int]], text: str) -> None:
    """Numbers sort by value; all else by key, integers as signed ones."""
    item = Fixture(INT64, kind)
    for key, value in entries:
        item.put(u64(key), u64(value)[: size_of(kind)])
    assert item.shown() == text


def test_keys_sort_by_numbers_and_strings_and_else_stay() -> None:
    item = Fixture(Tuple((UINT32, Str(4))), Str(4))
    for number, name in ((2, b"b"), (0xFFFFFFFF, b"a"), (2, b"a"), (10, b"")):
        item.put(u32(number) + name.ljust(4, b"\0"), b"x\0\0\0")
    keys = [line.split("]")[0] for line in item.shown().splitlines()]
    assert keys == ["@m[4294967295, a", "@m[2, a", "@m[2, b", "@m[10, "]
    stacks = Fixture(Stack("kernel"), Str(4))
    for id in (7, 3):
        stacks.put(struct.pack("<QII", id, 2, 0), b"x\0\0\0")
    frame = "        0x{0}\n"
    assert stacks.shown() == "".join(f"@m[\n{frame * 2}]: x\n".format(id) for id in (7, 3))


def test_stack_keys() -> None:
    item = Fixture(Stack("kernel"), Aggregate("count"))
    item.put(struct.pack("<QII", 16, 2, 0), u64(5), u64(7))
    assert item.shown() == "@m[\n        0x10\n        0x10\n]: 12\n"


def test_min_and_max_count_only_processors_that_saw_a_value() -> None:
    low, high = Fixture(UINT32, Aggregate("min", True)), Fixture(UINT32, Aggregate("max", True))
    for item in (low, high):
        item.put(u32(1), u64(-5, 1), u64(0, 0))
        item.put(u32(2), u64(3, 1), u64(9, 1))
        item.put(u32(3), u64(0, 0), u64(0, 0))
    # sorted as unsigned numbers
    assert low.shown() == "@m[3]: 0\n@m[2]: 3\n@m[1]: -5\n"
    assert high.shown() == "@m[3]: 0\n@m[2]: 9\n@m[1]: -5\n"
    assert high.shown(div=2) == "@m[3]: 0\n@m[2]: 4\n@m[1]: -2\n"


def test_avg_and_stats() -> None:
    mean, record = Fixture(UINT32, Aggregate("avg", True)), Fixture(UINT32, Aggregate("stats", True))
    for item in (mean, record):
        item.put(u32(1), u64(1, 9), u64(2, 10))
        item.put(u32(2), u64(2, -7), u64(0, 0))
    assert mean.shown() == "@m[2]: -3\n@m[1]: 6\n"
    assert record.shown() == (
        "@m[2]: { .count = 2, .average = -3, .total = -7 }\n"
        "@m[1]: { .count = 3, .average = 6, .total = 19 }\n"
    )
    assert record.shown(top=1, div=2) == "@m[1]: { .count = 3, .average = 3, .total = 19 }\n"


def test_sums_wrap_as_the_kernel_counts() -> None:
    unsigned, signed = Fixture(UINT32, Aggregate("sum")), Fixture(UINT32, Aggregate("sum", True))
    unsigned.put(u32(1), u64(-1), u64(3))
    signed.put(u32(1), u64(1 << 62), u64(1 << 62))
    signed.put(u32(2), u64(-1), u64(-2))
    assert unsigned.shown() == "@m[1]: 2\n"
    assert signed.shown() == f"@m[1]: {-(1 << 63)}\n@m[2]: -3\n"


@pytest.mark.parametrize(
    "kind, written, text, zero",
    [
        (Aggregate("count"), (u64(2), u64(5)), "@m: 7\n", "@m: 0\n"),
        (Aggregate("sum"), (u64(0, 0), u64(0, 1)), "@m: 0\n", "@m: 0\n"),
        (Aggregate("max"), (u64(0, 0), u64(0, 1)), "@m: 0\n", "@m: 0\n"),
        (Aggregate("avg"), (u64(2, 9), u64(0, 0)), "@m: 4\n", "@m: 0\n"),
        (
            Aggregate("stats"),
            (u64(2, 9), u64(0, 0)),
            "@m: { .count = 2, .average = 4, .total = 9 }\n",
            "@m: { .count = 0, .average = 0, .total = 0 }\n",
        ),
        (INT32, (u32(-3) + bytes(4) + u64(1),), "@m: -3\n", "@m: 0\n"),
        (Str(4), (b"hey\0" + bytes(4) + u64(1),), "@m: hey\n", "@m: \n"),
        (Tuple((UINT32, UINT32)), (u32(1) + u32(2) + u64(1),), "@m: (1, 2)\n", "@m: (0, 0)\n"),
        (Record(("a",), (UINT32,)), (u32(1) + bytes(4) + u64(1),), "@m: { .a = 1 }\n", "@m: { .a = 0 }\n"),
    ],
)
def test_scalars(kind: Type, written: tuple[bytes, ...], text: str, zero: str) -> None:
    """A scalar that was never written prints its zero, but nothing at exit; one that holds 0 prints."""
    item = Fixture(None, kind)
    item.put(bytes(4), *(bytes(len(value)) for value in written))
    assert item.shown() == zero
    assert item.shown(at_exit=True) == ""
    item.put(bytes(4), *written)
    assert item.shown() == item.shown(at_exit=True) == text


BAR = "@" * 52


def test_scalar_histograms() -> None:
    item = Fixture(None, Aggregate("hist"))
    for index in range(10):
        item.put(u32(index), u64(0), u64(0))
    assert item.shown() == item.shown(at_exit=True) == ""
    item.put(u32(1), u64(1), u64(1))
    assert item.shown() == f"@m:\n[0]                    2 |{BAR}|\n\n"


def test_keyed_histograms_sort_by_their_total() -> None:
    """The bucket stands behind the key, at a multiple of 8."""
    item = Fixture(Tuple((UINT32, Str(2))), Aggregate("hist"))
    busy, quiet = u32(1) + b"a\0" + bytes(2), u32(2) + b"b\0" + bytes(2)
    item.put(busy + u64(4), u64(2), u64(2))
    item.put(quiet + u64(1), u64(1), u64(0))
    item.put(busy + u64(3), u64(1), u64(0))
    first = f"@m[2, b]:\n[0]                    1 |{BAR}|\n\n"
    last = f"@m[1, a]:\n[2, 4)                 1 |{'@' * 13}{' ' * 39}|\n[4, 8)                 4 |{BAR}|\n\n"
    assert item.shown() == first + last
    assert item.shown(top=1) == last
    assert item.shown(top=1, div=4) == last.replace(" 1 |", " 0 |").replace(" 4 |", " 1 |").replace(
        "@" * 13 + " ", " " * 14
    )


def test_keyed_lhist() -> None:
    item = Fixture(INT64, Aggregate("lhist", low=0, high=4, step=2))
    item.put(u64(-7) + u64(0), u64(1), u64(0))
    item.put(u64(-7) + u64(3), u64(1), u64(0))
    rows = [line[:26] for line in item.shown().splitlines()]
    assert rows == [
        "@m[-7]:", "(..., 0)               1 |", "[0, 2)                 0 |", "[2, 4)                 0 |",
        "[4, ...)               1 |", "",
    ]  # fmt: skip


def test_empty_maps_print_nothing() -> None:
    for kind in (UINT64, Str(4), Aggregate("count"), Aggregate("hist")):
        assert Fixture(UINT32, kind).shown() == ""


def test_clear_and_zero() -> None:
    keyed = Fixture(UINT32, Aggregate("count"))
    keyed.put(u32(1), u64(5), u64(6))
    keyed.maps.zero("m")
    assert keyed.shown() == "@m[1]: 0\n"
    keyed.maps.clear("m")
    assert keyed.shown() == "" and not keyed.memory.maps[1]
    scalar = Fixture(None, Int(32, False))
    scalar.put(bytes(4), u32(7) + bytes(4) + u64(1))
    scalar.maps.zero("m")
    assert scalar.shown(at_exit=True) == "@m: 0\n"
    scalar.maps.clear("m")
    assert scalar.shown(at_exit=True) == ""
    scalar.maps.zero("m")
    assert scalar.shown(at_exit=True) == ""
    summed = Fixture(None, Aggregate("sum"))
    summed.put(bytes(4), u64(5, 1), u64(0, 0))
    summed.maps.zero("m")
    assert summed.shown(at_exit=True) == "@m: 0\n"
    smallest = Fixture(None, Aggregate("min"))
    smallest.maps.zero("m")
    assert smallest.shown(at_exit=True) == ""
    smallest.put(bytes(4), u64(5, 1), u64(0, 0))
    smallest.maps.zero("m")
    assert smallest.shown(at_exit=True) == "@m: 0\n"
    smallest.maps.clear("m")
    assert smallest.shown(at_exit=True) == ""
    buckets = Fixture(None, Aggregate("hist"))
    buckets.put(u32(0), u64(5), u64(6))
    buckets.maps.clear("m")
    assert buckets.shown() == "" and buckets.memory.maps[1] == {u32(0): bytes(16)}
