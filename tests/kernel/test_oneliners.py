"""The one-liners that everybody tries first, on known work: it is counted exactly, and nothing else is."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import NOTIFY, Trace, fresh, lines, running, tracer, working

pytestmark = pytest.mark.kernel
BAR = "@" * 52


@pytest.fixture
def trace(ebt: Ebt) -> Trace:
    return tracer(ebt)


def test_count_by_comm(trace: Trace) -> None:
    name = fresh()
    program = "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }"
    assert f"@[{name}]: 23" in trace(program, f"name={name}", "open=/no/such/file:23").lines


def test_opens_by_file_name(trace: Trace) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_openat /comm == "{name}"/ {{ @[str(args.filename)] = count(); }}
        tracepoint:syscalls:sys_enter_openat /comm == "not {name}"/ {{ @none[str(args.filename)] = count(); }}
    """
    run = trace(program, f"name={name}", "open=/no/such/file:23", "open=/dev/null:7", "open=/no/such/file:6")
    assert run.out == "\n\n@[/dev/null]: 7\n@[/no/such/file]: 29\n"


def test_opens_line_by_line(trace: Trace) -> None:
    name = fresh()
    program = (
        f'tracepoint:syscalls:sys_enter_openat /comm == "{name}"/ '
        r'{ printf("%d %s %s\n", pid, comm, str(args.filename)); }'
    )
    run = trace(program, f"name={name}", "say", "open=/a/b:2", "open=/dev/zero:3")
    pid = re.search(r"pid (\d+)", run.workload)
    assert pid and run.out == f"{pid[1]} {name} /a/b\n" * 2 + f"{pid[1]} {name} /dev/zero\n" * 3 + "\n\n"


def test_sizes_of_reads(trace: Trace) -> None:
    name = fresh()
    program = (
        f'tracepoint:syscalls:sys_exit_read /args.ret > 0 && comm == "{name}"/ {{ @ = hist(args.ret); }}'
    )
    run = trace(program, f"name={name}", "read=1:3", "read=5:7", "read=1500:46", "badread=11", "read=4096:23")
    assert run.lines == [
        "@:",
        f"[1]                    3 |{'@' * 3:52}|",
        f"[2, 4)                 0 |{'':52}|",
        f"[4, 8)                 7 |{'@' * 7:52}|",
        *(f"{label:16}       0 |{'':52}|" for label in (
            "[8, 16)", "[16, 32)", "[32, 64)", "[64, 128)", "[128, 256)", "[256, 512)", "[512, 1K)"
        )),
        f"[1K, 2K)              46 |{BAR}|",
        f"[2K, 4K)               0 |{'':52}|",
        f"[4K, 8K)              23 |{'@' * 26:52}|",
    ]  # fmt: skip
    assert run.out.startswith("\n\n@:\n") and run.out.endswith("|\n\n")


def test_where_the_clock_ticks(trace: Trace) -> None:
    name = fresh()
    last = max(os.sched_getaffinity(0))
    program = f'profile:hz:99 /comm == "{name}"/ {{ @ = lhist(cpu, 0, 8, 1); @n = count(); }}'
    run = trace(program, f"cpu={last}", f"name={name}", "spin=0.5")
    rows = lines(run.out)
    assert rows[0] == "@:" and rows[1].startswith(f"[{last}] ") and rows[1].endswith(f" |{BAR}|")
    ticks = int(rows[2].removeprefix("@n: "))
    assert len(rows) == 3 and 30 <= ticks <= 70, rows


