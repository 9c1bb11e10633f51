"""One-liners of the command: JSON, exit codes, parameters, environment, scripts in files and on stdin."""

from __future__ import annotations

from tests.kernel.sidebyside.runner import Case

JSON = {
    "text": r'printf("a\"b %d\n", 5); printf("no newline"); printf("tab\t\\ \n");',
    "values": 'print(1); print(-5); print("text"); print((1, "a")); print((1, (2, "b")));',
    "scalars": '@x = 5; @s = "text"; @n = -7; @t = (1, "a");',
    "keyed maps": '@k[1, "b"] = 6; @k[2, "c"] = 7; @s["a"] = "x"; @i[3] = 4; @i[5] = 1;',
    "hist": '@h = hist(5); @h = hist(500); @k["a"] = hist(100); @n = hist(-3); @n = hist(0); @n = hist(1);',
    "lhist": '@l = lhist(5, 0, 20, 10); @l = lhist(50, 0, 20, 10); @l = lhist(-1, 0, 20, 10); '
        '@k["b"] = lhist(5, 0, 20, 10);',
    "aggregates": '@c = count(); @s = sum(5); @a = avg(7); @m = min(3); @n = max(4); @k["x"] = count();',
    "stats": '@t = stats(5); @t = stats(8); @k["a"] = stats(5);',
    "print": '@k[1] = 100; @k[2] = 200; print(@k); print(@k, 1); print(@k, 0, 10); @h = hist(3); print(@h);',
    "the time": r'time("x\n"); time("%Y\n"); printf("%s\n", strftime("%Y", nsecs));',
    "escapes": '@["a\\"b"] = 1; @["c\\\\d"] = 2; @e["tab\\t"] = 3; @n["line\\n"] = 4;',
    "addresses": '@a[ntop(0x0100007f)] = 1; print(ntop(0x0100007f)); @s = ksym(1); print(ksym(1));',
    "cleared": '@k[1] = 100; clear(@k); print(@k); @x = 1;',
}
SCRIPTS = {
    "exit code 0": Case("BEGIN { exit(); }"),
    "the config's environment: max_map_keys": Case(
        "BEGIN { @[1] = 1; @[2] = 2; @[3] = 3; @[4] = 4; exit(); }",
        environment={"BPFTRACE_MAP_KEYS_MAX": "3"},
    ),
    "the config's environment: strlen": Case(
        'tracepoint:syscalls:sys_enter_openat /FILTER/ { print(str(args->filename)); '
        '}', ("open=/a/file/that/is/not/there/at/all:3",),
        ("cut strings",),
        environment={"BPFTRACE_STRLEN": "32"},
    ),
    "from a file": Case("BEGIN { printf(\"%d %s %d\\n\", $1, str($2), $#); @ = $1; exit(); }", source="file",
                        arguments=("7", "a word")),
    "from a file with comments": Case(
        "#!/usr/bin/env bpftrace\n/*\n * a script\n */\n// that counts\n\nBEGIN\n{\n\t@n = "
        "5;\n\texit();\n}\n\n"
        "END\n{\n\tprintf(\"done\\n\");\n}\n", source="file",
    ),
    "from standard input": Case("BEGIN { print(23); @ = $1; exit(); }", source="stdin", arguments=("7",)),
    "quiet": Case("BEGIN { print(23); @ = 7; exit(); }", options=("-q",)),
    "into a file": Case("BEGIN { print(23); @ = 7; exit(); }", options=("-o", "/dev/stdout")),
    "unbuffered": Case("BEGIN { print(23); @ = 7; exit(); }", options=("-B", "none")),
    "a command": Case("BEGIN { print(23); } END { @ = 7; }", options=("-c", "/bin/true")),
    "a command that is traced": Case(
        "tracepoint:syscalls:sys_enter_execve /pid == cpid/ { @n = count(); @a = cpid == pid; }",
        known=("comparisons are booleans",),
        options=("-c", "/bin/true"),
    ),
    "system()": Case('BEGIN { system("echo %s %d", "text", 7); exit(); }', options=("--unsafe",)),
    "system() refused": Case('BEGIN { system("echo 1"); exit(); }', fails=True),
    "cat()": Case('BEGIN { cat("/proc/sys/kernel/ostype"); cat("/proc/%s/ostype", "sys/kernel"); exit(); }'),
    "cat() of what is not there": Case('BEGIN { cat("/no/such/file"); print(1); exit(); }'),
    "print() of an entry": Case('BEGIN { @x[1] = 7; printf("%d\\n", @x[1]); @k[1, "a"] = 9; exit(); }'),
    "cgroups": Case('BEGIN { print(cgroup > 0 ? 1 : 0); exit(); }'),
    "a syntax error": Case("BEGIN { print(1; }", fails=True),
    "an unknown function": Case("BEGIN { nothing(1); }", fails=True),
    "an unknown variable": Case("BEGIN { print($x); }", fails=True),
    "an unknown builtin": Case("BEGIN { print(pidd); }", fails=True),
    "an unknown tracepoint": Case("tracepoint:syscalls:sys_enter_opennat { print(1); }", fails=True),
    "an unknown field": Case("tracepoint:syscalls:sys_enter_openat { print(args->file); }", fails=True),
    "an unknown member": Case("BEGIN { $t = (struct task_struct *)curtask; print($t->pidd); }", fails=True),
    "an unknown struct": Case("BEGIN { $t = (struct no_such *)curtask; print($t->pid); }", fails=True),
    "a map of two types": Case('BEGIN { @x = 5; @x = "text"; }', fails=True),
    "keys of two types": Case('BEGIN { @x[1] = 5; @x["text"] = 5; }', fails=True),
    "keys of two lengths": Case("BEGIN { @x[1] = 5; @x[1, 2] = 5; }", fails=True),
    "a scalar with a key": Case("BEGIN { @x = 5; @x[1] = 5; }", fails=True),
    "a variable of two types": Case('BEGIN { $x = 5; $x = "text"; }', fails=True),
    "too few arguments": Case('BEGIN { printf("%d %d\\n", 1); }', fails=True),
    "too many arguments": Case('BEGIN { printf("%d\\n", 1, 2); }', fails=True),
    "a wrong conversion": Case('BEGIN { printf("%d\\n", "text"); }', fails=True),
    "an aggregate elsewhere": Case("BEGIN { $x = count(); }", fails=True),
    "a bad lhist": Case("BEGIN { @ = lhist(5, 10, 0, 1); }", fails=True),
    "a lhist of too many": Case("BEGIN { @ = lhist(5, 0, 100000, 1); }", fails=True),
    "a break outside": Case("BEGIN { break; }", fails=True),
    "an unknown map printed": Case("BEGIN { print(@nothing); }", fails=True),
    "args where there are none": Case("BEGIN { print(args->x); }", fails=True),
    "retval where there is none": Case("BEGIN { print(retval); }", fails=True),
    "arg0 where there is none": Case("interval:ms:1 { print(arg0); }", fails=True),
    "a literal too large": Case("BEGIN { print(18446744073709551616); }", fails=True),
    "an unroll of too many": Case("BEGIN { unroll(1000) { print(1); } }", fails=True),
    "a tuple's missing element": Case("BEGIN { $t = (1, 2); print($t.5); }", fails=True),
}
CASES = {f"json: {name}": Case(f"BEGIN {{ {body} exit(); }}", options=("-f", "json"))
         for name, body in JSON.items()} | {f"command: {name}": case for name, case in SCRIPTS.items()}
CASES["json: attached probes"] = Case(
    "BEGIN { exit(); } END { print(1); } interval:s:5 { print(2); }", options=("-f", "json")
)
CASES["json: events"] = Case(
    "tracepoint:syscalls:sys_enter_kill /FILTER/ { @[comm] = count(); @h = hist(args->sig); }", ("kill=23",),
    options=("-f", "json"),
)
CASES["json: stacks"] = Case(
    "tracepoint:syscalls:sys_enter_kill /FILTER/ { @[kstack(2)] = count(); @s = kstack(1); }", ("kill=3",),
    options=("-f", "json"),
)
