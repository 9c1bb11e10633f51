"""Each fallback on kernels that have, or lack, the better mechanism: the same script, the same results."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ebt.machines import FEATURES
from kernel.live import LiveMachine
from tests.conftest import Ebt, Result
from tests.kernel.fallbacks import NEEDED, check, reference
from tests.kernel.support import fresh, lines, work
from tests.lab.test_exit_probes import WORK

pytestmark = pytest.mark.lab
FILES = 20
HERE = LiveMachine()


@pytest.fixture(scope="module")
def expected(ebt: Ebt) -> tuple[str, Result, Result]:
    return reference(ebt, HERE.supports("for_each_map_elem").works)


@pytest.mark.parametrize("feature", [name for name in FEATURES if name not in NEEDED])
def test_without(ebt: Ebt, expected: tuple[str, Result, Result], feature: str) -> None:
    if HERE.supports(feature).works:
        check(ebt, feature, expected)


def test_all_at_once(ebt: Ebt, expected: tuple[str, Result, Result]) -> None:
    off = [name for name in FEATURES if name not in (*NEEDED, "for_each_map_elem")]
    check(ebt, ",".join(off), expected)


@pytest.mark.parametrize("off", ["", "kprobe_multi", "kprobe_multi,perf_link"])
def test_functions_of_a_wildcard(ebt: Ebt, off: str) -> None:
    """By one link or one by one: each function is counted under its own name."""
    name = fresh()
    program = f"""
        kprobe:vfs_op* /comm == "{name}"/ {{ @in[func] = count(); }}
        kretprobe:vfs_op* /comm == "{name}"/ {{ @out[retval == 0] = count(); }}
        kprobe:vfs_op* /comm == "not {name}"/ {{ @none = count(); }}
    """
    options = ["--no-feature", off] if off else []
    command = " ".join(work(f"name={name}", "open=/dev/null:23"))
    result = ebt("-q", *options, "-e", program, "-c", command, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    shown = lines(result.stdout)
    counts = {line.split(": ")[0]: int(line.split(": ")[1]) for line in shown}
    assert counts["@in[vfs_open]"] >= 23 and counts["@out[true]"] == counts["@in[vfs_open]"], shown


@pytest.mark.parametrize("off", ["", "kprobe_multi"])
def test_pairs_of_several_functions(ebt: Ebt, tmp_path: Path, off: str) -> None:
    """Recursion through an overlay and threads: each return finds its own entry, also by one link."""
    name, script, folder = fresh(), tmp_path / "work.py", tmp_path / "files"
    script.write_text(WORK)
    folder.mkdir()
    program = f"""
        kprobe:vfs_unlink, kprobe:vfs_rmdir /comm == "{name}"/ {{
            @deep[tid] += 1; @first[tid, @deep[tid]] = (uint64)args.dentry; @in = count(); }}
        kretprobe:vfs_unlink, kretprobe:vfs_rmdir /comm == "{name}"/ {{
            if ((uint64)args.dentry == @first[tid, @deep[tid]]) {{ @same = count(); }}
            if (retval == 0 && duration > 0) {{ @good = count(); }}
            @deep[tid] -= 1;
        }}
        end {{ clear(@deep); clear(@first); }}
    """
    command = f"{sys.executable} -I -S -B {script} {name} {folder} {FILES} 4"
    options = ["--no-feature", off] if off else []
    result = ebt("-q", *options, "-e", program, "-c", command, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    shown = dict(line.split(": ") for line in lines(result.stdout))
    assert {shown[word] for word in ("@in", "@same", "@good")} == {str(2 * 4 * FILES)}, shown


def test_what_a_wildcard_cannot_have_is_left_out_and_told(ebt: Ebt) -> None:
    """Functions that refuse a probe are counted; the others are attached."""
    result = ebt("-e", "kprobe:vfs_* { @ = count(); } interval:ms:300 { exit(); }", timeout=60)
    assert result.rc == 0 and "Attached" in result.stderr, result
    assert result.stderr.count("left out") <= 1 and "@: " in result.stdout
