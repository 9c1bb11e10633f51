"""The tools for files beside their originals (Debian's libbpf-tools): the same load gives the same counts.

Both watch one load at once. On this machine opensnoop and statsnoop have originals that run, which use
tracepoints; the lab runs all of them, on ext4.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lang.records import dataclass
from tests.conftest import IN_LAB, PATIENCE, Ebt
from tests.kernel.support import fresh, rows_of, running
from tests.kernel.test_tools_beside import original, settle
from tests.kernel.test_tools_file import OPENS, Work

pytestmark = pytest.mark.kernel
RELEASE = tuple(int(part) for part in os.uname().release.split(".")[:2])


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Work in a folder of its own."""
    folder = tmp_path / fresh()
    folder.mkdir()
    return Work(folder, tmp_path)


def python_original(name: str) -> list[str]:
    """The command of BCC's Python tool, which compiles with the kernel's headers; skips without."""
    headers, path = os.environ.get("EBT_LAB_HEADERS"), shutil.which(f"{name}-bpfcc", path="/usr/sbin")
    if not headers or path is None:
        pytest.skip("BCC's Python tools need the kernel's headers: scripts/lab fetch --headers")
    return ["env", f"BCC_KERNEL_SOURCE={headers}", "/usr/bin/python3", "-u", path]


def skip_where_ours_cannot_run(ebt: Ebt, words: list[str]) -> None:
    """Outside the lab: a kernel without kprobes and fentry has not what some tools ask."""
    if not IN_LAB:
        refused = ebt("--dry-run", *words).stderr
        if "cannot run here" in refused:
            pytest.skip(refused.strip())


@dataclass
class Both:
    """What the two have printed when the load is over; `seen`: the original, until ours was told to end."""

    theirs: str = ""
    seen: str = ""
    mine: str = ""


@contextmanager
def side_by_side(
    ebt: Ebt, work: Work, code: str, theirs: str, told: str, mine: str, after: float = 0.7,
    find: Callable[[str], list[str]] = original, quiet: float = 0,
) -> Iterator[Both]:
    """Run the load under both; `$PID` in their words is the load's process, `told` what the original says.

    The load has started before they attach, and ours is there before the original: neither's start is seen.
    With `quiet` seconds before the load, what ours has told until then, of the system's own, is left out.
    """
    both = Both()
    with running(shlex.split(work(f"print('ready', flush=True); sys.stdin.readline()\n{code}"))) as load:
        load.wait_for("ready")
        words = theirs.replace("$PID", str(load.pid)).split()
        options = mine.replace("$PID", str(load.pid)).split()
        skip_where_ours_cannot_run(ebt, options)
        ours = [*ebt.command, *options]
        with running(ours) as tool, ExitStack() as stack:
            tool.wait_for("attached_probes" if "-f json" in mine else r"^Attached \d+ probe")
            peer = stack.enter_context(running([*find(words[0]), *words[1:]]))
            settle(peer, told)
            time.sleep(quiet * PATIENCE)
            before = tool.out if quiet else ""
            load.tell()
            assert load.end().rc == 0, load.err
            time.sleep(after * PATIENCE)
            both.seen = peer.out
            both.mine = tool.end(signal.SIGINT).stdout.removeprefix(before)
            both.theirs = peer.end(signal.SIGINT).stdout
    yield both


@pytest.mark.tool("opensnoop")
def test_opensnoop(ebt: Ebt, work: Work) -> None:
    with side_by_side(ebt, work, OPENS, "opensnoop -p $PID", "PATH", "-f json opensnoop -p $PID") as both:
        row = re.compile(r"^(\d+) +(\S+) +(-?\d+) +(\d+) (.*?) *$", re.MULTILINE)
        theirs = Counter(found[1:] for found in row.findall(both.theirs))
        mine = Counter(
            (row["COMM"], str(row["FD"]), str(row["ERR"]), row["PATH"]) for row in rows_of(both.mine)
        )
    assert mine == theirs and mine.total() == 31


# by the calls that every version of the originals knows: stat(2) itself, and statfs(2)
STATS = """
make("there")
place = ctypes.create_string_buffer(200)
for _ in range(13): libc.syscall(4, b"there", place)
for _ in range(7): libc.syscall(4, b"/no/such/file", place)
for _ in range(3): os.statvfs("/")
"""


