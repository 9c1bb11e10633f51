"""The standard tools for files, on real kernels: known events by prime counts, and none that filters exclude."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, lines
from tests.lab.support import tool_rows

pytestmark = pytest.mark.lab

Rows = list[dict[str, Any]]

START = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, NAME.encode(), 0, 0, 0)
os.chdir(FOLDER)
def make(name, data=b"", flags=os.O_WRONLY):
    fd = os.open(name, os.O_CREAT | flags, 0o640)
    if data: os.write(fd, data)
    os.close(fd)
"""


class Work:
    """Python code to run as a process of a name of its own, in a folder."""

    def __init__(self, folder: Path, scripts: Path) -> None:
        self.folder, self.name, self._scripts = folder, fresh(), scripts

    def __call__(self, code: str) -> str:
        """The command that runs this code."""
        file = self._scripts / f"{fresh()}.py"
        start = START.replace("NAME", repr(self.name)).replace("FOLDER", repr(str(self.folder)))
        file.write_text(start + code)
        return f"{sys.executable} -I -S -B {file}"


@pytest.fixture
def work(ext4: Path, tmp_path: Path) -> Work:
    """Work on ext4: an overlay calls much of the file system twice."""
    folder = ext4 / fresh()
    folder.mkdir()
    return Work(folder, tmp_path)


def counted(rows: Rows, *keys: str) -> Counter[Any]:
    return Counter(tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]] for row in rows)


# --- opens and stats ---

OPENS = """
make("there")
for _ in range(23): os.close(os.open("there", os.O_RDONLY))
for _ in range(7):
    try: os.open("/no/such/file", os.O_RDWR)
    except OSError: pass
"""


@pytest.mark.tool("opensnoop")
def test_opensnoop(ebt: Ebt, work: Work) -> None:
    rows = tool_rows(ebt, "opensnoop", "--comm", work.name, "-e", command=work(OPENS))
    opened = [row for row in rows if row["PATH"] == "there" and row["FLAGS"] & 0o103 == 0]
    failed = [row for row in rows if row["PATH"] == "/no/such/file"]
    created = [row for row in rows if row["FLAGS"] & 0o100]
    assert len(opened) == 23 and all(row["FD"] > 2 and row["ERR"] == 0 for row in opened)
    assert [row["MODE"] for row in opened] == [None] * 23
    assert len(failed) == 7 and {(row["FD"], row["ERR"]) for row in failed} == {(-1, 2)}
    assert [(row["PATH"], row["MODE"]) for row in created] == [("there", 0o640)]
    assert set(rows[0]) == {"pid", "comm", "FD", "ERR", "FLAGS", "MODE", "PATH"}


@pytest.mark.tool("opensnoop")
def test_opensnoop_filters(ebt: Ebt, work: Work) -> None:
    mine, command = ("--comm", work.name), work(OPENS)
    assert len(tool_rows(ebt, "opensnoop", *mine, "-x", command=command)) == 7
    assert len(tool_rows(ebt, "opensnoop", *mine, "-f", "O_CREAT", command=command)) == 1
    assert len(tool_rows(ebt, "opensnoop", "-n", work.name[1:], "-x", command=command)) == 7
    assert tool_rows(ebt, "opensnoop", *mine, "-p", "1", command=command) == []
    assert tool_rows(ebt, "opensnoop", *mine, "-u", "1234", command=command) == []
    rows = tool_rows(ebt, "opensnoop", *mine, "-F", "-U", "-T", command=command)
    assert counted(rows, "PATH")[f"{work.folder}/there"] == 24
    assert {row["UID"] for row in rows} == {0} and all(0 < row["TIME(s)"] < 600 for row in rows)


STATS = """
make("there")
for _ in range(13): os.stat("there")
for _ in range(7): os.path.lexists("/no/such/file")
for _ in range(3): os.statvfs("/")
"""


