"""Probes that this kernel lacks, compiled or attached: an error, a warning or nothing, as is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import lines

pytestmark = pytest.mark.kernel

GONE = "tracepoint:no:such { @ = count(); }"
THERE = 'begin { printf("hello\\n"); exit(); } '
TIMER = "interval:ms:1 { @there = count(); } "


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_bpftrace_script_does_without(ebt: Ebt, tmp_path: Path) -> None:
    result = ebt(write(tmp_path, "x.bt", THERE + TIMER + GONE))
    assert result.rc == 0 and "hello" in result.stdout, result
    assert "warning: tracepoint 'no:such' does not exist here" in result.stderr
    assert "Attached 2 probes" in result.stderr


def test_others_do_not(ebt: Ebt, tmp_path: Path) -> None:
    result = ebt(write(tmp_path, "x.ebt", THERE + TIMER + GONE))
    assert result.rc == 1 and "error: tracepoint 'no:such' does not exist here" in result.stderr


@pytest.mark.parametrize("name", ["x.bt", "x.ebt"])
def test_what_is_set_wins(ebt: Ebt, tmp_path: Path, name: str) -> None:
    script = write(tmp_path, name, "config = { missing_probes = ignore } " + THERE + TIMER + GONE)
    result = ebt(script)
    assert (result.rc, result.stderr) == (0, "Attached 2 probes\n"), result
    assert ebt(script, env={"BPFTRACE_MISSING_PROBES": "error"}).rc == 1
    assert "warning: tracepoint" in ebt(script, env={"BPFTRACE_MISSING_PROBES": "warn"}).stderr


def test_the_map_of_a_missing_probe(ebt: Ebt, tmp_path: Path) -> None:
    """It has its type all the same: what prints or clears it elsewhere is no mistake."""
    text = "tracepoint:no:such { @gone = count(); } interval:ms:1 { print(@gone); clear(@gone); exit(); } "
    result = ebt(write(tmp_path, "x.bt", text))
    assert (result.rc, result.stdout.strip()) == (0, "@gone: 0"), result
    assert "undefined map: @other" in ebt(write(tmp_path, "y.bt", text + "end { print(@other); }")).stderr


def test_nothing_is_left(ebt: Ebt, tmp_path: Path) -> None:
    result = ebt(write(tmp_path, "x.bt", THERE + GONE))
    assert result.rc == 1 and "no probe of the script can be attached here" in result.stderr, result


def test_refused_when_attached(ebt: Ebt, tmp_path: Path) -> None:
    """The file ends before that offset, which only the kernel looks at."""
    wrong = "uprobe:/bin/true:0x10000000 { @ = count(); } "
    result = ebt(write(tmp_path, "x.bt", THERE + TIMER + wrong))
    assert result.rc == 0 and "hello" in result.stdout, result
    assert "warning: cannot attach uprobe:" in result.stderr and "Attached 2 probes" in result.stderr, result
    assert ebt(write(tmp_path, "x.ebt", THERE + TIMER + wrong)).rc == 255
    assert ebt(write(tmp_path, "y.bt", THERE + wrong)).rc == 255


def test_an_exit_probe_without_its_entry_is_left_out(ebt: Ebt, tmp_path: Path) -> None:
    text = THERE + TIMER + "uretprobe:/bin/true:0x10000000 { @ = hist(duration); } "
    result = ebt(write(tmp_path, "x.bt", text))
    assert result.rc == 0 and result.stderr.count("warning:") == 1, result
    assert "Attached 2 probes" in result.stderr and lines(result.stdout)[0] == "hello"
