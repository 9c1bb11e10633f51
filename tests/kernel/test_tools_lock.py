"""klockstat: a mutex held for a known time, so many times, by one thread while another waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, lines, work
from tests.lab.support import tool_rows

pytestmark = pytest.mark.kernel
TIMES, HELD = 7, 0.05
# by functions of the kernel all calls are seen; by tracepoints only those that had to wait
BY_FUNCTIONS = "AVG_HOLD"


def of_pipe(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """The rows of one table whose caller writes to a pipe."""
    return [row for row in rows if column in row and "pipe_write" in row["CALLER"]]


def hold(name: str) -> str:
    return " ".join(work(f"name={name}", f"hold={HELD}:{TIMES}"))


@pytest.mark.tool("klockstat")
def test_klockstat(ebt: Ebt) -> None:
    name = fresh()
    rows = tool_rows(ebt, "klockstat", "--comm", name, "-c", "", command=hold(name))
    (waits,) = of_pipe(rows, "AVG_WAIT")
    held = HELD * 1000_000
    assert held / 2 < waits["MAX_WAIT"] <= waits["TOTAL_WAIT"] and waits["TOTAL_WAIT"] > held / 2 * TIMES
    if any(BY_FUNCTIONS in row for row in rows):
        assert waits["COUNT"] == 2 * TIMES
        (holds,) = of_pipe(rows, "AVG_HOLD")
        assert holds["COUNT"] == 2 * TIMES and holds["TOTAL_HOLD"] > held * TIMES
        assert held < holds["MAX_HOLD"] < holds["TOTAL_HOLD"]
    else:
        assert waits["COUNT"] == TIMES


@pytest.mark.tool("klockstat")
def test_klockstat_excludes(ebt: Ebt) -> None:
    name = fresh()
    no_lock = ("--comm", name, "-L", "0xffff000000000001")
    for options in (("-c", "vfs_"), ("-p", "1"), ("--comm", fresh()), no_lock):
        rows = tool_rows(ebt, "klockstat", *options, command=hold(name))
        assert of_pipe(rows, "AVG_WAIT") == of_pipe(rows, "AVG_HOLD") == []


@pytest.mark.tool("klockstat")
def test_klockstat_by_thread_and_stack(ebt: Ebt) -> None:
    name = fresh()
    rows = tool_rows(ebt, "klockstat", "--comm", name, "-P", "-n", "3", "-S", "acq_total", command=hold(name))
    waits = [row for row in rows if "AVG_WAIT" in row]
    assert {row["COMM"] for row in rows} == {name} and len(waits) == 3
    assert len({row["TID"] for row in waits}) == 3
    assert all(row["TOTAL_WAIT"] > HELD / 2 * 1000_000 for row in waits)
    result = ebt("-q", "-c", hold(name), "klockstat", "--comm", name, "-s", "3", "-T")
    text = lines(result.stdout)
    at = next(n for n, line in enumerate(text) if "pipe_write" in line)
    frames = [line.strip().partition("+")[0] for line in text[at + 1 : at + 3]]
    assert frames in (["vfs_write", "ksys_write"], ["new_sync_write", "vfs_write"])  # the second on 5.10
