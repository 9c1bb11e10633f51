"""Unpacked kernel, job → the bytes of an initramfs: busybox, the modules that the root needs, init, the job.

Made anew for each boot, in well under a second: there is nothing to go stale.
"""

import lzma
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labkit.host import LabError

# In the order to load them; a kernel has some of them built in, and not each has all.
MODULES = (
    "virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_console",
    "virtio_blk", "netfs", "fscache", "9pnet", "9pnet_virtio", "9p", "overlay",
)
_INIT = Path(__file__).with_name("init.sh")


@dataclass(frozen=True)
class Job:
    """What to run in the guest, and how its output leaves."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    # Standard error goes the way of standard output, so that their order is kept.
    merge: bool = False
    # Rows and columns of the user's terminal; the command then runs on a terminal of its own.
    terminal: tuple[int, int] | None = None


def module_files(directory: Path) -> dict[str, bytes]:
    """Read those of MODULES that a kernel has, by name, in loading order."""
    present = {path.name.split(".ko")[0].replace("-", "_"): path for path in directory.rglob("*.ko*")}
    return {name: module_bytes(present[name]) for name in MODULES if name in present}


def module_bytes(path: Path) -> bytes:
    """Read a module, decompressed: not each busybox can."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".ko":
        return path.read_bytes()
    raise LabError(f"cannot read module '{path.name}': unknown compression")


def config(kernel: str, release: str, modules: Sequence[str], job: Job, mark: str) -> str:
    """Write the variables that init.sh reads."""
    rows, columns = job.terminal or (0, 0)
    values = {
        "KERNEL": kernel,
        "RELEASE": release,
        "MODULES": " ".join(modules),
        "MARK": mark,
        "MERGE": "1" if job.merge else "",
        "TERMINAL": "1" if job.terminal else "",
        "ROWS": str(rows),
        "COLUMNS": str(columns),
    }
    return "".join(f"LAB_{name}={shlex.quote(value)}\n" for name, value in values.items())


def job_script(job: Job) -> str:
    """Write the shell script that becomes the command."""
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in job.env.items())
    return f"{exports}cd {shlex.quote(str(job.cwd))} || exit 126\nexec {shlex.join(job.argv)}\n"


def initramfs(busybox: Path, modules: Mapping[str, bytes], config_text: str, job_text: str) -> bytes:
    """Pack everything that a boot needs before it has a root."""
    files = {
        "bin/busybox": busybox.read_bytes(),
        "init": _INIT.read_bytes(),
        "lab/config": config_text.encode(),
        "lab/job": job_text.encode(),
        **{f"lab/modules/{name}.ko": data for name, data in modules.items()},
    }
    return cpio(["bin", "lab", "lab/modules"], files)


def cpio(directories: Sequence[str], files: Mapping[str, bytes]) -> bytes:
    """Write an archive of the form that the kernel unpacks ("newc")."""
    entries = [(name, 0o040755, b"") for name in directories]
    entries += [(name, 0o100755, data) for name, data in files.items()]
    entries.append(("TRAILER!!!", 0, b""))
    archive = bytearray()
    for inode, (name, mode, data) in enumerate(entries, 1):
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name.encode()) + 1, 0)
        archive += b"070701" + b"".join(b"%08x" % value for value in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4)
        archive += data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
