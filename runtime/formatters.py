"""Raw numbers and bytes → text that needs user space: names of users, signals, errors, times, cgroups."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lang.diagnostics import CompilerBug
from lang.syscalls import syscall_names
from runtime.decode import Cache
from runtime.units import UNITS, diskname, flag_names, meminfo, octal, unit_text

_TAI = 11  # CLOCK_TAI
_CLOCKS = {"boot": time.CLOCK_BOOTTIME, "monotonic": time.CLOCK_MONOTONIC, "tai": _TAI, "sw_tai": _TAI}
_AT_FDCWD = -100  # include/uapi/linux/fcntl.h
_LAST_SIGNAL = 64
_MASK64 = (1 << 64) - 1
_SECOND = 1_000_000_000
_PARTS = re.compile(r"%(.)", re.DOTALL)
_FRACTIONS = {"f": (6, 1_000), "k": (9, 1), "l": (3, 1_000_000)}


def clock_offset(clock: str, other: str) -> int:
    """Nanoseconds that one clock is ahead of another now."""
    return time.clock_gettime_ns(_CLOCKS[clock]) - time.clock_gettime_ns(_CLOCKS[other])


@lru_cache(maxsize=8)
def _wall_offset(clock: str) -> int:
    """Nanoseconds to add to this clock for the time of day; taken once, so that times keep their order."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(_CLOCKS[clock])


def strftime(format: str, seconds: int) -> str:
    """Local time by libc's strftime; `(?)` where it fails."""
    try:
        return time.strftime(format, time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return "(?)"


def strftime_now(format: str) -> str:
    """The time of day now."""
    return strftime(format, int(time.time()))


def timestamp(format: str, clock: str) -> Callable[[int], str]:
    """Nanoseconds of the clock → text: strftime, and `%f` `%k` `%l` for micro-, nano-, milliseconds."""
    fractions: list[str] = []

    def mark(match: re.Match[str]) -> str:
        if match[1] not in _FRACTIONS:
            return match[0]
        fractions.append(match[1])
        return f"\x01{match[1]}"

    pattern = _PARTS.sub(mark, format)
    seconds = Cache(lambda second: strftime(pattern, second), 1 << 10)

    def show(nanoseconds: int) -> str:
        second, rest = divmod(nanoseconds + _wall_offset(clock), _SECOND)
        text = seconds[second]
        for letter in fractions:
            digits, unit = _FRACTIONS[letter]
            text = text.replace(f"\x01{letter}", f"{rest // unit:0{digits}}")
        return text

    return show


def formatter(name: str, arguments: tuple[str, ...]) -> Callable[[Any], str]:
    """The function of a `Formatted` type. Raises CompilerBug for a name that no formatter has."""
    if name == "cgroup_path":
        pattern = arguments[0] if arguments else ""
        paths = Cache(lambda id: cgroup_path(id, pattern), 1 << 12)
        return lambda id: paths[id]
    if name in UNITS:
        return unit_text(name, int(arguments[0]))
    if name == "flags":
        return flag_names(arguments[0])
    if name == "oct":
        return octal(int(arguments[0]))
    if name == "meminfo":
        return lambda _: meminfo(arguments[0])
    if name not in _FORMATTERS:
        raise CompilerBug(f"no formatter is called {name!r}")
    return _FORMATTERS[name]


@lru_cache(maxsize=1024)
def username(uid: int) -> str:
    """The user's name; empty if there is none."""
    import pwd

    try:
        return pwd.getpwuid(uid & 0xFFFFFFFF).pw_name
    except (KeyError, OverflowError):
        return ""


def process_name(pid: int) -> str:
    """The name of a process as it is now; empty if it has ended."""
    try:
        with open(f"/proc/{pid & 0xFFFFFFFF}/comm", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def mac(raw: bytes) -> str:
    """A hardware address, in capitals."""
    return ":".join(f"{byte:02X}" for byte in raw[:6])


def errname(number: int) -> str:
    """`ENOENT` for 2 or -2; the number where no error has it."""
    return errno.errorcode.get(abs(number), str(number)) if number else "0"


def signame(number: int) -> str:
    """`SIGTERM` for 15; the number where no signal has it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def result(number: int) -> str:
    """`-ENOENT` for -2; a number that is no error as it is."""
    return f"-{errname(number)}" if number < 0 else str(number)


def dirfd(number: int) -> str:
    """`AT_FDCWD`, or the number of a descriptor."""
    number = number & 0xFFFFFFFF
    number -= (number & 1 << 31) << 1
    return "AT_FDCWD" if number == _AT_FDCWD else str(number)


def exitstatus(status: int) -> str:
    """How a process ended, by its exit_code: `0`, `code 3`, `signal 9 (SIGKILL)`, `…, core dumped`."""
    number = status & 0x7F
    if not number:
        code = status >> 8 & 0xFF
        return f"code {code}" if code else "0"
    return f"signal {number} ({signame(number)})" + (", core dumped" if status & 0x80 else "")


# include/uapi/linux/capability.h, in order
_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
    "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()


def capname(number: int) -> str:
    """`CAP_SYS_ADMIN` for 21; the number where no capability has it."""
    return f"CAP_{_CAPABILITIES[number]}" if 0 <= number < len(_CAPABILITIES) else str(number)


def strerror(number: int) -> str:
    """The C library's text of an error, whatever its sign."""
    number = abs(number)
    return os.strerror(number) if number == 0 or number in errno.errorcode else "Unknown error"


def signal_name(number: int) -> str:
    """The C library's text of a signal."""
    if not 0 <= number <= _LAST_SIGNAL:
        return "N/A"
    return (signal.strsignal(number) if number else None) or f"Unknown signal {number}"


def syscall_name(number: int) -> str:
    """The system call of this number on this architecture."""
    names = syscall_names(os.uname().machine)
    return (names[number] if 0 <= number < len(names) else "") or "unknown syscall"


_FORMATTERS: dict[str, Callable[[Any], str]] = {
    "username": username,
    "comm": process_name,
    "mac": mac,
    "mac_address": mac,
    "macaddr": mac,
    "errname": errname,
    "strerror": strerror,
    "signal_name": signal_name,
    "syscall_name": syscall_name,
    "signame": signame,
    "exitstatus": exitstatus,
    "capname": capname,
    "result": result,
    "dirfd": dirfd,
    "hex": lambda number: f"0x{number & _MASK64:x}",
    "diskname": diskname,
}


def cgroup_path(id: int, pattern: str = "") -> str:
    """`unified:/path` of a cgroup by its id, for each hierarchy that has one and that the pattern admits."""
    found = []
    for hierarchy, root in _hierarchies():
        if pattern and not re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), hierarchy):
            continue
        path = _find_inode(root, id)
        if path is not None:
            found.append(f"{hierarchy}:{path}")
    return ",".join(found)


@lru_cache(maxsize=1)
def _hierarchies() -> tuple[tuple[str, str], ...]:
    """(name, mount point) of the cgroup hierarchies."""
    found: dict[str, str] = {}
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                point, kind = line.split(" ")[1:3]
                if kind in ("cgroup", "cgroup2"):
                    found.setdefault("unified" if kind == "cgroup2" else os.path.basename(point), point)
    except OSError:
        return ()
    return tuple(found.items())


def _find_inode(root: str, inode: int) -> str | None:
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            if os.stat(folder).st_ino == inode:
                return folder[len(root) :] or "/"
            with os.scandir(folder) as entries:
                pending.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue  # a group that ended meanwhile
    return None