@pytest.mark.tool("statsnoop")
def test_statsnoop(ebt: Ebt, work: Work) -> None:
    mine, command = ("--comm", work.name), work(STATS)
    rows = tool_rows(ebt, "statsnoop", *mine, "-s", command=command)
    assert counted(rows, "PATH", "FD", "ERR")["there", 0, 0] == 13
    assert counted(rows, "PATH", "FD", "ERR")["/no/such/file", -1, 2] == 7
    assert counted(rows, "PATH", "SYSCALL")["/", "statfs"] == 3
    assert counted(tool_rows(ebt, "statsnoop", *mine, "-x", command=command), "ERR") == {2: 7}
    full = tool_rows(ebt, "statsnoop", *mine, "-F", "-t", command=command)
    assert counted(full, "PATH")[f"{work.folder}/there"] == 13
    assert tool_rows(ebt, "statsnoop", *mine, "-p", "1", command=command) == []


SYNCS = """
fd = os.open("f", os.O_CREAT | os.O_RDWR)
for _ in range(5): os.write(fd, b"x"); os.fsync(fd)
for _ in range(3): os.write(fd, b"x"); os.fdatasync(fd)
os.sync(); libc.syncfs(fd); libc.sync_file_range(fd, 0, 1, 2)
import mmap
m = mmap.mmap(fd, 8); m[0] = 1; m.flush(); m.flush()
"""


@pytest.mark.tool("syncsnoop")
def test_syncsnoop(ebt: Ebt, work: Work) -> None:
    rows = tool_rows(ebt, "syncsnoop", "--comm", work.name, command=work(SYNCS))
    assert counted(rows, "CALL") == {
        "fsync": 5, "fdatasync": 3, "sync": 1, "syncfs": 1, "sync_file_range": 1, "msync": 2,
    }  # fmt: skip
    assert set(rows[0]) == {"TIME(s)", "comm", "CALL"}
    assert tool_rows(ebt, "syncsnoop", "--comm", work.name, "-p", "1", command=work(SYNCS)) == []


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
    assert all(0.3 <= row["AGE(s)"] < 60 and row["comm"] == work.name for row in rows)
    assert [*rows[0]] == ["TIME", "pid", "comm", "AGE(s)", "FILE"]
    rows = tool_rows(ebt, "filelife", "--comm", work.name, "-F", command=command)
    assert rows[0]["FILE"] == f"/{work.folder.name}/short0"
    assert tool_rows(ebt, "filelife", "--comm", work.name, "-p", "1", command=command) == []


GONE = """
for n in range(7): make(f"f{n}")
os.mkdir("d")
os.rename("f0", "renamed"); os.rename("f1", "f2")
for name in ("renamed", "f2", "f3"): os.unlink(name)
os.rmdir("d")
try: os.rename("nothing", "other")
except OSError: pass
try: os.rmdir("/")
except OSError: pass
"""


@pytest.mark.tool("filegone")
def test_filegone(ebt: Ebt, work: Work) -> None:
    command = work(GONE)
    rows = tool_rows(ebt, "filegone", "--comm", work.name, command=command)
    assert [(row["ACTION"], row["FILE"]) for row in rows] == [
        ("RENAME", "f0 > renamed"), ("RENAME", "f1 > f2"),
        ("DELETE", "renamed"), ("DELETE", "f2"), ("DELETE", "f3"), ("DELETE", "d"),
    ]  # fmt: skip
    assert tool_rows(ebt, "filegone", "--comm", work.name, "-p", "1", command=command) == []


# --- reads and writes ---

TRANSFERS = """
time.sleep(1.2)
make("data", bytes(5000))
fd = os.open("data", os.O_RDWR)
for _ in range(17): os.pread(fd, 100, 0)
for _ in range(5): os.write(fd, bytes(2048))
a, b = os.pipe()
for _ in range(3): os.write(b, b"x"); os.read(a, 1)
os.mkdir("below"); os.mkdir("below/deep")
make("below/deep/file", bytes(4096))
time.sleep(2.3)
"""


@pytest.mark.tool("fileslower")
def test_fileslower(ebt: Ebt, work: Work) -> None:
    command = work(TRANSFERS)
    rows = tool_rows(ebt, "fileslower", "--comm", work.name, "0", command=command)
    mine = counted([row for row in rows if row["FILENAME"] == "data"], "D", "BYTES")
    assert mine == {("R", 100): 17, ("W", 2048): 5, ("W", 5000): 1}
    assert not any(row["BYTES"] == 1 for row in rows)
    rows = tool_rows(ebt, "fileslower", "--comm", work.name, "-a", "0", command=command)
    assert counted(rows, "D", "BYTES")["W", 1] == counted(rows, "D", "BYTES")["R", 1] == 3
    assert tool_rows(ebt, "fileslower", "--comm", work.name, "20000", command=command) == []


