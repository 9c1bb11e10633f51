"""Builtins, functions and kinds of probes on the running kernel: what a known workload does, by value."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import time
from pathlib import Path

import pytest

from kernel.live import LiveMachine
from tests.conftest import Ebt
from tests.kernel.support import Trace, begin, fresh, lines, row, running, said, stats, tracer, working

pytestmark = pytest.mark.kernel


@pytest.fixture
def trace(ebt: Ebt) -> Trace:
    return tracer(ebt)


# --- builtins, by what the workload says of itself ---


def test_who(trace: Trace) -> None:
    name, other = fresh(), fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_kill /comm == "{name}" || comm == "{other}"/
        {{ printf("%d %d %d %d %s %d\\n", pid, tid, uid, gid, comm, args.pid); }}
    """
    steps = [
        f"name={name}",
        "say",
        "kill=1",
        "gid=23456",
        "uid=12345",
        f"name={other}",
        "kill=1",
        "thread=kill=1",
    ]
    run = trace(program, *steps)
    pid, tid = said(run.workload, "pid"), said(run.workload, "tid")
    assert tid != pid
    assert run.lines == [
        f"{pid} {pid} {os.getuid()} {os.getgid()} {name} {pid}",
        f"{pid} {pid} 12345 23456 {other} {pid}",
        f"{pid} {tid} 12345 23456 {other} {pid}",
    ]


def test_the_current_task(trace: Trace, tmp_path: Path) -> None:
    """Pointer hops, nested structs, arrays of structs, members of anonymous unions."""
    name = fresh()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    program = f"""
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{
            $t = curtask;
            printf("%d %d %s %d ", $t.pid, curtask->tgid, curtask.comm, curtask.real_parent.tgid);
            print(curtask.cred.uid.val);
            print(str(curtask.fs.pwd.dentry.d_name.name)); print(curtask.fs.pwd.dentry.d_name.len);
            print(curtask.signal.rlim[7].rlim_cur); $i = pid ? 7 : 3; print($t.signal.rlim[$i].rlim_cur);
            print(curtask.comm == comm); print(curtask.group_leader == curtask); print(curtask.mm != 0);
            print(curtask.rcu_users.refs.counter > 0);
            print(((struct task_struct *)(uint64)curtask).tgid == pid);
        }}
    """
    folder = tmp_path / "a folder"
    folder.mkdir()
    run = trace(program.replace("\n", " "), f"name={name}", "say", f"cd={tmp_path}", "thread=kill=1")
    pid, tid, parent = (said(run.workload, word) for word in ("pid", "tid", "parent"))
    assert run.lines == [
        f"{tid} {pid} {name} {parent} 0", tmp_path.name, str(len(tmp_path.name)),
        str(limit), str(limit), "true", "false", "true", "true", "true",
    ]  # fmt: skip


def test_a_bit_field(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{
            @ = curtask.sched_reset_on_fork + 0; printf("%d %d\\n", @, curtask.sched_reset_on_fork == 1);
        }}
    """
    run = trace(program, f"name={name}", "kill=1", "resetonfork", "kill=1")
    assert run.lines == ["0 0", "1 1", "@: 1"]


def test_times(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ printf("%lu %lu\\n", nsecs, elapsed); }}
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ @last = nsecs; @over = elapsed; }}
    """
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    run = trace(program, f"name={name}", "kill=1", "sleep=0.1", "kill=1")
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    (one, since_one), (two, since_two) = (map(int, line.split()) for line in run.lines[:2])
    assert before < one < two < after and two - one >= 100_000_000
    # both count from one start, which lies after ours
    assert abs((one - since_one) - (two - since_two)) < 1_000_000 and before < one - since_one < one
    assert 0 <= int(run.lines[2].removeprefix("@last: ")) - two < 1_000_000_000
    assert int(run.lines[3].removeprefix("@over: ")) >= since_two


def test_the_time_of_day(ebt: Ebt) -> None:
    before = time.strftime("%Y-%m-%d")
    date, clock, end = begin(ebt, 'time("%Y-%m-%d\\n"); time(); time("the end\\n");')
    assert before <= date <= time.strftime("%Y-%m-%d")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", clock) and end == "the end"