@pytest.mark.tool("statsnoop")
@pytest.mark.parametrize("find", [original, python_original], ids=["libbpf", "python"])
def test_statsnoop(ebt: Ebt, work: Work, find: Callable[[str], list[str]]) -> None:
    """So many calls with each result. The Python tool of 0.26 reads the registers as the name: no PATH."""
    ours = "-f json statsnoop -p $PID"
    with side_by_side(ebt, work, STATS, "statsnoop -p $PID", "PATH", ours, find=find) as both:
        row = re.compile(r"^\d+ +\S+ +-?\d+ +(\d+)(?: |$)", re.MULTILINE)
        theirs = Counter(row.findall(both.theirs))
        mine = Counter((str(row["ERR"]), row["PATH"]) for row in rows_of(both.mine))
    if not theirs and find is original:
        pytest.skip("the original prints nothing on this kernel, whatever happens")
    found: Counter[str] = Counter()
    for (error, _), times in mine.items():
        found[error] += times
    assert found == theirs and mine["0", "there"] == 13 and mine["2", "/no/such/file"] == 7


LIVES = """
for n in range(11): make(f"short{n}")
time.sleep(0.3)
for n in range(11): os.unlink(f"short{n}")
"""


@pytest.mark.tool("filelife")
def test_filelife(ebt: Ebt, work: Work) -> None:
    with side_by_side(ebt, work, LIVES, "filelife -p $PID", "AGE", "-f json filelife -p $PID") as both:
        row = re.compile(r"^[\d:]+ +(\d+) +(\S+) +([\d.]+) +(\S+) *$", re.MULTILINE)
        found = [(comm, name, float(age)) for _, comm, age, name in row.findall(both.theirs)]
        mine = [(row["COMM"], row["FILE"], row["AGE(s)"]) for row in rows_of(both.mine)]
    # theirs come processor by processor
    theirs = sorted(found, key=lambda item: int(item[1].removeprefix("short")))
    assert [name for _, name, _ in mine] == [f"short{n}" for n in range(11)]
    if not theirs:
        pytest.skip("the original prints nothing on this kernel, whatever happens")
    assert [row[:2] for row in mine] == [row[:2] for row in theirs]
    assert [age for *_, age in mine] == pytest.approx([age for *_, age in theirs], abs=0.05)


TRANSFERS = """
make("data", bytes(65536))
fd = os.open("data", os.O_RDWR)
for _ in range(17): os.pread(fd, 2048, 0)
for _ in range(5): os.write(fd, bytes(4096))
"""


def sums(rows: list[tuple[str, ...]]) -> dict[str, tuple[int, ...]]:
    """name → the sums of its numbers: what is counted may fall into two intervals."""
    found: dict[str, tuple[int, ...]] = {}
    for *numbers, name in rows:
        before = found.get(name, (0,) * len(numbers))
        found[name] = tuple(a + int(float(b)) for a, b in zip(before, numbers, strict=True))
    return found


@pytest.mark.tool("filetop")
def test_filetop(ebt: Ebt, work: Work) -> None:
    mine = "-f json filetop -C -p $PID 1"
    with side_by_side(ebt, work, TRANSFERS, "filetop -C -p $PID 1", "loadavg", mine, after=2.5) as both:
        row = r"^\d+ +\S+ +(\d+) +(\d+) +(\d+) +(\d+) +R +(\S+) *$"
        theirs = sums(re.findall(row, both.theirs, re.MULTILINE))
        names = ("READS", "WRITES", "R_Kb", "W_Kb", "FILE")
        ours = sums([tuple(str(row[name]) for name in names) for row in rows_of(both.mine)])
    assert ours["data"] == theirs["data"] == (17, 6, 34, 84)


CALLS = """
for n in range(13): os.mknod(f"c{n}")
fd = os.open("f", os.O_CREAT | os.O_RDWR)
for _ in range(2300): os.pread(fd, 1, 0)
for _ in range(1700): os.pwrite(fd, b"x", 0)
for _ in range(7): os.pwrite(fd, b"x", 0); os.fsync(fd)
"""


