"""The points of a tseries() map → its chart."""

from __future__ import annotations

import re

from lang.types import SERIES, Aggregate
from runtime import series

ZIGZAG = [3, 4, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5]
BANDS = """\
|                         .              *          | 3
|                         .                   *     | 4
|                         .                         * 5
|                         .                   *     | 4
|                         .              *          | 3
|                         .         *               | 2
|                         .    *                    | 1
|                         *                         | 0
|                   *     .                         | -1
|              *          .                         | -2
|         *               .                         | -3
|    *                    .                         | -4
*                         .                         | -5
"""


def kind(how: str = "", interval: int = 100_000_000, kept: int = 30) -> Aggregate:
    return Aggregate("tseries", True, bits=SERIES.index(how), low=interval, high=kept)


def test_the_chart() -> None:
    """The places of the values are those of bpftrace's own example."""
    values = dict(enumerate(ZIGZAG, 7))
    lines = series.text(kind(), values, series.span_of(kind(), [values])).splitlines()
    assert [line[13:] for line in lines[2:-2]] == BANDS.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line) for line in lines[2:-2])
    assert lines[0] == lines[-1] == "             -5" + "5".rjust(51)
    assert lines[1] == f"hh:mm:ss.ms  |{'_' * 51}|" and lines[-2] == f"{'':13}v{'_' * 51}v"


def test_gaps_and_what_is_no_longer_kept() -> None:
    values = {1: 5, 8: 1, 10: 2}
    span = series.span_of(kind(kept=3), [values])
    assert list(span) == [8, 9, 10]
    assert [line.split()[-1] for line in series.text(kind(kept=3), values, span).splitlines()[2:-2]] == [
        "1", "-", "2",
    ]  # fmt: skip
    assert series.text(kind(), {}, range(0)) == "<no data>\n"


def test_points_of_several_cpus() -> None:
    """(value, meta, interval): meta counts the values of an average, else it says which came last."""
    points = [(5, 2, 9), (7, 1, 9), (-4, 3, 9), (0, 0, 0)]
    found = {how: series.reduce_points(kind(how), points) for how in SERIES}
    assert found == {"": {9: -4}, "avg": {9: 1}, "min": {9: -4}, "max": {9: 7}, "sum": {9: 8}}


def test_the_time_is_as_fine_as_the_interval() -> None:
    heads = {
        length: series.text(kind(interval=length), {1: 1}, range(1, 2)).splitlines()[1].split()[0]
        for length in (1_000_000_000, 250_000_000, 10_000, 50)
    }
    assert list(heads.values()) == ["hh:mm:ss", "hh:mm:ss.ms", "hh:mm:ss.us", "hh:mm:ss.ns"]
