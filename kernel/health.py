"""The running system → what of it helps or hinders tracing, each with the command that mends it.

What the kernel can do is tried (kernel.features). Here are the switches and files beside that: a mechanism
that is there and turned off is attached without a complaint, and never fires.
"""

from __future__ import annotations

import os
from pathlib import Path

from kernel.btf import FUNC
from kernel.live import LiveMachine
from kernel.privilege import lockdown
from kernel.tracefs import find_tracefs
from lang.records import dataclass

_SECURITY = Path("/sys/kernel/security/lockdown")
# File, the value that hinders, what follows from it, the command that mends it.
_SWITCHES = (
    ("kprobes", "/sys/kernel/debug/kprobes/enabled", "0", "kprobes are attached, and never fire",
     "echo 1 >/sys/kernel/debug/kprobes/enabled"),
    ("ftrace", "/proc/sys/kernel/ftrace_enabled", "0", "fentry, and kprobes on the start of a function, fail",
     "sysctl kernel.ftrace_enabled=1"),
    ("jit", "/proc/sys/net/core/bpf_jit_enable", "0", "programs are interpreted, slowly; fentry needs it",
     "sysctl net.core.bpf_jit_enable=1"),
    ("symbols", "/proc/sys/kernel/kptr_restrict", "2", "addresses are hidden: no kaddr(), no names in stacks",
     "sysctl kernel.kptr_restrict=1"),
)  # fmt: skip
# Distribution, as /etc/os-release has it → what installs BCC's library.
_INSTALL = {
    "debian": "apt install python3-bpfcc", "fedora": "dnf install python3-bcc",
    "suse": "zypper install python3-bcc", "arch": "pacman -S python-bcc", "alpine": "apk add py3-bcc",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing about this system; `mend` is a command, empty where nothing is wrong or nothing helps."""

    name: str
    good: bool
    text: str
    mend: str = ""


def findings(machine: LiveMachine) -> list[Finding]:
    """All that is known of the system beside what the kernel can do. Raises BtfError for damaged BTF."""
    return [_privilege(), _lockdown(), _tracefs(), _btf(machine), _functions(machine), *_switched_off()]


def _privilege() -> Finding:
    if os.geteuid() == 0:
        return Finding("privilege", True, "root")
    return Finding("privilege", False, "not root, which tracing needs; ebt compile does not", "sudo ebt …")


def _lockdown() -> Finding:
    found = lockdown()
    if found == "confidentiality":
        what = "confidentiality: no program may read the kernel's memory"
        return Finding("lockdown", False, what, "boot without lockdown=confidentiality")
    if found or _SECURITY.exists():
        return Finding("lockdown", True, f"{found}: hinders no tracing" if found else "none")
    return Finding("lockdown", True, "unknown: securityfs is not mounted")


def _tracefs() -> Finding:
    found = find_tracefs()
    if found is None:
        mend = "sudo mount -t tracefs tracefs /sys/kernel/tracing"
        return Finding("tracefs", False, "cannot be read", mend)
    alone = not os.access(f"/proc/1/root{found}/events", os.R_OK)
    return Finding("tracefs", True, f"{found}" + (", mounted for ebt alone" if alone else ""))


def _btf(machine: LiveMachine) -> Finding:
    core = machine.types.core
    if core is None:
        return Finding("btf", False, "none (CONFIG_DEBUG_INFO_BTF)", "ebt --btf FILE, of this very kernel")
    text = f"{core.end - 1:,} types"
    modules = len(machine.types.module_names())
    loaded = len(_lines("/proc/modules"))
    if modules:
        text += f", and those of {modules} modules"
    elif loaded:
        text += "; its modules have none, so a script gives their functions' prototypes"
    return Finding("btf", True, text)


def _functions(machine: LiveMachine) -> Finding:
    count = sum(map(len, machine.function_names.modules().values()))
    core = machine.types.core
    typed = len(set(core.names_of(FUNC))) if core is not None else 0
    if not count:
        return Finding("functions", False, "no list of them can be read")
    return Finding("functions", True, f"{count:,} can be named, {typed:,} have a prototype in the core")


def _switched_off() -> list[Finding]:
    found = []
    for name, path, value, meaning, mend in _SWITCHES:
        if _lines(path)[:1] == [value]:
            found.append(Finding(name, False, meaning, mend))
    return found


def how_to_install_bcc() -> str:
    """The command of this distribution."""
    words = [
        word
        for line in _lines("/etc/os-release")
        if line.startswith(("ID=", "ID_LIKE="))
        for word in line.partition("=")[2].strip('"').split()
    ]
    return next((_INSTALL[word] for word in words if word in _INSTALL), _INSTALL["debian"])


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
