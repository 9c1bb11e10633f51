"""Raw numbers → text in a unit, names of disks, names of the bits in a set of flags."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

UNITS = {"us": 1_000, "ms": 1_000_000, "sec": 1_000_000_000, "kb": 1024, "percent": 10_000}

# include/uapi/linux/mount.h, mman-common.h, sched.h, fcntl.h
_MOUNT = {
    1: "MS_RDONLY", 2: "MS_NOSUID", 4: "MS_NODEV", 8: "MS_NOEXEC", 16: "MS_SYNCHRONOUS", 32: "MS_REMOUNT",
    64: "MS_MANDLOCK", 128: "MS_DIRSYNC", 256: "MS_NOSYMFOLLOW", 1 << 10: "MS_NOATIME",
    1 << 11: "MS_NODIRATIME", 1 << 12: "MS_BIND", 1 << 13: "MS_MOVE", 1 << 14: "MS_REC", 1 << 15: "MS_SILENT",
    1 << 16: "MS_POSIXACL", 1 << 17: "MS_UNBINDABLE", 1 << 18: "MS_PRIVATE", 1 << 19: "MS_SLAVE",
    1 << 20: "MS_SHARED", 1 << 21: "MS_RELATIME", 1 << 22: "MS_KERNMOUNT", 1 << 23: "MS_I_VERSION",
    1 << 24: "MS_STRICTATIME", 1 << 25: "MS_LAZYTIME",
}  # fmt: skip
_MOUNT_ATTRIBUTES = {
    1: "MOUNT_ATTR_RDONLY", 2: "MOUNT_ATTR_NOSUID", 4: "MOUNT_ATTR_NODEV", 8: "MOUNT_ATTR_NOEXEC",
    0x10: "MOUNT_ATTR_NOATIME", 0x20: "MOUNT_ATTR_STRICTATIME", 0x80: "MOUNT_ATTR_NODIRATIME",
    0x100000: "MOUNT_ATTR_IDMAP", 0x200000: "MOUNT_ATTR_NOSYMFOLLOW",
}  # fmt: skip
_MOVE_MOUNT = {
    1: "MOVE_MOUNT_F_SYMLINKS", 2: "MOVE_MOUNT_F_AUTOMOUNTS", 4: "MOVE_MOUNT_F_EMPTY_PATH",
    0x10: "MOVE_MOUNT_T_SYMLINKS", 0x20: "MOVE_MOUNT_T_AUTOMOUNTS", 0x40: "MOVE_MOUNT_T_EMPTY_PATH",
    0x100: "MOVE_MOUNT_SET_GROUP", 0x200: "MOVE_MOUNT_BENEATH",
}  # fmt: skip
_CLONE = {
    1 << 8: "CLONE_VM", 1 << 9: "CLONE_FS", 1 << 10: "CLONE_FILES", 1 << 11: "CLONE_SIGHAND",
    1 << 12: "CLONE_PIDFD", 1 << 13: "CLONE_PTRACE", 1 << 14: "CLONE_VFORK", 1 << 15: "CLONE_PARENT",
    1 << 16: "CLONE_THREAD", 1 << 17: "CLONE_NEWNS", 1 << 18: "CLONE_SYSVSEM", 1 << 19: "CLONE_SETTLS",
    1 << 20: "CLONE_PARENT_SETTID", 1 << 21: "CLONE_CHILD_CLEARTID", 1 << 23: "CLONE_UNTRACED",
    1 << 24: "CLONE_CHILD_SETTID", 1 << 25: "CLONE_NEWCGROUP", 1 << 26: "CLONE_NEWUTS",
    1 << 27: "CLONE_NEWIPC", 1 << 28: "CLONE_NEWUSER", 1 << 29: "CLONE_NEWPID", 1 << 30: "CLONE_NEWNET",
}  # fmt: skip
_MMAP = {
    1: "MAP_SHARED", 2: "MAP_PRIVATE", 0x10: "MAP_FIXED", 0x20: "MAP_ANONYMOUS", 0x100: "MAP_GROWSDOWN",
    0x800: "MAP_DENYWRITE", 0x1000: "MAP_EXECUTABLE", 0x2000: "MAP_LOCKED", 0x4000: "MAP_NORESERVE",
    0x8000: "MAP_POPULATE", 0x10000: "MAP_NONBLOCK", 0x20000: "MAP_STACK", 0x40000: "MAP_HUGETLB",
    0x80000: "MAP_SYNC", 0x100000: "MAP_FIXED_NOREPLACE",
}  # fmt: skip
_OPEN_NAMES = (
    "WRONLY", "RDWR", "CREAT", "EXCL", "NOCTTY", "TRUNC", "APPEND", "NONBLOCK", "ASYNC", "DIRECT",
    "DIRECTORY", "NOFOLLOW", "NOATIME", "CLOEXEC", "PATH", "TMPFILE", "SYNC", "DSYNC",
)  # fmt: skip
_OPEN = {getattr(os, f"O_{name}"): f"O_{name}" for name in _OPEN_NAMES if hasattr(os, f"O_{name}")}
# include/linux/gfp_types.h: these bits are the same from 5.10 on; the sums first, as the kernel prints them
_GFP = {
    0x1C24CA: "GFP_TRANSHUGE", 0x1C20CA: "GFP_TRANSHUGE_LIGHT", 0x100CCA: "GFP_HIGHUSER_MOVABLE",
    0x100CC2: "GFP_HIGHUSER", 0x100CC0: "GFP_USER", 0x400CC0: "GFP_KERNEL_ACCOUNT", 0xCC0: "GFP_KERNEL",
    0xC40: "GFP_NOFS", 0x820: "GFP_ATOMIC", 0xC00: "GFP_NOIO", 0x800: "GFP_NOWAIT", 0x1: "GFP_DMA",
    0x4: "GFP_DMA32",
    **{
        1 << bit: f"__GFP_{name}"
        for bit, name in {
            1: "HIGHMEM", 3: "MOVABLE", 4: "RECLAIMABLE", 5: "HIGH", 6: "IO", 7: "FS", 8: "ZERO",
            9: "ATOMIC", 10: "DIRECT_RECLAIM", 11: "KSWAPD_RECLAIM", 12: "WRITE", 13: "NOWARN",
            14: "RETRY_MAYFAIL", 15: "NOFAIL", 16: "NORETRY", 17: "MEMALLOC", 18: "COMP", 19: "NOMEMALLOC",
            20: "HARDWALL", 21: "THISNODE", 22: "ACCOUNT",
        }.items()
    },
}  # fmt: skip
# the 14th byte of a segment's header
_TCP = {1: "FIN", 2: "SYN", 4: "RST", 8: "PSH", 0x10: "ACK", 0x20: "URG", 0x40: "ECE", 0x80: "CWR"}
_SETS: dict[str, tuple[dict[int, str], str]] = {
    "open": (_OPEN, "O_RDONLY"),
    "mount": (_MOUNT, "0x0"),
    "fsopen": ({1: "FSOPEN_CLOEXEC"}, "0x0"),
    "fsmount": ({1: "FSMOUNT_CLOEXEC"}, "0x0"),
    "mountattr": (_MOUNT_ATTRIBUTES, "0x0"),
    "movemount": (_MOVE_MOUNT, "0x0"),
    "umount": ({1: "MNT_FORCE", 2: "MNT_DETACH", 4: "MNT_EXPIRE", 8: "UMOUNT_NOFOLLOW"}, "0x0"),
    "mmap": (_MMAP, "0x0"),
    "prot": ({1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC", 8: "PROT_SEM"}, "PROT_NONE"),
    "clone": (_CLONE, "0x0"),
    "access": ({4: "R_OK", 2: "W_OK", 1: "X_OK"}, "F_OK"),
    "tcp": (_TCP, "0x0"),
}
# include/linux/blk_types.h: the operation in the low 8 bits, enum req_flag_bits above
_REQUEST_OPS = {0: "Read", 1: "Write", 2: "Flush", 3: "Discard", 5: "SecureErase", 9: "WriteZeros"}
_REQUEST = {
    21: "NoWait", 20: "Background", 19: "ReadAhead", 18: "PreFlush", 17: "FUA", 16: "Integrity", 15: "Idle",
    14: "NoMerge", 13: "Priority", 12: "Metadata", 11: "Sync",
}  # fmt: skip
_RWBS_OPS = {0: "R", 1: "W", 2: "F", 3: "D", 5: "DE", 9: "WZ"}
_RWBS = {17: "F", 19: "A", 11: "S", 12: "M"}


def request_flags(flags: int) -> str:
    """A block request's `cmd_flags` as biolatency writes them: `Sync-Write`, `ReadAhead-Read`."""
    operation = flags & 0xFF
    names = [name for bit, name in _REQUEST.items() if flags >> bit & 1]
    return "-".join([*names, _REQUEST_OPS.get(operation, f"Operation{operation}")])


