"""The tools for memory: so many allocations of known size by a process of our own, and nothing of others.

`tests/lab/test_tools_memory.py` runs the same on the lab's kernels.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ebt, Refused
from tests.kernel.support import only_line, rows_of, running, until, working
from tests.kernel.test_tools_block import python
from tests.lab.support import tool_rows

pytestmark = pytest.mark.kernel
TAKEN, FREED, SIZE = 23, 7, 1009

LEAK = f"""
import ctypes,time
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.calloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
kept = [libc.malloc({SIZE}) for n in range({TAKEN})]
for n in range({FREED}): libc.free(kept.pop())
libc.calloc(3, {SIZE})
time.sleep(SECONDS)
"""


def leaking(seconds: float) -> str:
    """The command that keeps TAKEN - FREED blocks of SIZE bytes, and one of three times as many."""
    return python(LEAK.replace("SECONDS", str(seconds)))


def outstanding(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Bytes and number of all rows."""
    return sum(row["SIZE"] for row in rows), sum(row["COUNT"] for row in rows)


def needs_ages(ebt: Ebt) -> None:
    """Before 5.13 memleak has no ages, and says so."""
    script = 'begin { print(exists("helper:bpf_for_each_map_elem")); exit(); }'
    if ebt("-q", "-e", script).stdout.split() != ["true"]:
        result = ebt("-q", "memleak", "-p", str(os.getpid()), "1", "1")
        assert result.stdout.startswith("Sums by stack only: "), result
        pytest.skip("this kernel has no ages")


@pytest.mark.tool("memleak")
def test_memleak_of_a_command(ebt: Ebt) -> None:
    sized = ("-z", str(SIZE), "-Z", str(SIZE), "-o", "0")
    rows = tool_rows(ebt, "memleak", *sized, "-c", leaking(0.5), "600")
    rows = [row for row in rows if row["COUNT"]]
    assert outstanding(rows) == ((TAKEN - FREED) * SIZE, TAKEN - FREED)
    assert all(row["STACK"] for row in rows)
    rows = tool_rows(ebt, "memleak", "-C", *sized, "-c", leaking(0.5), "600")
    assert outstanding([row for row in rows if row["COUNT"]]) == ((TAKEN - FREED) * SIZE, TAKEN - FREED)
    rows = tool_rows(ebt, "memleak", "-z", str(3 * SIZE), "-Z", str(3 * SIZE), "-c", leaking(1.5), "600")
    rows = [row for row in rows if row["COUNT"]]
    assert outstanding(rows) == (3 * SIZE, 1)


@pytest.mark.tool("memleak")
def test_memleak_leaves_out_what_is_young(ebt: Ebt) -> None:
    needs_ages(ebt)
    sized = ("-z", str(SIZE), "-Z", str(SIZE), "-o", "600000")
    assert tool_rows(ebt, "memleak", *sized, "-c", leaking(0.5), "600") == []


@pytest.mark.tool("memleak")
def test_memleak_of_a_process_and_each_allocation(ebt: Ebt) -> None:
    """What is outstanding after the first report is still there in the second."""
    needs_ages(ebt)
    script = LEAK.replace("SECONDS", "60").replace("kept =", "input(); kept =")
    with running(["/usr/bin/python3", "-ISc", script]) as process:
        sized = ("-z", str(SIZE), "-Z", str(SIZE), "-o", "0", "-a")
        with running([*ebt.command, "memleak", "-p", str(process.pid), *sized, "2", "2"]) as tool:
            tool.attached()
            process.tell()
            result = tool.end()
    assert result.rc == 0 and "error" not in result.stderr
    assert result.stdout.startswith(f"Attaching to pid {process.pid}, Ctrl+C to quit.\n")
    last = result.stdout.split("outstanding allocations:\n")[-1]
    assert last.count(f" size = {SIZE}\n") == TAKEN - FREED


MESSAGES = """
import ctypes,time
libc = ctypes.CDLL(None)
queue = libc.msgget(0, 0o600)
message = ctypes.create_string_buffer(b"\\1" + bytes(3000))
for n in range(TAKEN): assert libc.msgsnd(queue, message, 501, 0) == 0
time.sleep(1)
libc.msgctl(queue, 0, None)
""".replace("TAKEN", str(TAKEN))


@pytest.mark.tool("memleak")
def test_memleak_of_the_kernel(ebt: Ebt) -> None:
    """Messages that nobody has read yet: each is one object of 1024 bytes, by load_msg()."""
    script = MESSAGES.replace("time.sleep(1)", "print('sent', flush=True); input()")
    sized = ("-z", "512", "-Z", "1024", "-o", "0", "-T", "1000")
    command = [*ebt.command, "-f", "json", "memleak", *sized, "600"]
    with running(["/usr/bin/python3", "-ISc", f"input()\n{script}"]) as process, running(command) as tool:
        tool.wait_for("attached_probes")
        process.tell()
        process.wait_for("sent")
        result = tool.end(signal.SIGINT, 60)
    assert result.rc == 0
    rows = rows_of(result.stdout)
    sent = [row for row in rows if "do_msgsnd" in str(row["STACK"])]
    assert sum(row["COUNT"] for row in sent) == TAKEN, rows


