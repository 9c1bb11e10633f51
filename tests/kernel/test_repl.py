"""The prompt on a real terminal and a real kernel, driven by pexpect."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from tests.conftest import PATIENCE, ROOT, Ebt
from tests.kernel.prompt import Prompt, prompt
from tests.kernel.support import fresh, work

__all__ = ["prompt"]  # a fixture
pytestmark = pytest.mark.kernel
OPEN = "/etc/hostname"


def counting(name: str) -> str:
    return f'tracepoint:syscalls:sys_enter_openat /comm == "{name}"/ {{ @opens[comm] = count(); }}'


def opens(name: str, number: int) -> None:
    subprocess.run(work(f"name={name}", f"open={OPEN}:{number}"), check=True)



def test_a_program_a_query_and_the_end(prompt: Prompt) -> None:
    name = fresh("r")
    prompt.enter(counting(name))
    prompt.wait(r"\[1\] attached 1 probe")
    opens(name, 23)
    prompt.enter("@opens")
    assert prompt.wait(rf"@opens\[{name}\]: (\d+)") == "23"
    prompt.enter("clear @opens")
    prompt.wait("@opens of job 1 is empty")
    opens(name, 7)
    prompt.enter("stop 1")
    assert prompt.wait(rf"@opens\[{name}\]: (\d+)") == "7"
    prompt.wait(r"\[1\] ended")
    assert prompt.leave() == 0


def test_two_jobs_and_rows_while_typing(prompt: Prompt) -> None:
    name = fresh("r")
    prompt.enter('interval:ms:100 { printf("tick\\n"); }')
    prompt.wait(r"\[1\] attached")
    prompt.type("tracepoint:syscalls:sys_enter_op")
    prompt.wait("tick")
    prompt.wait("tick")
    prompt.type(f'enat /comm == "{name}"/ {{ printf("open %d\\n", 42); }}\r')
    prompt.wait(r"\[2\] attached 1 probe")
    prompt.enter("pause 1")
    prompt.wait("goes to its log only")
    opens(name, 3)
    for _ in range(3):
        prompt.wait(r"\[2\] open 42")
    prompt.enter("jobs")
    prompt.wait(r"\[1\] paused")
    prompt.wait(r"\[2\] running")
    prompt.enter("log 1 2")
    prompt.wait("tick\r\ntick")
    prompt.enter("resume 1")
    prompt.wait(r"\[1\] tick")
    prompt.enter("stop all")
    prompt.wait("ended")
    prompt.wait("ended")
    assert prompt.leave() == 0


def test_completion(prompt: Prompt) -> None:
    prompt.type("tracepoint:sched:sched_process_ex")
    prompt.wait("sched_process_exec")
    prompt.child.sendcontrol("c")
    prompt.type("tracepoint:syscalls:sys_enter_openat { @ = args.")
    prompt.wait("filename")
    prompt.type("fil\t")
    prompt.wait("filename")
    prompt.child.sendcontrol("c")


def test_a_program_of_several_lines(prompt: Prompt) -> None:
    for line in ("begin {", 'printf("one %d\\n", 23);', "exit();", "}"):
        prompt.enter(line)
    prompt.wait("one 23")
    prompt.wait("ended")


def test_errors_leave_the_session(prompt: Prompt) -> None:
    prompt.enter("begin { @x = nothing_such; }")
    prompt.wait(r"\x1b\[0;31;4mnothing_such")  # underlined in red
    prompt.wait("unknown identifier")
    prompt.child.sendcontrol("c")
    prompt.enter("bogus")
    prompt.wait("there is no command 'bogus'")
    prompt.enter("stop 9")
    prompt.wait("there is no job 9")
    prompt.enter('begin { printf("still here %d\\n", 5); exit(); }')
    prompt.wait("still here 5")


def test_a_probe_that_cannot_be_attached_is_told_while_typing(prompt: Prompt) -> None:
    prompt.type("tracepoint:sched:no_such_point { ")
    prompt.wait("does not exist here")
    prompt.child.sendcontrol("c")


def test_watch_until_ctrl_c(prompt: Prompt) -> None:
    name = fresh("r")
    prompt.enter(counting(name))
    prompt.wait("attached")
    prompt.enter("watch @opens 0.2")
    prompt.wait("@opens is empty")
    opens(name, 5)
    prompt.wait(rf"{name}\]: 5|(\b|m)5\b")  # the digit alone, behind its colour, if it was another before
    prompt.child.sendcontrol("c")
    prompt.enter('begin { printf("after\\n"); exit(); }')
    prompt.wait("after")


def test_what_is_typed_ahead_waits_for_the_prompt(prompt: Prompt) -> None:
    prompt.enter('begin { printf("one %d\\n", 23); exit(); }')
    time.sleep(0.05 * PATIENCE)  # it is being compiled
    prompt.type('begin { printf("two %d\\n", 42); exit(); }\r')
    prompt.wait("one 23")
    prompt.wait("two 42")
    prompt.enter("!echo sle''eps; sleep 60")
    prompt.wait("sleeps")
    prompt.child.sendcontrol("c")
    prompt.wait("interrupted|exit status")
    prompt.enter('begin { printf("three %d\\n", 5); exit(); }')
    prompt.type("\x04")
    prompt.wait("three 5")
    assert prompt.leave() == 0


def test_definitions_and_variables_stay(prompt: Prompt) -> None:
    prompt.enter("set factor 23")
    prompt.enter("macro times(x) { x * opt.factor }")
    prompt.wait("defined macro times")
    prompt.enter('begin { printf("got %d\\n", times(2)); exit(); }')
    prompt.wait("got 46")
    prompt.enter("set factor 100")
    prompt.enter('begin { printf("got %d\\n", times(2)); exit(); }')
    prompt.wait("got 200")


def test_a_tool_with_options(prompt: Prompt) -> None:
    name = fresh("r")
    steps = work(f"name={name}", "wait", f"open={OPEN}:3", "wait")
    with subprocess.Popen(steps, stdin=subprocess.PIPE) as load:
        prompt.enter(f"run opensnoop -p {load.pid}")
        prompt.wait(r"\[1\] attached")
        assert load.stdin is not None
        load.stdin.write(b"\n")
        load.stdin.flush()
        for _ in range(3):
            prompt.wait(OPEN)
        prompt.enter("run opensnoop --no-such")
        prompt.wait("unknown option")
        load.kill()


def test_show_and_explain(prompt: Prompt) -> None:
    prompt.enter("tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }")
    prompt.wait("attached")
    prompt.enter("show c")
    prompt.wait("BPF_TABLE")
    prompt.enter("show explain")
    prompt.wait(r"\+.*tracepoint syscalls:sys_enter_openat")
    prompt.enter("help hist")
    prompt.wait("histogram of powers of two")
    prompt.enter("kernel")
    prompt.wait("ringbuf +works")


def test_history_between_sessions(ebt: Ebt, tmp_path: Path) -> None:
    first = Prompt(list(ebt.command), tmp_path)
    first.enter('begin { printf("remembered\\n"); exit(); }')
    first.wait("remembered\r\n")
    assert first.leave() == 0
    history = tmp_path / "ebt" / "history"
    assert history.stat().st_mode & 0o777 == 0o600
    second = Prompt(list(ebt.command), tmp_path)
    second.child.sendcontrol("r")
    second.type("remem")
    second.wait("printf")
    second.type("\r\r")
    second.wait("remembered\r\n")
    second.kill()


def test_edit(ebt: Ebt, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    (tmp_path / "written").write_text('begin { printf("edited %d\\n", 23); exit(); }\n')
    editor.write_text(f'#!/bin/sh\ncp {tmp_path}/written "$1"\n')
    editor.chmod(0o755)
    session = Prompt(list(ebt.command), tmp_path)
    session.enter("edit")
    session.wait("edited 23")
    session.kill()


def test_much_output_does_not_freeze_the_prompt(prompt: Prompt) -> None:
    name = fresh("r")
    prompt.enter(f'tracepoint:syscalls:sys_enter_read /comm == "{name}"/ {{ printf("row %d\\n", pid); }}')
    prompt.wait("attached")
    load = subprocess.Popen(work(f"name={name}", "read=1:3000000"))
    try:
        prompt.wait("lines more: log 1")
        started = time.monotonic()
        prompt.enter("help jobs")
        prompt.wait("the programs that run")
        assert time.monotonic() - started < 5 * PATIENCE
    finally:
        load.kill()
        load.wait()


def test_killed_it_leaves_nothing(ebt: Ebt, tmp_path: Path) -> None:
    session = Prompt(list(ebt.command), tmp_path)
    name = fresh("r")
    session.enter(f"tracepoint:syscalls:sys_enter_openat {{ @{name}[comm] = count(); }}")
    session.wait("attached")
    assert name in bpf_maps()
    assert session.child.pid is not None
    os.kill(session.child.pid, signal.SIGKILL)
    session.child.wait()
    deadline = time.monotonic() + 10 * PATIENCE
    while name in bpf_maps():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def bpf_maps() -> str:
    """All maps that the kernel holds."""
    return subprocess.run(["bpftool", "map", "list"], capture_output=True, text=True, check=True).stdout


def piped(ebt: Ebt, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ebt.command, "repl"], input=text, capture_output=True, text=True, timeout=60 * PATIENCE, check=False
    )


def test_from_a_pipe(ebt: Ebt, tmp_path: Path) -> None:
    name, saved = fresh("r"), tmp_path / "map.json"
    load = " ".join(work(f"name={name}", f"open={OPEN}:23"))
    commands = [f"!{load}", "@opens", f"save @opens {saved}", f"save @opens {saved}.csv", "quit"]
    done = piped(ebt, "\n".join([counting(name), *commands, ""]))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"@opens[{name}]: 23" in done.stdout.splitlines()
    assert json.loads(saved.read_text()) == {"@opens": {name: 23}}
    assert Path(f"{saved}.csv").read_text().split() == ["key,value", f"{name},23"]


def test_a_pipe_with_an_error(ebt: Ebt) -> None:
    done = piped(ebt, 'bogus\nbegin { @ = x; }\nbegin {\n  printf("fine\\n");\n  exit();\n}\n')
    assert done.returncode == 1 and "fine" in done.stdout
    assert "there is no command 'bogus'" in done.stdout and "input:1:13: error:" in done.stdout


def test_without_root(ebt: Ebt) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", *ebt.command, "repl"],
        input="", capture_output=True, text=True, timeout=60 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "needs root" in done.stderr and "Traceback" not in done.stderr


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have used so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def test_a_key_is_drawn_soon_with_all_names_loaded(prompt: Prompt) -> None:
    pid = prompt.child.pid
    assert pid is not None
    prompt.type("kprobe:vfs_rea")
    prompt.wait("vfs_readv")  # the names are there
    prompt.child.sendcontrol("c")
    for text in ("kprobe:tcpsndmsg,fentry:vfs_wr", "tracepoint:sched:sched_sw", "begin { @ = curtask.real_p"):
        before = cpu_seconds(pid)
        for letter in text:
            prompt.type(letter)
            prompt.child.expect(pexpect.TIMEOUT, timeout=0.05)
        assert (cpu_seconds(pid) - before) / len(text) < 0.030 * PATIENCE
        prompt.child.sendcontrol("c")


def test_a_program_is_attached_soon_and_costs_little_memory(prompt: Prompt) -> None:
    pid = prompt.child.pid
    took, memory = [], []
    for number in range(1, 5):
        started = time.monotonic()
        prompt.enter(f"tracepoint:sched:sched_process_exec /pid == {number}/ {{ @[comm] = count(); }}")
        prompt.wait(rf"\[{number}\] attached 1 probe")
        took.append(time.monotonic() - started)
        (anonymous,) = re.findall(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        memory.append(int(anonymous))
    if os.getloadavg()[0] <= (os.cpu_count() or 1):  # a busy machine says nothing about time
        assert min(took) < 0.35 * PATIENCE
    assert (memory[-1] - memory[0]) / 3 < 10_000  # KiB for each further job


def test_a_process_that_ends_ends_its_job(ebt: Ebt) -> None:
    with subprocess.Popen(["sleep", "1000"]) as traced:
        commands = [f"run opensnoop -p {traced.pid}", f"!kill {traced.pid}; sleep 1", "jobs"]
        load = subprocess.Popen(
            [*ebt.command, "repl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        out, _ = load.communicate("\n".join([*commands, ""]), timeout=60 * PATIENCE)
    assert out.count(f"process {traced.pid} has ended") == 1 and "[1] ended" in out


def test_lost_events_and_a_full_map_are_told_once(ebt: Ebt) -> None:
    name = fresh("r")
    filtered = f'tracepoint:syscalls:sys_enter_read /comm == "{name}"/'
    small = f'config = {{ perf_rb_pages = 1; }} {filtered} {{ printf("%s %s\\n", comm, comm); }}'
    full = f"config = {{ max_map_keys = 2; }} {filtered} {{ @[nsecs] = count(); }}"
    load = " ".join(work(f"name={name}", "read=1:1000000"))
    out = piped(ebt, "\n".join([small, full, f"!{load}", "!sleep 1.5", "!echo later", "stop all", ""])).stdout
    running = out[: out.index("later")]
    assert running.count("Lost ") == 1 and running.count("map full") == 1, out
    assert out.count("Total lost event count") == 1


def test_a_recorded_kernel_is_compiled_for_and_shown(ebt: Ebt) -> None:
    recorded = ROOT / "tests" / "kernels" / "5.10.ebtk"
    commands = [
        f"kernel {recorded}", "fexit:vfs_read { @ = sum(retval); }", "show c", "show explain",
        "run opensnoop", "kernel live", "run opensnoop -n nobody_at_all", "show explain",
        "show plan", "show ast",
    ]  # fmt: skip
    out = piped(ebt, "\n".join([*commands, ""])).stdout
    assert "compiles for Linux 5.10" in out and "on_vfs_read_return" in out and "+ fexit vfs_read" in out
    assert "'kernel live' ends that" in out and "+ sysret:openat2" in out
    assert "program on_" in out and "Script  [" in out and "error: there" not in out


def test_jobs_that_end_together_leave_nothing(ebt: Ebt) -> None:
    """Each has a child that detaches it: no child may keep what another waits for."""
    names = [fresh("r") for _ in range(6)]
    programs = [f"tracepoint:syscalls:sys_enter_openat {{ @{name}[comm] = count(); }}" for name in names]
    for _ in range(3):
        done = piped(ebt, "\n".join([*programs, "stop all", ""]))
        assert done.stdout.count("] ended") == len(names), done.stdout
        deadline = time.monotonic() + 10 * PATIENCE
        while re.search("|".join(names), bpf_maps()):
            assert time.monotonic() < deadline, bpf_maps()
            time.sleep(0.2)
