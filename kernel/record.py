"""A live kernel → a profile file of a megabyte or two, for compiling elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from kernel.btf import ENUM, ENUM64, FUNC, TYPEDEF, Btf
from kernel.live import LiveMachine
from kernel.privilege import not_permitted
from kernel.recorded import write_profile
from kernel.reduce import Selection, Writer

# Structs that scripts start at or cast to: all that pointers reach from them in so many hops is kept.
_HOPS = 4
_ROOTS = """
address_space backing_dev_info bio block_device cgroup cred dentry fdtable file files_struct folio fs_struct
gendisk hrtimer icmphdr inet_request_sock inet_sock inode io_kiocb iov_iter ip_tunnel iphdr ipv6hdr irq_desc
irqaction kernfs_node kiocb kmem_cache linux_binprm mm_struct mnt_namespace module mount mountpoint msghdr
net net_device nsproxy open_flags open_how page path perf_event pid pid_namespace pipe_inode_info
proc_dir_entry pt_regs qstr request request_queue request_sock rq sched_entity scsi_cmnd scsi_device
sem_array shrinker shrink_control signal_struct sk_buff slab sock sock_common sockaddr sockaddr_in
sockaddr_in6 sockaddr_un socket super_block task_struct tcp_sock tcphdr thread_info timer_list timespec64
tty_struct udp_sock udphdr unix_sock upid user_namespace user_struct uts_namespace vfsmount vm_area_struct
vm_fault wait_queue_entry work_struct workqueue_struct writeback_control xdp_buff zone
""".split()
# What the tracepoint macros make, one set for each of two thousand tracepoints: never traced by name.
_MADE = (
    "trace_event_raw_event_",
    "perf_trace_",
    "trace_raw_output_",
    "__bpf_trace_",
    "__probestub_",
    "__traceiter_",
)
_FIELD = re.compile(r"field:(.+?);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:(\d+);)?")
_TAGGED = re.compile(r"\b(struct|union|enum) (\w+)")


def record(machine: LiveMachine, path: Path, *, tried: bool = True) -> None:
    """Record the running kernel in a file. Raises OSError; BtfError if its BTF is damaged.

    `tried` is false for a process without the rights to try what the kernel can do: what it is refused
    for lack of them is taken to work.
    """
    tracepoints = _tracepoints(machine)
    sections = {"tracepoints": tracepoints.encode()}
    listed = machine.function_names.modules()
    if machine.types.core is not None:
        sections |= _types(machine, tracepoints)
    sections["functions"] = _functions(listed, sections)
    header = {
        "title": machine.title,
        "arch": machine.arch,
        "cpus": machine.cpus,
        "features": _features(machine, tried),
        "several": sorted(machine.function_names.several),
        "without_kprobes": sorted(machine.without_kprobes & set(listed.get("vmlinux", ()))),
    }
    write_profile(path, header, sections)


def _features(machine: LiveMachine, tried: bool) -> dict[str, tuple[bool, str]]:
    found = machine.features.record()
    if tried:
        return found
    return {name: (works or reason == not_permitted(), reason) for name, (works, reason) in found.items()}


def _tracepoints(machine: LiveMachine) -> str:
    """Entries parted by an empty line: `category:name`, then `declaration;offset;size;signed` lines."""
    entries = []
    for category, name in machine.tracepoints("*", "*"):
        text = machine.tracepoint_format(category, name)
        if text is not None:
            fields = [";".join(item) for item in _FIELD.findall(text) if " common_" not in item[0]]
            entries.append("\n".join([f"{category}:{name}", *fields]))
    return "\n\n".join(entries)


def _types(machine: LiveMachine, tracepoints: str) -> dict[str, bytes]:
    """The sections `btf` and `btf:MODULE`."""
    core = machine.types.core
    assert core is not None
    base = _select(machine, core)
    for kind, tag in sorted(set(_TAGGED.findall(tracepoints))):
        for number in core.find(kind, tag):
            base.add(number, 1)
    names = machine.types.module_names()
    modules = [held for held in map(machine.types.module, names) if held is not None]
    splits = [_select(machine, held) for held in modules]
    for split in splits:
        split.share_with(base)
    writer = Writer(base)
    sections = {"btf": writer.write()}
    for split in splits:
        sections[f"btf:{split.source.name}"] = Writer(split, writer).write()
    return sections


def _select(machine: LiveMachine, source: Btf) -> Selection:
    """What is kept of one blob: the roots, the prototypes of traceable functions, all type names."""
    selection = Selection(source)
    for tag in _ROOTS:
        for number in (*source.find("struct", tag), *source.find("union", tag)):
            if number >= source.first:
                selection.add(number, _HOPS)
    for kind in (TYPEDEF, ENUM, ENUM64):
        for number in source.ids(kind):
            if not source.record(number).name.startswith("btf_trace_"):
                selection.add(number, -1)
    listed = {name.partition(".")[0] for name in machine.function_names.modules().get(source.name, ())}
    for number in source.ids(FUNC):
        name = source.record(number).name
        if name in listed and not name.startswith(_MADE):
            selection.add_function(number, 0)
    for number, names in _raw_tracepoints(machine, source):
        selection.add_raw_tracepoint(number, names)
    return selection


def _raw_tracepoints(machine: LiveMachine, source: Btf) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(id of the typedef, parameter names) of a blob's raw tracepoints."""
    for typedef in source.prefixed("btf_trace_"):
        arguments = machine.raw_tracepoint(typedef.removeprefix("btf_trace_"))
        for number in source.find("type", typedef):
            if number >= source.first and arguments is not None:
                yield number, ("__data", *(item.name for item in arguments))


def _functions(listed: dict[str, list[str]], sections: dict[str, bytes]) -> bytes:
    """Module → (listed but without a prototype, with a prototype but not listed), as JSON."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    core = Btf(sections["btf"], "recorded") if "btf" in sections else None
    for module, names in listed.items():
        name = "btf" if module == "vmlinux" else f"btf:{module}"
        holder = core if name == "btf" or name not in sections else Btf(sections[name], module, core)
        known = set(holder.names_of(FUNC)) if holder is not None and name in sections else set()
        found[module] = (sorted(set(names) - known), sorted(known - set(names)))
    return json.dumps(found).encode()
