"""What all tests share: the markers `kernel` and `lab`, the command `ebt`, and bpftrace to compare with.

Outside the lab a test that needs a kernel is skipped, with the reason; in the lab (EBT_LAB=1) the same lack
is a failure.
"""

import ctypes
import functools
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lang.records import dataclass

ROOT = Path(__file__).resolve().parents[1]
IN_LAB = os.environ.get("EBT_LAB") == "1"
# all is some 20 times slower in an emulated kernel, clang above all
PATIENCE = float(os.environ.get("EBT_TEST_PATIENCE", "10" if IN_LAB else "1"))


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


@pytest.fixture(scope="session")
def peer_bpftrace() -> str:
    """Give the path of bpftrace (EBT_PEER_BPFTRACE, else on the path)."""
    path = os.environ.get("EBT_PEER_BPFTRACE") or shutil.which("bpftrace")
    if not path:
        pytest.skip("bpftrace is not installed, so there is nothing to compare with")
    return path
