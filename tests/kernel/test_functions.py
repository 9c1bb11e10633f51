"""Builtin variables and functions on the running kernel, each by the value that it prints."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import begin, lines, work

pytestmark = pytest.mark.kernel

# --- what needs nothing but a `begin`: what is printed → the text, several a run, as each costs a start ---

SETUP = """
    $s = "hello world"; $n = "wor"; $long = "abcdefghijklmnopqrstuvwxyz"; $e = (int32)2;
    $u = (uint32)0x01020304;
"""
VALUES: dict[str, dict[str, str]] = {
    "constants": {
        "AF_INET": "2",
        "AF_INET6": str(int(socket.AF_INET6)),
        "TASK_UNINTERRUPTIBLE": "2",
        "O_CREAT": str(os.O_CREAT),
        "S_IFDIR": str(0o40000),
        "SOCK_STREAM + 0": "1",
        "MSG_PEEK": "2",
        "MAP_PRIVATE": "2",
        "PROT_EXEC": "4",
        "ENOENT": "2",
        "SIGKILL": "9",
        "AT_FDCWD": "-100",
        "CLONE_THREAD": "65536",
        "$e == ENOENT ? 1 : 0": "1",
        "-EPERM": "-1",
        "O_RDWR | O_CREAT": str(os.O_RDWR | os.O_CREAT),
        "BPF_MAP_TYPE_HASH": "BPF_MAP_TYPE_HASH",  # the kernel's enum constants win
    },
    "names of numbers": {
        "strerror(2)": "No such file or directory",
        "strerror(-$e)": "No such file or directory",
        "strerror(EACCES)": "Permission denied",
        "strerror(0)": os.strerror(0),
        "strerror(9999)": "Unknown error",
        "signal_name(SIGTERM)": "Terminated",
        "signal_name(1)": "Hangup",
        "signal_name(32)": "Unknown signal 32",
        "signal_name(0)": "Unknown signal 0",
        "signal_name(99)": "N/A",
        "syscall_name(0)": {"x86_64": "read", "aarch64": "io_setup"}[os.uname().machine],
        "(strerror(1), signal_name(9))": "(Operation not permitted, Killed)",
    },
    "strings": {
        "strlen($s)": "11",
        'strlen("")': "0",
        "strlen(comm) > 0": "true",
        "strcap($s)": "12",
        "strstr($s, $n)": "6",
        'strstr($s, "hello")': "0",
        'strstr($s, "")': "0",
        'strstr($s, "worlds")': "-1",
        'strstr($s, "d")': "10",
        'strstr($long, "klmnopqrstuv")': "10",
        'strstr($long, "klmnopqrstuw")': "-1",
        'strcontains($s, "o w")': "true",
        'strcontains($s, "ow")': "false",
        'strcontains($long, "xyz")': "true",
        'strncmp($s, "help", 3)': "0",
        'strncmp($s, "help", 4)': "1",
        'strncmp($s, "hello world", 64)': "0",
        'strncmp($s, "hello", 64)': "1",
        "str_concat($s, $n)": "hello worldwor",
        'str_concat($s, ", it is")': "hello world, it is",
        'strlen(str_concat("", $long))': "26",
        'memcmp($s, "hello", 5)': "0",
        'memcmp($s, "help!", 5)': str(ord("l") - ord("p")),
    },
    "bytes": {
        "bswap((uint16)0x1234)": str(0x3412),
        "bswap($u)": str(0x04030201),
        "bswap((uint64)1)": str(1 << 56),
        "bswap((uint8)7)": "7",
        "buf($s, 5)": "hello",
        r'buf("a\x01b", 3)': r"a\x01b",
        'ntop(pton("10.1.2.3"))': "10.1.2.3",
        'ntop(pton("fe80::1"))': "fe80::1",
        "macaddr(str((uint64)0, 6))": "00:00:00:00:00:00",
        "is_err((uint64)-2)": "true",
        "is_err((uint64)4096)": "false",
    },
    "questions to the compiler": {
        "is_str($s)": "true",
        "is_str($e)": "false",
        "is_integer($e)": "true",
        "is_unsigned_integer($u)": "true",
        "is_unsigned_integer($e)": "false",
        "is_ptr(curtask)": "true",
        'is_array(pton("1.2.3.4"))': "true",
        "is_array($s)": "false",
        "is_literal(7)": "true",
        "is_literal($e)": "false",
        'kfunc_exist("vfs_read")': "true",
        'kfunc_exist("no_such_function")': "false",
        'kfunc_allowed("vfs_read")': "false",
        'is_str($s) ? "text" : "number"': "text",
    },
}


@pytest.mark.parametrize("name", VALUES)
def test_value(ebt: Ebt, name: str) -> None:
    wanted = VALUES[name]
    body = " ".join(SETUP.split()) + " " + " ".join(f"print({what});" for what in wanted)
    assert dict(zip(wanted, begin(ebt, body), strict=True)) == wanted


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_kin(ebt: Ebt) -> None:
    """The script's `begin` runs in ebt itself, whose parent this process is."""
    own = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    shown = begin(
        ebt, 'printf("%s %s %d %d\\n", pcomm, leader_comm, leader_tid == tid(init), ppid == ppid());'
    )
    comm = shown[0].removeprefix(f"{own} ").split()
    assert shown[0].startswith(f"{own} ") and comm[1:] == ["1", "1"], shown
    same = begin(
        ebt, "$t = curtask; print((ppid == ppid($t), pcomm == pcomm($t), leader_tid($t) == leader_tid));"
    )
    assert same == ["(true, true, true)"]


