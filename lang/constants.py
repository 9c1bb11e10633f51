"""Names of C's headers → their numbers: what scripts take from #include lines, and BTF does not have.

The kernel's enum constants win over these. Numbers are this system's, as Python's own modules have them; the
few that no module has stand here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module

# module → the prefixes of the constants that are the kernel's interface
_MODULES = {
    "errno": r"E[A-Z0-9]+",
    "signal": r"SIG[A-Z0-9]+",
    "socket": r"(?:AF|PF|SOCK|MSG|SO|SOL|IPPROTO|SHUT|TCP|IP|IPV6|SCM)_\w+",
    "os": r"(?:O|CLONE|SCHED|MFD|EFD|TFD)_\w+|W(?:NOHANG|UNTRACED|CONTINUED|EXITED|STOPPED|NOWAIT)",
    "stat": r"S_I\w+",
    "mmap": r"(?:MAP|PROT|MADV)_\w+",
    "fcntl": r"(?:F|FD|LOCK|DN|AT)_\w+",
    "select": r"(?:POLL|EPOLL)\w+",
}
# include/linux/sched.h, include/uapi/linux/fcntl.h, include/uapi/linux/signal.h, include/linux/fs.h
_OTHERS = {
    "TASK_RUNNING": 0x0, "TASK_INTERRUPTIBLE": 0x1, "TASK_UNINTERRUPTIBLE": 0x2, "__TASK_STOPPED": 0x4,
    "__TASK_TRACED": 0x8, "EXIT_DEAD": 0x10, "EXIT_ZOMBIE": 0x20, "TASK_PARKED": 0x40, "TASK_DEAD": 0x80,
    "TASK_WAKEKILL": 0x100, "TASK_WAKING": 0x200, "TASK_NOLOAD": 0x400, "TASK_NEW": 0x800,
    "TASK_KILLABLE": 0x102, "TASK_STOPPED": 0x104, "TASK_TRACED": 0x108, "TASK_IDLE": 0x402,
    "TASK_NORMAL": 0x3, "PF_EXITING": 0x4, "PF_KTHREAD": 0x200000, "AT_FDCWD": -100, "AT_REMOVEDIR": 0x200,
    "AT_SYMLINK_NOFOLLOW": 0x100, "AT_EMPTY_PATH": 0x1000, "SIGSTKFLT": 16, "FMODE_READ": 1,
    "FMODE_WRITE": 2, "FMODE_EXEC": 0x20, "FMODE_CREATED": 0x100000, "CLONE_VM": 0x100,
    "S_IFMT": 0o170000, "CLONE_FS": 0x200, "CLONE_FILES": 0x400,
    "CLONE_SIGHAND": 0x800, "CLONE_VFORK": 0x4000, "CLONE_PARENT": 0x8000, "CLONE_THREAD": 0x10000,
    "CLONE_NEWNS": 0x20000, "CLONE_NEWUTS": 0x4000000, "CLONE_NEWIPC": 0x8000000,
    "CLONE_NEWUSER": 0x10000000, "CLONE_NEWPID": 0x20000000, "CLONE_NEWNET": 0x40000000,
}  # fmt: skip
_LOOKS_LIKE_ONE = re.compile(r"_*[A-Z][A-Z0-9_]+")


@lru_cache(maxsize=512)
def well_known(name: str) -> int | None:
    """The number of a header's constant; None for a name that is none."""
    if not _LOOKS_LIKE_ONE.fullmatch(name):
        return None
    if name in _OTHERS:
        return _OTHERS[name]
    for module, pattern in _MODULES.items():
        if re.fullmatch(pattern, name):
            value = getattr(import_module(module), name, None)
            if isinstance(value, int):
                return int(value)
    return None
