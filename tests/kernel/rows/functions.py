"""The rows of the reference's tables of functions and builtins that a `begin` shows: see rows/language.py."""

from __future__ import annotations

from tests.kernel.rows.language import STATS, Row


def bar(label: str, count: int, width: int = 52) -> str:
    return f"{label:16}{count:8} |{'@' * width:52}|"


STRINGS: dict[str, Row] = {
    "strlen": ("print(strlen($s)); print(strlen(\"\")); print(strlen(curtask.comm) == "
               "strlen(comm));", "4", "0", "true"),
    "strcap": ('let $x: string[16] = "a"; print(strcap($x));', "16"),
    "strncmp": ('print(strncmp($s, "fort", 3)); print(strncmp($s, "fort", 2));', "1", "0"),
    "strstr": ('print(strstr($s, "ur")); print(strstr($s, "")); print(strstr($s, "x"));', "2", "0", "-1"),
    "strcontains": ('print(strcontains($s, "ou")); print(strcontains($s, "uo"));', "true", "false"),
    "str_concat": ('print(str_concat($s, "teen"));', "fourteen"),
    "memcmp": ('print(memcmp($s, "four", 4)); print(memcmp($s, "fous", 4) < 0);', "0", "true"),
    "str": ('print(str($2)); print(str(0) == "");', "word", "true"),
    "buf": ('printf("%r\\n", buf($s, 2)); print(buf(pton("1.2.3.4")));', "fo", r"\x01\x02\x03\x04"),
    "strerror": ("print(strerror(2)); print(strerror(-13)); "
                 "print(strerror(9999));", "No such file or directory",
                 "Permission denied", "Unknown error"),
    "signal_name": ("print(signal_name(15)); print(signal_name(32)); print(signal_name(99));", "Terminated",
                    "Unknown signal 32", "N/A"),
    "syscall_name": ("print(syscall_name(0)); print(syscall_name(62));", "read", "kill"),
    "strftime": ('printf("%s\\n", strftime("text", nsecs)); print(strftime("%Y", nsecs) );', "text", "YEAR"),
    "ntop": ('print(ntop(0x0100007f)); print(ntop(2, 0x08080808)); print(ntop(pton("fe80::1"))); '
             'print(ntop(10, pton("::1")));', "127.0.0.1", "8.8.8.8", "fe80::1", "::1"),
    "pton": ('print(pton("10.1.2.3")); print(sizeof(pton("::1")));', "[10,1,2,3]", "16"),
    "bswap": ("print(bswap((uint16)0x0102)); print(bswap((uint32)1)); "
              "print(bswap((uint64)1));", "513", "16777216",
              str(1 << 56)),
    "is_err": ("print(is_err((uint64)-2)); print(is_err((uint64)5));", "true", "false"),
    "cgroup_path": ('print(cgroup_path(CGROUP, "unif*"));', "unified:/"),
    "cgroupid": ('print(cgroupid("/sys/fs/cgroup") == CGROUP);', "true"),
    "kaddr": ('print(kaddr("vfs_read") == VFSREAD); print(*(uint8 *)kaddr("vfs_read") == *kaddr("vfs_read") '
              '% 256);',
              "true", "true"),
    "ksym": ('print(ksym(kaddr("vfs_read"))); print(ksym(1));', "vfs_read", "0x1"),
    "kptr": ("print(kptr((struct task_struct *)(uint64)curtask).tgid == curtask.tgid);", "true"),
    "is_array": ('print(is_array(pton("1.2.3.4"))); print(is_array($s));', "true", "false"),
    "is_ptr": ("print(is_ptr(curtask)); print(is_ptr($i));", "true", "false"),
    "is_str": ("print(is_str($s)); print(is_str($i));", "true", "false"),
    "is_integer": ("print(is_integer($i)); print(is_integer($s));", "true", "false"),
    "is_unsigned_integer": ("print(is_unsigned_integer($u)); "
                            "print(is_unsigned_integer($i));", "true", "false"),
    "is_literal": ("print(is_literal(5)); print(is_literal($i));", "true", "false"),
    "kfunc_exist": ('print(kfunc_exist("vfs_read")); print(kfunc_exist("no_such"));', "true", "false"),
    "kfunc_allowed": ('print(kfunc_allowed("vfs_read"));', "false"),
    "exists": ('print(exists("struct task_struct.tgid")); print(exists("struct task_struct.nothing")); '
               'print(exists("tracepoint:syscalls:sys_enter_kill")); print(exists("tracepoint:no:such"));',
               "true", "false", "true", "false"),
    "getopt": ('print(getopt("flag")); print(getopt("n", 5)); print(getopt("word", '
               '"w"));', "false", "5", "w"),
    "path": ("print(strlen(path(curtask.fs.pwd)) > 0); print(path(curtask.fs.pwd));", "true", "FOLDER"),
}  # fmt: skip
FORMATTERS = {
    "exitstatus": "code 3", "capname": "CAP_SYS_ADMIN",
    "ms": r"1\.500", "us": "1500", "sec": r"0\.002", "kb": "2", "hex": "0xff", "oct": "10",
        "percent": r"12\.50%",
    "errname": "ENOENT", "signame": "SIGKILL", "diskname": "4000:5", "flags": r"O_RDWR\|O_CREAT",
        "result": "-ENOENT",
    "dirfd": "AT_FDCWD", "format": "a-07", "meminfo": r"\d+",
}  # fmt: skip
CALLS = {
    "exitstatus": "exitstatus(768)", "capname": "capname(21)",
    "ms": "ms(1500000)", "us": "us(1500000)", "sec": "sec(1500000)", "kb": "kb(2048)", "hex": "hex(255)",
    "oct": "oct(8)", "percent": "percent(1, 8)", "errname": "errname(2)", "signame": "signame(9)",
    "diskname": f"diskname({4000 << 20 | 5})", "flags": 'flags(66, "open")', "result": "result((int64)-2)",
    "dirfd": "dirfd((int32)-100)", "format": 'format("%s-%02d", "a", 7)', "meminfo": 'meminfo("MemTotal")',
}  # fmt: skip
_CELLS: dict[str, Row] = {
    name: (f"emit(V_{name} = {CALLS[name]});", f"~ *V_{name} *", rf"~ *{text} *")
    for name, text in FORMATTERS.items()
}
ROWS = _CELLS | {
    "emit": ('emit($i, NAME = $s, "B(x)" = $n);', "~ *I +NAME +B\\(x\\)", "~ *7 +four +-3"),
    "table": ('@m["a"] = 3; @m["b"] = 5; table(@m, top = 1); clear(@m);', "~KEY +.*", "~b +5"),
}
MAPS: dict[str, Row] = {
    "count": ("@m = count(); @m = count(); @k[1] = count();", "@k[1]: 1", "@m: 2"),
    "sum": ("@m = sum($i); @m = sum(5); @k[1] = sum($n);", "@k[1]: -3", "@m: 12"),
    "min": ("@m = min($i); @m = min($n); @k[1] = min($u);", "@k[1]: 5", "@m: -3"),
    "max": ("@m = max($i); @m = max($n); @k[1] = max($n);", "@k[1]: -3", "@m: 7"),
    "avg": ("@m = avg($i); @m = avg(4); @k[1] = avg($n);", "@k[1]: -3", "@m: 5"),
    "stats": ("@m = stats($i); @m = stats(4); @k[1] = stats($n);", "@k[1]: " + STATS % (1, -3, -3),
              "@m: " + STATS % (2, 5, 11)),
    "hist": ("@m = hist($i); @m = hist(6); @m = hist(-1); @m = hist(0);",
             "@m:", bar("(..., 0)", 1, 26), bar("[0]", 1, 26), bar("[1]", 0, 0), bar("[2, 4)", 0, 0), bar(
                 "[4, 8)", 2)),
    "hist with bits": ("@m = hist(8, 2); @m = hist(9, 2); @m = hist(10, 2);", "@m:", bar("[8, 10)", 2),
                       bar("[10, 12)", 1, 26)),
    "lhist": ("@m = lhist($i, 0, 30, 10); @m = lhist(9, 0, 30, 10); @m = lhist(-1, 0, 30, 10); @m = "
              "lhist(30, 0, 30, 10);",
              "@m:", bar("(..., 0)", 1, 26), bar("[0, 10)", 2), bar("[10, 20)", 0, 0), bar("[20, 30)", 0, 0),
              bar("[30, ...)", 1, 26)),
    "delete": ('@m["a"] = 1; @m["b"] = 2; print(delete(@m, "a")); print(delete(@m, "c")); @x = 3; '
               'delete(@x);',
               "true", "false", "@m[b]: 2"),
    "has_key": ('@m["a"] = 0; print(has_key(@m, "a")); print(has_key(@m, '
                '"b"));', "true", "false", "@m[a]: 0"),
    "find": ('@m[1, "a"] = 7; let $v: int64; print(find(@m, (1, "a"), $v)); print($v); print(find(@m, (2, '
             '"a"), $v));',
             "true", "7", "false", "@m[1, a]: 7"),
    "len": ('@m[1] = 1; @m[2] = 1; print(len(@m)); print(len(kstack(2))); '
            'print(len("four"));', "2", "2", "4", "@m[1]: 1",
            "@m[2]: 1"),
    "clear": ("@m[1] = 1; @x = 2; clear(@m); clear(@x); print(1);", "1"),
    "zero": ("@m[1] = 5; @c = count(); @h = hist(5); zero(@m); zero(@c); "
             "zero(@h);", "@c: 0", "@h:", "@m[1]: 0"),
    "print": ("print($i); print((1, 2)); print($s); @m[1] = 10; @m[2] = 30; @m[3] = 20; print(@m, 2, 10); "
              "print(@m[2]); "
              "clear(@m);", "7", "(1, 2)", "four", "@m[3]: 2", "@m[2]: 3", "30"),
    "printf": (r'printf("%d %s\n", $i, $s);', "7 four"),
    "time": (r'time("now\n"); time("%Y\n");', "now", "YEAR"),
    "join": (r'join(0); print(1);', "", "1"),
    "folded": ('@m["a", 1] = 3; @m["b", 2] = 2; folded(@m); clear(@m);', "b;2 2", "a;1 3"),
    "stacked": ('@m["a", 1] = 3; @m["b", 2] = 2; stacked(@m); clear(@m);',
                "    -                b (2)", "        2", "", "    -                a (1)", "        3", ""),
    "clear_screen": ("clear_screen(); print(1);", "1"),
    "cat": ('cat("/proc/sys/kernel/%s", "ostype");', "Linux"),
    "static_assert": ('static_assert(sizeof(uint32) == 4, "odd"); print(1);', "1"),
    "assert": ('assert($i == 7, "odd"); print(1);', "1"),
    "fail": ('if (is_str($i)) { fail("never"); } print(1);', "1"),
    "debugf": ('debugf("row %d", 7); print(1);', "1"),
    "system": ('system("echo %s", "out");', "out"),
}  # fmt: skip
BUILTINS: dict[str, Row] = {
    "pid": ("print((pid == curtask.tgid, pid == pid(curr_ns)));", "(true, true)"),
    "tid": ("print((tid(init) == curtask.pid, tid == tid(curr_ns)));", "(true, true)"),
    "uid": "0",
    "gid": "0",
    "username": "root",
    "nsecs": ('print(nsecs(monotonic) <= nsecs(boot)); $t = nsecs; print(nsecs - $t < 1s); '
              'print(nsecs(tai) / 1000000000 - nsecs(sw_tai) / 1000000000 < 2);', "true", "true", "true"),
    "elapsed": ("print(elapsed < 60s);", "true"),
    "cpu": ("print(cpu < ncpus);", "true"),
    "ncpus": "NCPUS",
    "numaid": ("print(numaid < 64);", "true"),
    "rand": ("print(rand != rand || rand != rand);", "true"),
    "cgroup": ("print(cgroup == curtask.cgroups.dfl_cgrp.kn.id);", "true"),
    "curtask": ("print(curtask.tgid == pid(init)); print(curtask.comm == comm);", "true", "true"),
    "comm": ("print(comm == curtask.comm);", "true"),
    "jiffies": ("$j = jiffies; print(jiffies - $j < 1000 && $j > 0);", "true"),
    "probe": ("print(probe);", "begin"),
    "probetype": "begin",
    "cpid": ("print(cpid);", "0"),
    "has_cpid": ("print(has_cpid);", "false"),
    "kstack": ("print(len(kstack)); print(kstack(1));", r"~[1-9]\d*", "~ {8}[\\w.]+\\+\\d+"),
    "ppid": ("print((ppid == curtask.real_parent.tgid, ppid(curtask) == ppid));", "(true, true)"),
    "pcomm": ("print((pcomm == curtask.real_parent.comm, pcomm(curtask) == pcomm));", "(true, true)"),
    "leader_comm": ("print((leader_comm == curtask.group_leader.comm, leader_comm() == "
                    "leader_comm));", "(true, true)"),
    "leader_tid": ("print((leader_tid == curtask.group_leader.pid, leader_tid(curtask) == "
                   "pid(init)));", "(true, true)"),
    "container_of": (
        "$e = (struct sched_entity *)((uint64)curtask + offsetof(struct task_struct, se)); "
        "print(container_of($e, struct task_struct, se).tgid == curtask.tgid);", "true",
    ),
}  # fmt: skip
TABLES: dict[str, dict[str, Row]] = {
    "3 builtins": BUILTINS, "4.2 strings and memory": STRINGS, "4.5 maps and output": MAPS, "rows": ROWS,
}  # fmt: skip