@pytest.mark.tool("filetop")
def test_filetop(ebt: Ebt, work: Work) -> None:
    command = work(TRANSFERS)
    rows = tool_rows(ebt, "filetop", "--comm", work.name, "-C", command=command)
    (data,) = [row for row in rows if row["FILE"] == "data"]
    assert (data["READS"], data["WRITES"], data["T"], data["COMM"]) == (17, 6, "R", work.name)
    assert data["R_Kb"] == 1700 / 1024 and data["W_Kb"] == (5000 + 5 * 2048) / 1024
    assert {row["T"] for row in rows} == {"R"}
    rows = tool_rows(ebt, "filetop", "--comm", work.name, "-a", "--read-only", command=command)
    assert {row["WRITES"] for row in rows} == {0} and "O" in {row["T"] for row in rows}
    below = work.folder / "elsewhere"
    below.mkdir()
    assert tool_rows(ebt, "filetop", "--comm", work.name, "-d", below, command=command) == []
    rows = tool_rows(ebt, "filetop", "--comm", work.name, "-d", work.folder, command=command)
    assert "data" in {row["FILE"] for row in rows} and "file" not in {row["FILE"] for row in rows}


@pytest.mark.tool("dirtop")
def test_dirtop(ebt: Ebt, work: Work) -> None:
    other = work.folder.parent / fresh()
    other.mkdir()
    rows = tool_rows(
        ebt, "dirtop", "--comm", work.name, "-d", f"{other},{work.folder}", command=work(TRANSFERS)
    )
    (row,) = rows
    assert (row["PATH"], row["READS"], row["WRITES"]) == (str(work.folder), 17, 7)
    assert row["W_Kb"] == (5000 + 5 * 2048 + 4096) / 1024


CALLS = """
time.sleep(1.2)
for n in range(13): make(f"c{n}", b"12")
fd = os.open("c0", os.O_RDWR)
for _ in range(29): os.pread(fd, 1, 0)
for _ in range(3): os.write(fd, b"x"); os.fsync(fd)
for n in range(7): os.unlink(f"c{n}")
for n in range(5): os.mkdir(f"d{n}")
for n in range(3): os.rmdir(f"d{n}")
time.sleep(2.3)
"""


@pytest.mark.tool("vfsstat")
def test_vfsstat(ebt: Ebt, work: Work) -> None:
    rows = tool_rows(ebt, "vfsstat", "--comm", work.name, command=work(CALLS))
    total: Counter[str] = Counter()
    for row in rows:
        total.update({key: value for key, value in row.items() if key != "TIME"})
    expected = {"WRITE/s": 16, "FSYNC/s": 3, "OPEN/s": 14, "UNLINK/s": 7, "MKDIR/s": 5, "RMDIR/s": 3}
    assert {key: total[key] for key in expected} == expected
    assert 29 <= total["READ/s"] <= 29 + 20  # and what Python reads as it ends


@pytest.mark.tool("vfscount")
def test_vfscount(ebt: Ebt, work: Work) -> None:
    rows = tool_rows(ebt, "vfscount", "--comm", work.name, command=work(CALLS))
    found = {row["FUNC"]: row["COUNT"] for row in rows}
    assert (found["vfs_unlink"], found["vfs_mkdir"], found["vfs_rmdir"]) == (7, 5, 3)
    assert found["vfs_write"] == 16 and all(row["ADDR"] for row in rows)


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

READS = """
make("big", bytes(1 << 20))
fd = os.open("big", os.O_RDWR)
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
time.sleep(1.2)
os.lseek(fd, 0, 0)
while os.read(fd, 4096): pass
os.lseek(fd, 0, 0)
while os.read(fd, 4096): pass
time.sleep(2.3)
"""


