"""The command line's wishes → the programs to compare with: bpftrace's, BCC's, as far as they are there."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchkit.bccpeer import PROGRAMS
from benchkit.run import Tracer

HERE = Path(__file__).resolve().parent
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's python3-bpfcc is for
_TREE = (
    "import os; from runtime.kerneltree import kernel_tree; print(kernel_tree(os.uname().machine))"
)
# originals that need no kprobe, and what they say once attached; a kernel's headers must be named
ORIGINALS = {
    "syscount": ("syscount-bpfcc", "Tracing"),
    "runqlat": ("runqlat-bpfcc", "Tracing"),
    "exitsnoop": ("exitsnoop-bpfcc", "PCOMM"),
    "softirqs": ("softirqs-bpfcc", "Tracing"),
}


@dataclass(frozen=True)
class Peers:
    """ebt first. `tree`: ebt's own small headers; `headers`: a kernel's, or None."""

    ebt: Tracer
    bpftraces: tuple[Tracer, ...]
    tree: str | None
    headers: Path | None

    @property
    def tracers(self) -> tuple[Tracer, ...]:
        """Those that take a one-liner."""
        return (self.ebt, *self.bpftraces)

    def bcc(self, name: str) -> tuple[Tracer, ...]:
        """The hand-written program of that name, if BCC is there."""
        if self.tree is None or name not in PROGRAMS:
            return ()
        command = (SYSTEM_PYTHON, str(HERE / "bccpeer.py"), name)
        return (Tracer("BCC by hand", command, (("BCC_KERNEL_SOURCE", self.tree),), "BCC"),)

    def original(self, name: str) -> tuple[Tracer, ...]:
        """BCC's own tool of that name with a kernel's headers, if both are there."""
        command, mark = ORIGINALS.get(name, ("", ""))
        path = shutil.which(command, path="/usr/sbin:/usr/bin") if command else None
        if path is None or self.headers is None:
            return ()
        environment = (("BCC_KERNEL_SOURCE", str(self.headers)), ("PYTHONUNBUFFERED", "1"))
        return (Tracer("BCC's tool", (SYSTEM_PYTHON, path), environment, "BCC", mark),)


def find_peers(ebt: Path, python: str, bpftrace: str | None, headers: Path | None) -> Peers:
    """Debian's bpftrace, another one where asked for, and BCC."""
    found = []
    for place in dict.fromkeys([shutil.which("bpftrace"), bpftrace]):
        if place:
            command = _in_its_root(place)
            found.append(Tracer(f"bpftrace {_version(command)}", command, family="bpftrace"))
    tree = subprocess.run([python, "-c", _TREE], capture_output=True, text=True, cwd=HERE.parents[1])
    has_bcc = subprocess.run([SYSTEM_PYTHON, "-c", "import bcc"], capture_output=True).returncode == 0
    return Peers(Tracer("ebt", (str(ebt),)), tuple(found), tree.stdout.strip() if has_bcc else None, headers)


def _in_its_root(place: str) -> tuple[str, ...]:
    """A program of another system's root (debootstrap) is started by that one's loader, on its libraries."""
    path = Path(place).absolute()
    for root in path.parents:
        loader = root / "lib64/ld-linux-x86-64.so.2"
        if root != Path("/") and loader.exists() and (root / "etc").is_dir():
            return str(loader), "--library-path", str(root / "usr/lib/x86_64-linux-gnu"), str(path)
    return (place,)


def _version(command: tuple[str, ...]) -> str:
    said = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout.strip()
    return said.removeprefix("bpftrace v") or "(unknown)"
