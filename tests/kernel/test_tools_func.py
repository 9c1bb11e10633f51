"""The tools for functions: so many calls of a function of the C library by a process of our own."""

from __future__ import annotations

import pytest

from tests.conftest import Ebt
from tests.kernel.support import work
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


@pytest.mark.tool("funccount")
def test_funccount(ebt: Ebt) -> None:
    command = " ".join(work(f"toupper=97:{CALLS}"))
    rows = tool_rows(ebt, "funccount", "c:touppe*", command=command)
    assert [row["COUNT"] for row in rows] == [CALLS]
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
    "stackcount -p 4194303 c:toupper": "-p: there is no process",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_input(ebt: Ebt, words: str) -> None:
    result = ebt(*words.split())
    assert (result.rc, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"ebt: error: {words.split()[0]}") and WRONG[words] in line, line
