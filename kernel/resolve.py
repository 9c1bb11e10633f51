"""What a command line names → its number on this system: a process, a user, a disk, a cgroup, a signal."""

from __future__ import annotations

import errno
import glob
import os
import pwd
import signal
import stat
from collections.abc import Callable

from kernel.functions import symbol_address
from lang.syscalls import syscall_names

_LAST_SIGNAL = 64
_MAX_PIDS = 30  # as offcputime of libbpf-tools
_MAX_DIRECTORIES = 15  # as dirtop of BCC


def resolve(kind: str, text: str) -> int | str:
    """The number of what an option of this kind names. Raises ValueError with the reason."""
    if not text or "\0" in text:
        raise ValueError(f"a {kind} is missing")
    return _READERS[kind](text)


def _pid(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 22:
        raise ValueError(f"'{text}' is no process id")
    if not os.path.isdir(f"/proc/{int(text)}"):
        raise ValueError(f"there is no process {text}")
    return int(text)


def _pids(text: str) -> str:
    """The processes or threads that commas separate, each once."""
    found = dict.fromkeys(_pid(word.strip()) for word in text.split(","))
    if len(found) > _MAX_PIDS:
        raise ValueError(f"{len(found)} processes: at most {_MAX_PIDS}")
    return ",".join(map(str, found))


def _user(text: str) -> int:
    if text.isdecimal() and int(text) < 1 << 32:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise ValueError(f"there is no user '{text}'") from None


def _disk(text: str) -> int:
    """The kernel's dev_t (12 bits of major number, 20 of minor) of a whole disk: `sda` or `/dev/sda`."""
    try:
        name = os.path.basename(os.path.realpath(text)) if "/" in text else text
        if name in (".", ".."):
            raise OSError
        with open(f"/sys/class/block/{name}/dev", encoding="ascii") as file:
            major, minor = map(int, file.read().split(":"))
    except OSError:
        raise ValueError(f"no such disk '{text}'") from None
    if os.path.exists(f"/sys/class/block/{name}/partition"):
        whole = os.path.basename(os.path.dirname(os.path.realpath(f"/sys/class/block/{name}")))
        raise ValueError(f"'{text}' is a partition: requests go to the disk {whole}")
    return major << 20 | minor


def _cgroup(text: str) -> int:
    """The id of a directory of cgroup2: its inode number."""
    try:
        found = os.stat(text)
    except OSError as problem:
        raise ValueError(f"no cgroup '{text}': {problem.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or not os.path.exists(os.path.join(text, "cgroup.procs")):
        raise ValueError(f"'{text}' is no directory of a cgroup")
    return found.st_ino


def _signal(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= _LAST_SIGNAL:
        return int(text)
    name = text.upper()
    try:
        return int(signal.Signals[name if name.startswith("SIG") else f"SIG{name}"])
    except KeyError:
        raise ValueError(f"'{text}' is no signal") from None


def _directory(text: str) -> int:
    """The inode number of a directory."""
    try:
        found = os.stat(text)
    except OSError as problem:
        raise ValueError(f"no directory '{text}': {problem.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise ValueError(f"'{text}' is no directory")
    return found.st_ino


def _directories(text: str) -> str:
    """`INODE PATH` lines of directories, which commas separate; patterns stand for all that they match."""
    found: dict[str, int] = {}
    for pattern in text.split(","):
        paths = sorted(filter(os.path.isdir, glob.glob(pattern))) if glob.has_magic(pattern) else [pattern]
        found.update((path, _directory(path)) for path in paths)
    if not found:
        raise ValueError(f"'{text}' matches no directory")
    if len(found) > _MAX_DIRECTORIES:
        raise ValueError(f"{len(found)} directories: at most {_MAX_DIRECTORIES}")
    return "\n".join(f"{inode} {path}" for path, inode in found.items())


def _filesystem(text: str) -> str:
    """The type of a file system that is mounted: `nfs` for all its versions, `fuse` for all its kinds."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        kinds = {line.split(" ")[2] for line in file}
    plain = {"nfs" if kind == "nfs4" else kind.partition(".")[0] for kind in kinds}
    if text not in plain:
        raise ValueError(f"no {text} is mounted")
    return text


def _errno(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 1 << 12:
        return int(text)
    number = getattr(errno, text.upper(), None)
    if not isinstance(number, int):
        raise ValueError(f"'{text}' is no error")
    return number


def _syscall(text: str) -> int:
    names = syscall_names(os.uname().machine)
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < 1 << 16:
        return int(text)
    raise ValueError(f"'{text}' is no system call")


def _symbol(text: str) -> int:
    """The address of a kernel symbol, or one that is given in hexadecimal."""
    if text.startswith("0x"):
        try:
            return int(text, 16) & (1 << 64) - 1
        except ValueError:
            raise ValueError(f"'{text}' is no address") from None
    address = symbol_address(text)
    if not address:
        raise ValueError(f"the kernel has no symbol '{text}', or hides its address")
    return address


def _signals(text: str) -> int:
    """A bit for each of the signals that commas separate: bit 9 for SIGKILL."""
    found = 0
    for name in text.split(","):
        number = _signal(name.strip())
        if number > 62:
            raise ValueError(f"signal {number} is beyond those that a list can name")
        found |= 1 << number
    return found


_READERS: dict[str, Callable[[str], int | str]] = {
    "pid": _pid, "pids": _pids, "user": _user, "disk": _disk, "cgroup": _cgroup, "signal": _signal,
    "signals": _signals, "errno": _errno, "syscall": _syscall, "symbol": _symbol,
    "directory": _directory, "directories": _directories,
    "filesystem": _filesystem,
}  # fmt: skip
