"""Attach points on recorded kernels: which mechanism, which function, and why not another."""

from __future__ import annotations

import json

import pytest

from codegen.pipeline import compile_script
from ebt.explain import explanation
from ebt.machines import WithoutFeatures
from kernel.recorded import RecordedMachine, default_machine
from lang.check import resolutions
from lang.diagnostics import ScriptError
from lang.machine import Machine
from lang.parser import parse
from lang.resolution import Resolution
from lang.source import Source
from tests.pure.resolve import GOLDEN, KERNELS, OFFERED, chosen, table


def resolved(text: str, machine: Machine) -> tuple[Resolution, ...]:
    return resolutions(parse(Source("x.ebt", text)), machine)


@pytest.fixture(scope="module")
def machine() -> RecordedMachine:
    return default_machine()


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> RecordedMachine:
    return RecordedMachine(KERNELS[request.param])


def test_golden() -> None:
    """After a change that is meant: scripts/update-golden, and read the difference."""
    assert table() == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize("feature", ["fentry", "kprobe", "tracepoint"])
def test_each_feature_has_a_fallback(kernel: RecordedMachine, feature: str) -> None:
    """Of what is offered as one script, nothing is lost with one mechanism alone."""
    lacking = WithoutFeatures(kernel, (feature,))
    for text in OFFERED:
        (item,) = resolved(f"{text} {{ @ = count(); }}", lacking)
        assert item.chosen is not None, (text, item)
        assert feature not in {word.mechanism for word in chosen(item) if not word.reason}, (text, item)
        compile_script(Source("x.ebt", f"{text} {{ @ = count(); }}"), lacking, (), {})


def test_a_system_call_that_asks_of_its_entry(kernel: RecordedMachine) -> None:
    """By trampoline, which needs no hidden program for args; not where the registers are replaced."""
    able = kernel.supports("fentry").works
    for text, programs in (
        ("sysret:openat { @[args.flags] = count(); }", 1), ("sysret:read { @ = sum(duration); }", 2)
    ):  # fmt: skip
        (item,) = resolved(text, kernel)
        taken = next(word for word in chosen(item) if not word.reason)
        assert (taken.mechanism, taken.place) == (
            ("fexit", "__x64_sys_" + text[7:].split()[0]) if able
            else ("tracepoint", "sys_exit_" + text[7:].split()[0])
        ), text  # fmt: skip
        plan = compile_script(Source("x.ebt", text), kernel, (), {}).plan
        assert len(plan.programs) == (programs if able else 2), text
    for text in ("sysret:openat { @ = count(); }", "sysret:execve { @[args.argv] = count(); }"):
        (item,) = resolved(text, kernel)
        assert [word.mechanism for word in chosen(item) if not word.reason] == ["tracepoint"], text


def test_exists_says_what_attaches(kernel: RecordedMachine) -> None:
    """exists("KIND:f") is whether a probe of that text, with an empty body, could be attached."""
    for text in (
        "kprobe:vfs_read", "fentry:vfs_read", "kprobe:finish_task_switch", "fentry:finish_task_switch",
        "kprobe:no_such_function", "fexit:blk_account_io_start", "syscall:sync", "syscall:nosuch",
        "kprobe:__x64_sys_sync", "kprobe:vfs_*", "kretprobe:nosuch_*", "tracepoint:block:block_io_start",
    ):  # fmt: skip
        for feature in ("", "fentry", "kprobe", "tracepoint"):
            lacking = WithoutFeatures(kernel, (feature,))
            (item,) = resolved(f"{text} {{ }}", lacking)
            said = compile_script(
                Source("x.ebt", f'begin {{ @ = exists("{text}") ? 1111 : 2222; }}'), lacking, (), {}
            ).c
            assert ("value = 1111;" in said) == (item.chosen is not None), (text, feature)


def test_exists_says_what_a_probe_has(machine: RecordedMachine) -> None:
    """exists("KIND:PROBE.FIELD") is whether the probe has `args.FIELD`."""
    answers = {
        "tracepoint:sched:sched_switch.prev_state": True, "tracepoint:sched:sched_switch.nope": False,
        "rawtracepoint:sched_switch.prev": True, "rawtracepoint:sched_switch.nope": False,
        "fexit:vfs_read.count": True, "kprobe:vfs_read.count": True, "kprobe:vfs_read.nope": False,
        "kprobe:nosuch.count": False, "fexit:vfs_read.": False,
    }  # fmt: skip
    for text, answer in answers.items():
        source = Source("x.ebt", f'begin {{ @ = exists("{text}") ? 1111 : 2222; }}')
        assert ("value = 1111;" in compile_script(source, machine, (), {}).c) == answer, text


