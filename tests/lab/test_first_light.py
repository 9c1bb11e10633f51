"""The first one-liners in an emulated kernel, and what only a distribution's kernel has: kprobe, fentry.

A start of ebt takes seconds here, so one run holds several of them.
"""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.conftest import Ebt
from tests.kernel.support import Trace, fresh, gone, lines, row, running, said, tracer, working

pytestmark = pytest.mark.lab
BAR = "@" * 52


@pytest.fixture
def trace(ebt: Ebt) -> Trace:
    return tracer(ebt)


def test_counts_opens_and_sizes(trace: Trace) -> None:
    """Count by comm, opens by name, sizes of reads, lines of text, the parent's name."""
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_openat {{ @[comm] = count(); }}
        tracepoint:syscalls:sys_enter_openat /comm == "{name}"/ {{
            @file[str(args.filename)] = count(); printf("%d %s %s\\n", pid, comm, str(args.filename));
            @parent[curtask.real_parent.comm, curtask.real_parent.pid] = count();
        }}
        tracepoint:syscalls:sys_exit_read /args.ret > 0 && comm == "{name}"/ {{ @size = hist(args.ret); }}
        tracepoint:syscalls:sys_exit_read /comm == "not {name}"/ {{ @none = hist(args.ret); }}
    """
    run = trace(
        program,
        f"name={name}",
        "say",
        "open=/no/such/file:23",
        "open=/dev/null:7",
        "read=100:46",
        "badread=5",
    )
    pid, parent = said(run.workload, "pid"), said(run.workload, "parent")
    found = run.lines
    assert found[:30] == [f"{pid} {name} /no/such/file"] * 23 + [f"{pid} {name} /dev/null"] * 7
    assert f"@[{name}]: 30" in found
    rest = [line for line in found[30:] if not line.startswith("@[")]
    assert rest[:2] == ["@file[/dev/null]: 7", "@file[/no/such/file]: 23"]
    assert re.fullmatch(rf"@parent\[(ebt|python3?), {parent}\]: 30", rest[2])
    assert rest[3:] == ["@size:", row("[64, 128)", 46)]


def test_the_clock_and_the_scheduler(trace: Trace) -> None:
    name = fresh()
    last = max(os.sched_getaffinity(0))
    program = f"""
        profile:hz:99 /comm == "{name}"/ {{ @cpu = lhist(cpu, 0, 8, 1); @ticks = count(); }}
        tracepoint:sched:sched_switch /comm == "{name}"/ {{ @[kstack] = count(); @n = count(); }}
        software:page-faults:1 /comm == "{name}"/ {{ @faults = count(); }}
        rawtracepoint:sched_switch /comm == "{name}"/ {{ @raw = count(); }}
    """
    out = trace(program, f"cpu={last}", f"name={name}", "sleeps=23", "spin=1", "touch=230").out
    numbers = {key: int(value) for key, value in re.findall(r"^@(\w+): (\d+)$", out, re.MULTILINE)}
    stacks = re.findall(r"^@\[\n((?: {8}\S+\+\d+\n)+)\]: (\d+)$", out, re.MULTILINE)
    assert sum(int(times) for _, times in stacks) == numbers["n"] >= 23, out
    assert any("nanosleep" in frame for frame in stacks[-1][0].split())
    assert re.search(rf"^@cpu:\n\[{last}\] +{numbers['ticks']} \|{BAR}\|$", out, re.MULTILINE), out
    # its last switch comes at its end, while the probes are taken off one by one
    assert numbers["ticks"] >= 20 and numbers["faults"] >= 230 and abs(numbers["raw"] - numbers["n"]) <= 1


def test_user_stacks(ebt: Ebt) -> None:
    name = fresh()
    program = """
        uprobe:libc:toupper { @[ustack, comm] = count(); @f[func, usym(arg1), arg0] = count(); }
        uretprobe:libc:toupper { @r = sum(retval); }
    """
    with working(f"name={name}", "wait", "toupper=97:23", "wait") as process:
        process.wait_for("ready")
        with running([*ebt.command, "-e", program, "-p", str(process.pid)]) as script:
            script.attached()
            process.tell()
            process.wait_for("ready\nready")
            out = script.end(signal.SIGINT).stdout
    (stack,) = re.findall(rf"^@\[\n((?: {{8}}.+\n)+), {name}\]: 23$", out, re.MULTILINE)
    assert stack.split()[0] == "toupper+0"
    assert {"@f[toupper, toupper, 97]: 23", f"@r: {23 * 65}"} <= set(lines(out))


def test_two_keys_each_second(ebt: Ebt) -> None:
    name = fresh()
    program = f"""
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ @[comm, pid] = count(); }}
        interval:s:1 {{ print("tick"); print(@); clear(@); }}
    """
    with working(f"name={name}", "wait", "kill=23", "wait", "kill=7", "wait") as process:
        process.wait_for("ready")
        with running([*ebt.command, "-e", program]) as script:
            for count in (23, 7):
                script.attached()
                process.tell()
                script.wait_for(rf"@\[{name}, {process.pid}\]: {count}\ntick\n")
            out = script.end(signal.SIGINT).stdout
    assert re.sub(r"(tick\n)+", "tick\n", out) == (
        f"tick\n@[{name}, {process.pid}]: 23\ntick\n@[{name}, {process.pid}]: 7\ntick\n\n\n"
    )


def test_kernel_functions(trace: Trace) -> None:
    """kprobe and kretprobe: registers, arguments by name, the result, the stack; module functions too."""
    name = fresh()
    program = f"""
        kprobe:vfs_read /comm == "{name}"/ {{
            @n = count(); @size[arg2] = count();
            @name[str(args.file.f_path.dentry.d_name.name), args.count] = count();
            @[kstack(1)] = count(); @f[func, probe] = count();
        }}
        kretprobe:vfs_read /comm == "{name}"/ {{ @r = sum(retval); @rn = count(); }}
        kprobe:vfs_rea*, kprobe:vfs_writ* /comm == "{name}"/ {{ @all[probe] = count(); }}
        kprobe:vfs_read+0 /comm == "not {name}"/ {{ @none = count(); }}
    """
    run = trace(program, f"name={name}", "read=100:23", "write=10:7")
    for line in (
        "@n: 23", "@size[100]: 23", "@name[zero, 100]: 23", "@f[vfs_read, kprobe:vfs_read]: 23", "@r: 2300",
        "@rn: 23", "@all[kprobe:vfs_read]: 23", "@all[kprobe:vfs_write]: 7",
    ):  # fmt: skip
        assert line in run.lines, run.out
    assert re.search(r"^@\[\n {8}vfs_read\+\d+\n\]: 23$", run.out, re.MULTILINE), run.out
    assert "@none" not in run.out


def test_stacks_behind_trampolines(trace: Trace) -> None:
    """They begin with the traced function; what calls it is the second."""
    name = fresh()
    program = f"""
        fentry:vfs_read /comm == "{name}"/ {{ @in[kstack(1)] = count(); @from[kstack(1, 1)] = count(); }}
        fexit:vfs_read /comm == "{name}"/ {{ @out[kstack(2)] = count(); @to[kstack(1, 1)] = count(); }}
    """
    run = trace(program, f"name={name}", "read=100:23")
    for pattern in (
        r"@in\[\n {8}vfs_read\+\d+\n\]: 23", r"@from\[\n {8}\w*ksys_read\+\d+\n\]: 23",
        r"@out\[\n {8}vfs_read\+\d+\n {8}\w*ksys_read\+\d+\n\]: 23", r"@to\[\n {8}\w*ksys_read\+\d+\n\]: 23",
    ):  # fmt: skip
        assert re.search(pattern, run.out), run.out


def test_trampolines(trace: Trace) -> None:
    """fentry and fexit: arguments by name at both ends, the result."""
    name = fresh()
    program = f"""
        fentry:vfs_read /comm == "{name}"/ {{
            @in[args.count, str(args.file.f_path.dentry.d_name.name)] = count();
        }}
        fexit:vfs_read /comm == "{name}"/ {{ @out[retval, args.count] = count(); @r = sum(retval); }}
        fexit:vfs_read /comm == "{name}" && retval < 0/ {{ @failed = count(); }}
        fexit:vfs_open /comm == "{name}"/ {{ @open[str(args.path.dentry.d_name.name), retval] = count(); }}
    """
    run = trace(program, f"name={name}", "read=100:23", "open=/dev/null:7")
    assert run.lines[:2] == ["@in[100, zero]: 23", "@open[null, 0]: 7"], run.out
    assert run.lines[2:] == ["@out[100, 100]: 23", "@r: 2300"], run.out


def test_an_end_leaves_nothing(ebt: Ebt) -> None:
    name = fresh("m")
    program = f"kprobe:vfs_read {{ @{name} = count(); }} kretprobe:vfs_read {{ @{name} = count(); }}"
    with running([*ebt.command, "-e", program]) as script:
        script.attached()
        result = script.end(signal.SIGTERM)
    assert result.rc == 0 and re.fullmatch(rf"\n\n@{name}: \d+\n", result.stdout)
    assert gone(name)
    events = "/sys/kernel/tracing/kprobe_events"
    assert not os.path.exists(events) or open_text(events) == ""


def open_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_what_is_not_there(ebt: Ebt) -> None:
    result = ebt("-e", "kprobe:vfs_raed { @ = count(); }")
    assert result.rc == 1 and result.stdout == "" and "Traceback" not in result.stderr
    assert result.stderr.startswith("stdin:1:1: error:") and "vfs_read" in result.stderr
