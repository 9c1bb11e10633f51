"""The tools for functions: so many calls of a function of the C library by a process of our own."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Ebt
from tests.kernel.support import only_line, work
from tests.kernel.test_tools_sched import maps, total
from tests.lab.support import tool_rows

pytestmark = pytest.mark.kernel
CALLS = 23


@pytest.mark.tool("funclatency")
def test_funclatency(ebt: Ebt) -> None:
    command = " ".join(work(f"toupper=97:{CALLS}"))
    found = maps(ebt, "-c", command, "funclatency", "-F", "c:toupper")["@nsecs"]
    assert [(key.rpartition(":")[2], total(item)) for key, item in found.items()] == [("toupper", CALLS)]
    found = maps(ebt, "-c", command, "funclatency", "-u", "c:toupper")["@usecs"]
    assert total(found) == CALLS
    assert "@nsecs" not in maps(ebt, "-c", "true", "funclatency", "c:toupper")
    found = maps(ebt, "-c", command, "funclatency", "-F", "c:to(upper|nothing)$", "-r")["@nsecs"]
    assert [(key.rpartition(":")[2], total(item)) for key, item in found.items()] == [("toupper", CALLS)]


@pytest.mark.tool("funccount")
def test_funccount(ebt: Ebt) -> None:
    command = " ".join(work(f"toupper=97:{CALLS}"))
    rows = tool_rows(ebt, "funccount", "c:touppe*", command=command)
    assert [row["COUNT"] for row in rows] == [CALLS]
    for pattern in ("c:^(?:toupper|nothing)$", "c:toupp.r$", "c:to[u]pper"):
        rows = tool_rows(ebt, "funccount", "-r", pattern, command=command)
        calls = {str(row["FUNC"]).rpartition(":")[2]: row["COUNT"] for row in rows}
        assert calls.get("toupper") == CALLS, rows
        assert set(calls) == {"toupper"} or not pattern.endswith("$"), rows
    rows = tool_rows(ebt, "funccount", "t:sched:sched_process_e(xec|xit)$", "--regexp", command=command)
    assert len(rows) == 2 and all(row["COUNT"] for row in rows), rows
    rows = tool_rows(ebt, "funccount", "-r", "t:sch.d:sched_process_(exec|nothing)$", command=command)
    assert [row["FUNC"] for row in rows] == ["tracepoint:sched:sched_process_exec"]
    rows = tool_rows(ebt, "funccount", "t:syscalls:sys_enter_sethostname", command=command)
    assert rows == []
    rows = tool_rows(ebt, "funccount", "t:sched:sched_process_e*", command=command)
    assert all(row["COUNT"] for row in rows) and len(rows) == 2


@pytest.mark.tool("stackcount")
def test_stackcount(ebt: Ebt) -> None:
    command = " ".join(work(f"toupper=97:{CALLS}"))
    for option in ("-U", "-P", "-K"):
        (counts,) = maps(ebt, "-c", command, "stackcount", option, "c:toupper").values()
        assert sum(counts.values()) == CALLS
    (counts,) = maps(ebt, "-c", command, "stackcount", "-rU", "c:^toup+er$").values()
    assert sum(counts.values()) == CALLS
    for depth in (1, 3):
        words = ("stackcount", "-K", "--perf-max-stack-depth", str(depth), "t:raw_syscalls:sys_enter")
        reads = " ".join(work(f"read=64:{CALLS}"))
        (counts,) = maps(ebt, "-c", reads, *words).values()
        assert {len(key.split()) for key in counts} == {depth} and sum(counts.values()) >= CALLS, counts
    (counts,) = maps(ebt, "-c", command, "stackcount", "-Kv", "t:sched:sched_process_exec").values()
    assert all(re.match(r"\s*[0-9a-f]{16} \w+", key) for key in counts), counts
    result = ebt("-q", "-c", command, "stackcount", "-fU", "c:toupper")
    stacks = [line for line in result.stdout.splitlines() if ";" in line]
    numbers = [int(line.rpartition(" ")[2]) for line in stacks]
    assert sum(numbers) == CALLS
    assert maps(ebt, "-c", "true", "stackcount", "c:toupper") == {}


WRONG = {
    "funclatency c:": "PATTERN: 'c:' is no pattern",
    "funclatency t:sched:sched_switch": "PATTERN: 't:sched:sched_switch' is no pattern",
    "funclatency -u -m c:toupper": "-u and -m cannot be used together",
    "funccount nosuchlibrary:f": "no program or library 'nosuchlibrary' is found",
    "funccount -r c:(": "PATTERN: '(' is no regular expression: missing ), unterminated subpattern",
    "funccount -r c:^nothing$": "no function of /lib/x86_64-linux-gnu/libc.so.6 matches",
    "stackcount -v -f c:toupper": "-v and -f cannot be used together",
    "stackcount --perf-max-stack-depth 128 c:toupper": "128 is too large: at most 127",
    "stackcount -p 4194303 c:toupper": "-p: there is no process",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_input(ebt: Ebt, words: str) -> None:
    line = only_line(ebt, *words.split())
    assert line.startswith(f"ebt: error: {words.split()[0]}") and WRONG[words] in line, line
