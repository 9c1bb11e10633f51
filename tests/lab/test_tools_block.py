"""The tools for block devices on the lab's kernels: what this machine's tests check, on a disk of its own."""

from __future__ import annotations

import os

import pytest

from tests.conftest import Ebt
from tests.kernel.support import running
from tests.kernel.test_tools_block import (
    idle,
    python,
    test_biolatency,
    test_biolatency_at_intervals,
    test_biolatency_by_disk_and_by_flags,
    test_biosnoop,
    test_biosnoop_leaves_out,
    test_biosnoop_reads_that_skip,
    test_biostacks,
    test_biotop,
)
from tests.lab.support import tool_rows

pytestmark = pytest.mark.lab
__all__ = [
    "idle",
    "test_biolatency",
    "test_biolatency_at_intervals",
    "test_biolatency_by_disk_and_by_flags",
    "test_biosnoop",
    "test_biosnoop_leaves_out",
    "test_biosnoop_reads_that_skip",
    "test_biostacks",
    "test_biotop",
]
FLUSHES = 7


@pytest.fixture
def disk(raw_disk: str) -> str:
    """A disk that nobody else uses."""
    return raw_disk


@pytest.mark.tool("mdflush")
def test_mdflush_without_the_module(ebt: Ebt) -> None:
    """One line, with the module that has the function; the original ends in a traceback."""
    if os.path.exists("/sys/module/md_mod"):
        pytest.skip("the module is loaded already")
    result = ebt("mdflush")
    (line,) = result.stderr.splitlines()
    assert (result.rc, result.stdout) == (1, "")
    assert line.startswith("ebt: error: mdflush cannot run here: ") and "md_flush_request" in line


@pytest.mark.tool("mdflush")
def test_mdflush(ebt: Ebt, md: str, raw_disk: str) -> None:
    """fdatasync() of a RAID device is a flush for each of its calls; of a plain disk none."""
    command = python(
        "import os\n"
        f"fd = os.open({md!r}, os.O_RDWR)\n"
        f"for n in range({FLUSHES}): os.fdatasync(fd)\n"
        f"fd = os.open({raw_disk!r}, os.O_RDWR)\n"
        f"for n in range({FLUSHES}): os.fdatasync(fd)\n"
    )
    rows = [row for row in tool_rows(ebt, "mdflush", command=command) if row["COMM"] == "python3"]
    assert [row["DEVICE"] for row in rows] == ["md77"] * FLUSHES
    assert len({row["PID"] for row in rows}) == 1


@pytest.mark.tool("mdflush")
def test_mdflush_in_text(ebt: Ebt, md: str) -> None:
    with running([*ebt.command, "mdflush"]) as tool:
        tool.attached()
        fd = os.open(md, os.O_RDWR)
        os.fdatasync(fd)
        os.close(fd)
        tool.wait_for(r"^\d\d:\d\d:\d\d +\d+ \S+ +md77$")
    assert tool.out.splitlines()[0] == "Tracing md flush requests... Hit Ctrl-C to end."
