"""doctor in the lab: as on this machine, and switches that are off are told with what mends them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel import test_doctor as shared

pytestmark = pytest.mark.lab

SWITCHES = {
    "kprobes": (Path("/sys/kernel/debug/kprobes/enabled"), "0"),
    "ftrace": (Path("/proc/sys/kernel/ftrace_enabled"), "0"),
    "symbols": (Path("/proc/sys/kernel/kptr_restrict"), "2"),
}


def test_each_answer_is_what_an_attempt_gives(ebt: Ebt) -> None:
    shared.test_each_answer_is_what_an_attempt_gives(ebt)


def test_a_switch_that_is_off_is_told_and_mended(ebt: Ebt) -> None:
    for path, value in SWITCHES.values():
        path.write_text(value)
    off = {item["name"]: item for item in shared.ask(ebt)["findings"] if not item["good"]}
    assert off.keys() >= SWITCHES.keys(), off
    for name in SWITCHES:
        subprocess.run(off[name]["mend"], shell=True, check=True, stdout=subprocess.DEVNULL)
    after = {item["name"] for item in shared.ask(ebt)["findings"] if not item["good"]}
    assert not after & SWITCHES.keys()
