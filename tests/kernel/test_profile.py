"""A recorded kernel stands for the kernel: the C compiled for either is the same, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.pipeline import compile_script
from ebt.imports import Imports
from ebt.tools import all_tools
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from kernel.recorded import RecordedMachine
from kernel.resolve import resolve
from lang.command_line import read_words
from lang.diagnostics import ScriptError
from lang.machine import Machine
from lang.parser import parse
from lang.source import Source
from tests.conftest import ROOT, Ebt

pytestmark = pytest.mark.kernel

WORDS = {"dirtop": ("-d", "/")}
# What no tool asks for: structs, constants, module functions, raw tracepoints, patterns, alternatives.
PROGRAMS = (
    "tracepoint:sched:sched_switch { @[args.prev_comm, args.next_pid] = count(); }",
    "rawtracepoint:sched_switch { @[arg0] = count(); }",
    "tracepoint:syscalls:sys_enter_openat { @[str(args.filename), curtask.real_parent.comm] = count(); }",
    "tracepoint:block:block_rq_issue { @[args.dev, args.rwbs] = sum(args.bytes); }",
    "sysret:read { @[retval] = hist(duration); }",
    "fexit:vfs_read { @[args.file.f_path.dentry.d_inode.i_sb.s_magic, retval] = sum(duration); }",
    "kprobe:vfs_* { @[func] = count(); }",
    "kprobe:tcp_sendmsg { @[args.sk.__sk_common.skc_dport, args.size] = count(); }",
    "fexit:ext4_file_read_iter(struct kiocb *iocb, struct iov_iter *to) : ssize_t { @ = sum(retval); }",
    "fexit:xfs_file_fsync? { @ = count(); } interval:s:1 { exit(); }",
    "fentry:__blk_account_io_start || tracepoint:block:block_io_start || fentry:vfs_read { @ = count(); }",
    "begin { $t = curtask; @ = ($t.__state ?? $t.state, $t.mm.total_vm, $t.files.fdt.max_fds); }",
    "profile:hz:99 { @[kstack, cpu] = count(); }",
    "begin { @ = (((struct sock *)0)->__sk_common.skc_family, offsetof(struct file, f_pos)); }",
)


def c_of(source: Source, machine: Machine, words: tuple[str, ...] = ()) -> str:
    """The C, or the messages where the script is refused."""
    try:
        script = parse(source, Imports([source]))
        given, _ = read_words(script, words, {}, resolve)
        return compile_script(script, machine, given.parameters, {}, options=given.options).c
    except ScriptError as wrong:
        return "\n".join(item.message for item in wrong.diagnostics)


def sources() -> list[Source]:
    tools = sorted({tool.path for tool in all_tools()})
    golden = map(str, sorted((ROOT / "tests/pure/golden").glob("*.ebt")))
    files = [Source(path, Path(path).read_text()) for path in (*tools, *golden)]
    return files + [Source("stdin", text) for text in PROGRAMS]


def test_the_same_c_for_the_recorded_kernel_as_on_it(ebt: Ebt, tmp_path: Path) -> None:
    profile = tmp_path / "this.ebtk"
    result = ebt("profile", "save", profile, timeout=120)
    assert (result.rc, result.stderr) == (0, ""), result
    assert profile.stat().st_size <= 2_000_000
    private_tracefs()
    live, recorded = LiveMachine(), RecordedMachine(profile)
    different, compiled = [], 0
    for source in sources():
        words = WORDS.get(Path(source.name).stem, ())
        here, there = c_of(source, live, words), c_of(source, recorded, words)
        compiled += "BPF" in here
        if here != there:
            name = source.text if source.name == "stdin" else source.name
            different.append((name, here[:300], there[:300]))
    assert different == [] and compiled > 10


def test_what_cannot_be_written_leaves_nothing(ebt: Ebt, tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none/x", "No such file or directory"), (tmp_path, "Is a directory"),
        ("/dev/full", "No space left on device"),
    ):  # fmt: skip
        result = ebt("profile", "save", path, timeout=120)
        assert result.rc == 1 and message in result.stderr, result
        assert result.stderr.startswith("ebt: error: cannot write "), result
    assert list(tmp_path.iterdir()) == []
    assert ebt("profile", "save").stderr == "ebt: error: usage: ebt profile save FILE\n"
