"""The tutorial's tools: so many execs, writes, opens and packets of our own, counted exactly."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, work, working
from tests.lab.support import tool_rows

pytestmark = pytest.mark.kernel
CALLS = 7


@pytest.mark.tool("hello")
def test_hello(ebt: Ebt) -> None:
    name = fresh()
    command = " ".join(work(f"name={name}", *["run=/bin/true"] * CALLS))
    result = ebt("-q", "hello", "-c", command)
    assert (result.rc, result.stderr) == (0, ""), result
    lines = [line for line in result.stdout.splitlines() if line.startswith(f"Hello from {name}, process ")]
    assert len(lines) == len({*lines}) == CALLS


@pytest.mark.tool("write")
def test_write(ebt: Ebt) -> None:
    command = " ".join(work(f"write=3:{CALLS}"))
    result = ebt("-q", "write", "-c", command)
    assert (result.rc, result.stderr) == (0, ""), result
    assert result.stdout.count(r"3 bytes to descriptor 3: \x00\x00\x00") == CALLS
    assert f"@bytes[3]: {3 * CALLS}" in result.stdout
    with working("sleep=20") as other:
        result = ebt("-q", "write", "-p", str(other.pid), "--cmd", command)
        assert result.rc == 0 and "bytes to" not in result.stdout, result


@pytest.mark.tool("open")
def test_open(ebt: Ebt) -> None:
    name = fresh()
    command = " ".join(work(f"name={name}", f"open=/etc/hostname:{CALLS}", "open=/no/such/file:3"))
    rows = tool_rows(ebt, "open", "-n", name, command=command)
    assert [row["FILE"] for row in rows] == ["/etc/hostname"] * CALLS + ["/no/such/file"] * 3
    assert [row["FD"] for row in rows][-3:] == [-2] * 3
    assert tool_rows(ebt, "open", "-n", fresh(), command=command) == []


@pytest.mark.tool("execve")
def test_execve(ebt: Ebt) -> None:
    name = fresh()
    command = " ".join(work(f"name={name}", *["run=/bin/true,seven"] * CALLS, "run=/bin/sh,-c,:"))
    rows = tool_rows(ebt, "execve", "-n", name, command=command)
    found = [(row["FROM"], row["TO"], row["RESULT"], row["FILE"], row["ARGUMENT"]) for row in rows]
    started = [(name, "true", "Success", "/bin/true", "seven")] * CALLS
    assert found == [*started, (name, "sh", "Success", "/bin/sh", "-c")]
    rows = tool_rows(ebt, "execve", "-n", "env", command="env PATH=/no/such:/bin true")
    results = [(row["RESULT"], row["FILE"]) for row in rows]
    assert results[-2:] == [("No such file or directory", "/no/such/true"), ("Success", "/bin/true")]


@pytest.mark.tool("icmp")
def test_icmp(ebt: Ebt) -> None:
    if shutil.which("ping") is None:
        pytest.skip("ping is not installed (Debian: iputils-ping)")
    rows = tool_rows(ebt, "icmp", command="ping -q -i 0.2 -s 100 -c 5 127.0.0.1")
    mine = [row for row in rows if row["BYTES"] == 100 + 8 + 20 + 14]
    assert [row["TYPE"] for row in mine] == [8, 0] * 5
    assert {row["TO"] for row in mine} == {"127.0.0.1"}
    assert {row["comm"] for row in mine if row["TYPE"] == 8} == {"ping"}
