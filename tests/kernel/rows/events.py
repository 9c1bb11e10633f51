"""The rows of the reference's tables that take an event: kinds of probes, what a probe's context shows.

A row is a piece of a script and the lines that it prints: after its mark (MARK, a printf) or as its maps. All
rows of a table run on one load. FILTER is the load's name as a condition; PID, PARENT and NAME stand for what
the load says of itself.
"""

from __future__ import annotations

Event = tuple[str, ...]

STEPS = (
    "gid=23456", "cpu=1", "say", "kill=1", "open=/row/file:3", "open=/row/signal:0", "read=64:3", "badread=2",
    "write=100:5", "toupper=97:4", "touch=50", "sleeps=10", "spin=0.3", "child=open=/row/first:1",
    "child=open=/row/second:1", "run=/bin/echo,one,two", "cd=/usr/lib", "kill=1", "connect=4",
)  # fmt: skip
KILL = "tracepoint:syscalls:sys_enter_kill /FILTER && @row == 0/"
OPEN = "tracepoint:syscalls:sys_enter_openat /FILTER/"
UPPER = "uprobe:libc:toupper /FILTER/"


def kill(body: str, *wanted: str) -> Event:
    """In the load's first kill()."""
    return (f"{KILL} {{ @row = 1; MARK {body} }} end {{ clear(@row); }}", *wanted)


def upper(body: str, *wanted: str) -> Event:
    return (f"{UPPER} {{ {body} }}", *wanted)


def first(body: str, *wanted: str) -> Event:
    """In the load's first toupper(); printed while it lives, so that its symbols are found."""
    return (f"uprobe:libc:toupper /FILTER && @row == 0/ {{ @row = 1; MARK {body} }} end {{ clear(@row); "
            f"}}", *wanted)


