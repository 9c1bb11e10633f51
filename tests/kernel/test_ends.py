"""Every way to end a run: END runs, maps are printed once, the exit code is right, nothing stays."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, Ebt, Result
from tests.kernel.support import NOTIFY, fresh, gone, kernel_maps, lines, running, there, until, work, working

pytestmark = pytest.mark.kernel


def script(name: str, more: str = "") -> str:
    """Counts what happens in a map of this name, with an END, and whatever else."""
    return f"""
        begin {{ printf("begin\\n"); @{name} = count(); }}
        tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ @{name} = count(); }}
        uprobe:libc:toupper /comm == "{name}"/ {{ @{name} = count(); }}
        {more}
        end {{ printf("end\\n"); }}
    """


def expect(result: Result, name: str, rc: int = 0, middle: str = "") -> None:
    """The whole output of a run of `script`, and nothing left of it."""
    assert result.rc == rc, result
    assert re.fullmatch(rf"begin\n{middle}end\n\n\n@{name}: \d+\n", result.stdout), result
    assert re.fullmatch(r"Attached \d+ probes?\n", result.stderr), result
    assert gone(name)


@pytest.mark.parametrize(("call", "rc"), [("exit()", 0), ("exit(0)", 0), ("exit(3)", 3), ("exit(255)", 255)])
def test_exit(ebt: Ebt, call: str, rc: int) -> None:
    """The rest of the probe is skipped; END and the maps come all the same."""
    name = fresh("m")
    more = f'interval:ms:10 {{ printf("tick\\n"); if (elapsed > 0) {{ {call}; }} printf("never\\n"); }}'
    expect(ebt("-e", script(name, more)), name, rc, "tick\n")


def test_exit_in_begin(ebt: Ebt) -> None:
    name = fresh("m")
    result = ebt(
        "-e", script(name, 'begin { printf("out\\n"); if (pid > 0) { exit(5); } printf("never\\n"); }')
    )
    expect(result, name, 5, "out\n")


def test_exit_in_the_end(ebt: Ebt) -> None:
    result = ebt(
        "-q",
        "-e",
        'begin { exit(3); } end { print("end"); if (pid > 0) { exit(7); } print("never"); } end { @x = 1; }',
    )
    assert (result.rc, result.stdout) == (3, "end\n\n\n@x: 1\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(ebt: Ebt, number: signal.Signals) -> None:
    name = fresh("m")
    with running([*ebt.command, "-e", script(name)]) as run:
        run.attached()
        assert there(name)
        expect(run.end(number), name)


def test_it_outlives_its_terminal(ebt: Ebt) -> None:
    """nohup(1) starts it with SIGHUP ignored, and so it stays."""
    name = fresh("m")
    with running(["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *ebt.command, "-e", script(name)]) as run:
        run.attached()
        run.send(signal.SIGHUP)
        time.sleep(0.1)
        assert there(name)
        expect(run.end(signal.SIGTERM), name)


def test_signals_while_it_is_busy(ebt: Ebt) -> None:
    """Thousands of events a second do not keep it from ending."""
    name = fresh("m")
    more = "tracepoint:raw_syscalls:sys_enter { @all = count(); }"
    with working(f"name={name}", "wait", "write=1:20000000") as load:
        load.wait_for("ready")
        program = f"""
            tracepoint:syscalls:sys_enter_write /comm == "{name}"/ {{ @{name} = count(); print(1); }} {more}
        """
        with running([*ebt.command, "-q", "-o", "/dev/null", "-e", program], {NOTIFY: "1"}) as run:
            assert until(lambda: there(name), 20)
            load.tell()
            time.sleep(0.2)
            started = time.monotonic()
            assert run.end(signal.SIGINT).rc == 0
            assert time.monotonic() - started < 3 * PATIENCE
    assert gone(name)


def test_two_signals(ebt: Ebt) -> None:
    """The second one is not needed and does no harm."""
    name = fresh("m")
    with running([*ebt.command, "-e", script(name)]) as run:
        run.attached()
        run.send(signal.SIGINT)
        run.send(signal.SIGINT)
        result = run.end()
    assert result.rc == 0 and "Traceback" not in result.stderr and gone(name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_it_is_attached(ebt: Ebt, number: signal.Signals) -> None:
    """At any moment of the start: no traceback, nothing left."""
    name = fresh("m")
    for delay in (0.04, 0.08, 0.15, 0.22):
        with running([*ebt.command, "-e", script(name)]) as run:
            time.sleep(delay * PATIENCE)
            result = run.end(number)
        if "Fatal Python error: init_" in result.stderr:
            continue  # the interpreter's own start, before anything of ebt's runs
        assert "Traceback" not in result.stderr and "Exception" not in result.stderr, (delay, result)
        assert result.rc in (0, -number, 128 + number), (delay, result)
    assert gone(name)


def test_a_closed_pipe(ebt: Ebt) -> None:
    """`ebt … | head -1`: it ends when nobody reads any more, whether it writes or not."""
    name = fresh("m")
    for more in ("interval:ms:10 { print(1); }", ""):
        command = [*ebt.command, "-B", "line", "-e", script(name, more)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout and process.stderr
            assert process.stdout.readline() == "begin\n"
            process.stdout.close()
            messages = process.stderr.read()
            assert process.wait(10 * PATIENCE) == 0
        assert re.fullmatch(r"Attached \d+ probes?\n", messages), messages
        assert gone(name)


def test_a_pipe_to_head(ebt: Ebt) -> None:
    words = shlex.join([*ebt.command, "-q", "-e", "interval:ms:1 { print(elapsed); }"])
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} | head -1"],
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
    )
    assert re.fullmatch(r"\d+\n", result.stdout) and (result.returncode, result.stderr) == (0, "")


def test_a_full_disk(ebt: Ebt) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    name = fresh("m")
    result = ebt("-q", "-o", "/dev/full", "-e", script(name, "interval:ms:10 { print(1); }"))
    assert result.rc == 1 and "No space left" in result.stderr and len(result.stderr.splitlines()) == 1, (
        result
    )
    assert gone(name)


@pytest.mark.parametrize("status", [0, 3])
def test_the_child_ends(ebt: Ebt, tmp_path: Path, status: int) -> None:
    """Its exit code is not ebt's."""
    name = fresh("m")
    command = " ".join(work(f"name={name}", "kill=22", "toupper=97:7", f"leave={status}"))
    result = ebt("-e", script(name), "-c", command)
    assert result.stdout == f"begin\nend\n\n\n@{name}: 30\n" and result.rc == 0, result
    assert gone(name)


