"""Rows of the reference's tables that this machine's own kernel may not have: see tests/lab/rows.py."""

from __future__ import annotations

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, said, tracer
from tests.kernel.test_reference_rows import by_row, compare, own
from tests.lab import rows

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.mark.parametrize("table", rows.TABLES)
def test_rows(ebt: Ebt, table: str) -> None:
    pieces, name = rows.TABLES[table], fresh()
    script = "\n".join(own(number, piece[0]) for number, piece in enumerate(pieces.values()))
    script = script.replace("FILTER", f'comm == "{name}"')
    run = tracer(ebt)(script, f"name={name}", *rows.STEPS, args=("--unsafe", "--no-warnings"), timeout=60)
    assert said(run.workload, "pid") > 0
    compare(by_row(run.out, list(pieces)), {row: list(piece[1:]) for row, piece in pieces.items()})


def test_override(ebt: Ebt) -> None:
    """The result of kill() is replaced, or the kernel that cannot is named as the reason."""
    name = fresh()
    script = rows.OVERRIDE.replace("FILTER", f'comm == "{name}"')
    script += f' tracepoint:syscalls:sys_exit_kill /comm == "{name}"/ {{ @[args.ret] = count(); }}'
    result = ebt("-q", "--unsafe", "-e", script, "-c", "true", timeout=60)
    assert result.rc == 0 or "override" in result.stderr, result
