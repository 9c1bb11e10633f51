"""What all tests share: the markers `kernel` and `lab`, the command `ebt`, and bpftrace to compare with.

Outside the lab a test that needs a kernel is skipped, with the reason; in the lab (EBT_LAB=1) the same lack
is a failure.
"""

import ctypes
import functools
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest

from lang.records import dataclass

ROOT = Path(__file__).resolve().parents[1]
IN_LAB = os.environ.get("EBT_LAB") == "1"
# all is some 20 times slower in an emulated kernel, clang above all
PATIENCE = float(os.environ.get("EBT_TEST_PATIENCE", "10" if IN_LAB else "1"))


# `scripts/test &` of a shell without job control ignores Ctrl-C, and so would all that the tests start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def why_no_kernel() -> str | None:
    """Say why this kernel cannot be traced, or None."""
    if os.geteuid() != 0:
        return "not root"
    if importlib.util.find_spec("bcc") is None:
        return "bcc is not installed (Debian: python3-bpfcc)"
    # try a thing, do not infer it: load a program of two instructions, "r0 = 0; exit"
    number = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
    if number is None:
        return f"unknown architecture {platform.machine()}"
    code = ctypes.create_string_buffer(bytes([0xB7, *bytes(7), 0x95, *bytes(7)]), 16)
    licence = ctypes.create_string_buffer(b"GPL")
    prog_load, tracepoint = 5, 5
    attributes = (ctypes.c_uint64 * 16)(
        tracepoint | 2 << 32, ctypes.addressof(code), ctypes.addressof(licence)
    )
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(ctypes.c_long(number), ctypes.c_long(prog_load), attributes, ctypes.c_size_t(48))
    if fd < 0:
        return f"no BPF program can be loaded: {os.strerror(ctypes.get_errno())}"
    os.close(fd)
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a marked test where it cannot run."""
    if item.get_closest_marker("lab") and not IN_LAB:
        pytest.skip("runs only in the lab (scripts/lab test)")
    if item.get_closest_marker("kernel") or item.get_closest_marker("lab"):
        reason = why_no_kernel()
        if reason and IN_LAB:
            pytest.fail(f"in the lab, yet: {reason}", pytrace=False)
        if reason:
            pytest.skip(f"this kernel cannot be traced: {reason}")


@dataclass(frozen=True)
class Result:
    """What a run of ebt left."""

    stdout: str
    stderr: str
    rc: int


class Ebt:
    """Runs the command: `ebt("-e", "begin { exit(); }").stdout`."""

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(
        self,
        *args: str | Path,
        timeout: float = 30,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        cwd: Path | None = None,
    ) -> Result:
        """Run to the end; `env` is added to this process's. The lab stretches the timeout."""
        command = [*self.command, *map(str, args)]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=cwd,
            env={**os.environ, **(env or {})},
            # a group of its own: at the timeout its children die too
            start_new_session=True,
        ) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout * PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                stdout, stderr = process.communicate()
                pytest.fail(
                    f"no end after {timeout * PATIENCE:g} s: {command}\n"
                    f"--- stdout\n{stdout[-4000:]}\n--- stderr\n{stderr[-4000:]}"
                )
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Result(stdout, stderr, process.returncode)


@pytest.fixture(scope="session")
def ebt() -> Ebt:
    """Give the installed command; where it is another checkout's, or not there, this checkout's main()."""
    installed = ROOT / ".venv/bin/ebt"
    if os.access(installed, os.X_OK) and not installed.parent.parent.is_symlink():
        return Ebt([str(installed)])
    code = f"import sys; sys.path[0] = {str(ROOT)!r}; from ebt.cli import main; sys.exit(main())"
    return Ebt([sys.executable, "-c", code])


Refused = Callable[[str], None]


@pytest.fixture
def refused(record_property: Callable[[str, object], None]) -> Refused:
    """Call it with the message where the test proves that the tool refuses this kernel, rightly."""
    return lambda message: record_property("refused", message.removeprefix("ebt: error: ").strip())


@pytest.fixture(scope="session")
def peer_bpftrace() -> str:
    """Give the path of bpftrace (EBT_PEER_BPFTRACE, else on the path)."""
    path = os.environ.get("EBT_PEER_BPFTRACE") or shutil.which("bpftrace")
    if not path:
        pytest.skip("bpftrace is not installed, so there is nothing to compare with")
    return path


# ---- How each tool fared: lines in $EBT_LAB_OUT/tools.jsonl, of which scripts/lab matrix makes its table


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hand the tools' names on to the report."""
    report = yield
    for mark in item.iter_markers("tool"):
        report.user_properties += [("tool", name) for name in mark.args]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A line for each tool of a test, when its outcome is known."""
    if report.when != "call" and report.outcome == "passed":
        return
    known = report.user_properties
    tools, refused = ([value for name, value in known if name == key] for key in ("tool", "refused"))
    why = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
    out = os.environ.get("EBT_LAB_OUT")
    if not out or not tools:
        return
    with open(Path(out) / "tools.jsonl", "a") as file:
        for tool in dict.fromkeys(map(str, tools)):
            entry = {"tool": tool, "test": report.nodeid, "outcome": report.outcome, "why": why}
            file.write(json.dumps({**entry, "refused": refused}) + "\n")
