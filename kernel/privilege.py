"""This process → what it may do: its capabilities, lockdown, and why the kernel said no."""

from __future__ import annotations

import os


def capabilities() -> int:
    """The effective capabilities as a bit set."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("CapEff:"):
                    return int(line.split()[1], 16)
    except (OSError, ValueError, IndexError):
        pass
    return 0


def lockdown() -> str:
    """`integrity`, `confidentiality`, or nothing where the kernel is not locked down (or does not say)."""
    try:
        with open("/sys/kernel/security/lockdown", encoding="ascii") as file:
            text = file.read()
    except OSError:
        return ""
    return text.partition("[")[2].partition("]")[0].replace("none", "")


def not_permitted() -> str:
    """Why bpf(2) or perf_event_open(2) answered EPERM or EACCES, as well as can be told from here."""
    if lockdown() == "confidentiality":
        return "kernel lockdown (confidentiality) forbids it"
    if os.geteuid() != 0:
        return "not permitted: it needs root, or CAP_BPF and CAP_PERFMON"
    return "not permitted, even to root: this kernel or container forbids it"
