"""This machine → what works, what does not and what serves instead, and the command that mends it."""

from __future__ import annotations

import json
import os

from ebt.machines import FEATURES
from kernel.health import Finding, findings, how_to_install_bcc
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from kernel.recorded import RecordedMachine
from lang import cachefile
from lang.machine import Support

# Feature → what it is for, and what ebt does without it.
_MEANS = {
    "tracepoint": ("tracepoint: probes", ""),
    "raw_tracepoint": ("rawtracepoint: probes", "tracepoint: probes"),
    "kprobe": ("probes on kernel functions", ""),
    "fentry": ("the same by trampoline, cheaper", ""),
    "uprobe": ("probes on programs and libraries", ""),
    "perf_event": ("profile:, interval: and software: probes", ""),
    "hardware": ("hardware: counters", "profile: and software: probes"),
    "ringbuf": ("events by ring buffer", "perf buffers, one a CPU"),
    "boot_clock": ("nsecs that count time asleep", "the monotonic clock, which does not"),
    "probe_read_kernel": ("reads of kernel memory", "bpf_probe_read, for kernel and user alike"),
    "percpu_lookup": ("per-CPU sums read in a probe", "one sum that all CPUs share; not min() and max()"),
    "for_each_map_elem": ("loops over maps in a probe", ""),
    "bpf_loop": ("long loops", "loops of up to 512 rounds"),
    "kprobe_multi": ("many functions attached at once", "one after the other"),
    "uprobe_multi": ("many places of a program attached at once", "one after the other"),
    "big_keys": ("map keys of more than 512 bytes", ""),
    "btf": ("types of kernel structs", ""),
    "test_run": ("begin and end probes by test run", "uprobes on ebt itself"),
    "tai_clock": ("nsecs(tai)", "the boot clock, and the offset when ebt started"),
    "perf_link": ("programs detached by their link", "by closing the event, which takes longer"),
    "syscall_stacks": ("kstack in tracepoints of system calls", "raw_syscalls:sys_enter and kprobes have it"),
    "func_ip": ("stacks from the probed function on", "its frame, which is there before Linux 6.19"),
    "direct_loads": ("members read without a helper in fentry and fexit", "bpf_probe_read_kernel"),
    "map_batch": ("maps read in batches", "entry by entry"),
}
_NEEDED = ("tracepoint", "perf_event")


def doctor(form: str, profile: RecordedMachine | None = None) -> int:
    """Print what was found; 0 if ebt can trace here. A recorded kernel has features, and nothing else."""
    found = []
    machine: LiveMachine | RecordedMachine
    if profile is None:
        if os.geteuid() == 0:
            private_tracefs(security=True)
        machine = LiveMachine()
        found = [*findings(machine), _bcc(), _cache()]
    else:
        machine = profile
    support = {name: machine.supports(name) for name in FEATURES}
    if form == "json":
        print(json.dumps(_plain(machine.title, found, support)))
    else:
        print("\n".join(_text(machine.title, found, support)))
    lacking = {item.name for item in found if not item.good}
    return 0 if all(support[name].works for name in _NEEDED) and not lacking & {"privilege", "bcc"} else 1


def _plain(title: str, found: list[Finding], support: dict[str, Support]) -> dict[str, object]:
    return {
        "kernel": title,
        "findings": [
            {"name": item.name, "good": item.good, "text": item.text, "mend": item.mend} for item in found
        ],
        "features": {
            name: {"works": item.works, "reason": item.reason, "instead": _instead(name, support)}
            for name, item in support.items()
        },
    }


def _text(title: str, found: list[Finding], support: dict[str, Support]) -> list[str]:
    lines = [f"{'kernel':<19}{title}"]
    for item in found:
        mend = f"; mend: {item.mend}" if item.mend else ""
        lines.append(f"{item.name:<19}{'' if item.good else 'trouble: '}{item.text}{mend}")
    lines.append("")
    for name, answer in support.items():
        what = f"{name:<19}"
        if answer.works:
            lines.append(f"{what}works  {_MEANS[name][0]}")
        else:
            instead = _instead(name, support)
            lines.append(f"{what}no     {answer.reason}" + (f"; instead: {instead}" if instead else ""))
    return lines


def _instead(name: str, support: dict[str, Support]) -> str:
    """What serves in place of a feature that does not work."""
    if support[name].works:
        return ""
    if name == "kprobe_multi" and not support["kprobe"].works:
        return ""
    if name in ("kprobe", "fentry"):
        other = "fentry" if name == "kprobe" else "kprobe"
        return f"{other}, for both" if support[other].works else "tracepoints, where there is one"
    return _MEANS[name][1]


def _bcc() -> Finding:
    import ctypes.util  # it brings subprocess and more, and every start would pay for them

    found = ctypes.util.find_library("bcc")
    if found:
        return Finding("bcc", True, found)
    return Finding("bcc", False, "missing: ebt can compile to C, not trace", how_to_install_bcc())


def _cache() -> Finding:
    told: list[str] = []
    cachefile.listen(told.append)
    folder = cachefile.cache_directory()
    if folder is None:
        what = told[0] if told else "no folder can be made, so each start takes longer"
        text, _, mend = what.partition("; mend: ")
        return Finding("cache", False, text, mend or "export XDG_CACHE_HOME=DIR")
    with os.scandir(folder) as entries:
        size = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return Finding("cache", True, f"{folder}, {size / 1e6:.1f} MB")