def test_processors(trace: Trace) -> None:
    """Aggregates over all processors are exact: they are kept apart and added up at the end."""
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_write /comm == "{name}"/ {{
            @n = count(); @k[cpu] = count(); @s = sum(args.count); @a = avg(args.count);
            @t["x"] = stats(args.count);
            @low = min(args.count - cpu); @high = max(args.count + cpu); @h["x"] = hist(args.count);
            @l = lhist(cpu, 0, 64, 1);
        }}
    """
    run = trace(program, f"name={name}", "eachcpu=write=100:23", "eachcpu=write=300:46")
    cpus = sorted(os.sched_getaffinity(0))
    total = 69 * len(cpus)
    average = (23 * 100 + 46 * 300) // 69
    for number in cpus:
        assert f"@k[{number}]: 69" in run.lines and row(f"[{number}]", 69) in run.lines
    assert {f"@n: {total}", f"@s: {16100 * len(cpus)}", f"@a: {average}"} <= set(run.lines)
    assert {f"@high: {300 + cpus[-1]}", f"@low: {100 - cpus[-1]}"} <= set(run.lines)
    assert f"@t[x]: {stats(total, average, 16100 * len(cpus))}" in run.lines
    assert {row("[64, 128)", 23 * len(cpus), 26), row("[256, 512)", 46 * len(cpus))} <= set(run.lines)


def test_random_numbers(ebt: Ebt) -> None:
    numbers = {int(line) for line in begin(ebt, "unroll(20) { print(rand); }")}
    assert len(numbers) > 15 and all(0 <= number < 1 << 32 for number in numbers) and max(numbers) > 1 << 20


def test_the_cgroup(ebt: Ebt) -> None:
    text = Path("/proc/self/cgroup").read_text()
    path = re.search(r"^0::(.*)$", text, re.MULTILINE)
    mount = re.search(r"^\S+ (\S+) cgroup2 ", Path("/proc/mounts").read_text(), re.MULTILINE)
    (number,) = map(int, begin(ebt, "print(cgroup);"))
    if path and mount:
        assert number == os.stat(mount[1] + path[1]).st_ino
    else:
        assert number > 0


# --- values behind pointers ---


def test_strings(trace: Trace) -> None:
    name, path = fresh(), "/no/such/directory/file"
    program = f"""
        tracepoint:syscalls:sys_enter_openat /comm == "{name}"/ {{
            print(str(args.filename)); print(str(args.filename, 5));
            $n = pid ? 8 : 3; print(str(args.filename, $n));
            @s[str(args.filename)] = 1; $f = str(args.filename); print($f == "{path}"); print($f == "/no");
            print((str(args.filename, 4), 5)); @v = str(args.filename); print(str(args.filename, 4) == "/no");
            printf("%s|%30s|%-30s|\\n", $f, $f, $f); print(str(0) == ""); print(str(args.filename + 4));
        }}
    """
    run = trace(program, f"name={name}", f"open={path}:1")
    assert run.lines == [
        path, path[:4], path[:7], "true", "false", "(/no, 5)", "true", f"{path}|{path:>30}|{path:30}|",
        "true", path[4:], f"@s[{path}]: 1", f"@v: {path}",
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [20, 64, 200])
def test_the_longest_string(trace: Trace, limit: int) -> None:
    name, path = fresh(), "/" + "long/" * 60
    program = f"""
        config = {{ max_strlen = {limit}; }}
        tracepoint:syscalls:sys_enter_openat /comm == "{name}"/ {{ print(str(args.filename)); }}
    """
    (line,) = trace(program, f"name={name}", f"open={path}:1").lines
    assert line in (path[: limit - 1], path[: limit - 1] + "..")


def test_addresses(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:sock:inet_sock_set_state /comm == "{name}" && args.newstate == 2/ {{
            printf("%s %s %d %d\\n", ntop(args.family, args.daddr), ntop(args.daddr_v6), args.dport,
                args.family);
            @[ntop(args.daddr_v6)] = count();
        }}
        begin {{ print(ntop(0x0100007f)); print(ntop(2, 0x08080808)); }}
    """
    run = trace(program, f"name={name}", "connect=4")
    port = said(run.workload, "port")
    assert run.lines == [
        "127.0.0.1", "8.8.8.8", f"127.0.0.1 ::ffff:127.0.0.1 {port} 2", "@[::ffff:127.0.0.1]: 1"
    ]  # fmt: skip


