"""This machine → what works, what does not, and the command that mends it."""

from __future__ import annotations

import os
from pathlib import Path

from ebt.machines import FEATURES
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from kernel.tracefs import find_tracefs

_MENDS = {
    "tracepoint": "mount -t tracefs tracefs /sys/kernel/tracing",
    "btf": "a kernel with CONFIG_DEBUG_INFO_BTF, or --btf FILE",
    "kprobe": "a kernel with CONFIG_KPROBES; tracepoints do much of the same",
    "fentry": "a kernel with BPF trampolines (5.5); kprobes do the same where there are any",
    "ringbuf": "Linux 5.8",
}


def doctor() -> int:
    """Print what was tried here; 0 if ebt can trace at all."""
    root = os.geteuid() == 0
    if root:
        private_tracefs()
    machine = LiveMachine()
    print(f"kernel      {machine.title}")
    print(
        f"privilege   {'root' if root else 'not root: tracing needs it (sudo ebt …); ebt compile does not'}"
    )
    print(f"lockdown    {_lockdown()}")
    print(f"tracefs     {find_tracefs() or 'not readable'}")
    print(f"bcc         {_bcc()}")
    works = True
    for name in FEATURES:
        support = machine.supports(name)
        works &= support.works or name not in ("tracepoint", "ringbuf", "btf")
        mend = f"; mend: {_MENDS[name]}" if not support.works and name in _MENDS else ""
        print(f"{name:<18}{'works' if support.works else 'no: ' + support.reason + mend}")
    return 0 if works and root else 1


def _lockdown() -> str:
    try:
        text = Path("/sys/kernel/security/lockdown").read_text()
    except OSError:
        return "unknown (securityfs is not mounted)"
    return text[text.find("[") + 1 : text.find("]")] if "[" in text else text.strip()


def _bcc() -> str:
    import ctypes.util  # it brings subprocess and more, and every start would pay for them

    found = ctypes.util.find_library("bcc")
    return found or "missing; mend: apt install python3-bpfcc"