@pytest.mark.tool("cachestat")
def test_cachestat(ebt: Ebt, work: Work) -> None:
    rows = tool_rows(ebt, "cachestat", command=work(READS))
    assert sum(row["MISSES"] for row in rows) > 3
    assert sum(row["HITS"] for row in rows) > 256
    assert all(0 <= row["HITRATIO"] <= 100 and row["CACHED_MB"] > 10 for row in rows)


@pytest.mark.tool("readahead")
def test_readahead(ebt: Ebt, work: Work) -> None:
    result = ebt("-q", "-c", work(READS), "readahead", timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    (line,) = [line for line in lines(result.stdout) if "unused/total" in line]
    unused, total = map(int, line.rpartition(" ")[2].split("/"))
    assert 0 <= unused < total and total > 3
    assert "|@" in result.stdout


# --- file systems ---

OPERATIONS = """
fd = os.open("file", os.O_CREAT | os.O_RDWR)
for n in range(11): os.pwrite(fd, bytes(1000), 4096 * n)
for _ in range(3): os.pwrite(fd, b"x", 0); os.fsync(fd)
for n in range(7): os.pread(fd, 500, 4096 * n)
for _ in range(5): os.close(os.open("file", os.O_RDONLY))
"""
TYPES = ("ext4", "xfs", "btrfs", "nfs", "f2fs")


@pytest.mark.tool("fsslower")
@pytest.mark.parametrize("kind", TYPES)
def test_fsslower(ebt: Ebt, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    work = Work(request.getfixturevalue(kind), tmp_path)
    command = work(OPERATIONS)
    rows = tool_rows(ebt, "fsslower", "-t", kind, "--comm", work.name, "0", command=command)
    mine = [row for row in rows if row["FILENAME"] == "file"]
    assert counted(mine, "T")["W"] == 14 and counted(mine, "T")["R"] == 7 and counted(mine, "T")["S"] == 3
    assert counted(mine, "T")["O"] >= 6
    assert [(row["BYTES"], row["OFF_KB"]) for row in mine if row["T"] == "R"] == [(500, 4 * n) for n in range(7)]
    assert [(row["BYTES"], row["OFF_KB"]) for row in mine if row["T"] == "W"][:11] == [(1000, 4 * n) for n in range(11)]
    assert tool_rows(ebt, "fsslower", "-t", kind, "--comm", work.name, "60000", command=command) == []


@pytest.mark.tool("fsdist")
@pytest.mark.parametrize("kind", TYPES)
def test_fsdist(ebt: Ebt, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    work = Work(request.getfixturevalue(kind), tmp_path)
    result = ebt("-q", "-c", work(OPERATIONS), "fsdist", "-t", kind, "--comm", work.name, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    counts: Counter[str] = Counter()
    operation = ""
    for line in lines(result.stdout):
        if line.startswith("@"):
            operation = line.partition("[")[2].partition("]")[0]
        elif "|" in line:
            counts[operation] += int(line.partition("|")[0].split()[-1])
    assert (counts["read"], counts["write"], counts["fsync"]) == (7, 14, 3), counts
    assert counts["open"] >= 6


@pytest.mark.tool("ext4slower", "xfsslower", "btrfsslower", "nfsslower")
@pytest.mark.parametrize("kind", TYPES[:4])
def test_the_names_of_fsslower(ebt: Ebt, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    work = Work(request.getfixturevalue(kind), tmp_path)
    result = ebt("-q", "-c", work(OPERATIONS), f"{kind}slower", "-j", "--comm", work.name, "0", timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    head, *rows = lines(result.stdout)
    assert head == "ENDTIME_us,TASK,PID,TYPE,BYTES,OFFSET_b,LATENCY_us,FILE"
    assert sum(row.split(",")[3] == "R" for row in rows) == 7


@pytest.mark.tool("ext4dist", "xfsdist", "btrfsdist", "nfsdist")
@pytest.mark.parametrize("kind", TYPES[:4])
def test_the_names_of_fsdist(ebt: Ebt, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    work = Work(request.getfixturevalue(kind), tmp_path)
    result = ebt("-q", "-c", work(OPERATIONS), f"{kind}dist", "-m", "--comm", work.name, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    assert "@operation[read]:" in result.stdout
