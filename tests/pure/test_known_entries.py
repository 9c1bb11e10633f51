"""A map's entry that was read is read again only where something may have changed it."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.pipeline import compile_script
from kernel.recorded import RecordedMachine
from lang.source import Source

MACHINE = RecordedMachine(Path(__file__).resolve().parents[2] / "kernel/recorded/default.ebtk")


def lookups(body: str) -> int:
    """How often @x is looked up in the C of a probe with this body."""
    text = f"begin {{ @x[1] = (uint64)1; @y = (uint64)1; }} tracepoint:sched:sched_switch {{ {body} }}"
    c = compile_script(Source("x", text), MACHINE).c
    return c[c.index("int on_sched_switch") :].count("at_x.lookup")


@pytest.mark.parametrize(
    ("body", "times"),
    [
        ("if (@x[tid] > 1) { @y = @x[tid]; }", 1),
        ("if (@x[tid] > 1) { @y = nsecs - @x[tid]; delete(@x, tid); }", 1),
        ("$a = @x[tid]; $b = @x[tid]; @y = $a + $b;", 1),
        ("$a = @x[tid]; $b = @x[pid]; @y = $a + $b;", 2),  # another key
        ("if (pid > 1) { $a = @x[tid]; @y = $a; } @y = @x[tid];", 2),  # read in a branch only
        ("$a = @x[tid]; @x[tid] = (uint64)2; @y = $a + @x[tid];", 2),
        ("$a = @x[tid]; @x[pid] = (uint64)2; @y = $a + @x[tid];", 2),  # pid may be tid
        ("$a = @x[tid]; delete(@x, tid); @y = $a + @x[tid];", 2),
        ("$k = tid; $a = @x[$k]; $k = pid; @y = $a + @x[$k];", 2),  # the key has changed
        ("$a = @x[tid]; @y = $a; @y = @x[tid];", 2),  # written through a pointer: which is not known
    ],
)
def test_lookups(body: str, times: int) -> None:
    assert lookups(body) == times


def test_a_loop_reads_each_time() -> None:
    assert lookups("$a = @x[tid]; $i = 0; while ($i < 3) { @y = @x[tid]; $i++; }") == 2


def test_after_a_step_the_value_is_read_anew() -> None:
    assert lookups("$a = @x[tid]; @x[tid]++; @y = $a + @x[tid];") == 3