def test_ids(ebt: Ebt) -> None:
    (shown,) = begin(ebt, "print((pid(curr_ns) == pid, tid(curr_ns) == tid, pid(init) == tid(init), cpid));")
    assert shown == "(true, true, true, 0)"


def test_cpid(ebt: Ebt) -> None:
    result = ebt(
        "-q",
        "-e",
        'tracepoint:sched:sched_process_exit /pid == cpid/ { printf("gone\\n"); }',
        "-c",
        "/bin/true",
    )
    assert (lines(result.stdout), result.stderr, result.rc) == (["gone"], "", 0)


def test_machine(ebt: Ebt) -> None:
    possible = Path("/sys/devices/system/cpu/possible").read_text().strip().split("-")[-1]
    (shown,) = begin(
        ebt, 'printf("%d %d %d %s %s %s\\n", ncpus, numaid, jiffies > 0, username, probetype, probe);'
    )
    assert shown == f"{int(possible) + 1} 0 1 root begin begin"


def test_clocks(ebt: Ebt) -> None:
    """Each clock of the kernel's against the same clock here, before and after."""
    clocks = {"boot": time.CLOCK_BOOTTIME, "monotonic": time.CLOCK_MONOTONIC, "tai": 11, "sw_tai": 11}
    before = {name: time.clock_gettime_ns(clock) for name, clock in clocks.items()}
    shown = begin(ebt, " ".join(f"print(nsecs({name}));" for name in clocks))
    for name, text in zip(clocks, shown, strict=True):
        slack = 10**8 if name == "sw_tai" else 0
        assert before[name] - slack <= int(text) <= time.clock_gettime_ns(clocks[name]) + slack, name


def test_strftime(ebt: Ebt) -> None:
    before = time.time()
    shown = begin(
        ebt,
        'print(strftime("%s.%f", nsecs)); print(strftime("%s.%f", nsecs(tai)));'
        ' $t = nsecs(monotonic); print(strftime("%s.%f", $t)); printf("%s|\\n", strftime("%Y", nsecs));',
    )
    for text in shown[:3]:
        assert before - 0.2 <= float(text) <= time.time() + 0.2
        assert re.fullmatch(r"\d+\.\d{6}", text)
    assert shown[3] == time.strftime("%Y|", time.localtime(before))


