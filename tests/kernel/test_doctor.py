"""doctor tells the truth: what it says of each kind of probe is what attaching one says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Ebt

pytestmark = pytest.mark.kernel

# Feature → what must attach where it works, and cannot where it does not; what else might serve is off.
ATTEMPTS = {
    "tracepoint": ("tracepoint:sched:sched_process_exec", ""),
    "raw_tracepoint": ("rawtracepoint:sched_process_exec", ""),
    "kprobe": ("kprobe:vfs_create", "fentry"),
    "fentry": ("fentry:vfs_create", "kprobe"),
    "kprobe_multi": ("kprobe:vfs_cre*", "fentry"),
    "uprobe": ("uprobe:libc:malloc", ""),
    "perf_event": ("profile:hz:1", ""),
    "hardware": ("hardware:cpu-cycles:1000000000", ""),
}


def ask(ebt: Ebt, *words: str) -> dict[str, Any]:
    result = ebt("doctor", "-f", "json", *words)
    assert result.stderr == "", result
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_each_answer_is_what_an_attempt_gives(ebt: Ebt) -> None:
    features = ask(ebt)["features"]
    for name, (probe, without) in ATTEMPTS.items():
        words = ["--no-feature", without] if without else []
        result = ebt(*words, "--dry-run", "-e", f"{probe} {{ @ = count(); }}", timeout=60)
        # without many at once they are attached one by one
        works = features["kprobe" if name == "kprobe_multi" else name]["works"]
        assert (result.rc == 0) is works, (name, features[name], result)
        if not works:
            assert result.stderr.count("error:") == 1, result


def test_in_words(ebt: Ebt) -> None:
    plain = ask(ebt)
    result = ebt("doctor")
    assert result.rc == 0 and result.stdout.startswith(f"kernel             {plain['kernel']}\n")
    for name, answer in plain["features"].items():
        start = f"{name:<19}{'works' if answer['works'] else 'no'}"
        (line,) = [line for line in result.stdout.splitlines() if line.startswith(start)]
        assert answer["works"] or answer["reason"] in line
    names = {item["name"]: item for item in plain["findings"]}
    assert names["privilege"]["good"] and names["bcc"]["good"] and names["tracefs"]["good"]
