"""One script, whatever serves it: the same numbers by every mechanism, on every kernel.

The seeds of incompatibility: what a tool stumbles over from one kernel to the next.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen.plan import Attach, Map, Place, Plan, Program, ProgramKind
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from lang.checked import Target
from lang.diagnostics import Diagnostics
from lang.expand import Expansion
from lang.machine import Machine
from lang.parser import parse
from lang.probes import expand_attach_point, mechanism
from lang.settings import Settings
from lang.source import Source
from lang.types import UINT64
from runtime.attach import AttachError
from runtime.bpf import compile_c
from runtime.load import LoadError, load
from runtime.object import Object
from tests.conftest import Ebt
from tests.kernel.support import Trace, Traced, fresh, lines, tracer

pytestmark = [pytest.mark.lab, pytest.mark.slow]
KERNEL = os.environ.get("EBT_LAB_KERNEL", "")


@pytest.fixture
def trace(ebt: Ebt) -> Trace:
    return tracer(ebt)


def without(feature: str) -> tuple[str, ...]:
    return ("--no-feature", feature) if feature else ()


@pytest.mark.parametrize("feature", ["", "fentry", "kprobe", "direct_loads"])
def test_one_exit_probe(trace: Trace, feature: str) -> None:
    """args, retval and duration of fexit, and of kretprobe, by either mechanism."""
    name = fresh()
    program = f"""
        fexit:__vfs_read || fexit:vfs_read /comm == "{name}"/ {{
            @[args.count, retval, str(args.file.f_path.dentry.d_name.name, 16)] = count();
            @sane[duration > 0 && duration < 60000000000] = count(); @sum = sum(retval); }}
        kretprobe:vfs_read /comm == "{name}"/ {{ @k[arg2, (int64)retval, args.count] = count(); }}
        fentry:vfs_write /comm == "{name}"/ {{ @w[args.count] = count(); }}
        kprobe:vfs_write /comm == "{name}"/ {{ @kw[arg2, args.count] = count(); }}
    """
    run = trace(program, f"name={name}", "read=100:23", "badread=5", "write=10:7", args=without(feature))
    assert sorted(run.lines) == [
        "@[100, 100, zero]: 23", "@k[100, 100, 100]: 23", "@kw[10, 10]: 7", "@sane[true]: 23", "@sum: 2300",
        "@w[10]: 7",
    ], run.out  # fmt: skip


@pytest.mark.parametrize("feature", ["", "fentry", "tracepoint", "fentry,tracepoint"])
def test_system_calls(trace: Trace, feature: str) -> None:
    """By trampolines, by tracepoints, and by the functions that serve the calls; one has no arguments."""
    name = fresh()
    program = f"""
        syscall:openat /comm == "{name}"/ {{ @in[str(args.filename, 32), args.flags & 3] = count(); }}
        sysret:openat /comm == "{name}"/ {{
            @out[str(args.filename, 32), retval, duration > 0] = count(); }}
        sysret:read /comm == "{name}" && args.count == 100/ {{ @read = sum(retval); }}
        syscall:getppid /comm == "{name}"/ {{ @p = count(); }}
        sysret:getppid /comm == "{name}"/ {{ @d[duration > 0, retval > 0] = count(); }}
    """
    words = [f"name={name}", "open=/no/such/file:23", "read=100:23", "say"]
    run = trace(program, *words, args=without(feature))
    assert {
        "@in[/no/such/file, 0]: 23", "@out[/no/such/file, -2, true]: 23", "@read: 2300", "@p: 1",
        "@d[true, true]: 1",
    } <= set(run.lines), run.out  # fmt: skip


# ---- The seeds of incompatibility

FILES = """
import ctypes, os, sys
name, folder = sys.argv[1:3]
ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
for number in range(23):
    os.mknod(f"{folder}/a{number}")
    os.rename(f"{folder}/a{number}", f"{folder}/b{number}")
    os.unlink(f"{folder}/b{number}")
