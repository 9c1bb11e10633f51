"""`self:signal:SIGUSR1`, watchpoints, and every way to write a timer or an event."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import lines, running, until

pytestmark = pytest.mark.kernel

# says where its number is; for each line: so many writes, the last half of them in a new thread
WRITER = """
import ctypes, sys, threading
number = ctypes.c_uint64()
print("at", ctypes.addressof(number), flush=True)
def write(times):
    for value in range(times):
        number.value = value
for line in sys.stdin:
    write(int(line))
    thread = threading.Thread(target=write, args=(int(line),))
    thread.start()
    thread.join()
    print("done", flush=True)
"""


def test_a_signal_to_ebt(ebt: Ebt) -> None:
    program = 'self:signal:SIGUSR1 { @ = count(); printf("got %d\\n", pid); } end { printf("end\\n"); }'
    with running([*ebt.command, "-e", program]) as run:
        run.attached()
        for number in range(3):
            run.send(signal.SIGUSR1)
            assert until(lambda wanted=number + 1: run.out.count("got") == wanted)  # type: ignore[misc]
        result = run.end(signal.SIGINT)
    assert lines(result.stdout) == [f"got {run.pid}"] * 3 + ["end", "@: 3"], result
    assert result.rc == 0 and "Attached 2 probes" in result.stderr


def test_a_watchpoint(ebt: Ebt, tmp_path: Path) -> None:
    """Exactly the writes, of a thread that was there and of one that came later."""
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    with running([sys.executable, "-I", "-S", "-u", str(script)]) as writer:
        address = int(writer.wait_for(r"^at \d+$").split()[1])
        program = f"watchpoint:{address:#x}:8:w {{ @[probe, pid] = count(); }}"
        with running([*ebt.command, "-e", program, "-p", str(writer.pid)]) as run:
            run.wait_for(r"^Attached|^ebt: error|error:")
            if "cannot attach" in run.err:
                pytest.skip(run.err)
            writer.tell("50")
            writer.wait_for("^done$")
            time.sleep(0.05)
            result = run.end(signal.SIGINT)
    assert lines(result.stdout) == [f"@[watchpoint:{address:#x}:8:w, {writer.pid}]: 100"], result


@pytest.mark.parametrize(
    "probe",
    [
        "profile:hz:99", "profile:ms:10", "profile:us:10000", "profile:10ms", "p:1s", "profile:s:1",
        "interval:s:1",
        "interval:1s", "i:ms:20", "interval:hz:50", "interval:us:20000", "Interval:20ms",
        "software:cpu:1000000",
        "software:faults:", "s:cs:10", "software:context-switches:10", "software:page-faults",
        "software:minor-faults:1", "software:task-clock:1000000", "software:alignment-faults",
        "software:emulation-faults", "software:major-faults", "software:cpu-migrations", "software:dummy",
        "software:bpf-output",
    ],
)  # fmt: skip
def test_events_attach(ebt: Ebt, probe: str) -> None:
    result = ebt("--dry-run", "-e", f"{probe} {{ @ = count(); }}")
    assert result.rc == 0 and "Attached 1 probe" in result.stderr, result


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("self:signal:SIGTERM { }", "'SIGTERM' cannot be observed: only SIGUSR1"),
        ("self:usr1 { }", "a self probe is written self:signal:SIGUSR1"),
        ("self:signal:SIGUSR1 { print(retval); }", "retval builtin can only be used with"),
        ("watchpoint:0x1000:8:w { }", "0x1000 is an address of a process: which one?"),
        ("watchpoint:0xffffffff81000000:3:w { }", "length is 1, 2, 4 or 8, not 3"),
        ("watchpoint:0xffffffff81000000:8:wr { }", "made of r, w and x in this order, not 'wr'"),
        ("watchpoint:0xffffffff81000000:8:wx { }", "on execution or on access, not both"),
        ("watchpoint:0xffffffff81000001:8:w { }", "is no multiple of the length 8"),
        ("watchpoint:0xffffffff81000000:8 { }", "is written watchpoint:ADDRESS:LENGTH:MODE"),
        ("hardware:cpu-clock { }", "hardware"),
    ],
)
def test_mistakes(ebt: Ebt, program: str, message: str) -> None:
    result = ebt("compile", "-e", program)
    assert result.rc == 1 and message in result.stderr, result
