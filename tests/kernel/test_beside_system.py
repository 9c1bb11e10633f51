"""Tools for processes, scheduling, locks and the network beside their originals (Debian's libbpf-tools).

Both watch the same load at once, and count the same.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, Ebt
from tests.kernel.support import Running, at_rest, fresh, rows_of, running, until, waits, working
from tests.kernel.test_tools_beside import original, settle
from tests.kernel.test_tools_net import (
    ANSWERED,
    SENT,
    TIMES,
    connections,
    free_port,
    refused_connections,
    slow_connections,
)

pytestmark = pytest.mark.kernel
COUNTED = re.compile(r"-> \d+ +: (\d+) ")  # a row of an original's histogram
OURS = re.compile(r"^[\[(].*[\])] +(\d+) \|", re.MULTILINE)


@contextmanager
def both(
    ebt: Ebt, name: str, told: str, *words: str, json: bool = False, plain: bool = True
) -> Iterator[list[str]]:
    """Run the original and ours; after the block the list holds what each printed, the original's first."""
    printed: list[str] = []
    mine = [*ebt.command, *(("-f", "json") if json else ()), name, *words]
    with running([*original(name), *words]) as peer, running(mine) as ours:
        settle(peer, told)
        if json:
            ours.wait_for("attached_probes")
        else:
            ours.attached()
        if not plain:
            time.sleep(PATIENCE)  # it tells nothing of when it has attached
        yield printed
        time.sleep(0.5 * PATIENCE)
        at_rest(peer, ours)
        printed += [run.end(signal.SIGINT).stdout for run in (peer, ours)]


def make(command: str) -> None:
    """Run a command that is written as for ebt's -c."""
    assert subprocess.run(command.split()).returncode == 0


@contextmanager
def waiting(*steps: str) -> Iterator[Running]:
    """A workload that has come to its first `wait`: its start is behind it."""
    with working(*steps) as process:
        process.wait_for("ready")
        yield process


def work_now(process: Running) -> None:
    """Let a process go on from its first `wait`, and reach the second."""
    process.tell()
    process.wait_for("ready\nready")


@pytest.mark.tool("execsnoop")
def test_execsnoop(ebt: Ebt) -> None:
    mark = fresh()
    with both(ebt, "execsnoop", "PCOMM", json=True) as printed:
        for number in range(TIMES):
            assert os.spawnv(os.P_WAIT, "/bin/true", ["true", mark, str(number)]) == 0
    found = [
        (comm, int(pid), int(parent), int(result), arguments.strip())
        for comm, pid, parent, result, arguments in re.findall(
            rf"^(\S+) +(\d+) +(\d+) +(-?\d+) (.*{mark}.*)$", printed[0], re.MULTILINE
        )
    ]
    mine = [
        (row["COMM"], row["PID"], row["PPID"], row["RET"], row["ARGS"].strip())
        for row in rows_of(printed[1])
        if mark in row["ARGS"]
    ]
    assert sorted(map(str, mine)) == sorted(map(str, found)) and len(found) == TIMES


@pytest.mark.tool("syscount")
def test_syscount(ebt: Ebt) -> None:
    with waiting("wait", "read=64:2300", "kill=230", "wait") as process:
        pid = str(process.pid)
        with both(ebt, "syscount", "Tracing", "-p", pid) as printed:
            work_now(process)
    theirs, mine = (
        {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+) *$", text, re.MULTILINE)}
        for text in printed
    )
    assert mine == theirs and mine["kill"] == 230 and mine["read"] >= 2300


