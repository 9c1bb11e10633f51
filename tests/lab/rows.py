"""The rows of the reference's tables that take kprobes, fentry, all kernel symbols, or no lockdown.

A row is a piece of a script, with FILTER for the load's name as a condition, and the lines of its maps; see
tests/kernel/rows/events.py.
"""

from __future__ import annotations

Event = tuple[str, ...]

STEPS = ("say", "open=/row/file:3", "read=64:5", "write=100:4", "kill=1")
BUILTINS: dict[str, Event] = {
    "arg0": ("kprobe:vfs_read /FILTER && arg2 == 64/ { @m[arg2] = count(); }", "@m[64]: 5"),
    "args": ("kprobe:vfs_read /FILTER && args.count == 64/ { @m[args.count] = count(); }", "@m[64]: 5"),
    "retval": ("kretprobe:vfs_read /FILTER && retval == 64/ { @m[retval] = count(); }", "@m[64]: 5"),
    "duration": ("kretprobe:vfs_read /FILTER && args.count == 64/ { @m[duration > 0 && duration < 60s] = "
                 "count(); }",
                 "@m[true]: 5"),
    "func": ("kprobe:vfs_read /FILTER && arg2 == 64/ { @m[func] = count(); }", "@m[vfs_read]: 5"),
    "probe": ("kprobe:vfs_read /FILTER && arg2 == 64/ { @m[probe, probetype] = count(); }",
              "@m[kprobe:vfs_read, kprobe]: 5"),
    "ctx": ("kprobe:vfs_read /FILTER && arg2 == 64/ { @m[ctx.dx] = count(); }", "@m[64]: 5"),
}  # fmt: skip
FUNCTIONS: dict[str, Event] = {
    "reg": ('kprobe:vfs_read /FILTER && arg2 == 64/ { @m[reg("dx")] = count(); }', "@m[64]: 5"),
    "percpu_kaddr": ('begin { @m = (percpu_kaddr("runqueues", 99999), percpu_kaddr("runqueues") == '
                     'percpu_kaddr("runqueues", cpu), percpu_kaddr("runqueues") != 0); '
                     '}', "@m: (0, true, true)"),
    "kaddr": ('begin { @m = *(uint64 *)kaddr("jiffies_64") > 0; }', "@m: true"),
    "write_user": ("tracepoint:syscalls:sys_enter_read /FILTER && args.count == 64/ { $b = (uint64)0x4142; "
                   "@m[write_user(args.buf, $b, 2)] = count(); }", "@m[true]: 5"),
    "path": ('fentry:vfs_read /FILTER && args.count == 64/ { @m[path(args.file)] = count(); '
             '}', "@m[/dev/zero]: 5"),
    "kstack": ("kprobe:vfs_read /FILTER && arg2 == 64/ { @m[len(kstack) > 2] = count(); }", "@m[true]: 5"),
}  # fmt: skip
KINDS: dict[str, Event] = {
    "kprobe": ("kprobe:vfs_read /FILTER && arg2 == 64/ { @m[arg2] = count(); }", "@m[64]: 5"),
    "kretprobe": ("kretprobe:vfs_read /FILTER && retval == 64/ { @m[retval] = count(); }", "@m[64]: 5"),
    "fentry": ("fentry:vfs_read /FILTER && args.count == 64/ { @m[args.count] = count(); }", "@m[64]: 5"),
    "fexit": ("fexit:vfs_read /FILTER && args.count == 64/ { @m[retval, args.count] = count(); "
              "}", "@m[64, 64]: 5"),
    "wildcard": ("kprobe:vfs_rea* /FILTER && arg2 == 64/ { @m[func] = count(); }", "@m[vfs_read]: 5"),
    "offset": ("kprobe:vfs_read+0 /FILTER && arg2 == 64/ { @m = count(); }", "@m: 5"),
    "aliases": ("k:vfs_read /FILTER && arg2 == 64/ { @k = count(); } kr:vfs_read /FILTER && retval == 64/ { "
                "@r = count(); } "
                "kfunc:vfs_read /FILTER && args.count == 64/ { @f = count(); } "
                "kretfunc:vfs_read /FILTER && retval == 64/ { @x = count(); "
                "}", "@f: 5", "@k: 5", "@r: 5", "@x: 5"),
    "hardware": ("hardware:cpu-cycles:1000000? { @m = count(); } begin { @k = 1; } end { clear(@m); "
                 "}", "@k: 1"),
}  # fmt: skip
TABLES = {"3 builtins": BUILTINS, "4 functions": FUNCTIONS, "1 probes": KINDS}
# refused by kernels without CONFIG_BPF_KPROBE_OVERRIDE, as Debian's are
OVERRIDE = "kprobe:__x64_sys_kill /FILTER/ { override(-1); }"