def test_buffers(ebt: Ebt) -> None:
    body = (
        'printf("%r %rx %rh|%s\\n", buf("a\\x01z", 3), buf("a\\x01z", 3), buf("a\\x01z", 3), buf("ab", 2));'
    )
    assert begin(ebt, body) == [r"a\x01z \x61\x01\x7a 61 01 7a|ab"]


def test_buffer_of_a_traced_length(ebt: Ebt) -> None:
    program = """tracepoint:syscalls:sys_enter_write /pid == cpid && args.fd == 1/
        { printf("%r\\n", buf(args.buf, args.count)); @[buf(args.buf, args.count)] = count(); }"""
    result = ebt("-q", "-e", program, "-c", "/bin/echo some bytes", "-o", "/dev/stderr")
    assert lines(result.stderr) == [r"some bytes\x0a", r"@[some bytes\x0a]: 1"], result


def test_join(ebt: Ebt) -> None:
    program = 'tracepoint:syscalls:sys_enter_execve /pid == cpid/ { join(args.argv); join(args.argv, "|"); }'
    result = ebt("-q", "-e", program, "-c", "/bin/echo one two  three", "-o", "/dev/stderr")
    echoed = lines(result.stderr)
    assert [text for text in echoed if "echo" in text] == [
        "/bin/echo one two three",
        "/bin/echo|one|two|three",
    ], result


