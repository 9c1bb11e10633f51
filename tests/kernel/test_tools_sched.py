"""The tools for processors and scheduling: tasks of our own that sleep, spin and wait for a known time."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PATIENCE, Ebt
from tests.kernel.support import fresh, only_line, until, working
from tests.lab.support import tool_rows

pytestmark = pytest.mark.kernel
SLEEPS = 23


def maps(ebt: Ebt, *words: str | Path, timeout: float = 60) -> dict[str, Any]:
    """The maps and histograms that a tool prints, by name."""
    result = ebt("-q", "-f", "json", *words, timeout=timeout)
    assert (result.rc, result.stderr) == (0, ""), result
    found: dict[str, Any] = {}
    for line in result.stdout.splitlines():
        item: dict[str, Any] = json.loads(line) if line.startswith("{") else {"type": ""}
        if item["type"] in ("map", "hist"):
            found.update(item["data"])
    return found


def total(buckets: list[dict[str, int]], least: int = 0) -> int:
    """How many are in a histogram from this value on."""
    return sum(item["count"] for item in buckets if item.get("min", -1) >= least)


def watched(ebt: Ebt, name: str, steps: list[str], *options: str, seconds: int = 3) -> dict[str, Any]:
    """The maps of a tool that watches one process, which takes its steps while it is watched."""
    mark = fresh()
    with working(f"name={mark}", "wait", *steps, "wait") as process:
        process.wait_for("ready")
        tells = f"/usr/bin/python3 -ISc __import__('time').sleep({seconds})"
        process.tell()
        return maps(ebt, "-c", tells, name, *(word.replace("PID", str(process.pid)) for word in options))


# a sleep of 30 ms until the process is killed: whenever the tool attaches, it sees some
ROUNDS = ["sleep=0.03"] * 2000
SPINS = ["spin=1200"]  # killed when it has served


@pytest.mark.tool("cpudist")
def test_cpudist(ebt: Ebt) -> None:
    (slept,) = watched(ebt, "cpudist", ROUNDS, "-O", "-p", "PID").values()
    assert total(slept, 16384) >= SLEEPS and total(slept, 16384) >= 0.9 * total(slept)
    found = watched(ebt, "cpudist", ROUNDS, "-mP", "-p", "PID")
    (milliseconds,) = found["@msecs"].values()
    assert total(milliseconds) >= SLEEPS and total(milliseconds, 30) == 0
    assert watched(ebt, "cpudist", ["wait"], "-p", "PID", seconds=1) == {}


@pytest.mark.tool("cpudist")
def test_cpudist_keys(ebt: Ebt) -> None:
    for option in ("-P", "-L", "-C", "-e"):
        found = watched(ebt, "cpudist", ROUNDS, option, "-p", "PID", seconds=1)
        assert list(found) == ["@usecs"] and found["@usecs"], (option, found)


@pytest.mark.tool("runqlat")
def test_runqlat(ebt: Ebt) -> None:
    (waited,) = watched(ebt, "runqlat", ROUNDS, "-p", "PID").values()
    assert SLEEPS <= total(waited) < 2000
    for option, keys in (("-P", 1), ("-L", 1), ("--pidns", 1)):
        found = watched(ebt, "runqlat", ROUNDS, option, "-p", "PID", seconds=1)
        assert len(found["@usecs"]) == keys
    inode = os.stat("/proc/self/ns/pid").st_ino
    assert str(inode) in watched(ebt, "runqlat", ROUNDS, "--pidns", "-p", "PID", seconds=1)["@usecs"]
    assert watched(ebt, "runqlat", ["wait"], "-m", "-p", "PID", seconds=1) == {}


# two that want the same processor: each waits for the other's slice, for longer than Python takes to start
RIVALS = (
    "import os,time\n"
    "os.sched_setaffinity(0, {0})\n"
    "os.fork()\n"
    f"end = time.time() + {1.5 * min(PATIENCE, 5)}\n"
    "while time.time() < end: pass\n"
)


def python(script: str) -> str:
    """The command that runs this script; one word of it without quotes."""
    return f"/usr/bin/python3 -ISc exec(bytes.fromhex('{script.encode().hex()}'))"


@pytest.mark.tool("runqslower")
def test_runqslower(ebt: Ebt) -> None:
    rows = tool_rows(ebt, "runqslower", "1000", "-P", "--comm", "python3", command=python(RIVALS))
    assert len(rows) > SLEEPS and {row["COMM"] for row in rows} == {"python3"}
    assert all(row["LAT(us)"] >= 1000 for row in rows), rows
    assert "python3" in {row["PREV COMM"] for row in rows}
    assert tool_rows(ebt, "runqslower", "30000000", command=python(RIVALS)) == []
    mark = fresh()
    assert tool_rows(ebt, "runqslower", "0", "-c", mark, command=python(RIVALS)) == []


@pytest.mark.tool("runqlen")
def test_runqlen(ebt: Ebt) -> None:
    """Two tasks on one processor: in most samples of it one waits."""
    found = maps(ebt, "-c", python(RIVALS), "runqlen", "-C")["@runqlen"]
    assert total(found["0"], 1) > 0.5 * total(found["0"]) and total(found["0"]) > 100
    result = ebt("-q", "-c", python(RIVALS), "runqlen", "-OC")
    parts = dict(re.findall(r"^runqocc, CPU (\d+) +(\d+)\.\d\d%$", result.stdout, re.MULTILINE))
    assert 50 < int(parts["0"]) <= 100


def most(began: float) -> float:
    """More samples than 200 a second of one processor can give since then: it may have been slow to end."""
    return 1.1 * 200 * (time.monotonic() - began)


@pytest.mark.tool("cpuwalk")
def test_cpuwalk(ebt: Ebt) -> None:
    for processor in sorted(os.sched_getaffinity(0))[:2]:
        steps = [f"cpu={processor}", *SPINS]
        began = time.monotonic()
        found = watched(ebt, "cpuwalk", steps, "-p", "PID", "-f", "199", seconds=2)["@cpu"]
        assert {item["min"] for item in found if item["count"]} == {processor}
        assert 20 < total(found) < most(began)
    assert watched(ebt, "cpuwalk", ["wait"], "-p", "PID", seconds=1) == {}


@pytest.mark.tool("offcputime")
def test_offcputime(ebt: Ebt) -> None:
    """In three seconds of sleeps of 30 ms a process is off its processor nearly always, in nanosleep."""
    found = watched(ebt, "offcputime", ROUNDS, "-K", "-p", "PID")["@us"]
    sleeping = sum(value for stack, value in found.items() if "nanosleep" in stack)
    assert 1_500_000 < sleeping < 4_500_000
    assert watched(ebt, "offcputime", ROUNDS, "-p", "PID", "-m", "1000000", seconds=2) == {}
    short = watched(ebt, "offcputime", ROUNDS, "-p", "PID", "-M", "20000", "-U", seconds=1).get("@us", {})
    assert sum(short.values()) < 500_000
    assert watched(ebt, "offcputime", ROUNDS, "-p", "PID", "--state", "2", "-m", "20000", seconds=1) == {}


def sleepers(steps: list[str]) -> tuple[list[str], ExitStack]:
    """Three processes that take these steps: their numbers, and what ends them."""
    stack = ExitStack()
    processes = [stack.enter_context(working(f"name={fresh()}", "wait", *steps, "wait")) for _ in range(3)]
    for process in processes:
        process.wait_for("ready")
        process.tell()
    return [str(process.pid) for process in processes], stack


@pytest.mark.tool("offcputime")
@pytest.mark.parametrize("flag", ["-p", "-t"])
def test_offcputime_of_several(ebt: Ebt, flag: str) -> None:
    """Two of three processes, by number: those and no other."""
    pids, stack = sleepers(ROUNDS)
    with stack:
        found = maps(ebt, "-c", "sleep 2", "offcputime", "-K", flag, ",".join(pids[:2]))["@us"]
    assert {key.rstrip("]").rpartition(",")[2].strip() for key in found} == {*pids[:2]}


@pytest.mark.tool("profile")
@pytest.mark.parametrize("flag", ["-p", "-L"])
def test_profile_of_several(ebt: Ebt, flag: str) -> None:
    pids, stack = sleepers(SPINS * 3)
    with stack:
        found = maps(ebt, "-c", "sleep 2", "profile", "-F", "199", flag, f"{pids[0]}, {pids[2]}")["@samples"]
    assert {key.rstrip("]").rpartition(",")[2].strip() for key in found} == {pids[0], pids[2]}


@pytest.mark.tool("runqlat")
def test_runqlat_of_several(ebt: Ebt) -> None:
    pids, stack = sleepers(ROUNDS)
    with stack:
        for name, option in (("runqlat", "-P"), ("cpudist", "-P"), ("runqlat", "-L")):
            found = maps(ebt, "-c", "sleep 2", name, option, "-p", ",".join(pids[1:]))["@usecs"]
            assert {key.partition(",")[0].strip() for key in found} == {*pids[1:]}, (name, option)


@pytest.mark.tool("runqlat")
@pytest.mark.tool("cpudist")
def test_cgroup(ebt: Ebt) -> None:
    """-c takes a cgroup, as libbpf's tools do: one without processes, then with one of three."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    tops = [words[1] for words in mounts if words[2] == "cgroup2"]
    if not tops:
        pytest.skip("no cgroup2 is mounted")
    empty = Path(tops[0], fresh("ebt"))
    empty.mkdir()
    try:
        for name in ("runqlat", "cpudist"):
            assert maps(ebt, "-c", "sleep 1", name, "-c", empty) == {}
        pids, stack = sleepers(ROUNDS)
        with stack:
            (empty / "cgroup.procs").write_text(pids[1])
            for name in ("runqlat", "cpudist"):
                found = maps(ebt, "-c", "sleep 1", name, "-P", "-c", empty)["@usecs"]
                assert {key.partition(",")[0].strip() for key in found} == {pids[1]}
        assert until(lambda: not (empty / "cgroup.procs").read_text())
    finally:
        empty.rmdir()


