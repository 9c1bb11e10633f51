"""Histograms to the letter: labels, bars, JSON. The first two were printed by bpftrace itself."""

import json
import math

import pytest

from lang.types import Aggregate
from runtime import histogram
from runtime.histogram import buckets, label

HIST = Aggregate("hist")


def hist_index(value: int, bits: int) -> int:
    """The bucket of a value, as the reference defines it for the kernel's side."""
    if value < 0:
        return 0
    if value < 1 << bits:
        return value + 1
    scale = value.bit_length() - 1 - bits
    return ((scale + 1) << bits) + ((value >> scale) & ((1 << bits) - 1)) + 1


def lhist_index(value: int, low: int, high: int, step: int) -> int:
    if value < low:
        return 0
    return 1 + (min(value, high) - low) // step if value <= high else 1 + (high - low) // step


def counts(indices: list[int]) -> list[int]:
    return [indices.count(index) for index in range(max(indices) + 1)]


def drawn(kind: Aggregate, values: list[int], div: int = 1) -> str:
    if kind.kind == "hist":
        found = counts([hist_index(value, kind.bits) for value in values])
    else:
        found = counts([lhist_index(value, kind.low, kind.high, kind.step) for value in values])
    return histogram.text(buckets(kind, found, div))


def test_hist() -> None:
    assert drawn(HIST, [-5, 0, 1, 2, 3, 7, 31]) == (
        "(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n"
        "[0]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n"
        "[1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n"
        "[2, 4)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n"
        "[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n"
        "[8, 16)                0 |                                                    |\n"
        "[16, 32)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n"
    )


def test_lhist() -> None:
    kind = Aggregate("lhist", low=0, high=9, step=3)
    assert drawn(kind, [-1, 0, 9, 10, 11]) == (
        "(..., 0)               1 |@@@@@@@@@@@@@@@@@                                   |\n"
        "[0, 3)                 1 |@@@@@@@@@@@@@@@@@                                   |\n"
        "[3, 6)                 0 |                                                    |\n"
        "[6, 9)                 0 |                                                    |\n"
        "[9, ...)               3 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n"
    )


@pytest.mark.parametrize(
    "value, text",
    [
        (1023, "[512, 1K)"), (1024, "[1K, 2K)"), (1 << 19, "[512K, 1M)"), (1 << 20, "[1M, 2M)"),
        (1 << 30, "[1G, 2G)"),
        (1 << 40, "[1T, 2T)"), (1 << 50, "[1P, 2P)"), (1 << 60, "[1E, 2E)"), ((1 << 63) - 1, "[4E, 8E)"),
    ],
)  # fmt: skip
def test_suffixes(value: int, text: str) -> None:
    (row,) = buckets(HIST, counts([hist_index(value, 0)]))
    assert label(row.low, row.high) == text


@pytest.mark.parametrize("bits", range(6))
def test_every_value_lies_in_the_bucket_that_it_is_drawn_in(bits: int) -> None:
    kind = Aggregate("hist", bits=bits)
    near = [
        0,
        1,
        *(around for power in range(1, 63) for around in ((1 << power) - 1, 1 << power, (1 << power) + 1)),
    ]
    for value in near:
        (row,) = buckets(kind, counts([hist_index(value, bits)]))
        assert row.low is not None and row.high is not None
        assert row.low.value <= value < row.high.value, (value, row)
        assert row.high.value - row.low.value <= max(1, row.low.value >> bits)


def test_finer_buckets() -> None:
    assert [line[:16].strip() for line in drawn(Aggregate("hist", bits=2), list(range(17))).splitlines()] == [
        "[0]", "[1]", "[2]", "[3]", "[4]", "[5]", "[6]", "[7]", "[8, 10)", "[10, 12)", "[12, 14)", "[14, 16)",
        "[16, 20)",
    ]  # fmt: skip
    # the suffix belongs to the power of two of the bucket's width
    assert drawn(Aggregate("hist", bits=1), [1024]).startswith("[1024, 1536) ")
    assert drawn(Aggregate("hist", bits=1), [2048]).startswith("[2K, 3K) ")


@pytest.mark.parametrize(
    "kind, value, text",
    [
        (Aggregate("lhist", low=0, high=8, step=1), 3, "[3]"),
        (Aggregate("lhist", low=0, high=8, step=1), 8, "[8, ...)"),
        (Aggregate("lhist", low=5, high=8, step=1), 4, "(..., 5)"),
        (Aggregate("lhist", low=0, high=8192, step=1024), 4096, "[4K, 5K)"),
        (Aggregate("lhist", low=0, high=8192, step=1024), 0, "[0, 1K)"),
        (Aggregate("lhist", low=0, high=1 << 22, step=1 << 20), 1 << 20, "[1M, 2M)"),
        (Aggregate("lhist", low=0, high=1 << 22, step=1 << 19), 1 << 20, "[1M, 1536K)"),
        (Aggregate("lhist", low=0, high=10000, step=1000), 4096, "[4000, 5000)"),
    ],
)
def test_lhist_labels(kind: Aggregate, value: int, text: str) -> None:
    assert drawn(kind, [value])[:16].strip() == text


def test_bars_are_computed_in_single_precision() -> None:
    """52 is 4 times 13: at such bounds the last bit of a float decides, as it does in bpftrace."""
    lines = drawn(HIST, [0] * 13 + [1] * 3 + [2]).splitlines()
    assert [line.count("@") for line in lines] == [52, 12, 4]
    assert all(len(line) == 16 + 8 + 2 + 52 + 1 for line in lines)
    assert histogram._single(1 / 3) != 1 / 3 and math.isclose(histogram._single(1 / 3), 1 / 3, rel_tol=1e-7)


def test_div_divides_hist_and_not_lhist() -> None:
    assert [row.entries for row in buckets(HIST, [0, 10, 3], 4)] == [2, 0]
    assert histogram.text(buckets(HIST, [0, 1], 4)).startswith("[0]                    0 |   ")
    assert [row.entries for row in buckets(Aggregate("lhist", high=8, step=1), [0, 10, 3], 4)] == [10, 3]


def test_json() -> None:
    text = histogram.json(buckets(HIST, [1, 2, 0, 3]))
    assert text == (
        '[{"max": -1, "count": 1},{"min": 0, "max": 0, "count": 2},{"min": 1, "max": 1, "count": 0},'
        '{"min": 2, "max": 3, "count": 3}]'
    )
    assert json.loads(histogram.json(buckets(Aggregate("lhist", high=2, step=1), [0, 0, 0, 5]))) == [
        {"min": 2, "count": 5}
    ]


def test_nothing() -> None:
    assert buckets(HIST, []) == buckets(HIST, [0, 0]) == []
    assert histogram.text([]) == "" and histogram.json([]) == "[]"
