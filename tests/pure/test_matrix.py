"""docs/matrix.md: made of what guests told, no cell empty."""

from __future__ import annotations

import json
from pathlib import Path

from labkit import constructs, matrix

EXPLAINED = {
    "probes": [
        {"chosen": 1, "optional": False, "choices": [
            {"text": "kprobe:a", "candidates": []},
            {"text": "fexit:b", "candidates": [
                {"mechanism": "fexit", "taken": False}, {"mechanism": "kretprobe", "taken": True}]}]},
        {"chosen": None, "optional": True, "choices": []},
    ],
    "events": "by ring buffer", "maps": ["@ percpu_hash", "@b hash"],
}  # fmt: skip


def test_the_mechanism_in_words() -> None:
    assert constructs.mechanism(EXPLAINED, "probes") == "kretprobe (fexit:b); left out"
    assert constructs.mechanism(EXPLAINED, "events") == "by ring buffer"
    assert constructs.mechanism(EXPLAINED, "maps") == "@ percpu_hash; @b hash"
    assert constructs.mechanism(EXPLAINED, "loops") == ""


def test_the_reason_of_a_refusal() -> None:
    said = "stdin:1:1-9: warning: x\nstdin:1:1-9: error: this kernel has no kprobes\nkprobe:f\nhint: y\n"
    assert constructs.reason(said) == "this kernel has no kprobes"
    assert constructs.reason("") == "no message" and constructs.reason("Killed\n") == "Killed"


def test_the_page(tmp_path: Path) -> None:
    for kernel, release, told, tools in (
        ("5.10", "5.10.0-1", [("a", True, "fentry", ""), ("b", False, "", "no such|thing")], [
            *[("opensnoop", "passed", [], "")] * 2, ("mdflush", "passed", ["no md"], "")]),
        ("6.1", "6.1.0-1", [("a", True, "kprobe|x", "")], [
            ("opensnoop", "failed", [], ""), ("mdflush", "skipped", [], "no raid1")]),
    ):
        place = tmp_path / kernel
        place.mkdir()
        (place / "release").write_text(release + "\n")
        lines = [dict(zip(("construct", "works", "by", "why"), item, strict=True)) for item in told]
        (place / "constructs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        lines = [dict(zip(("tool", "outcome", "refused", "why"), item, strict=True)) for item in tools]
        named = [{**line, "test": f"tests/lab/test_{line['tool']}.py::t"} for line in lines]
        (place / "tools.jsonl").write_text("".join(json.dumps(line) + "\n" for line in named))
    answers = [matrix.read(kernel, tmp_path / kernel) for kernel in ("5.10", "6.1", "7.2")]
    page = matrix.page(answers, ["a", "b"], [("opensnoop", "file"), ("mdflush", "block")])
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert rows == [
        "| construct | 5.10<br>5.10.0-1 | 6.1<br>6.1.0-1 | 7.2<br>lost |", "|---|---|---|---|",
        "| a | fentry | kprobe\\|x | not tried [1] |", "| b | no [2] | not tried [1] | not tried [1] |",
        "| tool | 5.10<br>5.10.0-1 | 6.1<br>6.1.0-1 | 7.2<br>lost |", "|---|---|---|---|",
        "| opensnoop (file) | rows (2) | **fails** [1] | not tried [2] |",
        "| mdflush (block) | refused [3] | no [4] | not tried [2] |",
    ]
    assert "\n1. failed: `test_opensnoop.py::t`\n" in page and "\n4. no raid1\n" in page


def test_the_tools_of_the_library(tmp_path: Path) -> None:
    for name in ("file/b.ebt", "file/a.ebt", "block/c.ebt", "lib/x.ebt", "tutorial/y.ebt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert matrix.tools(tmp_path) == [("c", "block"), ("a", "file"), ("b", "file")]