def test_cat(ebt: Ebt, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("first\nsecond\n")
    assert begin(ebt, f'cat("{tmp_path}/%s", "text");') == ["first", "second"]
    missing = ebt("-q", "-e", 'begin { cat("/nowhere/at/all"); print(1); }')
    assert (lines(missing.stdout), missing.rc) == (["1"], 0)
    assert missing.stderr.endswith("failed to open file '/nowhere/at/all': No such file or directory\n")
    assert begin(ebt, f'cat("{file}");', env={"BPFTRACE_MAX_CAT_BYTES": "3"}) == ["fir"]


def test_system(ebt: Ebt) -> None:
    program = 'begin { system("echo %s %d; echo wrong >&2", "text", 7); exit(); }'
    result = ebt("-q", "--unsafe", "-e", program)
    assert (lines(result.stdout), result.stderr, result.rc) == (["text 7", "wrong"], "", 0)
    refused = ebt("-q", "-e", program)
    assert "system() is an unsafe function being used in safe mode" in refused.stderr and refused.rc == 1


def test_errorf_and_warnf(ebt: Ebt) -> None:
    program = 'begin { errorf("bad %d", 7); warnf("odd %s", "thing"); exit(); }'
    result = ebt("-q", "-e", program)
    assert result.stderr.splitlines() == ["stdin:1:9-27: ERROR: bad 7", "stdin:1:30-53: WARNING: odd thing"]
    assert result.rc == 0
    assert ebt("-q", "--no-warnings", "-e", program).stderr.splitlines() == ["stdin:1:9-27: ERROR: bad 7"]


def test_assert(ebt: Ebt) -> None:
    result = ebt("-q", "-e", 'begin { assert(1 == 1, "fine"); assert(pid == 0, "no pid"); printf("after"); }')
    assert result.rc == 1 and result.stderr.endswith("ERROR: assertion failed: no pid\n")
    assert not lines(result.stdout)


def test_debugf(ebt: Ebt) -> None:
    assert begin(ebt, 'debugf("ebt says %d", 42);') == []


REFUSED = {
    'begin { fail("not on %s", "this"); }': "not on this",
    'begin { static_assert(sizeof(uint32) == 8, "wide"); }': "wide",
    'begin { kaddr("no_such_symbol_at_all"); }': "failed to resolve kernel symbol: no_such_symbol_at_all",
    'begin { print(reg("ax")); }': 'reg can not be used with "begin" probes',
    "begin { signal(9); }": "signal() is an unsafe function being used in safe mode",
    'begin { print(pton("1.2.3")); }': "invalid IP address: '1.2.3'",
    "begin { print(strlen()); }": "strlen() requires one argument (0 provided)",
    "begin { print(strncmp(comm, comm)); }": "strncmp() requires 3 arguments (2 provided)",
    "begin { print(nsecs(sidereal)); }": "nsecs() expects one of: boot monotonic tai sw_tai",
    'begin { print(cgroupid("/nowhere")); }': "failed to resolve cgroup path: '/nowhere'",
}


@pytest.mark.parametrize("program", REFUSED)
def test_refused(ebt: Ebt, program: str) -> None:
    result = ebt("-q", "-e", program)
    assert REFUSED[program] in result.stderr and result.rc == 1


def test_pruned_branches_may_fail(ebt: Ebt) -> None:
    assert begin(ebt, '$a = 1; if (is_str($a)) { fail("text"); } else { print("number"); }') == ["number"]


def symbol(name: str) -> int:
    """The address of a kernel symbol; skips where this kernel does not tell it."""
    found = re.search(rf"^(\w+) \w {name}$", Path("/proc/kallsyms").read_text(), re.MULTILINE)
    if not found:
        pytest.skip(f"/proc/kallsyms does not have {name}")
    return int(found[1], 16)


def test_kernel_addresses(ebt: Ebt) -> None:
    """avenrun[0] is the load average of a minute, in units of 1/2048."""
    load_average = symbol("avenrun")
    shown = begin(
        ebt, '$a = kaddr("avenrun"); print($a); print(*$a >> 11); print(percpu_kaddr("runqueues", 9999));'
    )
    load = float(Path("/proc/loadavg").read_text().split()[0])
    assert int(shown[0]) == load_average and abs(int(shown[1]) - load) < 1.5 and shown[2] == "0"


def test_percpu_addresses(ebt: Ebt) -> None:
    """A CPU's own number stands in its own copy."""
    symbol("cpu_number")
    body = 'print(*(uint32 *)percpu_kaddr("cpu_number") == cpu); print(percpu_kaddr("cpu_number", 0) != 0);'
    assert begin(ebt, body) == ["true", "true"]


def test_cgroups(ebt: Ebt) -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    root = next(words[1] for words in mounts if words[2] == "cgroup2")
    inode = os.stat(root).st_ino
    shown = begin(ebt, f'print(cgroupid("{root}")); print(cgroup_path({inode}, "unif*"));')
    assert shown == [str(inode), "unified:/"]


def test_find_and_len(ebt: Ebt) -> None:
    body = """@m[1, "a"] = 7; @m[2, "b"] = 9; @c[1] = count(); let $v: int64 = 5;
        print(find(@m, (2, "b"), $v)); print($v); print(find(@m, (3, "b"), $v)); print($v);
        print(len(@m)); print(len(@c)); delete(@m, (1, "a")); print(len(@m)); print(has_key(@m, (2, "b")));
        clear(@m); clear(@c);"""
    assert begin(ebt, body) == ["true", "9", "false", "9", "2", "1", "1", "true"]


def test_len_of_a_stack(ebt: Ebt) -> None:
    assert begin(ebt, "$s = kstack; print(len($s) > 2); print(len(kstack(2)));") == ["true", "2"]
    assert begin(ebt, "print(kstack(1) == kstack(1, 1)); print(len(kstack(3, 1)));") == ["false", "3"]


def test_function_address(ebt: Ebt) -> None:
    """An address without a type reads eight bytes: of a function, its first instructions."""
    shown = begin(ebt, '$a = kaddr("vfs_read"); print($a); print(*$a != 0); print(*$a == *(uint64 *)$a);')
    assert shown == [str(symbol("vfs_read")), "true", "true"]


def test_whole_structs(ebt: Ebt) -> None:
    (shown,) = begin(ebt, "print(curtask.se.load);")
    assert re.fullmatch(r"\{ \.weight = \d+, \.inv_weight = \d+ \}", shown), shown
    (whole,) = begin(ebt, 'printf("%d %s\\n", pid(init), *curtask);')
    tgid, _, text = whole.partition(" ")
    assert f", .tgid = {tgid}, " in text and ", .comm = " in text and text.endswith(" }")


def test_all_arguments(ebt: Ebt) -> None:
    program = "tracepoint:syscalls:sys_exit_read /pid == cpid && args.ret == 77/ { print(args); }"
    result = ebt("-q", "-e", program, "-c", " ".join(work("read=77:1")), "-o", "/dev/stderr")
    assert lines(result.stderr) == ["{ .__syscall_nr = 0, .ret = 77 }"]


def test_signal(ebt: Ebt) -> None:
    program = "tracepoint:syscalls:sys_enter_clock_nanosleep /pid == cpid/ { signal(SIGKILL); }"
    started = time.monotonic()
    result = ebt("-q", "--unsafe", "-e", program, "-c", "/bin/sleep 20")
    assert (result.rc, result.stderr) == (0, "") and time.monotonic() - started < 15


def test_signal_by_name(ebt: Ebt) -> None:
    program = 'tracepoint:syscalls:sys_enter_clock_nanosleep /pid == cpid/ { signal_thread("SIGTERM"); }'
    started = time.monotonic()
    result = ebt("-q", "--unsafe", "-e", program, "-c", "/bin/sleep 20")
    assert (result.rc, result.stderr) == (0, "") and time.monotonic() - started < 15


def test_search_in_a_path(ebt: Ebt) -> None:
    """What a loop goes through stays within the verifier's limits at the default max_strlen."""
    program = """tracepoint:syscalls:sys_enter_openat /pid == cpid/ { $f = str(args.filename);
        if (strcontains($f, "no_such_file_at_all_here")) {
            @[strlen($f), strstr($f, "such_file_at")] = count(); }
        if (strstr(str(args.filename, 64), comm) >= 0) { @own = count(); } }"""
    path = "/tmp/no_such_file_at_all_here"
    result = ebt("-q", "-e", program, "-c", " ".join(work(f"open={path}:3")), "-o", "/dev/stderr")
    assert lines(result.stderr)[0] == f"@[{len(path)}, {path.index('such')}]: 3", result


def test_search_that_is_too_much(ebt: Ebt) -> None:
    result = ebt(
        "-e", "tracepoint:syscalls:sys_enter_openat { $f = str(args.filename); print(strstr($f, comm)); }"
    )
    assert "too much for the kernel's verifier: 16384 steps" in result.stderr and result.rc == 1


def test_registers(ebt: Ebt) -> None:
    """On x86-64 the first argument of a function is in di, and a program's own code is user mode."""
    if os.uname().machine != "x86_64":
        pytest.skip("the names are x86-64's")
    program = """uprobe:libc:toupper /pid == cpid/
        { printf("%d %d %d %d ", reg("di"), ctx.di, usermode, reg("ip") == reg("pc"));
          print(probetype); exit(); }"""
    result = ebt("-q", "-e", program, "-c", " ".join(work("toupper=97:1")), "-o", "/dev/stderr")
    assert lines(result.stderr) == ["97 97 1 1 uprobe"], result


def test_write_user(ebt: Ebt) -> None:
    """A read of a traced process finds other bytes than the file's."""
    program = """tracepoint:syscalls:sys_enter_write /pid == cpid && args.fd == 1/
        { print(write_user(args.buf, "EBT", 3)); }"""
    result = ebt("-q", "--unsafe", "-e", program, "-c", "/bin/echo some bytes", "-o", "/dev/stderr")
    if "probe_write_user" in result.stderr:
        pytest.skip("this kernel refuses bpf_probe_write_user to tracepoints")
    assert (result.stdout, lines(result.stderr)) == ("EBTe bytes\n", ["true"])