def test_stacks_of_the_scheduler(trace: Trace) -> None:
    name = fresh()
    program = f'tracepoint:sched:sched_switch /comm == "{name}"/ {{ @[kstack] = count(); @n = count(); }}'
    run = trace(program, f"name={name}", "sleeps=29")
    stacks = re.findall(r"^@\[\n((?: {8}\S+\+\d+\n)+)\]: (\d+)$", run.out, re.MULTILINE)
    assert stacks, run.out
    total = int(re.findall(r"^@n: (\d+)$", run.out, re.MULTILINE)[0])
    assert sum(int(number) for _, number in stacks) == total >= 29
    # entries come in the order of their counts, and the sleeps are the most frequent
    numbers = [int(number) for _, number in stacks]
    assert numbers == sorted(numbers) and numbers[-1] >= 29
    frames = stacks[-1][0].split()
    assert any("nanosleep" in frame for frame in frames), frames
    assert any(frame.startswith("do_syscall_64+") for frame in frames) or os.uname().machine != "x86_64"


def test_the_parents_name(ebt: Ebt) -> None:
    name = fresh()
    program = (
        f'tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ @[curtask.real_parent.comm] = count(); }}'
    )
    with working(f"name={name}", "wait", "kill=13", "wait") as process:
        process.wait_for("ready")
        mine = Path("/proc/self/comm").read_text().strip()
        with running([*ebt.command, "-e", program, "-p", str(process.pid)]) as script:
            script.attached()
            process.tell()
            process.wait_for("ready\nready")
            process.tell()
            assert lines(script.end().stdout) == [f"@[{mine}]: 13"]


@pytest.mark.parametrize("how", ["process", "everybody"])
def test_user_stacks_of_a_living_process(ebt: Ebt, how: str) -> None:
    name = fresh()
    program = "uprobe:libc:toupper { @[ustack, comm] = count(); }"
    with working(f"name={name}", "wait", "toupper=97:23", "wait") as process:
        process.wait_for("ready")
        args = ["-p", str(process.pid)] if how == "process" else []
        with running([*ebt.command, "-e", program, *args]) as script:
            script.attached()
            process.tell()
            process.wait_for("ready\nready")
            out = script.end(signal.SIGINT).stdout
        process.tell()
        process.end()
    found = re.findall(rf"^@\[\n((?: {{8}}.+\n)+), {name}\]: (\d+)$", out, re.MULTILINE)
    assert len(found) == 1 and found[0][1] == "23", out
    # what called it is told only as far as libffi and Python keep frame pointers
    assert found[0][0].split()[0] == "toupper+0"


def test_a_map_of_two_keys_each_second(ebt: Ebt) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ @[comm, pid] = count(); }}
        interval:ms:200 {{ print("tick"); print(@); clear(@); }}
    """
    with working(f"name={name}", "wait", "kill=23", "wait", "kill=7", "wait") as process:
        process.wait_for("ready")
        with running([*ebt.command, "-e", program]) as script:
            script.wait_for("^tick$")
            process.tell()
            script.wait_for(rf"@\[{name}, {process.pid}\]: 23")
            script.wait_for(r": 23\ntick\n")
            process.tell()
            script.wait_for(rf"@\[{name}, {process.pid}\]: 7")
            script.wait_for(r": 7\ntick\n")
            out = script.end(signal.SIGINT).stdout
    # each count was printed once: the map was empty after it, and at the end
    assert re.sub(r"(tick\n)+", "tick\n", out) == (
        f"tick\n@[{name}, {process.pid}]: 23\ntick\n@[{name}, {process.pid}]: 7\ntick\n\n\n"
    )


def test_the_hook_for_other_programs(ebt: Ebt) -> None:
    program = "interval:s:9 { exit(); }"
    with running([*ebt.command, "-q", "-e", program], {NOTIFY: "1"}) as script:
        script.wait_for(NOTIFY)
        result = script.end(signal.SIGINT)
    assert (result.stdout, result.stderr, result.rc) == (f"{NOTIFY}\n\n\n", "", 0)


def test_nothing_where_nothing_happened(trace: Trace) -> None:
    program = (
        f'tracepoint:syscalls:sys_enter_openat /comm == "{fresh()}"/ {{ @[comm] = count(); @n = count(); }}'
    )
    assert trace(program, f"name={fresh()}", "open=/no/such/file:23").out == "\n\n"