def message(text: str, machine: Machine) -> tuple[str, tuple[str, ...]]:
    with pytest.raises(ScriptError) as wrong:
        compile_script(Source("x.ebt", text), machine, (), {})
    (first, *_) = wrong.value.diagnostics
    return first.message, first.hints


def test_a_body_that_needs_registers_keeps_the_kprobe(machine: RecordedMachine) -> None:
    lacking = WithoutFeatures(machine, ("kprobe",))
    for body, word in (
        ("@ = func;", "func"),
        ('@ = reg("sp");', "reg()"),
        ("@ = (uint64)ctx;", "ctx"),
        ("@ = arg5;", "arg5"),
    ):
        said, _ = message(f"kprobe:vfs_read {{ {body} }}", lacking)
        assert said.startswith("'kprobe:vfs_read' cannot be attached: kprobe: switched off"), said
        assert word in said
    said, _ = message("kprobe:vfs_read+4 { }", lacking)
    assert "no offset" in said
    compile_script(Source("x.ebt", "kprobe:vfs_read { @ = arg2; }"), lacking, (), {})


def test_arguments_of_a_clone(machine: RecordedMachine) -> None:
    """What the compiler renamed may have lost its arguments: only the script can say that they are there."""
    said, hints = message("kprobe:finish_task_switch { @ = args.prev; }", machine)
    assert said.startswith("'finish_task_switch' is finish_task_switch.isra.0 here")
    assert "kprobe:finish_task_switch(TYPE NAME, …)" in hints[0]
    text = "kprobe:finish_task_switch(struct task_struct *prev) { @ = args.prev.pid; }"
    assert "PT_REGS_PARM1" in compile_script(Source("x.ebt", text), machine, (), {}).c
    said, hints = message("kprobe:finish_task_switch { @ = arg0; }", machine)
    assert said.startswith("'finish_task_switch' is finish_task_switch.isra.0 here") and ".isra.0" in hints[0]
    compile_script(Source("x.ebt", "kprobe:finish_task_switch.isra.0 { @ = arg0; }"), machine, (), {})
    done = compile_script(Source("x.ebt", "fexit:finish_task_switch { @ = retval; }"), machine, (), {})
    assert "if nobody uses its result" in done.warnings[0].message
    # an alternative that has them is taken instead
    text = "kprobe:finish_task_switch || kprobe:vfs_read { @ = (uint64)args.file; }"
    (item,) = resolved(text, machine)
    assert item.chosen == 1 and "renamed" in item.choices[0].reason


def test_a_part_is_the_last_resort() -> None:
    """A `.part` serves where no alternative does, and it is told."""
    kernel = RecordedMachine(KERNELS["6.12"])
    alone = compile_script(
        Source("x.ebt", "kprobe:blk_account_io_merge_bio { @ = count(); }"), kernel, (), {}
    )
    assert [point.name for point in alone.plan.programs[0].attach] == ["blk_account_io_merge_bio.part.0"]
    assert "calls that end before it are not seen" in alone.warnings[0].message
    (item,) = resolved("kprobe:blk_account_io_merge_bio || kprobe:vfs_read { }", kernel)
    assert item.chosen == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kprobe:vfs_*(struct file *f) : int { }", "behind a pattern stand parameters alone, not a result"),
        ("kprobe:vfs_*(struct sk_buff *skb) { }", "no traceable function matches 'vfs_*'"),
        ("uprobe:libc:malloc(size_t size) { }", "a uprobe probe takes no prototype"),
        ("kprobe:vfs_read(struct file *) { }", "a parameter is written TYPE NAME"),
        ("kprobe:vfs_read(nosuch_t x) { }", "unknown type: 'nosuch_t x'"),
        ("kprobe:vfs_read(int x[4]) { }", ""),
    ],
)
def test_wrong_prototypes(machine: RecordedMachine, text: str, said: str) -> None:
    assert said in message(text, machine)[0]


def test_a_pattern_with_parameters(kernel: RecordedMachine) -> None:
    """Functions of which a parameter is of the type, whatever it is called there and wherever it stands."""
    (item,) = resolved("fentry:ip*(struct sk_buff *packet) { @ = sum(args.packet.len); }", kernel)
    compiled = compile_script(
        Source("x.ebt", "fentry:ip*(struct sk_buff *packet) { @ = sum(args.packet.len); }"), kernel, (), {}
    )
    attached = {point.name for program in compiled.plan.programs for point in program.attach}
    assert item.chosen == 0 and {"ip_rcv", "ip_output", "ip6_output"} <= attached
    for name in attached:
        function = kernel.function(name)
        assert function is not None and any(str(p.type) == "struct sk_buff *" for p in function.parameters)
    others = {name for _, name in kernel.functions("ip*")} - attached
    for name in others:
        known = kernel.function(name)
        assert known is None or all(str(p.type) != "struct sk_buff *" for p in known.parameters[:6]), name


