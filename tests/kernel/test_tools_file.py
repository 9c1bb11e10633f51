"""The standard tools for files where tracepoints serve: known events by prime counts, none that is filtered.

The lab runs the same on its kernels (tests/lab/test_tools_file.py), on file systems of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, lines, only_line, rows_of, running, until
from tests.lab.support import tool_rows

pytestmark = pytest.mark.kernel

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


Workers = Callable[[str], Work]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Work in a folder of its own."""
    folder = tmp_path / fresh()
    folder.mkdir()
    return Work(folder, tmp_path)


@pytest.fixture
def on_type(tmp_path: Path) -> Workers:
    """Work on a file system of a type: here the one that the tests' folder is on."""

    def make(kind: str) -> Work:
        # stat -f calls ext4 ext2/ext3: they have the same number
        asked = ["findmnt", "-n", "-o", "FSTYPE", "-T", str(tmp_path)]
        found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        if found != kind:
            pytest.skip(f"{tmp_path} is on {found}, not on {kind}")
        return Work(tmp_path, tmp_path)

    return make


def counted(rows: Rows, *keys: str) -> Counter[Any]:
    return Counter(tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]] for row in rows)


def summed(rows: Rows, *keys: str) -> dict[str, Any]:
    """The columns' sums: what is counted may fall into two intervals."""
    return {key: pytest.approx(sum(row[key] for row in rows)) for key in keys}


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
    assert set(rows[0]) == {"PID", "COMM", "FD", "ERR", "FLAGS", "MODE", "PATH"}


@pytest.mark.tool("opensnoop")
def test_opensnoop_of_a_command(ebt: Ebt, work: Work) -> None:
    """--exec traces the command that it starts and nothing else; --callers shows from where."""
    result = ebt("-q", "-f", "json", "opensnoop", "--callers", "--exec", work(OPENS), timeout=60)
    rows = [json.loads(line) for line in lines(result.stdout)]
    found = [row["data"] for row in rows if row["type"] == "row"]
    assert counted(found, "PATH")["/no/such/file"] == 7 and len({row["PID"] for row in found}) == 1
    assert any(row["CALLER"] for row in found)


@pytest.mark.tool("opensnoop")
def test_opensnoop_does_not_see_itself(ebt: Ebt) -> None:
    """What attaching needs of files is read before the first probe is attached."""
    for _ in range(2):  # the first run may keep what it has compiled
        with running([*ebt.command, "-f", "json", "opensnoop"]) as tool:
            tool.wait_for("attached_probes")
            os.close(os.open("/dev/null", os.O_RDONLY))
            assert until(lambda: "/dev/null" in tool.out)
            callers = {row["PID"] for row in rows_of(tool.end(signal.SIGINT).stdout)}
    assert os.getpid() in callers and tool.pid not in callers


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
    assert set(rows[0]) == {"TIME(s)", "COMM", "CALL"}
    assert tool_rows(ebt, "syncsnoop", "--comm", work.name, "-p", "1", command=work(SYNCS)) == []


# --- mounts ---

MOUNTS = """
with open("namespace", "w") as file: file.write(os.readlink("/proc/self/ns/mnt")[5:-1])
os.makedirs("m", exist_ok=True)
for _ in range(3):
    libc.mount(b"none", b"m", b"tmpfs", 2, b"size=1m"); libc.umount2(b"m", 2)
libc.umount2(b"m", 0)
f = libc.syscall(430, b"tmpfs", 1)
libc.syscall(431, f, 1, b"size", b"1m", 0); libc.syscall(431, f, 6, None, None, 0)
m = libc.syscall(432, f, 1, 2)
libc.syscall(429, m, b"", -100, b"m", 4); os.close(m); libc.umount2(b"m", 0)
"""


@pytest.mark.tool("mountsnoop")
def test_mountsnoop(ebt: Ebt, work: Work) -> None:
    command = work(MOUNTS)
    rows = tool_rows(ebt, "mountsnoop", "--comm", work.name, "-P", command=command)
    assert [row["CALL"] for row in rows] == [
        *['mount("none", "m", "tmpfs", MS_NOSUID, "size=1m") = 0', 'umount("m", MNT_DETACH) = 0'] * 3,
        'umount("m", 0x0) = -EINVAL', 'fsopen("tmpfs", FSOPEN_CLOEXEC) = 3',
        'fsconfig(3, FSCONFIG_SET_STRING, "size", "1m", 0) = 0',
        'fsconfig(3, FSCONFIG_CMD_CREATE, "", "", 0) = 0',
        "fsmount(3, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID) = 4",
        'move_mount(4, "", AT_FDCWD, "m", MOVE_MOUNT_F_EMPTY_PATH) = 0', 'umount("m", 0x0) = 0',
    ]  # fmt: skip
    assert rows[0]["COMM"] == work.name and rows[0]["PCOMM"] and rows[0]["PPID"] > 1
    assert rows[0]["MNT_NS"] == int((work.folder / "namespace").read_text())
    told = ebt("-q", "-c", command, "mountsnoop", "--comm", work.name, "-d").stdout
    assert told.count("OP:     MOUNT\nRET:    0\n") == 3 and told.count("FLAGS:  MNT_DETACH\n") == 3
    assert tool_rows(ebt, "mountsnoop", "--comm", work.name, "-p", "1", command=command) == []