@pytest.mark.tool("runqlat")
def test_runqlat(ebt: Ebt) -> None:
    """Each switch away from the process is followed by one wait for a processor, and the kernel counts them.

    A sleep whose timer has run out before the process could be switched away from, on a host that was busy
    for a millisecond, is none. A process that is preempted on its way to sleep does not wait for a processor.
    """
    with waiting("wait", "sleeps=230", "wait") as process:
        words = ("-p", str(process.pid))
        with both(ebt, "runqlat", "Tracing", *words) as printed:
            before = switches(process.pid)
            work_now(process)
            slept, preempted = (now - then for now, then in zip(switches(process.pid), before, strict=True))
    theirs, mine = sum(map(int, COUNTED.findall(printed[0]))), sum(map(int, OURS.findall(printed[1])))
    assert theirs == mine and 200 < slept <= mine <= slept + preempted


def switches(pid: int) -> tuple[int, int]:
    """How often a process that waits now was switched away from: of its own will, and not.

    It is said to sleep a moment before it is switched away from: what is read twice is past that.
    """
    read: list[tuple[str, ...]] = []

    def settled() -> bool:
        time.sleep(0.05)
        asleep = waits(pid)
        read.append(tuple(re.findall(r"ctxt_switches:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())))
        return asleep and read[-2:-1] == read[-1:]

    assert until(settled, 5), read
    own, other = read[-1]
    return int(own), int(other)


_TIME = re.compile(r"^ +(\d+)$", re.MULTILINE)  # below each stack, of both


@pytest.mark.tool("offcputime")
def test_offcputime(ebt: Ebt) -> None:
    """The sum over all stacks, within 2 %."""
    with waiting("wait", *["sleep=0.1"] * 12, "wait") as process:
        words = ("-p", str(process.pid))
        commands = [*original("offcputime"), *words], [*ebt.command, "offcputime", *words]
        with running(commands[0]) as peer, running(commands[1]) as ours:
            ours.attached()
            # the original says nothing until its end
            time.sleep(3 * PATIENCE)
            work_now(process)
            # the last wait ends here, so that both see the whole of it
            process.tell()
            assert until(lambda: process.process.poll() is not None, 5)
            theirs, mine = peer.end(signal.SIGINT).stdout, ours.end(signal.SIGINT).stdout
    times, counted = ([int(number) for number in _TIME.findall(text)] for text in (theirs, mine))
    if not times:
        pytest.skip("the original does not run on this kernel")
    assert sum(counted) == pytest.approx(sum(times), rel=0.02) and sum(times) > 1_100_000


@pytest.mark.tool("softirqs")
@pytest.mark.parametrize("first", ["original", "ours"])
def test_softirqs(ebt: Ebt, first: str) -> None:
    """Whoever began earlier and ended later has seen at least as many of each, and hardly more."""
    commands = {"original": [*original("softirqs"), "-d"], "ours": [*ebt.command, "softirqs", "-d"]}
    second = "ours" if first == "original" else "original"

    def begin(name: str, run: Running) -> None:
        if name == "original":
            settle(run, "Tracing soft irq")
            time.sleep(PATIENCE)
        else:
            run.attached()

    with running(commands[first]) as outer:
        begin(first, outer)
        with running(commands[second]) as inner:
            begin(second, inner)
            make(connections(free_port(), 300))
            within = counts(inner.end(signal.SIGINT).stdout)
        around = counts(outer.end(signal.SIGINT).stdout)
    assert within["net_rx"] >= 300 and all(around[name] >= number for name, number in within.items())
    assert within["net_rx"] > around["net_rx"] * 0.8


def counts(text: str) -> Counter[str]:
    """By the headings of histograms (`softirq = timer`, `@usecs[timer]:`), how much each counted."""
    found: Counter[str] = Counter()
    name = ""
    for line in text.splitlines():
        heading = re.match(r"softirq = (\w+)|@\w+\[(\w+)", line)
        name = heading[1] or heading[2] if heading else name
        found[name] += sum(int(number) for number in (*COUNTED.findall(line), *OURS.findall(line)))
    return found


@pytest.mark.tool("tcplife")
def test_tcplife(ebt: Ebt) -> None:
    """The same connections with the same bytes."""
    port = free_port()
    with both(ebt, "tcplife", "PID", json=True) as printed:
        make(connections(port))
    theirs = [line.split() for line in printed[0].splitlines() if f" {port} " in f" {line} "]
    found = [
        (int(pid), comm, local, int(lport), remote, int(rport), round(float(sent)), round(float(received)))
        for pid, comm, local, lport, remote, rport, sent, received, _ in theirs
    ]
    mine = [
        (
            row["PID"], row["COMM"], row["LADDR"], row["LPORT"], row["RADDR"], row["RPORT"],
            round(row["TX_KB"]), round(row["RX_KB"]),
        )
        for row in rows_of(printed[1])
        if port in (row["LPORT"], row["RPORT"])
    ]  # fmt: skip
    assert [item for item in mine if item[5]] == [item for item in found if item[5]]
    assert len([item for item in mine if item[5] == port]) == TIMES
    sizes = round((SENT + 2) / 1024), round((ANSWERED + 1) / 1024)
    assert {item[6:] for item in mine if item[5] == port} == {sizes}


@pytest.mark.tool("tcpconnlat")
@pytest.mark.parametrize("load", [connections, refused_connections])
def test_tcpconnlat(ebt: Ebt, load: Callable[[int], str]) -> None:
    port = free_port()
    with both(ebt, "tcpconnlat", "PID", json=True) as printed:
        make(load(port))
    theirs = [line.split() for line in printed[0].splitlines() if f" {port} " in f" {line} "]
    mine = [row for row in rows_of(printed[1]) if row["DPORT"] == port]
    assert [(row["PID"], row["COMM"], row["DADDR"]) for row in mine] == [
        (int(item[0]), item[1], item[4]) for item in theirs
    ]
    assert len(mine) == TIMES and all(row["LAT(ms)"] > 0 for row in mine)


@pytest.mark.tool("tcpconnlat")
def test_the_latency_of_tcpconnlat(ebt: Ebt) -> None:
    """Of what takes a second: in a quick connection each of the two also measures the other."""
    port, slow = free_port(), 900
    with both(ebt, "tcpconnlat", "PID", str(slow), json=True) as printed:
        make(slow_connections(port, 3))
    theirs = [float(line.split()[-1]) for line in printed[0].splitlines() if f" {port} " in f" {line} "]
    mine = [row["LAT(ms)"] for row in rows_of(printed[1]) if row["DPORT"] == port]
    assert len(mine) == 3 and mine == pytest.approx(theirs, rel=0.02)


@pytest.mark.tool("funclatency")
def test_funclatency(ebt: Ebt) -> None:
    with waiting("wait", "toupper=65:2300", "wait") as process:
        words = ("-p", str(process.pid), "c:toupper")
        with both(ebt, "funclatency", "Tracing", *words) as printed:
            work_now(process)
    theirs, mine = sum(map(int, COUNTED.findall(printed[0]))), sum(map(int, OURS.findall(printed[1])))
    assert theirs == mine == 2300


@pytest.mark.tool("klockstat")
def test_klockstat(ebt: Ebt) -> None:
    """Waits and holds of a pipe's mutex."""
    with waiting("wait", f"hold=0.05:{TIMES}", "wait") as process:
        words = ("-p", str(process.pid))
        with both(ebt, "klockstat", "Tracing", *words, plain=False) as printed:
            work_now(process)
    rows = re.findall(r"^ *(\w*pipe_write)\S* +[\d.]+ \w+ +(\d+) ", printed[0], re.MULTILINE)
    mine = re.findall(r"^(\w*pipe_write)\S* +[\d.]+ +(\d+) ", printed[1], re.MULTILINE)
    # and the second "ready" is written to a pipe
    assert {int(count) for _, count in mine} == {2 * TIMES + 1}
    if not rows:
        pytest.skip("the original does not tell of the pipe's mutex on this kernel")
    assert sorted(mine) == sorted(rows)
