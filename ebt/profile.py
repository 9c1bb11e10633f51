"""`ebt profile save FILE` → the running kernel in a file, to compile for it elsewhere with --kernel FILE."""

from __future__ import annotations

import os
from pathlib import Path

from ebt.messages import WRONG, tell
from ebt.options import UsageError
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from kernel.record import record
from kernel.tracefs import find_tracefs

USAGE = "ebt profile save FILE"


def profile(words: list[str], btf: str) -> int:
    """Record this kernel. Raises UsageError, and BtfError where its BTF is damaged."""
    if len(words) != 2 or words[0] != "save":
        raise UsageError(f"usage: {USAGE}")
    path = Path(words[1])
    root = os.geteuid() == 0
    if root:
        private_tracefs()
    machine = LiveMachine(Path(btf)) if btf else LiveMachine()
    if not root:
        tell("ebt: warning: not root: what this kernel refuses is not known, and taken to work")
    if find_tracefs() is None:
        tell("ebt: warning: tracefs cannot be read: the profile has no tracepoints but those of system calls")
    if machine.types.core is None:
        tell("ebt: warning: this kernel has no BTF: the profile has no types; --btf FILE gives them")
    try:
        record(machine, path, tried=root)
    except OSError as problem:
        tell(f"ebt: error: cannot write '{path}': {problem.strerror}")
        return WRONG
    if path.is_file():
        print(f"{path}: {machine.title}, {path.stat().st_size:,} bytes")
    return 0