@pytest.mark.tool("offcputime")
def test_offcputime_folded(ebt: Ebt) -> None:
    script = "import time\nfor n in range(7): time.sleep(0.1)"
    result = ebt("-q", "-c", python(script), "offcputime", "-fd", "-u", "-m", "50000")
    assert (result.rc, result.stderr) == (0, ""), result
    lines = [line for line in result.stdout.splitlines() if line.startswith("python3;")]
    asleep = [line for line in lines if "nanosleep" in line]
    (user, kernel) = asleep[-1].rpartition(" ")[0].split(";-;")
    assert user.startswith("python3;") and kernel.split(";")[-1] != "" and "schedule" in kernel
    assert 700_000 <= sum(int(line.rpartition(" ")[2]) for line in asleep) < 1_500_000


@pytest.mark.tool("offcputime")
@pytest.mark.parametrize(
    ("flag", "frame"),
    [("-K", r"[\w.]+"), ("-Ks", r"[\w.]+\+\d+"), ("-Kv", r"[0-9a-f]+ [\w.]+\+\d+( \(.*\))?")],
)
def test_offcputime_as_text(ebt: Ebt, flag: str, frame: str) -> None:
    """As the original: a function a line, innermost first, then whose it is, then the time; a blank line."""
    script = "import time\nfor n in range(7): time.sleep(0.1)"
    result = ebt("-q", "-c", python(script), "offcputime", flag, "-u", "-m", "50000")
    assert (result.rc, result.stderr) == (0, ""), result
    head, rest = result.stdout.split("\n", 1)
    assert head == "Tracing off-CPU time (us) of user threads by kernel stack... Hit Ctrl-C to end."
    asleep = [text for text in rest.split("\n\n") if "nanosleep" in text and "python3" in text]
    *stack, owner, time_off = asleep[-1].splitlines()
    assert all(re.fullmatch(f" {{4}}{frame}", line) for line in stack[1:-2]), stack
    first = next(index for index, line in enumerate(stack) if "schedule" in line)
    assert first < next(index for index, line in enumerate(stack) if "nanosleep" in line)
    assert re.fullmatch(r" {4}- {16}python3 \(\d+\)", owner) and re.fullmatch(r" {8}\d+", time_off)
    assert 700_000 <= sum(int(text.split()[-1]) for text in asleep) < 1_500_000


