"""What few scripts use, on the running kernel: each statement and what it prints."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh

pytestmark = pytest.mark.kernel

DEFINITIONS = """
macro outer(p, T, m) { (T *)((uint64)p - offsetof(T, m)) }
fn double($a: uint64): uint64 { return $a * 2; }
"""
# what is printed, by subject → the text; all of a subject in one run
PRINTED = {
    "integers": {
        "~0": "18446744073709551615",
        "~5": "18446744073709551610",
        "~$zero": "-1",
    },
    "strings": {
        'len("four")': "4",
        "len($text)": "5",
        "strlen($text)": "5",
    },
    "types": {
        "container_of((struct path *)((uint64)curtask.fs + offsetof(struct fs_struct, pwd)), "
        "struct fs_struct, pwd) == curtask.fs": "true",
        "outer((uint64)curtask.fs + offsetof(struct fs_struct, pwd), typeof(struct fs_struct), pwd) == "
        "curtask.fs": "true",
        "(uint8[8])258": "[2,1,0,0,0,0,0,0]",
        '(uint32)pton("1.2.3.4")': "67305985",
        "$address": "127.0.0.1",
        "$hardware": "00:00:00:00:00:00",
    },
    "names": {
        "has_cpid": "false",
        "__builtin_has_cpid": "false",
        "config.max_strlen": "1024",
        "config.missing_probes": "error",
    },
    "a function takes any integer that is not wider": {
        "double($minus + 5)": "8",
        "double($zero)": "0",
    },
}
SETUP = (
    '$zero = 0; $minus = -1; $text = "abcde"; '
    "let $address: inet; $address = ntop(16777343); let $hardware: macaddr_t;"
)


@pytest.mark.parametrize("subject", PRINTED)
def test_values(ebt: Ebt, subject: str) -> None:
    prints = " ".join(f"print({item});" for item in PRINTED[subject])
    out = ebt("-q", "-e", f"{DEFINITIONS} begin {{ {SETUP} {prints} }}").stdout
    assert out.splitlines()[:-2] == list(PRINTED[subject].values())


def test_stacks_compare_by_all_their_frames(ebt: Ebt) -> None:
    script = """
        tracepoint:sched:sched_switch {
            if (kstack(3) == kstack(3)) { @same = count(); }
            if (kstack(3) != kstack(2)) { @other = count(); }
        }
        interval:ms:100 { if (@same > 10 && @same == @other) { print("right"); } exit(); }
        end { clear(@same); clear(@other); }
    """
    assert ebt("-q", "-e", script).stdout.split() == ["right"]


def test_the_name_of_another_process(ebt: Ebt) -> None:
    """Looked up when it is printed."""
    expected = Path("/proc/1/comm").read_text().strip()
    script = "begin { @[comm(1)] = 1; print(comm(1)); exit(); }"
    assert ebt("-q", "-e", script).stdout == f"{expected}\n\n\n@[{expected}]: 1\n"


def test_has_cpid_with_a_child(ebt: Ebt) -> None:
    assert ebt("-q", "-e", "begin { print(has_cpid); exit(); }", "-c", "true").stdout.split() == ["true"]


def test_registers_of_a_timer(ebt: Ebt) -> None:
    script = """
        profile:hz:99 { if (reg("ip") > 0 && reg("sp") > 0) { @good = count(); } else { @bad = count(); } }
        interval:ms:200 { if (@good > 5) { exit(); } }
        end { print(@bad); clear(@good); }
    """
    assert ebt("-q", "-e", script).stdout.split() == ["@bad:", "0"]


def test_a_path_of_a_given_size(ebt: Ebt) -> None:
    lines = ebt("-q", "-e", "begin { print(path(curtask.fs.pwd)); }").stdout.splitlines()
    short = ebt("-q", "-e", "begin { print(path(curtask.fs.pwd, 4)); }").stdout.splitlines()
    assert len(lines[0]) > 3 and short[0] == lines[0][:3]


def test_iterators(ebt: Ebt, tmp_path: Path) -> None:
    """Three processes of a name of their own: so many tasks, and so many open files each."""
    name = fresh("it")
    program = shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / name)
    file = tmp_path / "open"
    file.write_text("")
    running = []
    with file.open() as opened:
        for _ in range(3):
            running.append(subprocess.Popen([program, "100"], stdin=opened, stdout=opened, stderr=opened))
    try:
        script = f"""
            iter:task /ctx.task.comm == "{name}"/ {{ @tasks = count(); }}
            iter:task_file /ctx.task.comm == "{name}"/ {{ @[path(ctx.file), ctx.fd] = count(); }}
        """
        assert ebt("-q", "-e", script).stdout.split() == [
            *(word for fd in range(3) for word in (f"@[{file},", f"{fd}]:", "3")), "@tasks:", "3",
        ]  # fmt: skip
        script = f'iter:task_vma /ctx.task.comm == "{name}"/ {{ @[path(ctx.vma.vm_file)] = count(); }}'
        assert f"@[{program}]:" in ebt("-q", "-e", script).stdout
    finally:
        for process in running:
            process.kill()
            process.wait()


SERIES = """
begin { @step = 1; @n = -3; }
interval:ms:20 /@turns < 12/ {
    @n += @step;
    if (@n == 3) { @step = -1; } else if (@n == -3) { @step = 1; }
    @all = tseries(@n, 20ms, 200);
    @sum[@n > 0] = tseries(@n, 1h, 5, "sum"); @least[1] = tseries(@n, 1h, 5, "min");
    @most[1] = tseries(@n, 1h, 5, "max"); @mean[1] = tseries(@n, 1h, 5, "avg"); @last[1] = tseries(@n, 1h, 5);
    @values[@n] = count();
    @turns++;
    if (@turns == 12) { exit(); }
}
"""


def test_series(ebt: Ebt) -> None:
    """Twelve values, one every 20 ms: of an hour one point is made, the number depends on how."""
    data: dict[str, Any] = {}
    for line in ebt("-q", "-f", "json", "-e", SERIES).stdout.splitlines():
        data |= json.loads(line)["data"]
    values = [-2, -1, 0, 1, 2, 3, 2, 1, 0, -1, -2, -3]
    points = [point["value"] for point in data["@all"]]
    assert 6 <= len(points) <= 12 and set(points) <= set(values), points  # a busy machine
    hours = {name: data[name]["1"] for name in ("@least", "@most", "@mean", "@last")}
    if all(len(found) == 1 for found in hours.values()):  # no full hour in between
        single = {name: found[0]["value"] for name, found in hours.items()}
        assert single == {"@least": -3, "@most": 3, "@mean": 0, "@last": -3}
        assert [data["@sum"][key][0]["value"] for key in ("true", "false")] == [9, -9]


def test_names_of_allocation_flags(ebt: Ebt) -> None:
    prints = 'printf("%gr %gr %gr\\n", 0xcc0, 0x400dc0, 1 << 40); emit(A = flags(0x820, "gfp"));'
    assert ebt("-q", "-e", f"begin {{ {prints} exit(); }}").stdout.splitlines()[:3] == [
        "GFP_KERNEL GFP_KERNEL_ACCOUNT|__GFP_ZERO 0x10000000000", "A", "GFP_ATOMIC",
    ]  # fmt: skip


def test_errorf_and_warnf_in_json(ebt: Ebt) -> None:
    script = 'begin { errorf("bad %d", 3); warnf("odd %s", comm); exit(); }'
    lines = [json.loads(line) for line in ebt("-q", "-f", "json", "-e", script).stdout.splitlines()]
    places = [(line["type"], line["line"], line["col"]) for line in lines]
    assert places == [("errorf", 1, 9), ("warnf", 1, 30)]
    assert lines[0]["msg"] == "bad 3" and lines[1]["msg"].startswith("odd ")


def test_address_of_a_variable_of_a_library(ebt: Ebt, tmp_path: Path) -> None:
    """The first word of the environment, through libc's own variable."""
    program = shutil.copy(shutil.which("ls") or "/bin/ls", tmp_path / fresh("ls"))
    script = f"""
        uprobe:libc:malloc /comm == "{Path(program).name}"/ {{
            $first = *(uint64 *)*(uint64 *)uaddr("environ");
            if (str($first) == "EBT=here") {{ @right = count(); }} else {{ @wrong = count(); }}
        }}
    """
    out = ebt("-q", "-e", script, "-c", f"env -i EBT=here {program} /").stdout
    assert "@right: " in out and "@wrong" not in out, out
    wrong = ebt("check", "-e", 'uprobe:libc:malloc { print(uaddr("no_such_symbol")); }').stderr
    assert "has no symbol 'no_such_symbol'\n" in wrong
