"""Constructs of the language → the mechanism that serves each on the running kernel, proven by attaching it.

Runs inside a guest, and on this machine: `python3 constructs.py COMMAND… >>FILE`, where COMMAND starts ebt. A
line of JSON for each construct: what `ebt explain` says was chosen, and whether `ebt --dry-run` attached it.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_EXT4 = "ext4_file_read_iter(struct kiocb *iocb, struct iov_iter *to) : ssize_t"


@dataclass(frozen=True)
class Construct:
    """`shows` is where explain's answer has the mechanism: among the probes, or beside them."""

    name: str
    program: str
    shows: str = "probes"


CONSTRUCTS = (
    Construct("tracepoint", "tracepoint:sched:sched_switch { @ = count(); }"),
    Construct("raw tracepoint", "rawtracepoint:sched_switch { @ = count(); }"),
    Construct("system call, entry", "syscall:openat { @[str(args.filename)] = count(); }"),
    Construct("system call, exit", "sysret:openat { @[retval] = max(duration); }"),
    Construct("system call without arguments", "syscall:sync { @ = count(); }"),
    Construct("kernel function, entry", "fentry:vfs_read { @ = sum(args.count); }"),
    Construct("kernel function, exit with arguments and duration",
              "fexit:vfs_read { @[args.count] = sum(duration); }"),
    Construct("the same, asked for as kretprobe", "kretprobe:vfs_read { @[args.count] = sum(duration); }"),
    Construct("kernel functions by pattern", "kprobe:vfs_* { @[func] = count(); }"),
    Construct("function of a module (ext4)", f"fexit:{_EXT4} {{ @ = sum(retval); }}"),
    Construct("function that compilers rename (lookup_fast)", "kprobe:lookup_fast { @ = count(); }"),
    Construct("alternatives: start of a block request",
              "fentry:__blk_account_io_start || fentry:blk_account_io_start "
              "|| tracepoint:block:block_io_start || tracepoint:block:block_rq_issue { @ = count(); }"),
    Construct("optional probe", "kprobe:no_such_function? { @ = count(); } interval:s:1 { exit(); }"),
    Construct("path of a file", "fexit:vfs_open { @[path(args.path)] = count(); }"),
    Construct("user function, entry", "uprobe:libc:malloc { @ = sum(arg0); }"),
    Construct("user function, exit", "uretprobe:libc:malloc { @ = count(); }"),
    Construct("static probe of a program", "usdt:libstdc++:libstdcxx:throw { @ = count(); }"),
    Construct("samples", "profile:hz:99 { @[kstack] = count(); }"),
    Construct("interval", "interval:s:1 { print(1); }"),
    Construct("software event", "software:page-faults:100 { @ = count(); }"),
    Construct("hardware event", "hardware:cpu-cycles:1000000 { @ = count(); }"),
    Construct("begin and end", "begin { print(1); } end { print(2); }"),
    Construct("events to user space", 'tracepoint:sched:sched_switch { printf("%d", pid); }', "events"),
    Construct("nsecs", "tracepoint:sched:sched_switch { @ = nsecs; }", "clock"),
    Construct("loop over a map",
              "begin { @a[1] = 1; } interval:s:1 { for ($kv : @a) { print($kv.0); } }", "loops"),
    Construct("loop of 10,000 rounds", "begin { for $i : 0..10000 { @ = $i; } }", "loops"),
    Construct("sum read in a probe",
              "tracepoint:sched:sched_switch { @ = count(); if (@ > 1000) { exit(); } }", "maps"),
    Construct("key of 600 bytes", "syscall:openat { @[str(args.filename, 600)] = count(); }", "maps"),
)  # fmt: skip


def mechanism(explained: dict[str, Any], shows: str) -> str:
    """What serves a construct, in a few words; empty where nothing does."""
    if shows != "probes":
        found = explained.get(shows, [])
        return found if isinstance(found, str) else "; ".join(found)
    parts = []
    for probe in explained["probes"]:
        if probe["chosen"] is None:
            parts.append("left out" if probe["optional"] else "")
            continue
        choice = probe["choices"][probe["chosen"]]
        taken = [item for item in choice["candidates"] if item["taken"]]
        kinds = list(dict.fromkeys(item["mechanism"] for item in taken))
        other = len(probe["choices"]) > 1
        parts.append(", ".join(kinds) + (f" ({choice['text']})" if other else ""))
    return "; ".join(dict.fromkeys(part for part in parts if part))


def reason(stderr: str) -> str:
    """The first message, without its place."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    first = next((line for line in lines if "error: " in line), lines[-1] if lines else "no message")
    return first.rpartition("error: ")[2]


def fare(ebt: Sequence[str], construct: Construct) -> dict[str, str | bool]:
    """One construct on this kernel."""
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*ebt, *words, "-e", construct.program], capture_output=True, text=True)

    attached = run("--dry-run")
    works = attached.returncode == 0
    entry: dict[str, str | bool] = {"construct": construct.name, "works": works, "by": "", "why": ""}
    if not works:
        return {**entry, "why": reason(attached.stderr)}
    explained = run("explain", "-f", "json")
    if explained.returncode:
        return {**entry, "why": reason(explained.stderr)}
    return {**entry, "by": mechanism(json.loads(explained.stdout), construct.shows)}


def main(ebt: Sequence[str]) -> int:
    """Tell how all constructs fare."""
    for construct in CONSTRUCTS:
        print(json.dumps(fare(ebt, construct)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
