"""bpftrace's own tools under their loads on a kernel of the lab: each fares as docs/bt-tools.json says."""

from __future__ import annotations

import subprocess

import pytest

from btkit.cli import kernel_name
from btkit.results import Results
from btkit.run import attempt
from btkit.tools import TOOLS, Tool
from tests.conftest import PATIENCE, Ebt

pytestmark = [pytest.mark.lab, pytest.mark.slow]


# those that print rows on the development machine are tested there
_THERE = [tool for tool in TOOLS if (fared := Results().get(tool.name, "run 6.18")) and fared.what == "rows"]


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool not in _THERE], ids=lambda tool: tool.name)
def test_tool(ebt: Ebt, tool: Tool) -> None:
    if not tool.path.exists():
        pytest.skip("bpftrace's tools are not installed")
    expected = Results().get(tool.name, f"run {kernel_name()}")
    if expected is None:
        pytest.skip(f"scripts/bt-tools was not run on {kernel_name()}")
    if tool.modules:
        subprocess.run(["modprobe", "-a", *tool.modules], check=False)
    verdict = attempt(ebt.command, tool, PATIENCE)
    assert verdict.what == expected.what, verdict
