"""The tools for processes: so many programs, ends, signals, threads, calls of a process of our own."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, only_line, rows_of, running, until, working
from tests.kernel.test_tools_block import group, python
from tests.lab.support import tool_rows

__all__ = ["group"]  # a fixture
pytestmark = pytest.mark.kernel
TIMES = 23


@pytest.mark.tool("execsnoop")
def test_execsnoop(ebt: Ebt) -> None:
    mark = fresh()
    script = (
        "import os,subprocess\n"
        f"for n in range({TIMES}): subprocess.run(['/bin/true', '{mark}', 'a b', str(n)])\n"
        f"try: os.execv('/nonexistent/{mark}', ['x'])\nexcept OSError: pass\n"
    )
    rows = tool_rows(ebt, "execsnoop", "-x", command=python(script))
    *rows, last = [row for row in rows if mark in row["ARGS"]]
    assert [row["ARGS"] for row in rows] == [f"/bin/true {mark} a b {n}" for n in range(TIMES)]
    assert {row["COMM"] for row in rows} == {"true"} and len({row["PPID"] for row in rows}) == 1
    assert (last["ARGS"], last["RET"]) == (f"/nonexistent/{mark}", -2)
    rows = tool_rows(ebt, "execsnoop", "-n", "tru", "-U", "-M", command=python(script))
    mine = [row for row in rows if mark in row["ARGS"]]
    assert len(mine) == TIMES and {(row["UID"], row["PCOMM"]) for row in mine} == {(0, "python3")}


@pytest.mark.tool("execsnoop")
def test_execsnoop_of_a_cgroup(ebt: Ebt, group: Path) -> None:
    """Programs that start in the group, and none that start beside it."""
    run = f"[subprocess.run('/bin/true') for _ in range({TIMES})]\n"
    script = f"import os,subprocess\n{run}open('{group}/cgroup.procs', 'w').write('0')\n{run}"
    rows = tool_rows(ebt, "execsnoop", "-c", str(group), command=python(script))
    assert [row["ARGS"].strip() for row in rows] == ["/bin/true"] * TIMES


def named(comm: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of processes of this name."""
    return [row for row in rows if row["COMM"] == comm]


ENDS = """
import os,signal
for how in (lambda: os._exit(0), lambda: os._exit(3), lambda: os.kill(os.getpid(), 9)):
    pid = os.fork()
    if not pid: how()
    os.waitpid(pid, 0)
"""


@pytest.mark.tool("exitsnoop")
def test_exitsnoop(ebt: Ebt) -> None:
    rows = tool_rows(ebt, "exitsnoop", "-t", command=python(ENDS))
    rows = [row for row in rows if row["PCOMM"] == "python3"]
    parent = rows[-1]["PID"]
    ends = [row["EXIT_CODE"] for row in rows if row["PPID"] == parent]
    assert ends == ["0", "code 3", "signal 9 (SIGKILL)"]
    rows = tool_rows(ebt, "exitsnoop", "-x", "--label", "L", command=python(ENDS))
    assert {row["LABEL"] for row in rows} == {"L"} and "0" not in {row["EXIT_CODE"] for row in rows}


SIGNALS = f"""
import os,signal
signal.signal(signal.SIGUSR1, lambda *all: None)
for n in range({TIMES}): os.kill(os.getpid(), signal.SIGUSR1)
try: os.kill(4194000, signal.SIGTERM)
except OSError: pass
"""


@pytest.mark.tool("sigsnoop")
def test_sigsnoop(ebt: Ebt) -> None:
    rows = named("python3", tool_rows(ebt, "sigsnoop", "-n", command=python(SIGNALS)))
    rows = [row for row in rows if row["SIGNAL"] == "SIGUSR1" and row["PID"] == row["TPID"]]
    assert len(rows) == TIMES and {row["TCOMM"] for row in rows} == {"python3"}
    assert tool_rows(ebt, "sigsnoop", "-s", "URG,WINCH", "-p", "1", command=python(SIGNALS)) == []