"""


@pytest.mark.parametrize("feature", ["", "fentry"])
def test_files(ebt: Ebt, tmp_path: Path, feature: str) -> None:
    """vfs_create, vfs_unlink and vfs_rename: their arguments move, struct renamedata changes."""
    name, script, folder = fresh(), tmp_path / "work.py", Path("/dev/shm") / fresh("d")
    script.write_text(FILES)
    folder.mkdir()
    program = f"""
        fexit:vfs_create /comm == "{name}" && retval == 0/ {{
            @new[str(args.dentry.d_name.name, 2)] = count(); }}
        fentry:vfs_rename /comm == "{name}"/ {{
            @moved[str(args.rd.old_dentry.d_name.name, 2), str(args.rd.new_dentry.d_name.name, 2)] = count();
        }}
        fexit:vfs_unlink /comm == "{name}"/ {{ @gone[str(args.dentry.d_name.name, 2), retval] = count(); }}
    """
    command = f"{sys.executable} -I -S -B {script} {name} {folder}"
    result = ebt("-q", *without(feature), "-e", program, "-c", command, timeout=60)
    folder.rmdir()
    assert (result.rc, result.stderr) == (0, ""), result
    assert lines(result.stdout) == ["@gone[b, 0]: 23", "@moved[a, b]: 23", "@new[a]: 23"], result.stdout


def test_the_scheduler(trace: Trace) -> None:
    """The task's state by either name, and finish_task_switch, which most compilers rename."""
    name = fresh()
    program = f"""
        rawtracepoint:sched_switch /args.prev.pid == tid && comm == "{name}"/ {{
            @state[(args.prev.__state ?? args.prev.state) & 3] = count(); }}
        tracepoint:sched:sched_switch /args.next_comm == "{name}"/ {{ @switched = count(); }}
        kprobe:finish_task_switch /comm == "{name}"/ {{ @finished = count(); }}
        kretprobe:finish_task_switch /comm == "{name}" && duration > 0/ {{ @timed = count(); }}
    """
    run = trace(program, f"name={name}", "sleeps=23")
    found = {key: int(value) for key, value in re.findall(r"^(@[\w\[\]]+): (\d+)$", run.out, re.MULTILINE)}
    assert found["@state[1]"] >= 23, run.out
    # what runs while the probes are attached and taken off, one by one
    assert found["@finished"] >= 23 and abs(found["@finished"] - found["@switched"]) <= 2, run.out
    assert abs(found["@finished"] - found["@timed"]) <= 2, run.out