def test_prototypes_where_btf_has_none() -> None:
    """5.10 knows nothing of what modules' functions take; BTF counts where it has the function."""
    text = """fexit:ext4_file_read_iter(struct kiocb *cb, struct iov_iter *into) : ssize_t {
        if (retval < 0) { @[args.cb.ki_pos] = count(); } }"""
    done = {name: compile_script(Source("x.ebt", text), RecordedMachine(KERNELS[name]), (), {})
            for name in KERNELS}  # fmt: skip
    assert done["5.10"].plan.programs[-1].kind == "kretprobe"
    assert done["6.1"].plan.programs[-1].kind == "fexit"
    assert all("(s64)" in item.c and "ki_pos" in item.c for item in done.values())


def test_where_arguments_lie(machine: RecordedMachine) -> None:
    said, _ = message("kprobe:FSE_decompress_wksp { @ = args.wkspSize; }", machine)
    assert said == "'wkspSize' is passed on the stack, not in a register: it cannot be read"
    said, _ = message("kprobe:ZSTD_adjustCParams { @ = args.cPar; }", machine)
    assert "is passed by value" in said


def test_as_json(machine: RecordedMachine) -> None:
    found = resolved("kprobe:nosuch || fexit:vfs_read { }", machine)
    told = json.loads(explanation(machine, found, None, "json"))
    (probe,) = told["probes"]
    assert (probe["chosen"], [choice["points"] for choice in probe["choices"]]) == (1, [0, 1])
    assert probe["choices"][1]["candidates"][0]["taken"]


@pytest.mark.parametrize(
    ("probe", "first"),
    [
        ("kprobe:vfs_read", "syscalls:sys_enter_read"),
        ("fexit:vfs_read", "syscalls:sys_exit_read"),
        ("kprobe:finish_task_switch", "sched:sched_switch"),
        ("kprobe:blk_account_io_start", "block:block_io_start"),
        ("kprobe:kfree_skb", "skb:kfree_skb"),
        ("kprobe:__x64_sys_openat", "syscalls:sys_enter_openat"),
    ],
)
def test_a_kernel_with_tracepoints_alone_names_the_nearest(
    machine: RecordedMachine, probe: str, first: str
) -> None:
    said, hints = message(f"{probe} {{ }}", WithoutFeatures(machine, ("kprobe", "fentry")))
    assert said == f"'{probe}' cannot be attached on this kernel: switched off by --no-feature"
    assert hints[0].startswith(f"try tracepoint:{first}")


def test_no_tracepoint_is_near(machine: RecordedMachine) -> None:
    _, hints = message("kprobe:kmemdup_nul { }", WithoutFeatures(machine, ("kprobe", "fentry")))
    assert not any("tracepoint" in hint for hint in hints)


def test_maps_of_probes_that_are_left_out(machine: RecordedMachine) -> None:
    """What they hold is not known here, and nothing asks for it; a probe that stays and asks is told so."""
    kernel = WithoutFeatures(machine, ("kprobe", "fentry"))
    enters = "fentry:vfs_open? { @name[tid] = args.path.dentry.d_name.hash; }"
    left_out = f"{enters} fexit:vfs_open? {{ delete(@name, tid); }}"
    tick = "interval:s:1 { @ = count(); }"
    done = compile_script(Source("x.ebt", f"{left_out} {tick}"), kernel, (), {})
    assert "name" not in done.c
    said, _ = message(f"{left_out} {tick} end {{ print(@name); }}", kernel)
    assert said == "the type of @name is not known: only itself is assigned to it"


def test_kernel_stacks_of_system_calls(machine: RecordedMachine) -> None:
    """They are told to be empty where they are, and only there."""
    kernel = WithoutFeatures(machine, ("syscall_stacks",))
    for probe, told in {
        "tracepoint:syscalls:sys_enter_read": True, "sysret:read": True,
        "tracepoint:raw_syscalls:sys_enter": False, "tracepoint:sched:sched_switch": False,
    }.items():  # fmt: skip
        text = f"{probe} {{ @[kstack(3)] = count(); }}"
        found = compile_script(Source("x.ebt", text), kernel, (), {}).warnings
        assert any("kstack is empty here" in item.message for item in found) == told, probe
        assert not compile_script(Source("x.ebt", text.replace("kstack", "ustack")), kernel, (), {}).warnings
