"""kretprobe and fexit know their entry, by either mechanism: recursion through an overlay, eight threads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, lines

pytestmark = pytest.mark.lab

FILES, THREADS = 40, 8
# Removing a file of an overlay calls vfs_unlink within vfs_unlink: the real directory entry is another one.
WORK = """
import ctypes, os, sys, threading
name, folder, files, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def work(number):
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
    for item in range(files):
        path = f"{folder}/{number}-{item}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.unlink(path)
running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
for thread in running: thread.start()
for thread in running: thread.join()
"""


@pytest.mark.parametrize(
    ("before", "after", "without"),
    [
        ("kprobe", "kretprobe", ""),
        ("fentry", "fexit", ""),
        ("fentry", "fexit", "fentry"),
        ("kprobe", "kretprobe", "kprobe"),
    ],
)
def test_each_return_has_its_own_entry(
    ebt: Ebt, tmp_path: Path, before: str, after: str, without: str
) -> None:
    """What the entry itself keeps by depth equals what the return has of its own."""
    name, script, folder = fresh(), tmp_path / "work.py", tmp_path / "files"
    script.write_text(WORK)
    folder.mkdir()
    program = f"""
        {before}:vfs_unlink /comm == "{name}"/ {{
            @deep[tid] += 1; @first[tid, @deep[tid]] = (uint64)args.dentry; @in = count(); }}
        {after}:vfs_unlink /comm == "{name}"/ {{
            if ((uint64)args.dentry == @first[tid, @deep[tid]]) {{ @same = count(); }}
            if (retval == 0 && duration > 0 && duration < 60000000000) {{ @good = count(); }}
            @names[@deep[tid]] = count(); @shortest[@deep[tid]] = min(duration);
            @deep[tid] -= 1;
        }}
        end {{ clear(@deep); clear(@first); }}
    """
    command = f"{sys.executable} -I -S -B {script} {name} {folder} {FILES} {THREADS}"
    options = ("--no-feature", without) if without else ()
    result = ebt("-q", *options, "-e", program, "-c", command, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    shown = dict(line.split(": ") for line in lines(result.stdout))
    calls = FILES * THREADS
    assert {shown[word] for word in ("@in", "@same", "@good")} == {str(2 * calls)}, shown
    assert shown["@names[1]"] == shown["@names[2]"] == str(calls)
    assert int(shown["@shortest[1]"]) > int(shown["@shortest[2]"]) > 0


@pytest.mark.parametrize("after", ["kretprobe", "fexit"])
def test_one_call_alone(ebt: Ebt, tmp_path: Path, after: str) -> None:
    """Without any other probe, and by number."""
    name, script, folder = fresh(), tmp_path / "work.py", tmp_path / "files"
    script.write_text(WORK)
    folder.mkdir()
    program = f"""
        {after}:vfs_unlink /comm == "{name}"/ {{
            @[str(args.dentry.d_name.name, 32), retval] = count(); @timed[duration > 0] = count(); }}
    """
    command = f"{sys.executable} -I -S -B {script} {name} {folder} 1 1"
    result = ebt("-q", "-e", program, "-c", command, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    assert sorted(lines(result.stdout)) == ["@[0-0, 0]: 2", "@timed[true]: 2"]