def dd(ebt: Ebt, program: str, *words: str) -> Traced:
    command = " ".join(("dd", f"if={os.environ['EBT_LAB_DISK']}", "of=/dev/null", "status=none", *words))
    result = ebt("-q", "-e", program, "-c", command, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    return Traced(result.stdout, result.stderr, result.rc, "")


def test_the_block_layer(ebt: Ebt) -> None:
    """blk_account_io_start present, renamed, inlined or gone; the disk of a request by either way."""
    program = """
        kprobe:blk_account_io_start || kprobe:__blk_account_io_start || tracepoint:block:block_io_start
            || tracepoint:block:block_rq_issue /comm == "dd"/ { @started = count(); }
        fentry:blk_mq_start_request /comm == "dd"/ {
            $disk = args.rq.rq_disk ?? args.rq.q.disk; @disk[str($disk.disk_name)] = count(); }
    """
    found = dd(ebt, program, "iflag=direct", "bs=4096", "count=23").lines
    disk = Path(os.environ["EBT_LAB_DISK"]).name
    assert found == [f"@disk[{disk}]: 23", "@started: 23"]


def test_the_page_cache(ebt: Ebt) -> None:
    """Pages and folios: allocated, read ahead, marked, by whatever the functions are called."""
    Path("/proc/sys/vm/drop_caches").write_text("1")
    program = """
        fentry:filemap_alloc_folio_noprof || fentry:filemap_alloc_folio || fentry:__page_cache_alloc
            || fentry:alloc_pages_current /comm == "dd"/ { @allocated = count(); }
        fentry:folio_mark_accessed || fentry:mark_page_accessed /comm == "dd"/ { @marked = count(); }
        fentry:page_cache_ra_order || fentry:do_page_cache_ra || fentry:page_cache_ra_unbounded
            /comm == "dd"/ { @ahead = count(); }
    """
    shown = dict(line.split(": ") for line in dd(ebt, program, "bs=64k", "count=32").lines)
    assert set(shown) == {"@allocated", "@marked", "@ahead"} and all(int(item) > 0 for item in shown.values())


def test_a_walk(trace: Trace) -> None:
    """lookup_fast, and whatever the compiler made of it, by both mechanisms alike."""
    name = fresh()
    program = f"""
        kprobe:lookup_fast /comm == "{name}"/ {{ @k = count(); }}
        fexit:lookup_fast /comm == "{name}"/ {{ @f = count(); }}
    """
    shown = dict(line.split(": ") for line in trace(program, f"name={name}", "open=/proc/self/stat:23").lines)
    assert shown["@k"] == shown["@f"] and int(shown["@k"]) >= 3 * 23, shown


@pytest.mark.parametrize("feature", ["", "fentry"])
def test_a_module(ebt: Ebt, ext4: Path, feature: str) -> None:
    """By the module's BTF, and where modules have none by the script's prototype."""
    file = ext4 / "file"
    file.write_bytes(bytes(23 * 100))
    program = """
        fexit:ext4_file_read_iter(struct kiocb *iocb, struct iov_iter *to) : ssize_t /comm == "dd"/ {
            @[str(args.iocb.ki_filp.f_path.dentry.d_name.name, 16), args.iocb.ki_pos > 0] = sum(retval);
            @n = count(); }
    """
    command = f"dd if={file} of=/dev/null bs=100 status=none"
    result = ebt("-q", *without(feature), "-e", program, "-c", command, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    # at the return the position stands behind what was read; the last read finds the end
    assert lines(result.stdout) == ["@[file, true]: 2300", "@n: 24"], result.stdout


def test_a_module_that_is_not_loaded(ebt: Ebt) -> None:
    subprocess.run(["/usr/sbin/modprobe", "-r", "isofs"], check=False, capture_output=True)
    result = ebt("-e", "kprobe:isofs_statfs { }")
    assert result.rc == 1 and "'isofs_statfs' is in the module 'isofs'" in result.stderr, result
    assert "hint: load it: modprobe isofs" in result.stderr


# ---- What is said is true

COUNTS = Map("counts", "@", "percpu_array", None, UINT64, 4, 8, 1)
NOTHING = 'BPF_TABLE("percpu_array", u32, u64, counts, 1);\nint p(void *ctx) { return 0; }\n'
SAMPLE, LOOKED_AT = 12, 400  # taking a trampoline off takes a second or more in an emulated kernel
# Refused by the kernel; other refusals are ebt's own, where the other mechanism serves better, or where the
# kernel would not survive it.
_BY_KERNEL = (
    "BTF has no prototype",
    "whole struct",
    "variable number",
    "of this name",
)


@pytest.fixture(scope="module")
def machine() -> Iterator[LiveMachine]:
    private_tracefs()
    found = LiveMachine()
    assert found.types.core is not None
    yield found


@pytest.fixture(scope="module")
def compiled() -> Object:
    return compile_c(NOTHING, "nothing")


def attach(target: Target, obj: Object, machine: LiveMachine, way: str = "") -> str:
    """What the kernel says against it; empty where it attaches."""
    kind: ProgramKind = way or mechanism(target)  # type: ignore[assignment]
    point = Attach(target.label, Place("x", 1, 1), name=target.symbol or target.name, module=target.module)
    try:
        with load(Plan("x", (Program("p", kind, (point,)),), (COUNTS,), ()), obj, machine) as loaded:
            loaded.attach_all()
    except (LoadError, AttachError) as refused:
        return str(refused)
    return ""


def resolved(machine: Machine, text: str) -> tuple[list[Target], Expansion]:
    point = parse(Source("x", f"{text} {{ }}")).probes[0].attach_points[0]
    expansion = Expansion(machine, (), Settings(), Diagnostics())
    return expand_attach_point(point, expansion), expansion


def sample(machine: LiveMachine) -> list[tuple[str, str]]:
    functions = [item for item in machine.functions("*", "vmlinux") if "." not in item[1]]
    some = random.Random(KERNEL).sample(functions, LOOKED_AT)
    odd: dict[str, tuple[str, str]] = {}
    for item in some:  # the first of each kind that a trampoline has trouble with
        known = machine.function(item[1], item[0])
        mark = "unknown" if known is None else "variadic" if known.variadic else str(len(known.parameters))
        odd.setdefault(mark if known is None or known.variadic or len(known.parameters) > 5 else "", item)
    return [*some[:SAMPLE], *odd.values(), ("vmlinux", "migrate_disable"), ("vmlinux", "__rcu_read_lock")]


def test_what_is_said_is_true(machine: LiveMachine, compiled: Object) -> None:
    """What explain says attaches does; what it says the kernel refuses is refused."""
    wrong = []
    for module, name in sample(machine):
        for kind in ("fentry", "fexit", "kprobe"):
            if not machine.functions(name, module):
                continue
            targets, expansion = resolved(machine, f"{kind}:{module}:{name}")
            for target in targets:
                if said := attach(target, compiled, machine):
                    wrong.append(f"{kind}:{name} by {mechanism(target)}: {said}")
            for candidate in expansion.tried:
                told = any(words in candidate.reason for words in _BY_KERNEL)
                if told and targets and not attach(targets[0], compiled, machine, candidate.mechanism):
                    wrong.append(f"{kind}:{name}: {candidate.reason}, but it attaches")
    assert not wrong, "\n".join(wrong)