def test_long_addresses(trace: Trace) -> None:
    if not Path("/proc/net/if_inet6").exists() or " lo" not in Path("/proc/net/if_inet6").read_text():
        pytest.skip("no IPv6 here")
    name = fresh()
    program = f"""
        tracepoint:sock:inet_sock_set_state /comm == "{name}" && args.newstate == 2/ {{
            printf("%s %s %d\\n", ntop(args.daddr_v6), ntop(args.family, args.saddr_v6), args.family);
        }}
    """
    assert trace(program, f"name={name}", "connect=6").lines == ["::1 ::1 10"]


def test_kernel_symbols(ebt: Ebt) -> None:
    found = re.search(r"^([0-9a-f]+) [tT] (vfs_read)$", Path("/proc/kallsyms").read_text(), re.MULTILINE)
    assert found
    address = int(found[1], 16)
    body = r"""
        $a = (uint64)$1; print(ksym($a)); printf("%s|%12s\n", ksym($a), ksym($a)); @[ksym($a)] = 1;
        print(ksym(1));
    """
    assert begin(ebt, body, hex(address)) == ["vfs_read", "vfs_read|    vfs_read", "0x1", "@[vfs_read]: 1"]


def test_kernel_stacks(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:sched:sched_switch /comm == "{name}" && @done == 0/ {{
            @done = 1; print("a"); print(kstack(3)); print("b"); print(kstack(perf, 2)); print("c");
            print(kstack(raw, 2)); printf("<%s>\\n", kstack(1)); @s = kstack;
            print("d"); print(@s); clear(@s); clear(@done);
        }}
    """
    out = trace(program, f"name={name}", "sleeps=2").out
    plain, perf, raw, one, whole = re.split(r"^[abcd]\n|^(?=<)", out, flags=re.MULTILINE)[1:]
    frames = re.findall(r"^ {8}(\S+\+\d+)$", whole, re.MULTILINE)
    addresses = raw.split()
    assert len(frames) > 3 and len(addresses) == 2
    assert plain == "\n" + "".join(f"{' ' * 8}{frame}\n" for frame in frames[:3]) + "\n"
    assert all(re.fullmatch(r"[0-9a-f]{16}", address) for address in addresses)
    assert (
        perf
        == "\n" + "".join(f"\t{at} {frame}\n" for at, frame in zip(addresses, frames[:2], strict=True)) + "\n"
    )
    assert raw == "\n" + "".join(f"{address}\n" for address in addresses) + "\n"
    assert one == f"<\n{' ' * 8}{frames[0]}\n>\n"


def test_a_stack_begins_at_the_raw_tracepoint(trace: Trace) -> None:
    """Not with the program and what runs it; the m frames of kstack(n, m) are no part of the n."""
    name = fresh()
    program = f"""
        rawtracepoint:sched_switch /comm == "{name}" && @done == 0/ {{
            @done = 1; print("a"); print(kstack(3)); print("b"); print(kstack(2, 1));
            print("c"); print(kstack);
        }}
    """
    out = trace(program, f"name={name}", "sleeps=2").out
    three, two, whole = (re.findall(r"^ {8}(\S+)\+\d+$", part, re.MULTILINE)
                         for part in re.split(r"^[abc]\n", out, flags=re.MULTILINE)[1:])  # fmt: skip
    assert len(whole) > 3 and three == whole[:3] and two == whole[1:3]
    assert not any(frame.startswith(("bpf_prog_", "bpf_trace_run")) for frame in whole)
    assert "schedule" in whole


# --- kinds of probes ---


def test_functions_of_a_library(ebt: Ebt) -> None:
    """uprobe and uretprobe: arguments, result, function, user symbols, stacks."""
    name = fresh()
    program = f"""
        uprobe:libc:toupper /comm == "{name}"/ {{
            printf("%d %s %s %s %s\\n", arg0, func, usym(arg1), usym(arg1 + 1), probe);
            @[func, arg0] = count(); @u[usym(arg1)] = count(); @s[ustack(1)] = count();
            @p[ustack(perf, 2)] = count();
        }}
        uretprobe:libc:toupper /comm == "{name}"/ {{ printf("%d\\n", retval); @r = sum(retval); }}
    """
    with working(f"name={name}", "wait", "toupper=97:1", "toupper=98:22", "wait") as process:
        process.wait_for("ready")
        with running([*ebt.command, "-e", program]) as script:
            script.attached()
            process.tell()
            process.wait_for("ready\nready")
            out = script.end(signal.SIGINT).stdout
    texts = lines(out)
    label = re.fullmatch(r"97 toupper toupper toupper (uprobe:/\S*/libc.so.6:toupper)", texts[0])
    assert label, texts
    assert texts[1:46] == ["65"] + [f"98 toupper toupper toupper {label[1]}", "66"] * 22
    assert {"@[toupper, 97]: 1", "@[toupper, 98]: 22", "@r: 1517", "@u[toupper]: 23"} <= set(texts)
    assert re.search(r"^@s\[\n {8}toupper\+0\n\]: 23$", out, re.MULTILINE), out
    assert re.search(
        r"^@p\[\n\t[0-9a-f]+ toupper\+0 \(/\S*/libc.so.6\)\n(\t.*\n)?\]: 23$", out, re.MULTILINE
    ), out


def test_an_offset_and_an_address(trace: Trace) -> None:
    """uprobe by address in the file."""
    name = fresh()
    libc = next(
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libc.so" in line
    )
    offset = next(item.offset for item in LiveMachine().user_functions(libc, "toupper"))
    program = f"""uprobe:{libc}:{offset} /comm == "{name}"/ {{ @a = count(); }}
        uprobe:{libc}:toupper+0 /comm == "{name}"/ {{ @o = count(); }}
        uprobe:{libc}:touppe* /comm == "{name}"/ {{ @w = count(); }}"""
    assert trace(program, f"name={name}", "toupper=97:23").lines == ["@a: 23", "@o: 23", "@w: 23"]


def test_raw_tracepoints(trace: Trace) -> None:
    name = fresh()
    program = f"""
        rawtracepoint:sys_enter /comm == "{name}" && arg1 == {kill_number()}/ {{
            @[arg1] = count(); @id[args.id] = count();
        }}
        rawtracepoint:sched_switch /comm == "{name}"/ {{ @s[args.prev.comm] = count(); }}
    """
    run = trace(program, f"name={name}", "kill=23", "sleeps=3")
    assert run.lines[:2] == [f"@[{kill_number()}]: 23", f"@id[{kill_number()}]: 23"]
    assert run.lines[2].startswith(f"@s[{name}]: ") and len(run.lines) == 3


def kill_number() -> int:
    return 129 if os.uname().machine == "aarch64" else 62


def test_wildcards_and_probe(trace: Trace) -> None:
    name = fresh()
    program = f'tracepoint:syscalls:sys_enter_*open* /comm == "{name}"/ {{ @[probe] = count(); }}'
    run = trace(program, f"name={name}", "open=/no/such/file:23", "kill=5")
    assert run.lines == ["@[tracepoint:syscalls:sys_enter_openat]: 23"]


def test_several_probes_on_one_body(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_kill, tracepoint:syscalls:sys_exit_kill,
        t:syscalls:sys_enter_read
        /comm == "{name}"/ {{ @[probe] = count(); @n++; }}
        tracepoint:syscalls:sys_enter_write, tracepoint:syscalls:sys_enter_read /comm == "{name}"/
        {{ @bytes[args.fd > 2] = sum(args.count); }}
    """
    run = trace(program, f"name={name}", "kill=23", "read=64:7", "write=10:3")
    assert sorted(run.lines) == sorted([
        "@[tracepoint:syscalls:sys_enter_read]: 7", "@[tracepoint:syscalls:sys_enter_kill]: 23",
        "@[tracepoint:syscalls:sys_exit_kill]: 23", "@bytes[true]: 478", "@n: 53",
    ])  # fmt: skip


def test_several_probes_on_one_event(trace: Trace) -> None:
    """In the order in which they are written."""
    name = fresh()
    program = " ".join(
        f'tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ printf("%d ", {number}); }}'
        for number in range(1, 6)
    )
    assert trace(program, f"name={name}", "kill=3").lines == ["1 2 3 4 5 " * 3]


def test_results_of_system_calls(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_exit_read /comm == "{name}" && args.ret < 0/ {{
            @[args.ret] = count(); @neg = sum(args.ret);
        }}
        tracepoint:syscalls:sys_exit_read /comm == "{name}" && args.ret >= 0/ {{
            @ok = sum(args.ret); @h = hist(args.ret);
        }}
        tracepoint:syscalls:sys_exit_read /comm == "{name}"/ {{ @min = min(args.ret); @max = max(args.ret); }}
    """
    run = trace(program, f"name={name}", "badread=13", "read=100:7")
    assert run.lines == [
        "@[-9]: 13",
        "@h:",
        row("[64, 128)", 7),
        "@max: 100",
        "@min: -9",
        "@neg: -117",
        "@ok: 700",
    ]


def test_one_process_only(ebt: Ebt) -> None:
    """-p filters all probes but the timers, and the run ends with the process."""
    name = fresh()
    program = (
        "tracepoint:syscalls:sys_enter_kill { @[comm, pid] = count(); } interval:ms:50 { @ticks = count(); }"
    )
    with (
        working(f"name={name}", "wait", "kill=23") as one,
        working(f"name={name}", "wait", "kill=7") as other,
    ):
        one.wait_for("ready")
        other.wait_for("ready")
        with running([*ebt.command, "-e", program, "-p", str(one.pid)]) as script:
            script.attached()
            other.tell()
            other.end()
            time.sleep(0.11)
            one.tell()
            result = script.end()
    assert result.rc == 0 and lines(result.stdout)[0] == f"@[{name}, {one.pid}]: 23"
    assert re.fullmatch(r"@ticks: [1-9]\d*", lines(result.stdout)[1])


@pytest.mark.parametrize("timer", ["interval:ms:40", "interval:40ms", "interval:hz:25", "interval:us:40000"])
def test_intervals(ebt: Ebt, timer: str) -> None:
    program = f'{timer} {{ @n++; printf("%d %lu\\n", @n, elapsed); if (@n == 7) {{ exit(); }} }}'
    rows = [line.split() for line in lines(ebt("-q", "-e", program).stdout)]
    assert [number for number, _ in rows[:7]] == list("1234567") and rows[7:] == [["@n:", "7"]]
    times = [int(moment) for _, moment in rows[:7]]
    assert times == sorted(times) and 220_000_000 <= times[6] - times[0] <= 2_000_000_000


def test_profiles(trace: Trace) -> None:
    name = fresh()
    program = " ".join(
        f'profile:{rate} /comm == "{name}"/ {{ @{word} = count(); }}'
        for word, rate in (("hz", "hz:199"), ("ms", "ms:5"), ("us", "us:5000"), ("unit", "5ms"))
    )
    run = trace(program, f"name={name}", "spin=0.4")
    found = dict(line.split(": ") for line in run.lines)
    assert list(found) == ["@hz", "@ms", "@unit", "@us"]
    assert all(45 <= int(number) <= 130 for number in found.values()), found


def test_software_events(trace: Trace) -> None:
    name = fresh()
    program = f"""
        software:page-faults:1 /comm == "{name}"/ {{ @faults = count(); }}
        software:faults:100 /comm == "{name}"/ {{ @hundreds = count(); }}
        software:context-switches:1 /comm == "{name}"/ {{ @switches = count(); }}
        software:cpu-clock:1000000 /comm == "{name}"/ {{ @ms = count(); }}
    """
    run = trace(program, f"name={name}", "touch=2300", "sleeps=23", "spin=0.1")
    found = {name: int(number) for name, number in (line.split(": ") for line in run.lines)}
    assert 2300 <= found["@faults"] < 6000 and 15 <= found["@hundreds"] <= 60 and found["@switches"] >= 23
    assert found["@ms"] >= 80


def test_begin_and_end(ebt: Ebt) -> None:
    """All of them, in their order, in this process; what begin sets is there for the others."""
    program = """
        begin { print("a"); @x = 5; } BEGIN { print("b"); }
        END { print("d"); @y = @x + 1; } end { print("e"); }
        interval:ms:500 { print("c"); @x *= 2; exit(); }
    """
    assert lines(ebt("-q", "-e", program).stdout) == ["a", "b", "c", "d", "e", "@x: 10", "@y: 11"]
    assert begin(ebt, 'printf("%s %d\\n", comm, pid == tid);') == [f"{Path(ebt.command[0]).name} 1"]


def test_one_type_for_the_whole_program(ebt: Ebt) -> None:
    """A map's type comes from all its uses, in whatever order they stand."""
    program = """
        interval:ms:500 { printf("%s|%d\\n", @s, @n); exit(); }
        begin { @s = "ab"; } begin { @s = "longer than two"; @n = (uint8)5; } begin { @n = -3; }
    """
    assert lines(ebt("-q", "-e", program).stdout) == ["longer than two|-3", "@n: -3", "@s: longer than two"]


def test_json(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_write /comm == "{name}"/ {{
            @[comm, pid > 0] = count(); @h = hist(args.count); @s = stats(args.count);
        }}
        end {{ printf("%d\\n", 5); print((1, "a\\"b")); print(@); time("now\\n"); }}
    """
    run = trace(program, f"name={name}", "write=100:23", args=["-f", "json"])
    assert [json.loads(line) for line in run.lines] == [
        {"type": "printf", "data": "5\n"},
        {"type": "value", "data": [1, 'a"b']},
        {"type": "map", "data": {"@": {f"{name},true": 23}}},
        {"type": "time", "data": "now\n"},
        {"type": "map", "data": {"@": {f"{name},true": 23}}},
        {"type": "hist", "data": {"@h": [{"min": 64, "max": 127, "count": 23}]}},
        {"type": "stats", "data": {"@s": {"count": 23, "average": 100, "total": 2300}}},
    ]
    assert run.out.count("\n\n") == 0


def test_two_at_once(ebt: Ebt) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ @[comm] = count(); }}
        uprobe:libc:toupper /comm == "{name}"/ {{ @u = count(); }}
    """
    with working(f"name={name}", "wait", "kill=23", "toupper=97:7", "wait") as process:
        process.wait_for("ready")
        with running([*ebt.command, "-e", program]) as one, running([*ebt.command, "-e", program]) as other:
            one.attached()
            other.attached()
            process.tell()
            process.wait_for("ready\nready")
            results = [one.end(signal.SIGINT), other.end(signal.SIGTERM)]
    assert [lines(result.stdout) for result in results] == [[f"@[{name}]: 23", "@u: 7"]] * 2


def test_the_texts_of_many_probes(trace: Trace) -> None:
    """More probes than have a program each: `probe` is that of each, in loops and in comparisons too."""
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_* /comm == "{name}"/ {{
            $name = probe;
            if ($name == "tracepoint:syscalls:sys_enter_read") {{ @reads++; }}
            if (probe == "tracepoint:syscalls:sys_enter_write") {{ @[probe, probetype] = count(); }}
            for $i : 0..300 {{
                if ($i == 299 && strncmp(probe, "tracepoint:syscalls:sys_enter_kill", 34) == 0) {{
                    @loops[probe] = count(); }} }}
        }}
        tracepoint:syscalls:sys_exit_* /comm == "{name}" && strcontains(probe, "exit_kill")/ {{
            printf("%s\\n", probe); }}
    """
    run = trace(program, f"name={name}", "read=100:23", "write=10:7", "kill=3")
    kills = ["tracepoint:syscalls:sys_exit_kill"] * 3
    assert [line for line in run.lines if not line.startswith("@reads")] == [
        *kills, "@[tracepoint:syscalls:sys_enter_write, tracepoint]: 7",
        "@loops[tracepoint:syscalls:sys_enter_kill]: 3",
    ], run.out  # fmt: skip
    assert int(run.lines[-1].removeprefix("@reads: ")) >= 23


@pytest.mark.parametrize("length", [7, 8, 9, 15, 16, 24, 36, 60])
def test_comparison_with_a_literal_of_any_length(ebt: Ebt, length: int, tmp_path: Path) -> None:
    """Each is within what the verifier bears, and right to the last character."""
    text = ("abcdefghijklmnopqrstuvwxyz0123456789" * 2)[:length]
    program = f"""tracepoint:syscalls:sys_enter_openat /pid == cpid/ {{
        $name = str(args.filename, 80);
        if ($name == "{text}" || $name == "{text}x") {{ @same++; }}
        if ($name == "{text[:-1]}!" || $name == "{text[:-1]}" || comm == "{text[:14]}") {{ @wrong++; }}
        if ($name != "{text}" && $name == "{text}x") {{ @longer++; }} }}"""
    run = tmp_path / "run"
    run.write_text(f"#!/bin/sh\ncd {tmp_path}\n: < {text}; : < {text}x; : < {text}\n")
    run.chmod(0o755)
    (tmp_path / text).touch()
    (tmp_path / f"{text}x").touch()
    result = ebt("-q", "-e", program, "-c", str(run))
    assert lines(result.stdout) == ["@longer: 1", "@same: 3"], result