def request_letters(flags: int) -> str:
    """A block request's `cmd_flags` as the kernel's blk_fill_rwbs() writes them: `R`, `WS`, `FWFS`."""
    letters = [letter for bit, letter in _RWBS.items() if flags >> bit & 1]
    return "F" * (flags >> 18 & 1) + _RWBS_OPS.get(flags & 0xFF, "N") + "".join(letters)


def gfp_flags(flags: int) -> str:
    """An allocation's flags as the kernel's own trace output names them: `GFP_KERNEL|__GFP_ZERO`."""
    left, found = flags & (1 << 64) - 1, []
    for bits, text in _GFP.items():
        if left & bits == bits:
            left &= ~bits
            found.append(text)
    return "|".join([*found, *([f"0x{left:x}"] if left else [])]) or "none"


_SPELLED = {"gfp": gfp_flags, "request": request_flags, "rwbs": request_letters}


def flag_names(name: str) -> Callable[[int], str]:
    """Number → the names of its bits; bits that have none together, in hexadecimal."""
    if name in _SPELLED:
        return _SPELLED[name]
    names, nothing = _SETS[name]
    widest_first = sorted(names.items(), key=lambda item: (-item[0].bit_count(), item[0]))

    def show(value: int) -> str:
        left, found = value & (1 << 64) - 1, []
        for bits, text in widest_first:
            if left & bits == bits:
                left &= ~bits
                found.append((bits, text))
        if name == "open" and not value & 3:
            found.append((0, nothing))
        found.sort()
        texts = [text for _, text in found] + ([f"0x{left:x}"] if left else [])
        return "|".join(texts) or nothing

    return show


