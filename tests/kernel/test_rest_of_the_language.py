"""What few scripts use, on the running kernel: each statement and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Ebt

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
