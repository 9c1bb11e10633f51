"""What few scripts use, on the running kernel: each statement and what it prints."""

from __future__ import annotations

import pytest

from tests.conftest import Ebt

pytestmark = pytest.mark.kernel

DEFINITIONS = """
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
    "a function takes any integer that is not wider": {
        "double($minus + 5)": "8",
        "double($zero)": "0",
    },
}
SETUP = '$zero = 0; $minus = -1; $text = "abcde";'


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