def test_the_child_is_ended_with_the_run(ebt: Ebt) -> None:
    name = fresh("m")
    command = " ".join(work(f"name={name}", "say", "sleep=60"))
    started = time.monotonic()
    with running([*ebt.command, "-e", script(name), "-c", command]) as run:
        pid = int(run.wait_for(r"pid \d+").split()[1])
        assert run.end(signal.SIGINT).rc == 0
    assert time.monotonic() - started < 20 * PATIENCE
    assert until(lambda: not Path(f"/proc/{pid}").exists())
    assert gone(name)


def test_a_stubborn_child_is_ended_too(ebt: Ebt) -> None:
    name = fresh("m")
    command = " ".join(work("ignore=TERM", "ignore=INT", f"name={name}", "say", "sleep=60"))
    with running([*ebt.command, "-e", script(name), "-c", command]) as run:
        pid = int(run.wait_for(r"pid \d+").split()[1])
        assert run.end(signal.SIGINT).rc == 0
    assert until(lambda: not Path(f"/proc/{pid}").exists())
    assert gone(name)


def test_the_process_ends(ebt: Ebt) -> None:
    name = fresh("m")
    with working(f"name={name}", "wait", "kill=22") as process:
        process.wait_for("ready")
        with running([*ebt.command, "-e", script(name), "-p", str(process.pid)]) as run:
            run.attached()
            process.tell()
            process.end()
            result = run.end()
    assert f"@{name}: 23\n" in result.stdout
    expect(result, name)


@pytest.mark.skipif(not shutil.which("timeout"), reason="no timeout(1)")
def test_a_timeout(ebt: Ebt) -> None:
    """timeout(1) sends SIGTERM: an end like any other, only that timeout's own exit code is 124."""
    name = fresh("m")
    command = ["timeout", str(3 * PATIENCE), *ebt.command, "-e", script(name)]
    with running(command) as run:
        run.attached()
        result = run.end()
    expect(result, name, 124)


def test_it_is_killed(ebt: Ebt) -> None:
    """Nobody can tidy up after SIGKILL; the kernel does."""
    name = fresh("m")
    with running([*ebt.command, "-e", script(name)]) as run:
        run.attached()
        assert there(name)
        run.end(signal.SIGKILL)
    assert gone(name)


def test_maps_are_printed_once(ebt: Ebt) -> None:
    """In the order of their names, after what END does to them."""
    program = """
        begin { @b = 1; @a[1] = 2; @c = hist(4); @empty[1] = 1; @gone = 3; exit(); }
        end { clear(@empty); print(@a); delete(@gone); @b = 5; }
    """
    found = lines(ebt("-q", "-e", program).stdout)
    assert found[0] == "@a[1]: 2" and [line for line in found[1:] if line[0] == "@"] == [
        "@a[1]: 2",
        "@b: 5",
        "@c:",
    ]


def test_no_mount_and_no_file_is_left(ebt: Ebt) -> None:
    """tracefs is mounted where nobody else sees it."""
    mounts = Path("/proc/self/mountinfo").read_text()
    folder = "/sys/kernel/tracing"
    before = os.listdir(folder) if os.path.isdir(folder) else []
    with running([*ebt.command, "-e", script(fresh("m"))]) as run:
        run.attached()
        assert Path("/proc/self/mountinfo").read_text() == mounts
        run.end(signal.SIGINT)
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert (os.listdir(folder) if os.path.isdir(folder) else []) == before


@pytest.mark.skipif(not shutil.which("bpftool"), reason="no bpftool")
def test_bpftool_shows_nothing_of_it(ebt: Ebt) -> None:
    name = fresh("m")

    def shown(what: str) -> list[dict[str, object]]:
        result = subprocess.run(["bpftool", "-j", what, "show"], capture_output=True, text=True)
        found = json.loads(result.stdout or "[]")
        return found if isinstance(found, list) else []

    def of(pid: int, what: str) -> int:
        return sum(any(holder == pid for holder in holders(item)) for item in shown(what))

    def holders(item: dict[str, object]) -> list[object]:
        pids = item.get("pids", [item])
        return (
            [holder.get("pid") for holder in pids if isinstance(holder, dict)]
            if isinstance(pids, list)
            else []
        )

    with running([*ebt.command, "-e", script(name, "profile:hz:9 { @x = count(); }")]) as run:
        run.attached()
        assert there(name)
        during = {what: of(run.pid, what) for what in ("prog", "map", "perf")}
        run.end(signal.SIGINT)
    assert gone(name)
    assert until(lambda: not any(of(run.pid, what) for what in during))
    assert not any(name in found for found in kernel_maps())


def test_a_dry_run_ends_by_itself(ebt: Ebt) -> None:
    name = fresh("m")
    result = ebt("--dry-run", "-e", script(name))
    assert (
        result.rc == 0 and result.stdout.strip() == "" and re.match(r"Attached \d+ probes\n", result.stderr)
    )
    assert gone(name)
