"""Script → C for the recorded kernel that ships: the golden files, and the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codegen.pipeline import compile_script
from ebt.machines import WithoutFeatures
from kernel.recorded import RecordedMachine, default_machine
from lang.source import Source

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.ebt"))


def compiled(text: str, name: str = "t", parameters: tuple[str, ...] = ()) -> str:
    return compile_script(Source(name, text), default_machine(), parameters).c


@pytest.mark.parametrize("script", GOLDEN, ids=lambda path: str(path.stem))
def test_golden(script: Path) -> None:
    """After a change that is meant: scripts/update-golden, and read the difference."""
    expected = script.with_suffix(".c").read_text("utf-8")
    assert compiled(script.read_text("utf-8"), script.name) == expected


def test_the_same_bytes_whatever_the_hash_seed() -> None:
    program = (
        "import sys; sys.path[:0] = ['.', 'scripts']\n"
        "from fuzzkit.mutate import SEEDS\n"
        "from tests.pure.test_codegen import GOLDEN, compiled\n"
        "texts = [path.read_text() for path in GOLDEN] + list(SEEDS)\n"
        "print('\\n'.join(compiled(text, 't', ('a', 'b')) for text in texts))\n"
    )
    outputs = set()
    for seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, check=True,
        )  # fmt: skip
        outputs.add(run.stdout)
    assert len(outputs) == 1


def test_statements_after_the_end_are_left_out() -> None:
    text = compiled("begin { print(1); return; print(2); }")
    assert text.count("ringbuf_reserve") == 1
    assert "return 0;\n    return 0;" not in text


def test_what_was_checked_leaves_nothing() -> None:
    text = compiled('begin { static_assert(sizeof(uint32) == 4, "four"); }')
    assert text.endswith('"four")\n    return 0;\n}\n')


def test_a_variable_of_a_branch_that_is_left_out_may_stand_in_a_key() -> None:
    """Fields of one entry set in a row are compared by their keys; the left out side is none of them."""
    key = "false ? $x : 5"
    out = compiled(f"begin {{ $x = 1; @r[{key}].low = min(1); @r[{key}].mean = avg(2); }}")
    assert out.count("at_r.update(") == 1


@pytest.mark.parametrize(
    ("body", "taken", "cleared"),
    [
        ("print(@m); clear(@m);", 1, 0),
        ('print(@m); printf("\\n"); print(@n); clear(@m); clear(@n);', 2, 0),
        ("print(@m, 1); print(@m, 2); clear(@m);", 1, 0),
        ("if (pid) { print(@m); clear(@m); }", 1, 0),
        ("print(@m); zero(@m); clear(@m);", 0, 1),
        ("print(@m); if (pid) { exit(); } clear(@m);", 0, 1),
        ("print(@m); if (pid) { clear(@m); }", 0, 1),
        ("if (pid) { print(@m); } clear(@m);", 0, 1),
        ("clear(@m); print(@m);", 0, 1),
    ],
)
def test_what_is_printed_and_cleared_is_taken_at_once(body: str, taken: int, cleared: int) -> None:
    """So that nothing is lost that is counted between the two."""
    text = f"tracepoint:sched:sched_switch {{ @m[pid] = count(); @n = sum(1); }} interval:s:1 {{ {body} }}"
    events = compile_script(Source("stdin", text), default_machine(), (), {}).plan.events
    assert sum(event.takes for event in events) == taken
    assert sum(event.action == "clear" for event in events) == cleared


@pytest.mark.parametrize(
    ("text", "counters"),
    [
        ("kprobe:vfs_* { @[probe] = count(); }", True),
        ("kprobe:vfs_* { @[probe] = count(); } end { print(@, 5); clear(@); }", True),
        ("kprobe:vfs_* { @[probe] = count(); } end { table(@, N = probe); clear(@); }", True),
        ("kprobe:vfs_r* { @[probe] = count(); } kprobe:vfs_w* { @[probe] = count(); }", True),
        ("kprobe:vfs_* { @[probe] = count(); } kprobe:vfs_read { @[probe] = count(); }", False),
        ("kprobe:vfs_* { @[probe] = count(); } end { zero(@); }", False),
        ("kprobe:vfs_* { @[probe] = count(); } end { for $kv : @ { print($kv); } }", False),
        ('kprobe:vfs_* { @[probe] = count(); } end { printf("%d", @["kprobe:vfs_read"]); }', False),
        ("kprobe:vfs_* { @[probe] = count(); } end { print(len(@)); }", False),
        ('kprobe:vfs_* { @[probe] = count(); } end { delete(@, "kprobe:vfs_read"); }', False),
        ('kprobe:vfs_* { @[probe] = count(); } end { @["end"] = count(); }', False),
        ("kprobe:vfs_* { @[probe, pid] = count(); }", False),
        ("kprobe:vfs_* { @[comm] = count(); }", False),
        ("kprobe:vfs_* { @[probe] = sum(1); }", False),
        ("let @ = percpulruhash(5); kprobe:vfs_* { @[probe] = count(); }", False),
        ("config = { max_map_keys = 5 } kprobe:vfs_* { @[probe] = count(); }", False),
        ("config = { max_strlen = 16 } kprobe:vfs_* { @[probe] = count(); }", True),
    ],
)
def test_maps_that_count_by_probe(text: str, counters: bool) -> None:
    """They are arrays of counters, where nothing else is done with them."""
    plan = compile_script(Source("stdin", text), default_machine()).plan
    (spec,) = [item for item in plan.maps if item.script_name == "@"]
    assert (spec.kind == "percpu_array") == bool(spec.points) == counters
    labels = [point.label for item in plan.programs if item.kind != "special" for point in item.attach]
    assert not counters or (list(spec.points) == labels and spec.max_entries == len(labels))


def test_what_a_program_sets_back_is_set_back_by_the_reader() -> None:
    """Else it would take what it has shown from what is less by then."""
    text = "begin {{ @n = count(); @s = sum(1); }} interval:s:1 {{ print(@n); clear(@n); clear(@s); {} }}"
    for last, counted_on in (("", ["@n", "@s"]), ("delete(@n);", ["@s"]), ("print(@s > 5);", ["@n"])):
        plan = compile_script(Source("stdin", text.format(last)), default_machine()).plan
        assert [item.script_name for item in plan.maps if item.added] == counted_on


@pytest.mark.parametrize("features", ["", "kprobe_multi", "perf_link"])
def test_one_program_for_many_points_is_told_which_was_hit(features: str) -> None:
    """By one link where the kernel has that; else it is loaded for each, with the number put in."""
    text = 'kprobe:vfs_* { @[probe] = count(); printf("%s", probe); }'
    machine: Any = WithoutFeatures(RecordedMachine(ROOT / "tests/kernels/7.2.ebtk"), (features,))
    made = compile_script(Source("stdin", text), machine)
    (program,) = [item for item in made.plan.programs if item.kind == "kprobe"]
    assert (program.many, program.each) == ((False, True) if features else (True, False))
    assert ("bpf_get_attach_cookie(ctx)" in made.c) == program.many
    assert ("ebt_point" in made.c) == program.each


def test_script_text_never_ends_a_comment() -> None:
    text = compiled('begin { print("*/ int x;\\\\"); /* a\n# 1 */ print("\\n#error"); }')
    assert "\n#error" not in text
    assert all(line.count('"') % 2 == 0 or "//" in line for line in text.split("\n"))


def test_many_probes_that_show_their_text_are_one_function() -> None:
    """What clang must compile does not grow with the functions that a wildcard matches."""
    text = "kretprobe:{} {{ @[probe, func] = count(); for $i : 0..500 {{ @n[probe] = $i; }} }}"
    few, many = (
        compile_script(Source("t", text.format(names)), default_machine()) for names in ("vfs_*", "tcp_*")
    )
    assert len(few.plan.programs) == len(many.plan.programs) == 1
    assert abs(many.c.count("\n") - few.c.count("\n")) <= 1
    (program,) = many.plan.programs
    assert len(program.labels) == len(program.attach) > 300
    label, _, name = program.labels[7].partition("\0")
    assert (label, name.strip("\0")) == (program.attach[7].label, program.attach[7].name)
    (held,) = [item for item in many.plan.maps if item.name == "ebt_labels"]
    assert held.value_size == program.label_size * len(program.labels) and program.label_size % 8 == 0


def test_a_few_have_their_texts_in_them() -> None:
    plan = compile_script(Source("t", "kprobe:vfs_r* { @[probe] = count(); }"), default_machine()).plan
    assert len(plan.programs) == sum(len(item.attach) for item in plan.programs) > 2
    assert not any(item.name == "ebt_labels" for item in plan.maps)
