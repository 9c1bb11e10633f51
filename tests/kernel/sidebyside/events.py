"""One-liners of events: each watches a load of known calls, beside bpftrace. Name → program and steps.

FILTER in a program is the predicate `comm == "…"` of the load's own name, NAME the name itself.
"""

from __future__ import annotations

from tests.kernel.sidebyside.runner import Case

OPEN = "tracepoint:syscalls:sys_enter_openat"
KILL = "tracepoint:syscalls:sys_enter_kill"
READ = "tracepoint:syscalls:sys_exit_read"
WRITE = "tracepoint:syscalls:sys_enter_write"
FILE = "open=/no/such/file:23"
BOOL = ("comparisons are booleans",)


def on(probe: str, body: str, *steps: str, known: tuple[str, ...] = (), close: bool = False) -> Case:
    return Case(f"{probe} /FILTER/ {{ {body} }}", steps, known=known, close=close)


TRACEPOINTS = {
    "count by comm": on(OPEN, "@[comm] = count();", FILE),
    "count by comm and process": on(OPEN, "@[comm, pid] = count(); @t[tid, uid, gid, cpu] = count();",
                                    "cpu=0", FILE),
    "opens by file "
    "name": on(OPEN, "@[str(args->filename)] = count();", FILE, "open=/dev/null:7", "open=/no:5"),
    "opens by flags": on(OPEN, "@[args->flags, args->dfd] = count();", FILE),
    "lines of text": on(OPEN, r'printf("%-8d %-16s %s|%20s|\n", pid, comm, str(args->filename), '
                        r'str(args->filename));', FILE, "open=/dev/null:7"),
    "a string with a length": on(OPEN, "print(str(args->filename, 5)); @[str(args->filename, 8)] = count();",
                                 FILE, known=("the NUL counts",)),
    "a string compared": on(OPEN, 'if (str(args->filename) == "/no/such/file") { @same = count(); } '
                            'else { @other = count(); }', FILE, "open=/no:5"),
    "a string by its start": on(OPEN, 'if (strncmp(str(args->filename), "/no/", 4) == 0) { @ = count(); }',
                                FILE, "open=/dev/null:7"),
    "a long string": on(OPEN, "print(str(args->filename)); @[str(args->filename)] = count();",
                        "open=/" + "long/" * 20 + ":3", known=("long strings",)),
    "bytes behind a pointer": on(WRITE, r'if (args->fd > 2) { printf("%r\n", buf(args->buf, 4)); '
                                 "@[buf(args->buf, 2)] = count(); }",
                                 "write=4:3"),
    "sizes of reads": Case(READ + " /args->ret > 0 && FILTER/ { @ = hist(args->ret); }",
                           ("read=1:3", "read=5:7", "read=1500:46", "badread=11", "read=4096:23",
                            "read=100000:2")),
    "results with a sign": on(READ, """
            @h = hist(args->ret); @sum = sum(args->ret); @avg = avg(args->ret);
            @stats[comm] = stats(args->ret);
            @l = lhist(args->ret, 0, 50, 10); @min = min(args->ret); @max = max(args->ret);
            @k[args->ret] = count();
        """, "read=7:13", "badread=11", "read=45:5", "read=50:3", "read=51:2"),
    "results that "
    "failed": Case(READ + " /FILTER && args->ret < 0/ { @[args->ret] = count(); @e = sum(args->ret); }",
                                ("read=7:13", "badread=11")),
    "the current task": on(KILL, """$t = (struct task_struct *)curtask;
            @[$t->real_parent->comm, $t->tgid, $t->real_parent->pid] = count(); @p[$t->pid == tid] = count();
        """, "kill=23", known=BOOL),
    "the task's "
    "numbers": on(KILL, "$t = (struct task_struct *)curtask; @[$t->prio, $t->static_prio] = count(); "
                             "@l[$t->signal->rlim[7].rlim_cur] = count(); @u[$t->cred->uid.val] = count();",
                             "kill=23", "uid=12345", "kill=7"),
    "names of directories": on(KILL, "$t = (struct task_struct *)curtask; "
                               "@[str($t->fs->pwd.dentry->d_name.name)] = "
                               "count();", "cd=/usr/lib", "kill=23"),
    "a bit field": on(KILL, "$t = (struct task_struct *)curtask; @[$t->sched_reset_on_fork] = count();",
                      "kill=7", "resetonfork", "kill=23"),
    "users": on(KILL, "@[uid, gid] = count(); @n[username] = "
                      "count();", "kill=7", "gid=23456", "uid=1", "kill=23"),
    "threads": on(KILL, "@[tid == pid] = count(); @n = count();", "kill=7", "thread=kill=23", known=BOOL),
    "children": on(KILL, "@[pid == tid, comm] = count();", "kill=7", "child=kill=23", known=BOOL),
    "processors": on(KILL, "@[cpu] = count(); @l = lhist(cpu, 0, 16, "
                           "1);", "cpu=0", "kill=7", "cpu=1", "kill=23"),
    "every processor": on(WRITE, "@n = count(); @s = sum(args->count); @a = avg(args->count); "
                          "@t = stats(args->count); @m = min(args->count); @x = max(args->count);",
                          "eachcpu=write=100:23", "eachcpu=write=300:46"),
    "several probes": Case(
        """tracepoint:syscalls:sys_enter_kill, tracepoint:syscalls:sys_exit_kill,
        tracepoint:syscalls:sys_enter_write /FILTER/ { @[probe] = count(); @n++; }
        tracepoint:syscalls:sys_enter_write /FILTER && args->fd > 2/ { @bytes = sum(args->count); }
        tracepoint:syscalls:sys_exit_kill /FILTER/ { @[probe] = count(); }""",
        ("kill=23", "write=100:7"),
    ),
    "a wildcard": on("tracepoint:syscalls:sys_enter_kill*", "@[probe] = count();", "kill=23"),
    "a wider wildcard": on("tracepoint:syscalls:sys_*_kill", "@[probe] = count(); @n = count();", "kill=23"),
    "short names": on("t:syscalls:sys_enter_kill", "@[comm] = count();", "kill=23"),
    "the same event twice": Case(
        KILL + ' /FILTER/ { printf("a%d ", args->sig); '
               '} ' + KILL + ' /FILTER/ { printf("b\\n"); }', ("kill=5",)
    ),
    "entry and exit by thread": Case(
        "tracepoint:syscalls:sys_enter_read /FILTER/ { @start[tid] = args->count; } "
        "tracepoint:syscalls:sys_exit_read /@start[tid]/ { @short[@start[tid] == args->ret] = count(); "
        "delete(@start[tid]); } END { clear(@start); }", ("read=64:7", "badread=11"), BOOL,
    ),
    "latency": Case(
        "tracepoint:syscalls:sys_enter_read /FILTER/ { @s[tid] = nsecs; } tracepoint:syscalls:sys_exit_read "
        "/@s[tid]/ "
        "{ $d = nsecs - @s[tid]; @ok[$d > 0 && $d < 1000000000 ? 1 : 0] = count(); delete(@s[tid]); } END { "
        "clear(@s); }", ("read=64:23",),
    ),
    "a filter by "
    "number": Case(WRITE + " /FILTER && args->count >= 100 && args->count < 300/ { @ = count(); }",
                               ("write=99:3", "write=100:5", "write=299:7", "write=300:11")),
    "a filter by division": Case(WRITE + " /FILTER && args->count / 100 == 2/ { @ = count(); }",
                                 ("write=99:3", "write=200:5", "write=299:7", "write=300:11")),
    "a filter in the body": on(WRITE, "if (args->count > 100 && args->fd > 2) { @big = sum(args->count); } "
                               "else if (args->fd > 2) { @small = sum(args->count); "
                               "}", "write=99:3", "write=200:5"),
    "arithmetic on "
    "arguments": on(WRITE, "if (args->fd > 2) { @[args->count / 10, args->count % 7, args->count * 3, "
                                  "args->count << 2, args->count - 1] = count(); "
                                  "}", "write=99:3", "write=200:5"),
    "arguments as "
    "tuples": on(WRITE, "if (args->fd > 2) { print((args->count, comm)); @ = (args->count, 1); }",
                              "write=99:3"),
    "printed and "
    "cleared": Case(KILL + " /FILTER/ { @[comm, pid] = count(); } interval:ms:300 { print(@); clear(@); }",
                                ("kill=23",)),
    "zeroed on the "
    "way": Case(KILL + " /FILTER/ { @[comm] = count(); @n++; } END { zero(@); print(@); clear(@); }",
                              ("kill=23",)),
    "the ends": Case('BEGIN { @b = 1; } ' + KILL + " /FILTER/ { @n = count(); } END { @e = 2; print(3); }",
                     ("kill=23",)),
    "addresses": Case(
        r"""tracepoint:sock:inet_sock_set_state /FILTER && args->newstate == 2/ {
            printf("%s %s %d\n", ntop(args->family, args->daddr), ntop(args->daddr_v6), args->family);
            @[ntop(args->family, args->saddr)] = count();
        }""",
        ("connect=4", "connect=6"),
    ),
    "scheduling": Case('tracepoint:sched:sched_switch /args->prev_comm == "NAME"/ { @[args->prev_comm, '
                       "args->prev_prio] = count(); }", ("sleeps=23",)),
    "names of tracepoints": Case('tracepoint:sched:sched_process_fork /FILTER/ { @[str(args->parent_comm), '
                                 "str(args->child_comm)] = count(); }", ("child=kill=1", "child=kill=1")),
    "words of "
    "argv": Case('tracepoint:syscalls:sys_enter_execve /FILTER/ { join(args->argv); join(args->argv, "|"); }',
                          ("run=/bin/echo,one,two",)),
    "a started program": Case('tracepoint:sched:sched_process_exec { $t = (struct task_struct *)curtask; '
                              'if ($t->real_parent->comm == "NAME") { print(str(args->filename)); '
                              'print(comm); } }',
                              ("run=/bin/true",)),
}
STACKS = {
    "of the scheduler": on("tracepoint:sched:sched_switch", "@[kstack] = count(); @n[kstack(3), comm] = "
                                                            "count();",
                           "sleeps=23"),
    "in perf's form": on(KILL, "@[kstack(perf)] = count(); @p[kstack(perf, 2)] = count();", "kill=5"),
    "as a value": on(KILL, "@s = kstack(3); print(kstack(2)); @k[1] = kstack(1);", "kill=3"),
    "by printf": on(KILL, r'printf("<%s>\n", kstack(2));', "kill=3"),
    "the caller": on("tracepoint:sched:sched_switch", "@[kstack(1)] = count();", "sleeps=23"),
    "in histograms": on("tracepoint:sched:sched_switch", "@[kstack(2)] = hist(5);", "sleeps=23"),
    "of the process": Case("uprobe:libc:toupper /FILTER/ { @[ustack, comm] = count(); "
                           "}", ("toupper=97:23",), pid=True),
    "of the process, "
    "cut": Case("uprobe:libc:toupper /FILTER/ { @[ustack(3), comm] = count(); }", ("toupper=97:23",),
                                pid=True),
    "of the process, "
    "perf's": Case("uprobe:libc:toupper /FILTER/ { @[ustack(perf)] = count(); }", ("toupper=97:23",),
                                   pid=True),
    "of the process, "
    "printed": Case("uprobe:libc:toupper /FILTER/ { print(ustack(2)); @v = ustack(1); }", ("toupper=97:3",),
                                    pid=True),
    "with a number": Case("uprobe:libc:toupper /FILTER/ { @[ustack(1), arg0] = count(); }",
                          ("toupper=97:3", "toupper=98:7"), pid=True),
}
USER = {
    "functions of a library": Case(
        r"""uprobe:libc:toupper /FILTER/ { @[arg0, usym(arg1)] = count(); printf("%d %s\n", arg0, func); }
        uretprobe:libc:toupper /FILTER/ { @r = sum(retval); @h = hist(retval); }""",
        ("toupper=97:23", "toupper=98:7"),
    ),
    "arguments": on("uprobe:libc:toupper", "@[arg0, arg1 > 0, arg0 + 1] = "
                                           "count();", "toupper=97:23", known=BOOL),
    "results": on("uretprobe:libc:toupper", "@[retval] = count(); @c[(uint8)retval] = count(); "
                  r'printf("%c %d\n", retval, retval);', "toupper=97:3", "toupper=200:2"),
    "negative results": on("uprobe:libc:toupper", r'@[(int32)arg0] = count(); printf("%d\n", (int32)arg0);',
                           "toupper=-5:3"),
    "by the path": on("uprobe:/lib/x86_64-linux-gnu/libc.so.6:toupper", "@[func] = count(); @p[probe] = "
                                                                        "count();",
                      "toupper=97:23", ),
    "with an offset": on("uprobe:libc:toupper+0", "@ = count();", "toupper=97:23"),
    "a wildcard": on("uprobe:libc:toupp*", "@ = count();", "toupper=97:23"),
    "in and out": Case("uprobe:libc:toupper /FILTER/ { @in[tid] = arg0; } uretprobe:libc:toupper /@in[tid]/ "
                       "{ @[@in[tid], retval] = count(); delete(@in[tid]); "
                       "}", ("toupper=97:23", "toupper=98:7")),
    "a register": on("uprobe:libc:toupper", '@[reg("di"), reg("ip") > 0] = '
                                            'count();', "toupper=97:23", known=BOOL),
    "symbols": on("uprobe:libc:toupper", r'printf("%s %s|%12s|\n", usym(arg1), func, '
                                         r'usym(arg1));', "toupper=97:3"),
    "a filter by argument": Case("uprobe:libc:toupper /FILTER && arg0 == 98/ { @[arg0] = count(); }",
                                 ("toupper=97:23", "toupper=98:7")),
    "bytes at an "
    "address": on("uprobe:libc:toupper", "@[*(uint8 *)arg1 > 0, *arg1 > 0] = "
                                         "count();", "toupper=97:3", known=BOOL),
}
OTHERS = {
    "page faults": on("software:page-faults:1", "@[comm] = count();", "touch=100"),
    "switches": on("software:context-switches:1", "@[comm] = count();", "sleeps=23"),
    "by the clock": on("profile:hz:99", "@ = lhist(cpu, 0, 8, 1);", "cpu=1", "spin=2", close=True),
    # a number that the scheduler's slices are no multiple of: two samplers of a process that shares its CPU
    "every 7 ms": on("profile:ms:7", "@[comm, cpu] = count();", "cpu=1", "spin=2", close=True),
}  # fmt: skip
CASES = {
    f"{subject}: {name}": case
    for subject, table in {
        "tracepoints": TRACEPOINTS, "stacks": STACKS, "user functions": USER, "other events": OTHERS
    }.items()
    for name, case in table.items()
}  # fmt: skip
