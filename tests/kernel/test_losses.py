"""Every event arrives, or its loss is told: three million writes, one line of text each."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Ebt

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(not shutil.which("dd"), reason="no dd")]


def dd(writes: int) -> str:
    return f"dd if=/dev/zero of=/dev/null bs=1 count={writes} status=none"


def test_no_event_is_lost(ebt: Ebt, tmp_path: Path) -> None:
    """3,000,000 writes, a line of text each."""
    file = tmp_path / "out"
    program = r"""
        tracepoint:syscalls:sys_enter_write /pid == cpid/ {
            printf("%d %s %d %d\n", pid, comm, args.fd, args.count);
        }
    """
    writes = 3_000_000
    result = ebt("-q", "-e", program, "-c", dd(writes), "-o", file, timeout=120)
    assert (result.rc, result.stderr) == (0, "")
    with file.open("rb") as text:
        counts = Counter(text)
    (line, number), *rest = [item for item in counts.items() if item[0].strip()]
    assert re.fullmatch(rb"\d+ dd 1 1\n", line) and number == writes and not rest, counts.most_common(5)


def test_nothing_is_lost_between_print_and_clear(ebt: Ebt, tmp_path: Path) -> None:
    """Each write has a key of its own, and each is printed although the map is cleared all the time."""
    file, writes = tmp_path / "out", 100_000
    program = """
        config = { max_map_keys = 200000 }
        tracepoint:syscalls:sys_enter_write /pid == cpid && args.count == 1/ { @[nsecs] = count(); }
        interval:ms:5 { print(@); clear(@); }
        end { print(@); clear(@); }
    """
    result = ebt("-q", "-e", program, "-c", dd(writes), "-o", file, timeout=60)
    assert (result.rc, result.stderr) == (0, "")
    counts = re.findall(r"^@\[\d+\]: (\d+)$", file.read_text(), re.MULTILINE)
    assert sum(map(int, counts)) == writes


def test_what_is_emptied_all_the_time_adds_up(ebt: Ebt, tmp_path: Path) -> None:
    """Aggregations without keys, and counters of probes: none is set back while a program adds to it."""
    file, writes = tmp_path / "out", 300_000
    each = "print({0}); clear({0}); "
    program = f"""
        tracepoint:syscalls:sys_enter_write /pid == cpid && args.count == 1/ {{
            @n = count(); @s = sum(3); @h = hist(1); @l = lhist(1, 0, 9, 1); @p[probe] = count();
        }}
        interval:us:500 {{ {"".join(map(each.format, ("@n", "@s", "@h", "@l", "@p")))} }}
    """
    result = ebt("-q", "-e", program, "-c", dd(writes), "-o", file, timeout=60)
    assert (result.rc, result.stderr) == (0, "")
    seen: Counter[str] = Counter()
    for name, bucket, number in re.findall(
        r"^(@\w)(?:\[.*\])?:(?: |\n(\[1\] +))(\d+)", file.read_text(), re.MULTILINE
    ):
        seen[name + bucket.strip()] += int(number)
    assert seen == {"@n": writes, "@s": 3 * writes, "@h[1]": writes, "@l[1]": writes, "@p": writes}


def test_what_is_lost_is_told(ebt: Ebt, tmp_path: Path) -> None:
    """With a tiny ring: delivered + lost = produced."""
    file = tmp_path / "out"
    program = (
        'tracepoint:syscalls:sys_enter_write /pid == cpid/ { @n = count(); printf("%d %s\\n", pid, "x"); }'
    )
    writes = 200_000
    result = ebt(
        "-q", "-e", program, "-c", dd(writes), "-o", file, env={"BPFTRACE_PERF_RB_PAGES": "1"}, timeout=60
    )
    text = file.read_text()
    delivered = len(re.findall(r"^\d+ x$", text, re.MULTILINE))
    lost = re.search(r"^WARNING: Total lost event count: (\d+)$", result.stderr, re.MULTILINE)
    assert result.rc == 0 and f"@n: {writes}\n" in text
    assert delivered + (int(lost[1]) if lost else 0) == writes
    assert lost, "none were lost in a ring of one page"
