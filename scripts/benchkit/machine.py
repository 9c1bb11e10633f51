"""This machine → what its figures depend on; and the state that measuring needs, put back afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchkit.peers import Peers
from benchkit.run import BenchError

_FEW = 1000  # programs that were called less often are not what is measured
_STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x20000, 0x4000, 0x40000  # include/uapi/linux/{sched,mount}.h


def describe(peers: Peers) -> dict[str, str]:
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
        "ebt": _said([*peers.ebt.command, "--version"]).removeprefix("ebt v") + _commit(),
        "python": platform.python_version(),
        "bcc": _said(["dpkg-query", "-W", "-f", "${Version}", "libbpfcc"]) or "unknown",
        "bpftrace": ", ".join(one.name.split()[1] for one in peers.bpftraces) or "not installed",
        "bcc's own tools": _headers(peers.headers),
    }


def _headers(folder: Path | None) -> str:
    """Which kernel's headers BCC's own tools are compiled with."""
    if folder is None:
        return "not measured: no kernel headers were named"
    text = " ".join(_lines(str(folder / "include/generated/utsrelease.h")))
    return f"with the headers of {text.split(chr(34))[1]}" if '"' in text else "with a kernel's headers"


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


@dataclass(frozen=True)
class Calls:
    """The BPF programs of a process: by id, (calls, nanoseconds, instructions verified)."""

    programs: Mapping[int, tuple[int, int, int]]

    def since(self, before: Calls) -> Calls:
        """Those that were called meanwhile, with what that took."""
        found = {}
        for number, (count, spent, verified) in self.programs.items():
            old = before.programs.get(number, (0, 0, 0))
            if count - old[0] > _FEW:
                found[number] = count - old[0], spent - old[1], verified
        return Calls(found)

    @property
    def nanoseconds(self) -> float:
        """One call of each: of an entry and its exit the sum."""
        return sum(spent / count for count, spent, _ in self.programs.values())

    @property
    def verified(self) -> float:
        """Instructions that the verifier went through, of all of them."""
        return sum(verified for _, _, verified in self.programs.values())


def calls(pid: int) -> Calls:
    """The BPF programs that a process holds."""
    found: dict[int, tuple[int, int, int]] = {}
    for entry in os.scandir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError):
            lines = Path(entry.path).read_text().splitlines()
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            if "run_cnt" in fields:
                verified = int(fields.get("verified_insns", 0))
                found[int(fields["prog_id"])] = int(fields["run_cnt"]), int(fields["run_time_ns"]), verified
    if not found:
        raise BenchError("the tracer holds no BPF program")
    return Calls(found)