def unit_text(name: str, digits: int) -> Callable[[int], str]:
    """Number → text in the unit: cut without digits, as integers are, else rounded."""
    unit = UNITS[name]
    if name == "percent":
        return lambda value: f"{value / unit:.{digits}f}%"
    if not digits:
        return lambda value: str(value // unit if value >= 0 else -(-value // unit))
    return lambda value: f"{value / unit:.{digits}f}"


def unit_json(name: str) -> Callable[[int], str]:
    """The same in JSON: a number in the unit, not rounded."""
    unit = UNITS[name]
    return lambda value: str(value // unit) if value % unit == 0 else repr(value / unit)


def octal(digits: int) -> Callable[[int], str]:
    """Number → octal digits; a number below 0 stands for none."""
    return lambda value: f"{value:0{digits}o}" if value >= 0 else "n/a"


def meminfo(name: str) -> str:
    """A line of /proc/meminfo now, in MiB; `-` where there is no such line."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            title, _, value = line.partition(":")
            if title == name:
                return f"{int(value.split()[0]) / 1024:.0f}"
    return "-"


@lru_cache(maxsize=1024)
def diskname(device: int) -> str:
    """The disk's name by the kernel's dev_t (12 bits of major number, 20 of minor); `8:0` for no disk."""
    major, minor = device >> 20 & 0xFFF, device & 0xFFFFF
    try:
        return os.path.basename(os.readlink(f"/sys/dev/block/{major}:{minor}"))
    except OSError:
        return f"{major}:{minor}"