BUILTINS: dict[str, Event] = {
    "pid": kill("print(pid);", "PID"),
    "tid": kill("print(tid);", "PID"),
    "ppid": kill("print(ppid);", "PARENT"),
    "uid": kill("print(uid);", "0"),
    "gid": kill("print(gid);", "23456"),
    "comm": kill("print(comm);", "NAME"),
    "username": kill("print(username);", "root"),
    "cpu": kill("print(cpu);", "1"),
    "cpid": kill("print(cpid == pid);", "true"),
    "has_cpid": kill("print(has_cpid);", "true"),
    "curtask": kill("print(curtask.pid);", "PID"),
    "args": kill("print(args.pid); print(args);", "PID", "{ .__syscall_nr = 62, .pid = PID, .sig = 0 }"),
    "probe": kill("print(probe); print(probetype);", "tracepoint:syscalls:sys_enter_kill", "tracepoint"),
    "kstack": kill("print(kstack(1)); print(kstack(perf, 1)); print(kstack(raw, 1));", r"~ {8}\S+\+\d+",
                   r"~\t[0-9a-f]+ \S+\+\d+", "~[0-9a-f]{16}"),
    "elapsed": ("tracepoint:syscalls:sys_enter_kill /FILTER/ { @e[@n++] = elapsed; } "
                'end { MARK print(@e[1] - @e[0] > 300ms); clear(@e); clear(@n); }', "true"),
    "jiffies": ("tracepoint:syscalls:sys_enter_kill /FILTER/ { @j[@n++] = jiffies; } "
                'end { MARK print(@j[1] - @j[0] >= 30); clear(@j); clear(@n); }', "true"),
    "arg0": upper("@m[arg0] = count();", "@m[97]: 4"),
    "retval": ("uretprobe:libc:toupper /FILTER/ { @m[retval] = count(); }", "@m[65]: 4"),
    "duration": ("uretprobe:libc:toupper /FILTER/ { @m[duration > 0 && duration < 10s] = count(); "
                 "}", "@m[true]: 4"),
    "func": first("print(func);", "toupper"),
    "ctx": upper("@m[ctx.di] = count();", "@m[97]: 4"),
    "usermode": upper("@m[usermode] = count();", "@m[1]: 4"),
    "ustack": first("print(ustack(1));", "        toupper+0"),
}  # fmt: skip
FUNCTIONS: dict[str, Event] = {
    "str": (f"{OPEN} {{ @m[str(args.filename)] = count(); @k[str(args.filename, 5)] = count(); }}",
            "@k[/row]: 5", "~@m.*", "~@m.*", "@m[/row/file]: 3"),
    "buf": ("tracepoint:syscalls:sys_enter_write /FILTER && args.count == 100/ { @m[buf(args.buf, 2)] = "
            "count(); }",
            r"@m[\x00\x00]: 5"),
    "join": ('tracepoint:syscalls:sys_enter_execve /FILTER/ { MARK join(args.argv); join(args.argv, "|"); }',
             "/bin/echo one two", "/bin/echo|one|two"),
    "macaddr": (f'{OPEN} {{ if (str(args.filename) == "/row/file") {{ '
                "@m[macaddr(((struct ethhdr *)args.filename).h_dest)] = count(); } "
                "}", "@m[2F:72:6F:77:2F:66]: 3"),
    "words": kill("print(words(uptr((char *)curtask.mm.arg_start), "
                  "200));", r"~\S+ -I -S -B \S+work\.py name=NAME .*"),
    "reg": upper('@m[reg("di")] = count();', "@m[97]: 4"),
    "usym": first("print(usym(arg1));", "toupper"),
    "uaddr": first('print(str(uaddr("_libc_intl_domainname")));', "libc"),
    "uptr": upper("@m[*uptr((uint8 *)arg1) == *(uint8 *)arg1] = count();", "@m[true]: 4"),
    "signal": (f'{OPEN} {{ if (str(args.filename) == "/row/first") {{ signal(SIGKILL); }} }} '
               "tracepoint:sched:sched_process_exit /FILTER && curtask.exit_code == 9/ { "
               "@m[curtask.exit_code] = count(); }",
               "@m[9]: 1"),
    "signal_thread": (f'{OPEN} {{ if (str(args.filename) == "/row/second") {{ signal_thread("SIGTERM"); }} '
                      f'}} '
                      "tracepoint:sched:sched_process_exit /FILTER && curtask.exit_code == 15/ "
                      "{ @m[curtask.exit_code] = count(); }", "@m[15]: 1"),
    "path": ("tracepoint:syscalls:sys_enter_kill /FILTER/ { @m[path(curtask.fs.pwd)] = count(); "
             "}", "~@m.*", "~@m.*"),
    "ntop": ("tracepoint:sock:inet_sock_set_state /FILTER && args.newstate == 2/ "
             "{ @m[ntop(args.daddr), ntop(args.daddr_v6)] = count(); "
             "}", "@m[127.0.0.1, ::ffff:127.0.0.1]: 1"),
}  # fmt: skip
KINDS: dict[str, Event] = {
    "begin": ("begin { @m = 1; }", "@m: 1"),
    "end": ("end { @m = 2; }", "@m: 2"),
    "self": ("self:signal:SIGUSR1 { @m = 3; } begin { @k = 1; }", "@k: 1"),
    "tracepoint": ("tracepoint:syscalls:sys_exit_read /FILTER && args.ret < 100/ { @m[args.ret] = count(); "
                   "}", "@m[-9]: 2", "@m[64]: 3"),
    "rawtracepoint": ("rawtracepoint:sys_enter /FILTER && arg1 == 62/ { @m[args.id] = count(); "
                      "}", "@m[62]: 2"),
    "uprobe": ("uprobe:libc:toupper /FILTER/ { @m[arg0] = count(); }", "@m[97]: 4"),
    "uretprobe": ("uretprobe:libc:toupper /FILTER/ { @m[retval] = count(); @k[arg0] = count(); "
                  "}", "@k[97]: 4",
                  "@m[65]: 4"),
    "syscall": ("syscall:read /FILTER && args.count < 100/ { @m[args.count] = count(); "
                "}", "@m[1]: 2", "@m[64]: 3"),
    "sysret": ("sysret:read /FILTER && args.count == 64/ { @m[retval] = sum(duration > 0); }", "@m[64]: 3"),
    "profile": ("profile:hz:200 /FILTER/ { @n = count(); } end { @m = (int64)@n > 20; clear(@n); "
                "}", "@m: true"),
    "interval": ("interval:ms:50 { @n = count(); } end { @m = (int64)@n > 4; clear(@n); }", "@m: true"),
    "software": ("software:page-faults:1 /FILTER/ { @n = count(); } software:cs:1 /FILTER/ { @c = count(); } "
                 "end { @m = ((int64)@n >= 50, (int64)@c >= 10); clear(@n); clear(@c); "
                 "}", "@m: (true, true)"),
    "wildcard": ("tracepoint:syscalls:sys_*_kill /FILTER/ { @m[probe] = count(); }",
                 "~@m.*: 2", "~@m.*: 2"),
    "aliases": ("t:syscalls:sys_enter_kill /FILTER/ { @m = count(); } rt:sys_enter /FILTER && arg1 == 62/ { "
                "@k = count(); } "
                "u:libc:toupper /FILTER/ { @u = count(); } ur:libc:toupper /FILTER/ { @r = count(); } "
                "i:ms:50 { @i = 1; } s:cs:1 { @s = 1; "
                "}", "@i: 1", "@k: 2", "@m: 2", "@r: 4", "@s: 1", "@u: 4"),
    "any case": ("TracePoint:syscalls:sys_enter_kill /FILTER/ { @m = count(); } BEGIN { @k = 1; } END { @e "
                 "= 1; }",
                 "@e: 1", "@k: 1", "@m: 2"),
    "quoted": ('tracepoint:"syscalls":"sys_enter_kill" /FILTER/ { @m = count(); }', "@m: 2"),
    "A || B": ("tracepoint:no:such || tracepoint:syscalls:sys_enter_kill /FILTER/ { @m = count(); "
               "}", "@m: 2"),
    "several": ("tracepoint:syscalls:sys_enter_kill, uprobe:libc:toupper /FILTER/ { @m = count(); "
                "}", "@m: 6"),
    "named": ("mine=tracepoint:syscalls:sys_enter_kill /FILTER/ { @m = count(); }", "@m: 2"),
}  # fmt: skip
TABLES = {"3 builtins": BUILTINS, "4 functions": FUNCTIONS, "1 probes": KINDS}