@pytest.mark.tool("profile")
def test_profile(ebt: Ebt) -> None:
    mark = fresh()
    spin = f"name={mark}"
    with working(spin, *SPINS) as process:
        for options, low in ((("-F", "199"), 20), (("-c", "5000000"), 20)):
            began = time.monotonic()
            found = maps(ebt, "-c", "sleep 2", "profile", "-p", str(process.pid), *options)["@samples"]
            assert all(key.rstrip("]").endswith(f"{mark},{process.pid}") for key in found), next(iter(found))
            assert low < sum(found.values()) < most(began)
        result = ebt("-q", "-c", "sleep 1", "profile", "-f", "-L", str(process.pid))
        lines = result.stdout.splitlines()
        assert lines[:-2] and all(re.fullmatch(rf"{mark};.* \d+|", line) for line in lines), lines
    with working("wait") as process:
        process.wait_for("ready")
        assert maps(ebt, "-c", "sleep 1", "profile", "-p", str(process.pid)) == {}


@pytest.mark.tool("softirqs")
def test_softirqs(ebt: Ebt) -> None:
    """Timers run out on a processor that sleeps and wakes."""
    command = python("import time\nfor n in range(200): time.sleep(0.005)")
    rows = {row["SOFTIRQ"]: row for row in tool_rows(ebt, "softirqs", "-N", command=command)}
    kinds = "hi timer net_tx net_rx block irq_poll tasklet sched hrtimer rcu"
    assert set(rows) <= set(kinds.split())
    assert {"timer", "rcu"} & set(rows)
    assert all(row["TOTAL_nsecs"] >= row["MAX_nsecs"] > 0 and row["TOTAL_count"] > 0 for row in rows.values())
    assert tool_rows(ebt, "softirqs", "-C", "-c", "4000", command=command) == []
    assert maps(ebt, "-c", command, "softirqs", "-d")["@softirq"]
    rows_of_cpu = tool_rows(ebt, "softirqs", "-C", "-c", "0", "--per-cpu", command=command)
    assert {row["CPU"] for row in rows_of_cpu} == {0}