@pytest.mark.tool("killsnoop")
def test_killsnoop(ebt: Ebt) -> None:
    rows = tool_rows(ebt, "killsnoop", "-s", "10,TERM", command=python(SIGNALS))
    rows = named("python3", rows)
    assert [(row["SIGNAL"], row["RESULT"]) for row in rows] == [(10, 0)] * TIMES + [(15, -3)]
    assert rows[0]["TCOMM"] == "python3" and rows[-1]["TPID"] == 4194000
    failed = tool_rows(ebt, "killsnoop", "-x", "-s", "15", command=python(SIGNALS))
    assert [row["RESULT"] for row in failed if row["COMM"] == "python3"] == [-3]


@pytest.mark.tool("threadsnoop")
def test_threadsnoop(ebt: Ebt) -> None:
    script = "import threading\nfor n in range(7): threading.Thread(target=int).start()"
    rows = named("python3", tool_rows(ebt, "threadsnoop", command=python(script)))
    assert len(rows) == 7 and len({row["FUNC"] for row in rows}) == 1


@pytest.mark.tool("gethostlatency")
def test_gethostlatency(ebt: Ebt) -> None:
    script = "import socket\nfor n in range(7): socket.getaddrinfo('localhost', 80)"
    rows = named("python3", tool_rows(ebt, "gethostlatency", command=python(script)))
    assert [row["HOST"] for row in rows] == ["localhost"] * 7 and all(row["LATms"] > 0 for row in rows)


@pytest.mark.tool("pidpersec")
def test_pidpersec(ebt: Ebt) -> None:
    script = f"import os\nfor n in range({TIMES}):\n    if not os.fork(): os._exit(0)\n    os.wait()"
    with running([*ebt.command, "pidpersec", "2", "2"]) as tool:
        tool.attached()
        subprocess.run(["/usr/bin/python3", "-ISc", script], check=True)
        result = tool.end()
    found = re.findall(r"^\d\d:\d\d:\d\d: PIDs/sec: (\d+)$", result.stdout, re.MULTILINE)
    rates = [int(rate) for rate in found]
    assert len(rates) == 2 and 2 * (sum(rates) + 1) > TIMES


@pytest.mark.tool("syscount")
def test_syscount(ebt: Ebt) -> None:
    for options in ((), ("-L",), ("-x",)):
        with working("wait", "open=/no/such/file:23", "open=/dev/null:7", "wait") as process:
            process.wait_for("ready")
            command = [*ebt.command, "-f", "json", "syscount", "-p", str(process.pid), "-T", "50", *options]
            with running(command) as tool:
                tool.wait_for("attached_probes")
                process.tell()
                process.wait_for("ready\nready")
                result = tool.end(signal.SIGINT)
        counts = {row["SYSCALL"]: row["COUNT"] for row in rows_of(result.stdout)}
        assert counts["openat"] == (23 if "-x" in options else 30), counts
        assert ("close" in counts) == ("-x" not in options)
        times = [row for row in rows_of(result.stdout) if "TIME(us)" in row]
        assert bool(times) == ("-L" in options)


@pytest.mark.tool("syscount")
def test_syscount_of_one_call_and_error(ebt: Ebt) -> None:
    script = f"import os\nfor n in range({TIMES}):\n    try: os.rmdir('/no/such')\n    except OSError: pass"
    rows = tool_rows(ebt, "syscount", "--syscall", "rmdir", "-P", command=python(script))
    assert [row["COUNT"] for row in named("python3", rows)] == [TIMES]
    for error, times in (("ENOENT", [TIMES]), ("EPERM", [])):
        rows = tool_rows(ebt, "syscount", "-e", error, "--syscall", "84", "-P", command=python(script))
        assert [row["COUNT"] for row in named("python3", rows)] == times


@pytest.mark.tool("syscount")
def test_syscount_by_process(ebt: Ebt) -> None:
    script = f"import os\nfor n in range({TIMES}00): os.getppid()"
    rows = tool_rows(ebt, "syscount", "-P", "-T", "1000", command=python(script))
    (row,) = [row for row in named("python3", rows) if row["COUNT"] > 100 * TIMES]
    assert 100 * TIMES < row["COUNT"] < 200 * TIMES and row["PID"]