@pytest.mark.tool("vfsstat")
def test_vfsstat(ebt: Ebt, work: Work) -> None:
    """Of the whole system: equal where nobody else does it, alike where all do."""
    words = "-f json vfsstat".split()
    with running([*ebt.command, *words]) as first:  # which keeps its program: on an overlay by vfs_create()
        first.wait_for("attached_probes")
        first.end(signal.SIGINT)
    ours = "-f json vfsstat"
    with side_by_side(ebt, work, CALLS, "vfsstat 1", "TIME", ours, after=2.5, quiet=2.5) as both:
        head, *rest = [line.split() for line in both.theirs.splitlines() if line.strip()]
        rows = [row for row in rest if row[0] != "TIME"]
        theirs = {name: sum(int(row[at]) for row in rows) for at, name in enumerate(head) if at}
        mine = {name: sum(row[name] for row in rows_of(both.mine)) for name in theirs}
    assert mine["CREATE/s"] == theirs["CREATE/s"] == 13
    # theirs probes vfs_fsync(), which some compilers put into its caller: then it counts none
    assert mine["FSYNC/s"] == 7 and theirs["FSYNC/s"] in (7, 0)
    for name, least in (("READ/s", 2300), ("WRITE/s", 1707), ("OPEN/s", 1)):
        assert mine[name] >= least and mine[name] == pytest.approx(theirs[name], rel=0.15, abs=20)


DISK = """
fd = os.open("data", os.O_CREAT | os.O_RDWR)
for n in range(5): os.write(fd, bytes(4096))
os.lseek(fd, 0, 0)
for n in range(7): os.read(fd, 1024)
for n in range(3): os.fsync(fd)
"""
OPERATIONS = {"read": 7, "write": 5, "open": 1, "fsync": 3}


@pytest.mark.tool("fsslower")
def test_ext4slower(ebt: Ebt, work: Work) -> None:
    """The same rows. Theirs says F where BCC's Python tool and ours say S, and no size for it."""
    mine = "-f json ext4slower -p $PID 0"
    with side_by_side(ebt, work, DISK, "ext4slower -m 0 -p $PID", "Tracing", mine) as both:
        row = r"^[\d:]+ +\S+ +\d+ +([RWOF]) +(\S+) +(\d+) +[\d.]+ +(\S+) *$"
        theirs = [
            ("S" if kind == "F" else kind, "0" if kind == "F" else size, offset, name)
            for kind, size, offset, name in re.findall(row, both.theirs, re.MULTILINE)
            if name == "data"
        ]
        ours = [
            (row["T"], str(row["BYTES"]), str(int(row["OFF_KB"])), row["FILENAME"])
            for row in rows_of(both.mine)
            if row["FILENAME"] == "data"
        ]
    assert ours == theirs and len(ours) == sum(OPERATIONS.values())


@pytest.mark.tool("fsdist")
def test_ext4dist(ebt: Ebt, work: Work) -> None:
    with side_by_side(ebt, work, DISK, "ext4dist -p $PID", "Tracing", "ext4dist -p $PID") as both:
        theirs: Counter[str] = Counter()
        for part in both.theirs.split("operation = ")[1:]:
            numbers = re.findall(r"-> \d+ +: (\d+) ", part)
            theirs[part.split("'")[1]] += sum(map(int, numbers))
        mine: Counter[str] = Counter()
        for part in both.mine.split("@operation[")[1:]:
            numbers = re.findall(r"^[\[(].*[\])] +(\d+) \|", part, re.MULTILINE)
            mine[part.partition("]")[0]] += sum(map(int, numbers))
    assert mine == theirs and {name: mine[name] for name in ("write", "fsync")} == {"write": 5, "fsync": 3}


CACHE = """
data = bytes(1 << 20)
make("cold", data * 8)
os.sync()
fd = os.open("cold", os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
while os.read(fd, 65536): pass
for _ in range(25):
    os.lseek(fd, 0, 0)
    while os.read(fd, 65536): pass
"""


@pytest.mark.tool("cachestat")
def test_cachestat(ebt: Ebt, work: Work) -> None:
    """Of the whole system, so alike and no more; from 5.16 on the original counts what nobody calls."""
    if RELEASE >= (5, 16):
        pytest.skip("the original is wrong from 5.16 on: it counts wrappers that folios have replaced")
    with side_by_side(ebt, work, CACHE, "cachestat 1", "HITS", "-f json cachestat", after=2.5) as both:
        # later rows also tell what the end of ours did to the cache
        found = re.findall(r"^ *(\d+) +(\d+) +(\d+) +[\d.]+% ", both.seen, re.MULTILINE)
        theirs = [sum(int(row[at]) for row in found) for at in range(3)]
        mine = [sum(row[name] for row in rows_of(both.mine)) for name in ("HITS", "MISSES", "DIRTIES")]
    assert mine[0] > 50_000 and mine[1] > 2000
    assert mine == pytest.approx(theirs, rel=0.1, abs=100)