@pytest.mark.tool("hardirqs")
def test_hardirqs(ebt: Ebt) -> None:
    """What the kernel itself counted in the same time, and no more, in /proc/interrupts."""
    before = interrupts()
    command = python("import os\nfor n in range(50): os.system('true'); os.sync()")
    rows = {row["HARDIRQ"]: row["TOTAL_count"] for row in tool_rows(ebt, "hardirqs", "-C", command=command)}
    after = interrupts()
    assert all(0 < count <= after[name] - before.get(name, 0) for name, count in rows.items()), rows
    assert tool_rows(ebt, "hardirqs", "-c", "4000", command=command) == []
    for row in tool_rows(ebt, "hardirqs", command=command):
        assert row["TOTAL_usecs"] >= row["MAX_usecs"]


def interrupts() -> dict[str, int]:
    """How often each device's interrupt came, over all processors."""
    found: dict[str, int] = {}
    for line in Path("/proc/interrupts").read_text().splitlines():
        number, _, rest = line.strip().partition(":")
        words = rest.split()
        counts = [int(word) for word in words if word.isdigit()]
        if number.isdigit() and words:
            found[words[-1]] = found.get(words[-1], 0) + sum(counts)
    return found


WRONG = {
    "runqlat -p 4194303": "-p: there is no process",
    "offcputime -p 1,4194303": "-p: there is no process 4194303",
    "offcputime -p 1,,2": "-p: '' is no process id",
    "runqslower -t 1,x": "-t: 'x' is no process id",
    "profile -v -f": "-v and -f cannot be used together",
    "hardirqs --cgroup /nothing": "--cgroup: no cgroup '/nothing'",
    "runqlat -P -L": "-P and -L cannot be used together",
    "runqlat 0": "INTERVAL: 0 is too small: at least 1",
    "runqslower much": "MIN_US: 'much' is no integer",
    "cpudist 1 0": "COUNT: 0 is too small: at least 1",
    "offcputime -u -k": "-u and -k cannot be used together",
    "offcputime --state sleeping": "--state: 'sleeping' is no integer",
    "profile -F 0": "-F: 0 is too small: at least 1",
    "profile -U -K": "-U and -K cannot be used together",
    "hardirqs -C -N": "-C and -N cannot be used together",
    "softirqs -C -d": "-C and -d cannot be used together",
    "cpuwalk -f 0": "-f: 0 is too small: at least 1",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_input(ebt: Ebt, words: str) -> None:
    line = only_line(ebt, *words.split())
    assert line.startswith(f"ebt: error: {words.split()[0]}: ") and WRONG[words] in line, line