@pytest.mark.tool("capable")
def test_capable(ebt: Ebt) -> None:
    script = "import os\nfor n in range(7): os.nice(-1)"
    rows = named("python3", tool_rows(ebt, "capable", command=python(script)))
    assert [row["CAP"] for row in rows if row["NAME"] == "CAP_SYS_NICE"] == [23] * 7
    rows = tool_rows(ebt, "capable", "--unique", command=python(script))
    rows = named("python3", rows)
    assert len([row for row in rows if row["NAME"] == "CAP_SYS_NICE"]) == 1


@pytest.mark.tool("bashreadline")
def test_bashreadline(ebt: Ebt) -> None:
    mark = fresh()
    with running([*ebt.command, "-f", "json", "bashreadline"]) as tool:
        tool.wait_for("attached_probes")
        parent, child = pty.openpty()
        with subprocess.Popen(
            ["/bin/bash", "--norc", "--noprofile", "-i"],
            stdin=child, stdout=child, stderr=child, start_new_session=True,
        ) as shell:  # fmt: skip
            os.close(child)
            os.write(parent, b"".join(b"true %s %d\n" % (mark.encode(), n) for n in range(7)) + b"exit\n")
            assert until(lambda: mark + " 6" in tool.out)
            shell.kill()
            os.close(parent)
        result = tool.end(signal.SIGINT)
    lines = [row["COMMAND"] for row in rows_of(result.stdout) if row["PID"] == shell.pid]
    assert lines[:7] == [f"true {mark} {n}" for n in range(7)]


@pytest.mark.tool("oomkill")
def test_oomkill(ebt: Ebt) -> None:
    """A process that takes more than its cgroup may have is killed, by itself."""
    old = Path("/sys/fs/cgroup/memory")  # of cgroup v1
    root = old if old.is_dir() else old.parent
    group = root / fresh()
    if not (root / "cgroup.procs").exists():
        pytest.skip("no cgroups are mounted")
    try:
        if root != old:
            (root / "cgroup.subtree_control").write_text("+memory")
        group.mkdir()
        (group / ("memory.limit_in_bytes" if root == old else "memory.max")).write_text("30000000")
    except OSError as problem:
        pytest.skip(f"no memory cgroup can be made: {problem}")
    try:
        with running([*ebt.command, "oomkill"]) as tool:
            tool.attached()
            script = f"open('{group}/cgroup.procs', 'w').write('0')\nb'x' * 100000000"
            killed = subprocess.Popen(["/usr/bin/python3", "-ISc", script])
            assert killed.wait() == -signal.SIGKILL
            found = tool.wait_for(r"^.*OOM kill of PID \d+.*$")
            tool.end(signal.SIGINT)
        pid = killed.pid
        who = rf'PID {pid} \("python3"\), '
        expected = rf"\d\d:\d\d:\d\d Triggered by {who}OOM kill of {who}\d+ pages, loadavg: "
        assert re.match(expected, found), found
    finally:
        group.rmdir()


WRONG = {
    "execsnoop -u nobody-of-that-name": "-u: there is no user",
    "exitsnoop -p 4194303": "-p: there is no process",
    "sigsnoop -s NOSUCH": "-s: 'NOSUCH' is no signal",
    "syscount -e EWHAT": "-e: 'EWHAT' is no error",
    "syscount --syscall nothing": "--syscall: 'nothing' is no system call",
    "syscount -i 0": "-i: 0 is too small: at least 1",
    "pidpersec 0": "INTERVAL: 0 is too small: at least 1",
    "bashreadline -s /no/such/file": "cannot run here: no program or library '/no/such/file' is found",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_input(ebt: Ebt, words: str) -> None:
    line = only_line(ebt, *words.split())
    assert line.startswith(f"ebt: error: {words.split()[0]}") and WRONG[words] in line, line
