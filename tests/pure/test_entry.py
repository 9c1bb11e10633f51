"""Exit probes on recorded kernels: what the hidden program saves, and by which key."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.pipeline import Compiled, compile_script
from ebt.machines import WithoutFeatures
from kernel.recorded import RecordedMachine
from lang.source import Source

KERNELS = Path(__file__).parents[1] / "kernels"


@pytest.fixture(scope="module", params=["5.10", "6.1", "6.12", "7.2"])
def kernel(request: pytest.FixtureRequest) -> RecordedMachine:
    return RecordedMachine(KERNELS / f"{request.param}.ebtk")


def compiled(text: str, machine: RecordedMachine, pid: int = 0) -> Compiled:
    return compile_script(Source("x.ebt", text), machine, (), {}, pid)


@pytest.mark.parametrize(
    ("kind", "entry", "key", "saved"),
    [
        ("kretprobe", "kprobe", "PT_REGS_SP(ctx)", "call.file = (u64)PT_REGS_PARM1(ctx);"),
        ("fexit", "fentry", "(u64)ctx", "u64 ebt_ns;"),
    ],
)
def test_one_body_two_programs(kernel: RecordedMachine, kind: str, entry: str, key: str, saved: str) -> None:
    text = f"{kind}:vfs_read {{ @[args.file, args.count] = max(duration); @r = sum(retval); }}"
    done = compiled(text, kernel)
    hidden, shown = done.plan.programs
    assert (hidden.hidden, hidden.kind, shown.hidden, shown.kind) == (True, entry, False, kind)
    assert [point.label for point in hidden.attach] == [point.label for point in shown.attach]
    assert done.plan.points == 1
    assert f"{{ bpf_get_current_pid_tgid(), {key} }};" in done.c
    at_return = f"{key} - 8" if kind == "kretprobe" else key
    assert f"{{ bpf_get_current_pid_tgid(), {at_return} }};" in done.c
    assert saved in done.c.replace("arg0", "file")
    assert [item.text for item in done.plan.failures if "entry" in item.text]


@pytest.mark.parametrize(
    ("without", "kind", "entry", "exit"),
    [("fentry", "fexit", "kprobe", "kretprobe"), ("kprobe", "kretprobe", "fentry", "fexit")],
)
def test_the_other_mechanism_serves(
    kernel: RecordedMachine, without: str, kind: str, entry: str, exit: str
) -> None:
    text = f"{kind}:vfs_read {{ @[args.file, args.count] = max(duration); @r = sum(retval); }}"
    done = compile_script(Source("x.ebt", text), WithoutFeatures(kernel, (without,)), (), {})
    hidden, shown = done.plan.programs
    assert (hidden.kind, shown.kind) == (entry, exit)
    label = "fexit:vmlinux:vfs_read" if kind == "fexit" else "kretprobe:vfs_read"
    assert [point.label for point in hidden.attach + shown.attach] == [label] * 2
    for piece in {
        "kretprobe": ("call.arg2 = (u64)PT_REGS_PARM3(ctx);", "(s64)PT_REGS_RC(ctx)", "PT_REGS_SP(ctx) - 8"),
        "fexit": ("(u64)ctx[2]", "(u64)ctx[4]", "(u64)ctx }"),
    }[exit]:
        assert piece in done.c


def test_nothing_is_hidden_without_need(kernel: RecordedMachine) -> None:
    for text in (
        "kretprobe:vfs_read { @ = sum(retval); }",
        "fexit:vfs_read { @[args.file] = sum(retval); }",
        "sysret:read { @ = sum(retval); }",
        "kretprobe:vfs_read { if (0) { @ = sum(duration); } }",
    ):
        done = compiled(text, kernel)
        assert [program.hidden for program in done.plan.programs] == [False], text


def test_filters_stand_before_what_is_saved(kernel: RecordedMachine) -> None:
    done = compiled("sysret:read /pid == 7 && retval > 0/ { @ = sum(duration); }", kernel)
    assert done.c.count("if (pid != 7)") == 2
    done = compiled("sysret:read { @ = sum(duration); }", kernel, pid=9)
    assert done.c.count("!= 9)") == 2
    # what may be another at the return is no reason to leave a call out
    done = compiled('sysret:read /comm == "x" && uid == 0/ { @ = sum(duration); }', kernel)
    assert done.c.count("bpf_get_current_comm") == 1
