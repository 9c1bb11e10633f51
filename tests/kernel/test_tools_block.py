"""The tools for block devices: so many requests of known size on a device of our own, and nothing of others.

`tests/lab/test_tools_block.py` runs the same on the lab's disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, only_line
from tests.lab.support import loop_device, tool_rows

pytestmark = pytest.mark.kernel
WRITES, READS = 23, 7


@pytest.fixture(scope="module")
def disk() -> Iterator[str]:
    """A block device that nobody else uses."""
    with loop_device() as device:
        yield device


@pytest.fixture(scope="module")
def idle() -> Iterator[str]:
    """A block device that nobody uses at all."""
    with loop_device() as device:
        yield device


def written(disk: str) -> str:
    """The command that makes WRITES requests of 4 KiB, one after the other on the disk."""
    return f"dd if=/dev/zero of={disk} bs=4k count={WRITES} oflag=direct status=none"


def python(script: str) -> str:
    """The command that runs this script; one word of it without quotes."""
    return f"/usr/bin/python3 -ISc exec(bytes.fromhex('{script.encode().hex()}'))"


def read(disk: str) -> str:
    """The command that makes READS requests of 8 KiB, each behind a gap of 8 KiB."""
    return python(
        "import mmap,os\n"
        f"fd = os.open({disk!r}, os.O_RDONLY | os.O_DIRECT)\n"
        "into = mmap.mmap(-1, 8192)\n"
        f"for n in range({READS}): os.preadv(fd, [into], n * 16384)\n"
    )


def name_of(disk: str) -> str:
    return disk.removeprefix("/dev/")


def printed(ebt: Ebt, tool: str, *options: str, command: str) -> dict[str, Any]:
    """The maps that a tool prints while the command runs."""
    result = ebt("-q", "-f", "json", tool, *options, "-c", command, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    found: dict[str, Any] = {}
    for line in result.stdout.splitlines():
        item = json.loads(line)
        if item["type"] == "hist":
            found |= item["data"]
    return found


def total(buckets: list[dict[str, int]]) -> int:
    return sum(bucket["count"] for bucket in buckets)


@pytest.mark.tool("biolatency")
@pytest.mark.parametrize("options", [(), ("-Q",), ("-e",)])
def test_biolatency(ebt: Ebt, disk: str, options: tuple[str, ...]) -> None:
    found = printed(ebt, "biolatency", "-d", name_of(disk), *options, command=written(disk))
    assert found.keys() == {"@usecs"} and total(found["@usecs"]) == WRITES


@pytest.mark.tool("biolatency")
def test_biolatency_by_disk_and_by_flags(ebt: Ebt, disk: str) -> None:
    found = printed(ebt, "biolatency", "-D", "-m", command=written(disk))["@msecs"]
    assert total(found[name_of(disk)]) == WRITES
    found = printed(ebt, "biolatency", "-F", "-d", disk, command=written(disk))["@usecs"]
    assert {flags: total(buckets) for flags, buckets in found.items()} == {"Idle-Sync-Write": WRITES}


@pytest.mark.tool("biolatency")
def test_biolatency_of_another_disk(ebt: Ebt, disk: str, idle: str) -> None:
    assert printed(ebt, "biolatency", "-d", name_of(idle), command=written(disk)) == {}


@pytest.mark.tool("biolatency")
def test_biolatency_at_intervals(ebt: Ebt, disk: str) -> None:
    """Two reports, then the end, each with the time; the average agrees with count and sum."""
    result = ebt("-q", "biolatency", "-T", "-e", "-d", name_of(disk), "1", "2")
    assert result.rc == 0 and result.stderr == ""
    lines = [line for line in result.stdout.splitlines() if line]
    assert lines[0] == "Tracing block device I/O... Hit Ctrl-C to end."
    assert lines[2::2] == ["avg = 0 usecs, total: 0 usecs, count: 0"] * 2 and len(lines) == 5


@pytest.mark.tool("biosnoop")
def test_biosnoop(ebt: Ebt, disk: str) -> None:
    rows = tool_rows(ebt, "biosnoop", "-d", name_of(disk), "-P", "-Q", command=written(disk))
    assert [row["SECTOR"] for row in rows] == [8 * number for number in range(WRITES)]
    assert [row["P"] for row in rows] == ["?"] + ["S"] * (WRITES - 1)
    assert {row["PID"] for row in rows} != {0} and len({row["PID"] for row in rows}) == 1
    times = [row["TIME(s)"] for row in rows]
    assert times[0] == 0 and times == sorted(times)
    for row in rows:
        assert (row["COMM"], row["DISK"], row["T"], row["BYTES"]) == ("dd", name_of(disk), "WS", 4096)
        assert 0 < row["LAT(ms)"] < 60_000 and 0 <= row["QUE(ms)"] < 60_000


@pytest.mark.tool("biosnoop")
def test_biosnoop_reads_that_skip(ebt: Ebt, disk: str) -> None:
    rows = tool_rows(ebt, "biosnoop", "-d", disk, "-P", "-t", command=read(disk))
    direct = [row for row in rows if row["T"] in ("R", "RS") and row["BYTES"] == 8192]
    assert [(row["SECTOR"], row["P"]) for row in direct][1:] == [(32 * n, "R") for n in range(1, READS)]
    assert direct[0]["SECTOR"] == 0 and "QUE(ms)" not in direct[0] and "TIMESTAMP" in direct[0]


@pytest.mark.tool("biosnoop")
def test_biosnoop_leaves_out(ebt: Ebt, disk: str, idle: str) -> None:
    assert tool_rows(ebt, "biosnoop", "-d", name_of(idle), command=written(disk)) == []
    assert tool_rows(ebt, "biosnoop", "-d", disk, "-m", "60000", command=written(disk)) == []


@pytest.mark.tool("biostacks")
def test_biostacks(ebt: Ebt, disk: str, idle: str) -> None:
    found = printed(ebt, "biostacks", "-d", disk, command=written(disk))["@usecs"]
    assert sum(total(buckets) for buckets in found.values()) == WRITES
    for key in found:
        assert "submit_bio" in key and key.endswith(f",{name_of(disk)}") and ",dd," in key
    found = printed(ebt, "biostacks", "-m", "-d", disk, command=written(disk))["@msecs"]
    assert sum(total(buckets) for buckets in found.values()) == WRITES
    assert printed(ebt, "biostacks", "-d", idle, command=written(disk)) == {}


@pytest.mark.tool("biotop")
@pytest.mark.parametrize("interval", ["1", "3600"])
def test_biotop(ebt: Ebt, disk: str, interval: str) -> None:
    device = os.stat(disk).st_rdev
    script = f"import os,time\nos.system({written(disk)!r})\ntime.sleep(2)"
    rows = tool_rows(ebt, "biotop", "-d", disk, interval, command=python(script))
    rows = [row for row in rows if row["COMM"] == "dd"]
    assert sum(row["I/O"] for row in rows) == WRITES
    assert sum(row["Kbytes"] for row in rows) == 4 * WRITES
    for row in rows:
        assert (row["D"], row["DISK"]) == ("W", name_of(disk)) and 0 < row["AVGms"] < 60_000
        assert (row["MAJ"], row["MIN"]) == (os.major(device), os.minor(device))


@pytest.mark.tool("biotop")
def test_biotop_of_another_process(ebt: Ebt, disk: str) -> None:
    result = ebt("-q", "biotop", "-C", "-d", disk, "-p", str(os.getpid()), "1", "2", timeout=60)
    assert result.rc == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "Tracing... Output every 1 secs. Hit Ctrl-C to end"
    assert [line.split()[1] for line in lines if "loadavg" in line] == ["loadavg:"] * 2
    heads = [line.split() for line in lines if line.startswith("PID")]
    assert heads == [["PID", "COMM", "D", "MAJ", "MIN", "DISK", "I/O", "Kbytes", "AVGms"]] * 2


@pytest.fixture
def group() -> Iterator[Path]:
    """A group of cgroup2 of our own."""
    root = Path("/sys/fs/cgroup/unified")
    root = root if root.is_dir() else root.parent
    if not (root / "cgroup.controllers").exists():
        pytest.skip("cgroup2 is not mounted")
    made = root / fresh()
    made.mkdir()
    try:
        yield made
    finally:
        made.rmdir()


@pytest.mark.tool("biosnoop")
def test_of_a_cgroup(ebt: Ebt, disk: str, group: Path) -> None:
    """Only what the group asks for; the same work outside is left out."""
    inside = python(f"import os\nopen('{group}/cgroup.procs', 'w').write('0')\nos.system({written(disk)!r})")
    options = ("-d", disk, "--cgroup", str(group))
    assert len(tool_rows(ebt, "biosnoop", *options, command=inside)) == WRITES
    assert tool_rows(ebt, "biosnoop", *options, command=written(disk)) == []
    assert total(printed(ebt, "biolatency", *options, command=inside)["@usecs"]) == WRITES
    assert printed(ebt, "biolatency", *options, command=written(disk)) == {}


WRONG = {
    "biosnoop --cgroup /etc": "--cgroup: '/etc' is no directory of a cgroup",
    "biolatency -D -F": "-D and -F cannot be used together",
    "biolatency 0": "INTERVAL: 0 is too small: at least 1",
    "biolatency 1 0": "COUNT: 0 is too small: at least 1",
    "biolatency -d nodisk": "-d: no such disk 'nodisk'",
    "biolatency -d /etc/passwd": "-d: no such disk '/etc/passwd'",
    "biosnoop --nothing": "unknown option '--nothing'",
    "biosnoop -m x": "-m: 'x' is no integer",
    "biosnoop 0": "DURATION: 0 is too small: at least 1",
    "biostacks -d": "-d needs a value",
    "biotop -p 4194303": "-p: there is no process 4194303",
    "biotop -r 0": "-r: 0 is too small: at least 1",
    "biotop -s size": "-s: 'size' is none of bytes, io, time",
    "biotop 1 2 3": "unexpected argument '3'",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_input(ebt: Ebt, words: str) -> None:
    line = only_line(ebt, *words.split())
    assert line.startswith(f"ebt: error: {words.split()[0]}: {WRONG[words]}"), line
