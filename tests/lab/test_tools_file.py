"""The standard tools for files on real kernels: known events by prime counts, and none that filters exclude.

Those that tracepoints can serve are tested as on this machine, on ext4 and other file systems of the lab.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, lines
from tests.kernel.test_tools_file import (  # noqa: F401 (tests that run here too)
    CALLS,
    READS,
    Work,
    Workers,
    test_cachestat,
    test_dirtop,
    test_filegone,
    test_fileslower,
    test_filetop,
    test_fsdist,
    test_fsslower,
    test_least_latency_of_fsslower,
    test_long_names_in_filetop,
    test_mountsnoop,
    test_opensnoop,
    test_opensnoop_filters,
    test_opensnoop_of_a_command,
    test_statsnoop,
    test_synchronous_writes,
    test_syncsnoop,
    test_the_names_of_fsdist,
    test_the_names_of_fsslower,
    test_vfsstat,
)
from tests.lab.support import tool_rows

pytestmark = pytest.mark.lab


@pytest.fixture(name="work")
def work_on_ext4(ext4: Path, tmp_path: Path) -> Work:
    """Work on ext4: an overlay calls much of the file system twice."""
    folder = ext4 / fresh()
    folder.mkdir()
    return Work(folder, tmp_path)


@pytest.fixture(name="on_type")
def on_a_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Workers:
    """Work on a file system of a type."""
    return lambda kind: Work(request.getfixturevalue(kind), tmp_path)


# --- the life of files ---

LIVES = """
for n in range(11): make(f"short{n}")
time.sleep(0.3)
for n in range(11): os.unlink(f"short{n}")
make("stays")
try: os.unlink("nothing")
except OSError: pass
"""


@pytest.mark.tool("filelife")
def test_filelife(ebt: Ebt, work: Work) -> None:
    command = work(LIVES)
    rows = tool_rows(ebt, "filelife", "--comm", work.name, command=command)
    assert sorted(row["FILE"] for row in rows) == sorted(f"short{n}" for n in range(11))
    assert all(0.3 <= row["AGE(s)"] < 60 and row["COMM"] == work.name for row in rows)
    assert [*rows[0]] == ["TIME", "PID", "COMM", "AGE(s)", "FILE"]
    rows = tool_rows(ebt, "filelife", "--comm", work.name, "-F", command=command)
    assert rows[0]["FILE"] == f"/{work.folder.name}/short0"
    assert tool_rows(ebt, "filelife", "--comm", work.name, "-p", "1", command=command) == []


LONG = "n" * 200  # longer than what lies in the dentry itself, and than DNAME_INLINE_LEN on any kernel


@pytest.mark.tool("filelife", "filegone")
def test_long_names(ebt: Ebt, work: Work) -> None:
    command = work(f"make({LONG!r}); os.rename({LONG!r}, {LONG[1:]!r}); os.unlink({LONG[1:]!r})")
    rows = tool_rows(ebt, "filegone", "--comm", work.name, command=command)
    assert [row["FILE"] for row in rows] == [f"{LONG} > {LONG[1:]}", LONG[1:]]
    rows = tool_rows(ebt, "filelife", "--comm", work.name, command=command)
    assert [row["FILE"] for row in rows] == [LONG[1:]]


@pytest.mark.tool("vfscount")
def test_vfscount(ebt: Ebt, work: Work) -> None:
    rows = tool_rows(ebt, "vfscount", "--comm", work.name, command=work(CALLS))
    found = {row["FUNC"]: row["COUNT"] for row in rows}
    assert (found["vfs_unlink"], found["vfs_mkdir"]) == (7, 5)
    # the compiler has inlined it there
    assert found.get("vfs_rmdir") == (None if os.environ["EBT_LAB_KERNEL"] == "5.10" else 3)
    assert found["vfs_write"] == 16 and all(row["ADDR"] for row in rows)


# --- what no other test of file systems has ---

GETATTRS = """
make("file", b"x" * 1000)
for _ in range(13): os.stat("file")
"""


@pytest.mark.tool("nfsslower")
def test_getattr_on_nfs(ebt: Ebt, nfs: Path, tmp_path: Path) -> None:
    """The names of the files asked about, whatever argument of nfs_getattr() the path is."""
    work = Work(nfs, tmp_path)
    rows = tool_rows(ebt, "nfsslower", "--comm", work.name, "0", command=work(GETATTRS))
    asked = [row["FILENAME"] for row in rows if row["T"] == "G"]
    assert asked.count("file") >= 13 and all(asked)


# --- the directory cache ---

LOOKUPS = """
time.sleep(1.2)
for n in range(31): os.path.exists(f"/run/no-such-{n}-" + NAME)
make("known")
for _ in range(53): os.stat("known")
time.sleep(2.3)
"""


@pytest.mark.tool("dcstat")
def test_dcstat(ebt: Ebt, work: Work) -> None:
    command = work(LOOKUPS.replace("NAME", repr(work.name)))
    rows = tool_rows(ebt, "dcstat", "--comm", work.name, command=command)
    assert 53 + 31 <= sum(row["REFS/s"] for row in rows) < 600
    assert all(0 <= row["HIT%"] <= 100 for row in rows)
    rows = tool_rows(ebt, "dcstat", "--comm", work.name, "--precise", command=command)
    assert 31 <= sum(row["MISS/s"] for row in rows) < 31 + 31


@pytest.mark.tool("dcsnoop")
def test_dcsnoop(ebt: Ebt, work: Work) -> None:
    command = work(LOOKUPS.replace("NAME", repr(work.name)))
    rows = tool_rows(ebt, "dcsnoop", "--comm", work.name, "-a", command=command)
    looked_up = [row for row in rows if row["T"] == "R" and row["FILE"].startswith("known")]
    assert len(looked_up) >= 53
    missed = tool_rows(ebt, "dcsnoop", "--comm", work.name, command=command)
    assert {row["T"] for row in missed} <= {"M"}


# --- the page cache ---


@pytest.mark.tool("readahead")
def test_readahead(ebt: Ebt, work: Work) -> None:
    result = ebt("-q", "-c", work(READS), "readahead", timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    (line,) = [line for line in lines(result.stdout) if "unused/total" in line]
    unused, total = map(int, line.rpartition(" ")[2].split("/"))
    assert 0 <= unused < total and total > 3
    assert "|@" in result.stdout
