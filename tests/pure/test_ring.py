"""Reading a ring's memory: runs of records, discarded and unfinished ones, batches; without a kernel."""

import random
import struct

import pytest

from runtime import ring
from runtime.decode import stride_of
from runtime.ring import Run, next_run

BUSY, DISCARD = 1 << 31, 1 << 30


def record(site: int, body: bytes = b"", bits: int = 0) -> bytes:
    """One record as it stands in the ring: header, site, an unused word, body, padding."""
    size = 8 + len(body)
    return struct.pack("<IIII", size | bits, 0, site, 0).ljust(16, b"\0").ljust(16) + body + bytes(-size % 8)


def read(data: bytes, end: int | None = None) -> tuple[list[tuple[int, int]], int]:
    """(site, records) of all runs, and where reading stopped."""
    memory = memoryview(data)
    words, at = memory.cast("I"), 0
    found: list[tuple[int, int]] = []
    while True:
        run, at = next_run(memory, words, at, len(data) if end is None else end)
        if run is None:
            return found, at
        assert run.end == at and run.end - run.start == run.records * stride_of(
            struct.unpack_from("<I", data, run.start)[0]
        )
        found.append((run.site, run.records))


def test_strides() -> None:
    assert [stride_of(size) for size in (8, 9, 12, 16, 17)] == [16, 24, 24, 24, 32]


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 11, 100, 4096])
def test_equal_records_are_one_run(count: int) -> None:
    data = record(4, b"x" * 20) * count
    assert read(data) == ([(4, count)], len(data))


def test_sites_and_lengths_part_runs() -> None:
    data = record(1) * 3 + record(2) * 2 + record(1, b"longer") + record(1) * 2 + record(2, b"longer")
    assert read(data) == ([(1, 3), (2, 2), (1, 1), (1, 2), (2, 1)], len(data))


def test_empty() -> None:
    assert read(b"") == ([], 0)
    assert read(record(1), end=0) == ([], 0)


@pytest.mark.parametrize("before", [0, 1, 2, 30])
def test_it_stops_before_a_record_that_is_being_written(before: int) -> None:
    data = record(1) * before + record(1, bits=BUSY) + record(1) * 3
    assert read(data) == ([(1, before)] if before else [], 16 * before)


def test_discarded_records_are_left_out() -> None:
    gone = record(9, b"a much longer body", bits=DISCARD)
    assert read(gone) == ([], len(gone))
    data = gone + record(1) * 2 + gone + record(1) + gone
    assert read(data) == ([(1, 2), (1, 1)], len(data))


def test_a_run_ends_where_the_memory_to_read_ends() -> None:
    data = record(1) * 10
    assert read(data, end=16 * 4) == ([(1, 4)], 64)


def test_a_body_that_looks_like_a_header_is_not_one() -> None:
    """Lengths are compared at fixed distances, which is right only while all before them matched."""
    fake = struct.pack("<IIII", 8, 0, 1, 0) * 8
    data = record(1) * 3 + record(2, fake) + record(1) * 3
    assert read(data) == ([(1, 3), (2, 1), (1, 3)], len(data))


def test_a_run_is_no_longer_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "BATCH_BYTES", 256)
    data = record(1) * 40
    assert read(data) == ([(1, 16), (1, 16), (1, 8)], len(data))
    big = record(1, bytes(1000)) * 3
    assert read(big) == ([(1, 2), (1, 1)], len(big))


@pytest.mark.parametrize("seed", range(20))
def test_random_rings_read_as_record_by_record(seed: int) -> None:
    chance = random.Random(seed)
    expected: list[tuple[int, bytes]] = []
    data = b""
    for _ in range(chance.randrange(60)):
        site, body = chance.randrange(3), bytes(chance.choices(range(256), k=chance.choice((0, 8, 8, 8, 20))))
        bits = chance.choice((0, 0, 0, 0, DISCARD))
        repeat = chance.choice((1, 1, 2, 5, 40))
        data += record(site, body, bits) * repeat
        expected += [] if bits else [(site, body)] * repeat
    memory, found, at = memoryview(data), [], 0
    while True:
        run, at = next_run(memory, memory.cast("I"), at, len(data))
        if run is None:
            break
        assert isinstance(run, Run)
        stride = (run.end - run.start) // run.records
        for start in range(run.start, run.end, stride):
            length = struct.unpack_from("<I", data, start)[0]
            found.append((run.site, data[start + 16 : start + 8 + length]))
    assert found == expected and at == len(data)