# --- reads and writes ---

TRANSFERS = """
time.sleep(1.2)
make("data", bytes(5000))
fd = os.open("data", os.O_RDWR)
for _ in range(17): os.pread(fd, 100, 0)
for _ in range(5): os.write(fd, bytes(2048))
zero = os.open("/dev/zero", os.O_RDWR)
for _ in range(3): os.write(zero, b"x"); os.read(zero, 1)
os.makedirs("below/deep", exist_ok=True)
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
    data = [row for row in rows if row["FILE"] == "data"]
    assert {(row["T"], row["COMM"]) for row in data} == {("R", work.name)}
    expected = {"READS": 17, "WRITES": 6, "R_Kb": 1700 / 1024, "W_Kb": (5000 + 5 * 2048) / 1024}
    assert summed(data, *expected) == expected
    assert {row["T"] for row in rows} == {"R"}
    rows = tool_rows(ebt, "filetop", "--comm", work.name, "3600", command=command)  # all of it at the end
    assert summed([row for row in rows if row["FILE"] == "data"], *expected) == expected
    rows = tool_rows(ebt, "filetop", "--comm", work.name, "-a", "--read-only", command=command)
    assert {row["WRITES"] for row in rows} == {0} and "O" in {row["T"] for row in rows}
    below = work.folder / "elsewhere"
    below.mkdir()
    assert tool_rows(ebt, "filetop", "--comm", work.name, "-d", below, command=command) == []
    rows = tool_rows(ebt, "filetop", "--comm", work.name, "-d", work.folder, command=command)
    assert "data" in {row["FILE"] for row in rows} and "file" not in {row["FILE"] for row in rows}


@pytest.mark.tool("filetop")
def test_long_names_in_filetop(ebt: Ebt, work: Work) -> None:
    """The whole name, where the originals cut it at DNAME_INLINE_LEN."""
    name = "n" * 200
    command = work(f"time.sleep(1.2); make({name!r}, b'data'); time.sleep(2.3)")
    rows = tool_rows(ebt, "filetop", "--comm", work.name, command=command)
    assert {row["FILE"] for row in rows if row["WRITES"]} == {name}


@pytest.mark.tool("dirtop")
@pytest.mark.parametrize("interval", ["1", "3600"])
def test_dirtop(ebt: Ebt, work: Work, interval: str) -> None:
    other = work.folder.parent / fresh()
    other.mkdir()
    words = ["--comm", work.name, "-d", f"{other},{work.folder}", interval]
    rows = tool_rows(ebt, "dirtop", *words, command=work(TRANSFERS))
    assert {row["PATH"] for row in rows} == {str(work.folder)}
    expected = {"READS": 17, "WRITES": 7, "W_Kb": (5000 + 5 * 2048 + 4096) / 1024}
    assert summed(rows, *expected) == expected


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
@pytest.mark.parametrize("interval", ["1", "3600"])
def test_cachestat(ebt: Ebt, work: Work, interval: str) -> None:
    rows = tool_rows(ebt, "cachestat", interval, command=work(READS))
    assert sum(row["MISSES"] for row in rows) > 3
    assert sum(row["HITS"] for row in rows) > 256
    assert all(0 <= row["HITRATIO"] <= 100 and row["CACHED_MB"] > 10 for row in rows)


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
def test_fsslower(ebt: Ebt, kind: str, on_type: Workers) -> None:
    work = on_type(kind)
    command = work(OPERATIONS)
    rows = tool_rows(ebt, "fsslower", "-t", kind, "--comm", work.name, "0", command=command)
    mine = [row for row in rows if row["FILENAME"] == "file"]
    assert counted(mine, "T")["W"] == 14 and counted(mine, "T")["R"] == 7 and counted(mine, "T")["S"] == 3
    assert counted(mine, "T")["O"] >= 6
    reads, writes = ([(row["BYTES"], row["OFF_KB"]) for row in mine if row["T"] == letter] for letter in "RW")
    assert reads == [(500, 4 * n) for n in range(7)]
    assert writes[:11] == [(1000, 4 * n) for n in range(11)]
    assert tool_rows(ebt, "fsslower", "-t", kind, "--comm", work.name, "60000", command=command) == []


@pytest.mark.tool("fsslower")
def test_least_latency_of_fsslower(ebt: Ebt, on_type: Workers) -> None:
    """-m is libbpf's word for what BCC's Python tool takes as MIN_MS."""
    work = on_type("ext4")
    command = work(OPERATIONS)
    every = tool_rows(ebt, "ext4slower", "-m", "0", "--comm", work.name, command=command)
    assert counted(every, "T")["R"] >= 7
    assert tool_rows(ebt, "ext4slower", "-m", "60000", "--comm", work.name, "0", command=command) == []


SYNCHRONOUS = """
fd = os.open("file", os.O_CREAT | os.O_RDWR | os.O_SYNC)
for n in range(5): os.pwrite(fd, bytes(1000), 4096 * n)
"""


@pytest.mark.tool("fsslower")
@pytest.mark.parametrize("kind", ("ext4", "xfs"))
def test_synchronous_writes(ebt: Ebt, kind: str, on_type: Workers) -> None:
    """A write that syncs calls fsync inside: it is a write nevertheless, as long as it took."""
    work = on_type(kind)
    rows = tool_rows(ebt, "fsslower", "-t", kind, "--comm", work.name, "0", command=work(SYNCHRONOUS))
    mine = [row for row in rows if row["FILENAME"] == "file"]
    writes = [(row["BYTES"], row["OFF_KB"]) for row in mine if row["T"] == "W"]
    assert writes == [(1000, 4 * n) for n in range(5)]
    assert set(counted(mine, "T")) <= {"O", "W", "S"}


@pytest.mark.tool("fsdist")
@pytest.mark.parametrize("kind", TYPES)
def test_fsdist(ebt: Ebt, kind: str, on_type: Workers) -> None:
    work = on_type(kind)
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
def test_the_names_of_fsslower(ebt: Ebt, kind: str, on_type: Workers) -> None:
    work = on_type(kind)
    result = ebt("-q", "-c", work(OPERATIONS), f"{kind}slower", "-j", "--comm", work.name, "0", timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    head, *rows = lines(result.stdout)
    assert head == "ENDTIME_us,TASK,PID,TYPE,BYTES,OFFSET_b,LATENCY_us,FILE"
    assert sum(row.split(",")[3] == "R" for row in rows) == 7


@pytest.mark.tool("ext4dist", "xfsdist", "btrfsdist", "nfsdist")
@pytest.mark.parametrize("kind", TYPES[:4])
def test_the_names_of_fsdist(ebt: Ebt, kind: str, on_type: Workers) -> None:
    work = on_type(kind)
    result = ebt("-q", "-c", work(OPERATIONS), f"{kind}dist", "-m", "--comm", work.name, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    assert "@operation[read]:" in result.stdout


# --- what is refused ---


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("opensnoop --nothing", "unknown option '--nothing'"),
        ("opensnoop -p none", "-p: 'none' is no process id"),
        ("opensnoop -p 4194303", "-p: there is no process 4194303"),
        ("opensnoop -u nobody-at-all", "-u: there is no user 'nobody-at-all'"),
        ("opensnoop -f O_NOTHING", "-f: 'O_NOTHING' is no flag"),
        ("opensnoop --cgroup /tmp", "--cgroup: '/tmp' is no directory of a cgroup"),
        ("opensnoop -d 0", "-d: 0 is too small"),
        ("statsnoop 5", "unexpected argument '5'"),
        ("vfsstat 0", "INTERVAL: 0 is too small: at least 1"),
        ("vfsstat 1 0", "COUNT: 0 is too small: at least 1"),
        ("vfsstat x", "INTERVAL: 'x' is no integer"),
        ("filetop -d /etc/passwd", "-d: '/etc/passwd' is no directory"),
        ("filetop -d /no/such", "-d: no directory '/no/such': No such file or directory"),
        ("filetop -s size", "-s: 'size' is none of all, reads"),
        ("filetop --read-only --write-only", "cannot be used together"),
        ("dirtop", "missing option -d"),
        ("dirtop -d /no/such", "-d: no directory '/no/such'"),
        ("fsslower", "missing option -t"),
        ("fsslower -t xyzfs", "-t: no xyzfs is mounted"),
        ("ext4slower ten", "MIN_MS: 'ten' is no integer"),
        ("ext4dist 0", "INTERVAL: 0 is too small: at least 1"),
    ],
)
def test_refused_in_one_line(ebt: Ebt, words: str, message: str) -> None:
    line = only_line(ebt, *words.split())
    assert line.startswith(f"ebt: error: {words.split()[0]}") and message in line


GONE = """
for n in range(12): make(f"f{n}")
os.mkdir("d")
os.rename("f0", "renamed"); os.rename("f1", "f2")
for name in ("renamed", "f2", "f3"): os.unlink(name)
for n in range(5, 10): os.rename(f"f{n}", f"g{n}")
os.unlink("f4", dir_fd=os.open(".", os.O_RDONLY))
os.rmdir("d")
for call in (os.unlink, os.rmdir, lambda name: os.rename(name, "other")):
    for name in ("nothing", "/"):
        try: call(name)
        except OSError: pass
"""


@pytest.mark.tool("filegone")
def test_filegone(ebt: Ebt, work: Work) -> None:
    command = work(GONE)
    rows = tool_rows(ebt, "filegone", "--comm", work.name, command=command)
    assert [(row["ACTION"], row["FILE"]) for row in rows] == [
        ("RENAME", "f0 > renamed"), ("RENAME", "f1 > f2"),
        ("DELETE", "renamed"), ("DELETE", "f2"), ("DELETE", "f3"),
        *(("RENAME", f"f{n} > g{n}") for n in range(5, 10)),
        ("DELETE", "f4"), ("DELETE", "d"),
    ]  # fmt: skip
    assert tool_rows(ebt, "filegone", "--comm", work.name, "-p", "1", command=command) == []
