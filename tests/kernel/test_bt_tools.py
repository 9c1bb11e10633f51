"""bpftrace's own tools under their loads on this kernel: each fares as docs/bt-tools.json says."""

from __future__ import annotations

import pytest

from btkit.cli import kernel_name
from btkit.results import Results
from btkit.run import attempt
from btkit.tools import TOOLS, Tool
from tests.conftest import Ebt

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if not tool.lab_only], ids=lambda tool: tool.name)
def test_tool(ebt: Ebt, tool: Tool) -> None:
    if not tool.path.exists():
        pytest.skip("bpftrace's tools are not installed")
    expected = Results().get(tool.name, f"run {kernel_name()}")
    verdict = attempt(ebt.command, tool)
    if expected is None:
        assert verdict.what != "failed", verdict
    else:
        assert verdict.what == expected.what, verdict
