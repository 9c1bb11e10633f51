"""What the lab's tests trace: file systems on scratch disks, loop and md devices, NFS to itself.

    with mounted("xfs") as folder: …            ext4, xfs, btrfs, f2fs on a scratch disk; nfs by loopback TCP
    with loop_device() as device: …             a block device of its own: /dev/loopN
    with mirror() as device: …                  md, RAID 1 over two loop devices
    rows = tool_rows(ebt, "opensnoop", "-p", "42", command="cat /etc/hosts")

Each is gone at the end of its block. A kernel without the module is told by Missing, with its name.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.conftest import Ebt

RAW_DISK = os.environ.get("EBT_LAB_DISK", "")  # never mounted: raw reads and writes of block tools
DISKS = os.environ.get("EBT_LAB_DISKS", "").split()  # for file systems, one each
_MAKE: Mapping[str, Sequence[str]] = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"),
    # what the oldest kernel of the lab knows
    "xfs": ("mkfs.xfs", "-q", "-f", "-K", "-m", "bigtime=0,inobtcount=0,reflink=0"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-K"),
    "f2fs": ("mkfs.f2fs", "-q", "-f"),
}
_UNMOUNT_LAZILY = 2
_made: set[tuple[str, str]] = set()


class Missing(Exception):
    """This kernel cannot do it: which module is missing."""


def run(*words: str | Path) -> str:
    """A command's output; its own words where it fails."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
    return done.stdout


def load_module(name: str) -> None:
    """Load a module of this kernel. Raises Missing."""
    found = shutil.which("modprobe", path="/usr/sbin:/sbin") or "modprobe"
    if subprocess.run([found, name], capture_output=True).returncode != 0:
        raise Missing(f"this kernel has no module {name}")


@contextmanager
def mounted(kind: str, device: str = "") -> Iterator[Path]:
    """A file system of this kind, empty, on its own scratch disk or the given device."""
    with ExitStack() as stack:
        if kind == "nfs":
            yield stack.enter_context(_nfs())
            return
        load_module(kind)
        device = device or DISKS[list(_MAKE).index(kind)]
        run(*_MAKE[kind], device)
        yield stack.enter_context(_mount(device, kind, Path(f"/run/ebt-lab/{kind}")))


