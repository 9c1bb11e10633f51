"""A kernel function's name → the tracepoints that tell of the same thing, for where it cannot be probed."""

from __future__ import annotations

import re

from lang.machine import Machine

# how layers of the kernel call what the others call otherwise
_LAYERS = {"sys", "vfs", "x64", "arm64", "ksys", "se", "do", "kernel", "internal", "file", "iter"}
_SAME = {"blk": "block", "bio": "block", "rq": "request", "irq": "irq", "skb": "skb", "mm": "mm"}
# what the kernel itself puts beside a function that has another name
_BESIDE = {
    "finish_task_switch": "sched:sched_switch", "schedule": "sched:sched_switch",
    "__schedule": "sched:sched_switch", "ttwu_do_wakeup": "sched:sched_wakeup",
    "wake_up_new_task": "sched:sched_wakeup_new", "do_exit": "sched:sched_process_exit",
    "tcp_set_state": "sock:inet_sock_set_state", "tcp_v4_connect": "sock:inet_sock_set_state",
    "tcp_v6_connect": "sock:inet_sock_set_state", "inet_csk_accept": "sock:inet_sock_set_state",
    "tcp_drop": "skb:kfree_skb", "oom_kill_process": "oom:mark_victim",
    "try_to_free_pages": "vmscan:mm_vmscan_direct_reclaim_begin",
    "add_to_page_cache_lru": "filemap:mm_filemap_add_to_page_cache",
    "filemap_add_folio": "filemap:mm_filemap_add_to_page_cache",
}  # fmt: skip
_MOST = 3


def nearest_tracepoints(machine: Machine, function: str, at_return: bool = False) -> tuple[str, ...]:
    """A hint, or nothing where no tracepoint is near.

    The system call of the same name comes first; others must share at least half of the function's words.
    """
    words = [word for word in re.split(r"[_*.]+", function) if word]
    plain = [word for word in words if word not in _LAYERS] or words[-1:]
    if not plain:
        return ()
    call = machine.tracepoints("syscalls", f"sys_{'exit' if at_return else 'enter'}_{'_'.join(plain)}")
    known = _BESIDE.get(function, "").partition(":")
    beside = machine.tracepoints(known[0], known[2]) if known[0] else ()
    found = [f"{category}:{name}" for category, name in (*beside, *call)]
    wanted = {_SAME.get(word, word) for word in plain}
    ranked = []
    for category, name in machine.tracepoints("*", "*"):
        own = {_SAME.get(word, word) for word in name.split("_")} | {_SAME.get(category, category)}
        shared = len(wanted & own)
        if category != "syscalls" and shared > 1 and 2 * shared >= len(wanted):
            ranked.append((-shared, len(own), f"{category}:{name}"))
    found += [name for _, _, name in sorted(ranked) if not beside]
    if not found and len(wanted) == 1:
        found = [f"{category}:{name}" for category, name in machine.tracepoints("*", plain[0])]
    return ("try " + " or ".join(f"tracepoint:{name}" for name in found[:_MOST]),) if found else ()
