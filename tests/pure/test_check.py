"""Scripts → what the front end says of them, and which types it gives them: the cases in tests/pure/cases."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from kernel.recorded import RecordedMachine, default_machine
from lang.check import check
from lang.diagnostics import ScriptError
from lang.parser import parse
from lang.source import Source
from tests.pure.casefile import CASES, Case, load, types_of

KERNELS = Path(__file__).parents[1] / "kernels"
ALL = [case for path in sorted(CASES.glob("*.ebt")) for case in load(path)]


@pytest.mark.parametrize("case", ALL, ids=lambda case: str(case.where))
def test_case(case: Case) -> None:
    assert case.said() == case.expected


def test_messages_are_of_one_style() -> None:
    heads = [line for case in ALL for line in case.expected if line.startswith(("error", "warning"))]
    messages = [line.split(" ", 2)[2] for line in heads]
    assert len(messages) > 150
    assert not [text for text in messages if text[:1].isupper() and not text.startswith("C definitions")]
    assert not [text for text in messages if text.endswith(".")]


PROBES = (
    "begin { @y = @x + nsecs; @t = (@x, comm); }",
    "end { @x = 1; }",
    "interval:s:1 { @x = pid; @k[1, comm] = @y; }",
    'profile:hz:9 { @k[cpu, "a long string, longer than comm"] = 1; $v = @t; }',
)


def test_types_do_not_depend_on_the_order_of_probes() -> None:
    found = set()
    for order in itertools.permutations(PROBES):
        checked = check(parse(Source("stdin", "\n".join(order))), default_machine()).checked
        found.add(tuple(sorted(item for item in types_of(checked).items() if item[0].startswith("map "))))
    assert len(found) == 1, found


def test_all_mistakes_are_told_in_order() -> None:
    with pytest.raises(ScriptError) as wrong:
        check(parse(Source("stdin", "begin { @a = x; }\nend { @b = y; print(z); }")), default_machine())
    assert [item.span.text for item in wrong.value.diagnostics] == ["x", "y", "z"]


def test_a_follow_up_is_not_told() -> None:
    with pytest.raises(ScriptError) as wrong:
        check(parse(Source("stdin", "begin { $x = nosuch; print($x); @m[$x] = $x.a; }")), default_machine())
    assert len(wrong.value.diagnostics) == 1


def test_environment_wins_over_the_config_block() -> None:
    script = parse(Source("stdin", "config = { max_strlen = 32; BPFTRACE_MAX_MAP_KEYS = 7 } begin { }"))
    settings = check(script, default_machine(), (), {"BPFTRACE_MAX_STRLEN": "64"}).checked.settings
    assert (settings.max_strlen, settings.max_map_keys) == (64, 7)
    with pytest.raises(ValueError, match="EBT_MAX_STRLEN: invalid value 1 for max_strlen"):
        check(script, default_machine(), (), {"EBT_MAX_STRLEN": "1"})


@pytest.mark.parametrize(("asked", "plain", "given"), [("", 200, 256), ("64", 64, 64)])
def test_strings_of_a_kernel_with_small_keys(asked: str, plain: int, given: int) -> None:
    """The default is what its keys bear; a length that the script gives, and a literal, may be longer."""
    machine, environment = RecordedMachine(KERNELS / "5.10.ebtk"), {"EBT_MAX_STRLEN": asked} if asked else {}
    script = parse(Source("stdin", "begin { @a = str(nsecs); @b = str(nsecs, 256); @c = buf(nsecs, 256); }"))
    types = types_of(check(script, machine, (), environment).checked)
    assert [types[f"map @{name}"] for name in "ab"] == [f"string[{plain}]", f"string[{given}]"]
    assert str(given) in types["map @c"]
    if not asked:
        long = parse(Source("stdin", f'begin {{ print("{"x" * 300}"); }}'))
        assert check(long, machine).checked.settings.max_strlen == plain


def test_targets_of_one_type_share_a_body() -> None:
    def bodies(text: str) -> list[int]:
        checked = check(parse(Source("stdin", text)), default_machine()).checked
        return [len(body.targets) for body in checked.bodies]

    assert bodies("tracepoint:syscalls:sys_enter_read,tracepoint:syscalls:sys_enter_write { @ = 1; }") == [2]
    assert bodies("tracepoint:syscalls:sys_enter_read,t:syscalls:sys_exit_read { print(probe); }") == [1, 1]
    # a trampoline finds the result behind the arguments, and these take 4 and 3 of them
    assert bodies("fexit:vfs_read,fexit:vfs_fsync { print(retval); }") == [1, 1]
