"""The tools for memory on the lab's kernels: what this machine's tests check, and direct reclaim as well."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from tests.conftest import Ebt
from tests.kernel.support import rows_of, running
from tests.kernel.test_tools_memory import (
    test_memleak_leaves_out_what_is_young,
    test_memleak_of_a_command,
    test_memleak_of_a_process_and_each_allocation,
    test_memleak_of_the_kernel,
    test_slabratetop,
    test_slabratetop_in_text,
)

pytestmark = pytest.mark.lab
__all__ = [
    "test_memleak_leaves_out_what_is_young",
    "test_memleak_of_a_command",
    "test_memleak_of_a_process_and_each_allocation",
    "test_memleak_of_the_kernel",
    "test_slabratetop",
    "test_slabratetop_in_text",
]


# fills memory beyond what counts as free all of a sudden, so that it must reclaim some itself
RECLAIM = """
import re
open("/proc/self/comm", "w").write("reclaimer")
reserve = "/proc/sys/vm/min_free_kbytes"
before, free = open(reserve).read(), int(re.search(r"MemFree: +(\\d+)", open("/proc/meminfo").read())[1])
open(reserve, "w").write(str(free + (16 << 10)))
kept = [b"x" * (1 << 20) for n in range(40)]
open(reserve, "w").write(before)
"""


@pytest.mark.tool("drsnoop")
def test_drsnoop(ebt: Ebt, raw_disk: str) -> None:
    """As many rows, and as many pages, as a plain probe on the tracepoint counts."""
    count = """tracepoint:vmscan:mm_vmscan_direct_reclaim_end /comm == "reclaimer"/ {
        @n = count(); @pages = sum(args.nr_reclaimed); }"""
    options = ["-T", "-U", "-v", "-n", "reclaim", "-u", "root"]
    with (
        running([*ebt.command, "-f", "json", "drsnoop", *options]) as tool,
        running([*ebt.command, "-e", count]) as counter,
        running([*ebt.command, "-f", "json", "drsnoop", "-n", "no such name"]) as nothing,
    ):
        tool.wait_for("attached_probes")
        counter.attached()
        nothing.wait_for("attached_probes")
        assert os.system(f"dd if={raw_disk} of=/dev/null bs=1M status=none") == 0  # what can be reclaimed
        subprocess.run(["/usr/bin/python3", "-ISc", RECLAIM], check=True)
        result, other = tool.end(signal.SIGINT), nothing.end(signal.SIGINT)
        counted = counter.end(signal.SIGINT).stdout
    rows = rows_of(result.stdout)
    numbers = {name: int(value) for name, value in re.findall(r"^@(\w+): (\d+)$", counted, re.MULTILINE)}
    assert numbers.get("n", 0) > 0, "nothing was reclaimed"
    assert len(rows) == numbers["n"] and sum(row["PAGES"] for row in rows) == numbers["pages"]
    assert '"row"' not in other.stdout
    for row in rows:
        assert (row["COMM"], row["UID"]) == ("reclaimer", 0) and row["LAT(ms)"] > 0 and row["PID"] > 0
        assert 0 < row["FREE(KB)"] < 2 << 20
    times = [row["TIME(s)"] for row in rows]
    assert times == sorted(times) and times[0] == 0


@pytest.mark.tool("numamove")
def test_numamove(ebt: Ebt) -> None:
    """A row each second; with one node nothing moves."""
    with running([*ebt.command, "numamove"]) as tool:
        tool.wait_for(r"^(\d\d:\d\d:\d\d +0 +0\n){2}", 60)
        result = tool.end(signal.SIGINT)
    assert result.rc == 0
    assert result.stdout.splitlines()[0].split() == ["TIME", "NUMA_migrations", "NUMA_migrations_ms"]


@pytest.mark.tool("memleak")
def test_memleak_percpu(ebt: Ebt) -> None:
    """A per-CPU map of 8-byte values that lives: its areas are outstanding, made by the map's creation."""
    with running([*ebt.command, "-f", "json", "memleak", "--percpu", "-o", "0", "-T", "1000", "600"]) as tool:
        tool.wait_for("attached_probes")
        with running([*ebt.command, "-e", "interval:ms:100 { @[comm] = count(); }"]) as maker:
            maker.attached()
            result = tool.end(signal.SIGINT, 60)
    assert result.rc == 0 and ("map_create" in result.stdout or "map_alloc" in result.stdout)