@pytest.mark.tool("slabratetop")
def test_slabratetop(ebt: Ebt) -> None:
    """An open file is one object of the cache filp."""
    with working("wait", "open=/dev/null:2300", "wait") as process:
        with running([*ebt.command, "-f", "json", "slabratetop", "-p", str(process.pid)]) as tool:
            tool.wait_for("attached_probes")
            process.wait_for("ready")
            process.tell()
            process.wait_for("ready\nready")
            assert until(lambda: sum_of(tool.out, "filp") >= 2300, 20), tool.out[-3000:]
            tool.end(signal.SIGINT)
        assert sum_of(tool.out, "filp") == 2300
    rows = tool_rows(ebt, "slabratetop", "--comm", "no such program", "1", "2")
    assert rows == []
    size = {row["BYTES"] // row["ALLOCS"] for row in rows_of(tool.out) if row["CACHE"] == "filp"}
    known = Path("/sys/kernel/slab/filp/slab_size")
    assert len(size) == 1 and (not known.exists() or size == {int(known.read_text())})


def sum_of(text: str, cache: str) -> int:
    return sum(row["ALLOCS"] for row in rows_of(text) if row["CACHE"] == cache)


@pytest.mark.tool("slabratetop")
def test_slabratetop_in_text(ebt: Ebt) -> None:
    result = ebt("-q", "slabratetop", "-C", "-r", "3", "-s", "count", "1", "2", timeout=60)
    assert (result.rc, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split() for line in lines if line.startswith("CACHE")] == [["CACHE", "ALLOCS", "BYTES"]] * 2
    assert [line.split()[1] for line in lines if "loadavg" in line] == ["loadavg:"] * 2


@pytest.mark.tool("drsnoop")
def test_the_free_memory_of_drsnoop(ebt: Ebt) -> None:
    """Without CONFIG_KALLSYMS_ALL -v is refused in one line; -v is the tool's own behind its name."""
    if any(line.split()[2] == "vm_zone_stat" for line in Path("/proc/kallsyms").read_text().splitlines()):
        pytest.skip("this kernel tells where vm_zone_stat is")
    for option in ("-v", "-e"):
        line = only_line(ebt, "drsnoop", option)
        assert line.startswith("ebt: error: drsnoop cannot run here: ") and "CONFIG_KALLSYMS_ALL" in line
    assert len(ebt("-v", "drsnoop", "-v").stderr.splitlines()) > 1


WRONG = {
    "memleak 0": "INTERVAL: 0 is too small: at least 1",
    "memleak -p 4194303": "-p: there is no process 4194303",
    "memleak -p 1 --percpu": "-p and -P cannot be used together",
    "memleak --sort age": "--sort: 'age' is none of size, count",
    "memleak -s 0": "-s: 0 is too small: at least 1",
    "drsnoop -u nobody-of-that-name": "-u: there is no user 'nobody-of-that-name'",
    "drsnoop -d 0": "-d: 0 is too small: at least 1",
    "slabratetop -r 0": "-r: 0 is too small: at least 1",
    "slabratetop -s bytes": "-s: 'bytes' is none of size, count, name",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_input(ebt: Ebt, words: str) -> None:
    line = only_line(ebt, *words.split())
    assert line.startswith(f"ebt: error: {words.split()[0]}: {WRONG[words]}"), line


@pytest.mark.tool("drsnoop")
def test_drsnoop_of_nobody(ebt: Ebt) -> None:
    """Attached, and nothing of a process that does not reclaim."""
    assert tool_rows(ebt, "drsnoop", "-T", "-U", "-p", str(os.getpid()), "-d", "1") == []


@pytest.mark.tool("drsnoop")
def test_drsnoop_says_what_it_cannot_know(ebt: Ebt) -> None:
    """-e needs a symbol that kernels without CONFIG_KALLSYMS_ALL keep to themselves."""
    if " vm_zone_stat" in Path("/proc/kallsyms").read_text():
        pytest.skip("this kernel shows vm_zone_stat")
    result = ebt("drsnoop", "-e")
    why = "this kernel tells the addresses of functions alone (CONFIG_KALLSYMS_ALL is off)"
    wanted = f"ebt: error: drsnoop cannot run here: failed to resolve kernel symbol: vm_zone_stat: {why}\n"
    assert (result.rc, result.stdout, result.stderr) == (1, "", wanted)


NEED_FUNCTIONS = ("dcsnoop", "dcstat", "filelife", "mdflush", "numamove", "readahead", "vfscount")


@pytest.mark.skipif(os.path.exists("/sys/kernel/tracing/kprobe_events"), reason="this kernel has kprobes")
@pytest.mark.parametrize("tool", [pytest.param(one, marks=pytest.mark.tool(one)) for one in NEED_FUNCTIONS])
def test_tools_that_cannot_run_say_why(ebt: Ebt, tool: str, refused: Refused) -> None:
    line = only_line(ebt, tool)
    assert line.startswith(f"ebt: error: {tool} cannot run here: ") and "this kernel has no kprobes" in line
    refused(line)
