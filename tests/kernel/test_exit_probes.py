"""Exit probes know their entry: arguments, result and time of each call, by recursion and by threads."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import NOTIFY, Trace, fresh, lines, running, tracer, working

pytestmark = pytest.mark.kernel

# qsort calls itself by way of its comparison: (base, how many, size, comparison), from 2 + depth down to 2.
NESTED = """
import ctypes, sys, threading
LIBC = ctypes.CDLL("libc.so.6")
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
LIBC.prctl(15, sys.argv[1].encode(), 0, 0, 0)

def nest(depth):
    data = (ctypes.c_int * 2)(1, 2)
    def compare(a, b):
        if depth:
            nest(depth - 1)
        return 0
    LIBC.qsort(data, ctypes.c_size_t(2), ctypes.c_size_t(4), COMPARE(compare))

def work():
    LIBC.prctl(15, sys.argv[1].encode(), 0, 0, 0)
    for _ in range(20):
        nest(9)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.fixture
def trace(ebt: Ebt) -> Trace:
    return tracer(ebt)


def test_a_recursive_user_function_in_eight_threads(ebt: Ebt, tmp_path: Path) -> None:
    """Each return has its own call's argument: an inner call's data lie elsewhere."""
    name, script = fresh(), tmp_path / "nested.py"
    script.write_text(NESTED)
    program = f"""
        uprobe:libc:qsort /comm == "{name}"/ {{
            @deep[tid] += 1; @base[tid, @deep[tid]] = arg0; @in = count(); }}
        uretprobe:libc:qsort /comm == "{name}"/ {{
            if (arg0 == @base[tid, @deep[tid]]) {{ @same = count(); }}
            if (arg1 == 2 && arg2 == 4) {{ @sized = count(); }}
            if (duration > 0 && duration < 100000000000) {{ @timed = count(); }}
            @longest[@deep[tid]] = min(duration);
            @deep[tid] -= 1;
        }}
        end {{ clear(@deep); clear(@base); }}
    """
    result = ebt("-q", "-e", program, "-c", f"{sys.executable} -I -S -B {script} {name}")
    assert (result.rc, result.stderr) == (0, ""), result
    shown = dict(line.split(": ") for line in lines(result.stdout))
    assert {shown[word] for word in ("@in", "@same", "@sized", "@timed")} == {"1600"}
    shortest = [int(shown[f"@longest[{depth}]"]) for depth in range(1, 11)]
    assert shortest == sorted(shortest, reverse=True)  # what is inside takes less time


def test_a_system_call(trace: Trace) -> None:
    name = fresh()
    program = f"""
        syscall:openat /comm == "{name}"/ {{ @entered[str(args.filename)] = count(); }}
        sysret:openat /comm == "{name}"/ {{
            @[str(args.filename), retval >= 0 ? 0 : retval] = count(); @flags[args.flags & 3] = count();
            @took = min(duration); }}
        end {{ @fast = @took > 0 && @took < 10000000 ? 1 : 0; clear(@took); }}
    """
    run = trace(program.replace("\n", " "), f"name={name}", "open=/etc/hostname:23", "open=/no/such:9")
    assert sorted(run.lines) == [
        "@[/etc/hostname, 0]: 23", "@[/no/such, -2]: 9", "@entered[/etc/hostname]: 23",
        "@entered[/no/such]: 9", "@fast: 1", "@flags[0]: 32",
    ]  # fmt: skip


def test_system_calls_by_wildcard(trace: Trace) -> None:
    """Bodies that agree in what they read share a program; each call is still its own."""
    name = fresh()
    program = f"""
        sysret:*open* /comm == "{name}" && retval < 0 && duration/ {{ @[probe] = count(); }}
        sysret:kil* /comm == "{name}" && args.sig == 0/ {{ @ok = count(); }}
    """
    run = trace(program.replace("\n", " "), f"name={name}", "open=/no/such:9", "kill=3")
    assert sorted(run.lines) == ["@[sysret:openat]: 9", "@ok: 3"]


def test_a_call_that_began_before(ebt: Ebt) -> None:
    """It runs no body, and is told."""
    name = fresh()
    program = f'sysret:*nanosleep /comm == "{name}"/ {{ @ = count(); printf("%d", duration); }}'
    with working(f"name={name}", "say", "sleep=8") as worker:
        worker.wait_for(r"^pid \d+")
        with running([*ebt.command, "-e", program, "-p", str(worker.pid)]) as run:
            result = run.end()
    assert "the entry of this call was not seen" in result.stderr, result
    assert result.stdout.strip() == "", result


def test_the_entry_is_saved_only_when_it_is_read(ebt: Ebt) -> None:
    plain = ebt("compile", "-e", "uretprobe:libc:getenv { @ = count(); }").stdout
    assert "_entry" not in plain
    text = ebt(
        "compile", "-e", "uretprobe:libc:getenv { if (0) { print(duration); } @[arg0] = count(); }"
    ).stdout
    assert "u64 arg0;" in text and "u64 arg1;" not in text and "getenv_return_entry" in text


def test_other_calls_are_not_saved(ebt: Ebt) -> None:
    """What the predicate says of the process is asked at the entry too: no other's call is missed."""
    name = fresh()
    with working(f"name={name}", "say", "wait", "kill=5") as worker, working("sleep=1"):
        worker.wait_for(r"^pid \d+")
        kinds = "sysret:*kill,sysret:*nanosleep"
        program = f"{kinds} /pid == {worker.pid} && retval == 0/ {{ @[duration > 0] = count(); }}"
        with running([*ebt.command, "-q", "-e", program], {NOTIFY: "1"}) as run:
            run.attached()
            worker.tell()
            worker.end()
            result = run.end(signal.SIGINT)
    assert (result.rc, result.stderr, lines(result.stdout)) == (0, "", [NOTIFY, "@[true]: 5"]), result


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("uprobe:libc:getenv { print(duration); }", "used with kretprobe, fexit, uretprobe and sysret"),
        ("uretprobe:libc:getenv { print(arg6); }", "arg6 is not in a register: there are arg0 to arg5"),
        ("uretprobe:libc:getenv { print(args.name); }", "args builtin can only be used with"),
        ("sysret:openat { print(args.filenam); }", "has no argument named 'filenam'"),
        ("syscall:openatt { }", "no system call is called 'openatt' here"),
        ("syscall:opennn* { }", "no system call matches 'opennn*' here"),
        ("syscall:openat { print(retval); }", "retval builtin can only be used with"),
        ("syscall { }", "a syscall probe is written syscall:NAME"),
        ("sysret:openat { for ($i : 0..9) { print(duration); } }",
         "'duration' builtin is not allowed in a for-loop"),
    ],
)  # fmt: skip
def test_mistakes(ebt: Ebt, program: str, message: str) -> None:
    result = ebt("compile", "-e", program)
    assert result.rc == 1 and message in result.stderr, result