@contextmanager
def _mount(source: str, kind: str, folder: Path, data: str = "", flags: int = 0) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    words = [source.encode(), os.fsencode(folder), kind.encode(), ctypes.c_ulong(flags), data.encode()]
    if libc.mount(*words) != 0:
        raise AssertionError(f"mount of {kind} on {folder}: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        if libc.umount2(os.fsencode(folder), 0) != 0:
            libc.umount2(os.fsencode(folder), _UNMOUNT_LAZILY)


# ---- Block devices

_LOOP_SET_FD, _LOOP_CLR_FD, _LOOP_CTL_GET_FREE = 0x4C00, 0x4C01, 0x4C82


@contextmanager
def loop_device(size: int = 64 << 20) -> Iterator[str]:
    """A block device of `size` bytes, backed by memory."""
    if not os.path.exists("/dev/loop-control"):
        load_module("loop")
    with ExitStack() as stack:
        backing = os.memfd_create("ebt-lab")
        stack.callback(os.close, backing)
        os.truncate(backing, size)
        control = os.open("/dev/loop-control", os.O_RDWR)
        stack.callback(os.close, control)
        name = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
        device = os.open(name, os.O_RDWR)
        stack.callback(os.close, device)
        fcntl.ioctl(device, _LOOP_SET_FD, backing)
        stack.callback(fcntl.ioctl, device, _LOOP_CLR_FD)
        yield name


_MD_MAJOR = 9
_SET_ARRAY_INFO, _ADD_NEW_DISK, _RUN_ARRAY, _STOP_ARRAY = 0x40480923, 0x40140921, 0x400C0930, 0x932
_ACTIVE_AND_IN_SYNC = 0b110


@contextmanager
def mirror() -> Iterator[str]:
    """An md device, RAID 1 over two loop devices, without anything written on them."""
    load_module("raid1")
    name, size = "/dev/md77", 32 << 20
    if not os.path.exists(name):
        os.mknod(name, 0o600 | 0o060000, os.makedev(_MD_MAJOR, 77))
    with loop_device(size) as one, loop_device(size) as two:
        array = os.open(name, os.O_RDWR)
        try:
            # mdu_array_info_t without a version: no superblock. size is in KiB
            info = [0, 0, 0, 0, 1, size >> 10, 2, 2, 77, 1, 0, 1, 2, 2, 0, 0, 0, 0]
            fcntl.ioctl(array, _SET_ARRAY_INFO, struct.pack("18i", *info))
            for number, disk in enumerate((one, two)):
                device = os.stat(disk).st_rdev
                place = number, os.major(device), os.minor(device), number, _ACTIVE_AND_IN_SYNC
                fcntl.ioctl(array, _ADD_NEW_DISK, struct.pack("5i", *place))
            fcntl.ioctl(array, _RUN_ARRAY, bytes(12))
            try:
                yield name
            finally:
                fcntl.ioctl(array, _STOP_ARRAY, 0)
        finally:
            os.close(array)


# ---- NFS, served and mounted by this kernel

_FOREVER, _DOMAIN = 2147483647, "lab"
# include/uapi/linux/nfsd/export.h: ports above 1024 may ask, no check of subtrees, handles by the fsid
_EXPORT_FLAGS = 0x2 | 0x400 | 0x2000


@contextmanager
def _nfs() -> Iterator[Path]:
    """NFS 4 over loopback TCP. exportfs and mountd would tell the kernel the same four lines."""
    load_module("nfsd")
    load_module("nfsv4")
    shared = Path("/run/ebt-lab/nfs-shared")
    control = Path("/proc/fs/nfsd")
    with ExitStack() as stack:
        # NFS exports no overlay and no plain tmpfs of another file system: a disk's
        stack.enter_context(_ext4_share(shared))
        if not (control / "threads").exists():
            stack.enter_context(_mount("nfsd", "nfsd", control))
        caches = Path("/proc/net/rpc")
        _say(caches / "auth.unix.ip/channel", f"nfsd 127.0.0.1 {_FOREVER} {_DOMAIN}")
        _say(caches / "auth.unix.ip/channel", f"nfsd ::ffff:127.0.0.1 {_FOREVER} {_DOMAIN}")
        export = f"{_DOMAIN} {shared} {_FOREVER} {_EXPORT_FLAGS} 65534 65534 0"
        _say(caches / "nfsd.export/channel", export)
        _say(caches / "nfsd.fh/channel", f"{_DOMAIN} 1 \\x00000000 {_FOREVER} {shared}")
        Path("/var/lib/nfs/v4recovery").mkdir(parents=True, exist_ok=True)
        for name in ("nfsv4gracetime", "nfsv4leasetime"):
            _say(control / name, "10")
        with suppress(OSError):
            _say(control / "versions", "-2 -3 +4 +4.1 +4.2")
        _listen(control)
        _say(control / "threads", "2")
        stack.callback(_say, control / "threads", "0")
        # there is no client from before; 7.2 may be busy with that still, and ends its grace time by itself
        with suppress(OSError):
            _say(control / "v4_end_grace", "Y")
        data = "vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1,soft,timeo=50"
        yield stack.enter_context(_mount("127.0.0.1:/", "nfs4", Path("/run/ebt-lab/nfs"), data))


@contextmanager
def _ext4_share(folder: Path) -> Iterator[Path]:
    with loop_device() as device, mounted_at(device, folder):
        yield folder


@contextmanager
def mounted_at(device: str, folder: Path, kind: str = "ext4") -> Iterator[Path]:
    """A new file system of this kind on the device, mounted there."""
    load_module(kind)
    run(*_MAKE[kind], device)
    with _mount(device, kind, folder) as place:
        yield place


def _listen(control: Path) -> None:
    """A socket of our own for the server: it asks no portmapper then."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 2049))
        server.listen(8)
        _say(control / "portlist", str(server.fileno()))


def _say(file: Path, text: str) -> None:
    with open(file, "w", buffering=1) as stream:
        stream.write(text + "\n")


# ---- Tools


def tool_rows(
    ebt: Ebt, name: str, *options: str | Path, command: str = "", timeout: float = 60
) -> list[dict[str, Any]]:
    """The rows that a tool emits (tables' rows too), as objects, while the command runs."""
    words = ["-c", command] if command else []
    result = ebt("-q", "-f", "json", *words, name, *options, timeout=timeout)
    assert (result.rc, result.stderr) == (0, ""), result
    rows: list[dict[str, Any]] = []
    for line in result.stdout.splitlines():
        if not line.startswith("{"):
            continue  # what the command itself says
        item = json.loads(line)
        if item["type"] == "row":
            rows.append(item["data"])
        elif item["type"] == "table":
            rows += [row for part in item["data"].values() for row in part]
    return rows
