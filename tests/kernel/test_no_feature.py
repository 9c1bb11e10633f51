"""Each feature of the kernel off, one at a time: the same script prints the same, or says what it lacks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ebt.machines import FEATURES
from tests.conftest import Ebt, Result
from tests.kernel.fallbacks import NEEDED, check, reference

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def expected(ebt: Ebt) -> tuple[str, Result, Result]:
    return reference(ebt)


@pytest.mark.parametrize("feature", [name for name in FEATURES if name not in NEEDED])
def test_without(ebt: Ebt, expected: tuple[str, Result, Result], feature: str) -> None:
    check(ebt, feature, expected)


def test_all_at_once(ebt: Ebt, expected: tuple[str, Result, Result]) -> None:
    off = [name for name in FEATURES if name not in (*NEEDED, "for_each_map_elem")]
    check(ebt, ",".join(off), expected)


def test_an_unknown_feature_is_refused(ebt: Ebt) -> None:
    result = ebt("--no-feature", "ringbuff", "-e", "begin { exit(); }")
    assert result.rc == 1 and "unknown feature 'ringbuff'; did you mean 'ringbuf'?" in result.stderr


def test_doctor_lists_each(ebt: Ebt) -> None:
    shown = [line.split()[0] for line in ebt("doctor").stdout.splitlines() if line]
    assert [name for name in FEATURES if name not in shown] == []


@pytest.mark.skipif(not shutil.which("dd"), reason="no dd")
@pytest.mark.parametrize(("pages", "some_lost"), [("4096", False), ("1", True)])
def test_perf_buffers_deliver_or_count(ebt: Ebt, tmp_path: Path, pages: str, some_lost: bool) -> None:
    """Delivered + lost = produced; with large buffers none are lost."""
    file, writes = tmp_path / "out", 300_000
    program = """
        tracepoint:syscalls:sys_enter_write /comm == "dd" && args.count == 1/ {
            @n = count(); printf("%d x\\n", pid);
        }
    """
    command = f"dd if=/dev/zero of=/dev/null bs=1 count={writes} status=none"
    result = ebt(
        "-q", "--no-feature", "ringbuf", "-e", program, "-c", command, "-o", file,
        env={"BPFTRACE_PERF_RB_PAGES": pages}, timeout=60,
    )  # fmt: skip
    text = file.read_text()
    produced = int(re.findall(r"^@n: (\d+)$", text, re.MULTILINE)[0])
    delivered = len(re.findall(r"^\d+ x$", text, re.MULTILINE))
    lost = re.search(r"^WARNING: Total lost event count: (\d+)$", result.stderr, re.MULTILINE)
    assert result.rc == 0 and produced >= writes
    assert delivered + (int(lost[1]) if lost else 0) == produced
    assert some_lost or not lost
