"""The rarer ways to write a probe of a kernel function: by address, in whichever module, at an offset."""

from __future__ import annotations

import pytest

from kernel.live import LiveMachine
from tests.conftest import Ebt
from tests.kernel.support import Trace, fresh, tracer
from tests.kernel.test_probes import test_a_stack_begins_at_the_raw_tracepoint

pytestmark = pytest.mark.lab
__all__ = ["test_a_stack_begins_at_the_raw_tracepoint"]


@pytest.fixture
def trace(ebt: Ebt) -> Trace:
    return tracer(ebt)


def test_every_form(trace: Trace) -> None:
    name = fresh()
    address = LiveMachine().symbol("vfs_read")
    assert address is not None
    only = f'/comm == "{name}"/'
    program = f"""
        kprobe:{address:#x} {only} {{ @address[probe, arg2] = count(); }}
        kprobe:*:vfs_read {only} {{ @any[args.count] = count(); }}
        fentry:*:vfs_read {only} {{ @typed[args.count] = count(); }}
        fexit:v*x:vfs_read {only} {{ @out[retval] = count(); }}
        kprobe:vfs_read+0 {only} {{ @start = count(); }}
    """
    run = trace(program, f"name={name}", "read=100:23", args=("--unsafe",))
    assert sorted(run.lines) == [
        f"@address[kprobe:{address:#x}, 100]: 23", "@any[100]: 23", "@out[100]: 23", "@start: 23",
        "@typed[100]: 23",
    ], run.out  # fmt: skip


def test_the_texts_of_many_functions(trace: Trace) -> None:
    """One program for a wildcard's functions, which shows the text of each."""
    name = fresh()
    only = f'/comm == "{name}"/'
    program = f"""
        kprobe:vfs_* {only} {{ @k[probe] = count(); @t[probe, 1] = count(); }}
        kretprobe:vfs_* {only} {{ @r[func] = count(); }}
        kretprobe:vfs_w* {only} {{ @d[func, duration > 0] = count(); }}
        fentry:vfs_w* {only} {{ @f[probe, func] = count(); }}
    """
    run = trace(program, f"name={name}", "read=100:23", "write=10:7")
    shown = [line for line in run.lines if "vfs_read" in line or "vfs_write" in line]
    assert sorted(shown) == [
        "@d[vfs_write, true]: 7", "@f[fentry:vmlinux:vfs_write, vfs_write]: 7", "@k[kprobe:vfs_read]: 23",
        "@k[kprobe:vfs_write]: 7", "@r[vfs_read]: 23", "@r[vfs_write]: 7",
        "@t[kprobe:vfs_read, 1]: 23", "@t[kprobe:vfs_write, 1]: 7",
    ], run.out  # fmt: skip


def test_an_address_without_an_instruction(ebt: Ebt) -> None:
    """The kernel refuses it, and ebt says so at the probe."""
    result = ebt("--unsafe", "-e", "kprobe:0xffffffffff600001 { }")
    assert result.rc == 255, result
    assert "1:1: error: cannot attach kprobe:0xffffffffff600001: no instruction" in result.stderr, result
