"""This machine → what its figures depend on; and the state that measuring needs, put back afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchkit.run import BenchError

_STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x20000, 0x4000, 0x40000  # include/uapi/linux/{sched,mount}.h


def describe(ebt: Sequence[str], bpftrace: str | None) -> dict[str, str]:
    """Machine, kernel and versions, for the head of the table."""
    memory = next(
        (line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0 0 kB"
    ).split()[1]
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ":").partition(
        ":"
    )[2]
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} × {model.strip() or platform.machine()}, {int(memory) // 1024:,} MiB",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "kernel": f"{platform.release()} {platform.machine()}",
        "ebt": _said([*ebt, "--version"]).removeprefix("ebt v") + _commit(),
        "python": platform.python_version(),
        "bcc": _said(["dpkg-query", "-W", "-f", "${Version}", "libbpfcc"]) or "unknown",
        "bpftrace": _said([bpftrace, "--version"]).removeprefix("bpftrace v")
        if bpftrace
        else "not installed",
    }


def _commit() -> str:
    root = str(Path(__file__).resolve().parents[2])
    commit = _said(["git", "-C", root, "rev-parse", "--short", "HEAD"])
    changed = "+" if _said(["git", "-C", root, "status", "--porcelain", "-uno"]) else ""
    return f" ({commit}{changed})" if commit else ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _said(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def mount_tracing() -> None:
    """Mount what bpftrace wants and this machine has not, in a mount namespace of this process alone."""
    if Path("/sys/kernel/debug/tracing/events").exists():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(
        b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None
    ):
        return
    for kind, target in ((b"tracefs", b"/sys/kernel/tracing"), (b"debugfs", b"/sys/kernel/debug")):
        if not os.listdir(target):
            libc.mount(kind, target, kind, ctypes.c_ulong(0), None)


@contextlib.contextmanager
def bpf_statistics() -> Iterator[None]:
    """Inside the block the kernel counts the calls of each BPF program and their time."""
    try:
        before = _STATS.read_text()
        _STATS.write_text("1")
    except OSError as problem:
        raise BenchError(f"kernel.bpf_stats_enabled cannot be set: {problem.strerror}") from None
    try:
        yield
    finally:
        _STATS.write_text(before)


def calls(pid: int) -> tuple[int, int]:
    """(nanoseconds, calls) of the BPF program of this process that was called most."""
    found = []
    for entry in os.scandir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError):
            text = Path(entry.path).read_text()
            if "prog_id:" in text:
                fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
                found.append((int(fields["run_cnt"]), int(fields["run_time_ns"])))
    if not found:
        raise BenchError("the tracer holds no BPF program")
    count, nanoseconds = max(found)
    return nanoseconds, count
