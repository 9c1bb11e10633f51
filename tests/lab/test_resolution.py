"""One script, whatever serves it: the same numbers by trampoline and by kprobes, on every kernel."""

from __future__ import annotations

import pytest

from tests.conftest import Ebt
from tests.kernel.support import Trace, fresh, tracer

pytestmark = pytest.mark.lab


@pytest.fixture
def trace(ebt: Ebt) -> Trace:
    return tracer(ebt)


@pytest.mark.parametrize("without", ["", "fentry", "kprobe"])
def test_one_exit_probe(trace: Trace, without: str) -> None:
    """args, retval and duration of fexit, and of kretprobe, by either mechanism."""
    name = fresh()
    program = f"""
        fexit:vfs_read /comm == "{name}"/ {{
            @[args.count, retval, str(args.file.f_path.dentry.d_name.name, 16)] = count();
            @sane[duration > 0 && duration < 60000000000] = count(); @sum = sum(retval); }}
        kretprobe:vfs_read /comm == "{name}"/ {{ @k[arg2, (int64)retval, args.count] = count(); }}
        fentry:vfs_write /comm == "{name}"/ {{ @w[args.count] = count(); }}
        kprobe:vfs_write /comm == "{name}"/ {{ @kw[arg2, args.count] = count(); }}
    """
    options = ("--no-feature", without) if without else ()
    run = trace(program, f"name={name}", "read=100:23", "badread=5", "write=10:7", args=options)
    assert sorted(run.lines) == [
        "@[100, 100, zero]: 23", "@k[100, 100, 100]: 23", "@kw[10, 10]: 7", "@sane[true]: 23", "@sum: 2300",
        "@w[10]: 7",
    ], run.out  # fmt: skip
