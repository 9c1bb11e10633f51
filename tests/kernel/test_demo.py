"""scripts/demo → rows and a histogram of this kernel, and nothing left; where it may not be traced, the C."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time

import pytest

from tests.conftest import ROOT

DEMO = ROOT / "scripts/demo"
pytestmark = pytest.mark.kernel


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run to the end; nothing of it may be left."""
    words = list(map(str, command))
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", start_new_session=True
    ) as process:
        stdout, stderr = process.communicate(timeout=120)
    patience = time.monotonic() + 2  # the load's last command has been told to end, and init has to bury it
    while _session(process.pid) and time.monotonic() < patience:
        time.sleep(0.02)
    assert not _session(process.pid)
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def _session(leader: int) -> list[str]:
    """The processes of a session."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[3] == str(leader):
                found.append(pid)
    return found


def test_demo_traces_this_kernel() -> None:
    done = run(DEMO)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ +cat +/etc/os-release$", done.stdout, re.MULTILINE)
    assert re.search(r"^@opens\[cat\]: [1-9]", done.stdout, re.MULTILINE)
    assert re.search(r"^@reads\[dd\]: [1-9]", done.stdout, re.MULTILINE)
    assert re.search(r"^@bytes:\n(.*\n)*\[4K, 8K\) +\d+ \|@+", done.stdout, re.MULTILINE)
    if shutil.which("bpftool"):
        assert "loaded: 5; still in the kernel: 0" in done.stdout


def test_demo_compiles_for_one_who_may_not_trace() -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if not shutil.which("setpriv") or run(*nobody, "test", "-r", DEMO).returncode:
        pytest.skip("no other user can read this checkout")
    done = run(*nobody, DEMO)
    first, _, rest = done.stdout.partition("\n")
    assert done.returncode == 0 and done.stderr == ""
    assert "cannot be traced: tracing needs root" in first
    assert "int on_sys_exit_read(" in rest and "$ " in rest


def test_demo_refuses_arguments() -> None:
    done = run(DEMO, "now")
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: scripts/demo" in done.stderr
