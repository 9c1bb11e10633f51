"""docs/tools.md and docs/tools/ are what the scripts, the recorded kernels and the kept runs say."""

from __future__ import annotations

import json
from pathlib import Path

from dockit import costs, tools
from dockit.loads import LOADS
from dockit.samples import Sample, Samples, output_section
from ebt.tools import all_tools


def test_the_pages_are_as_they_would_be_written() -> None:
    stale = [path.relative_to(tools.ROOT) for path in tools.stale(tools.pages())]
    assert not stale, "run scripts/tools-page, and read what changed"


def test_loads_are_of_tools() -> None:
    assert set(LOADS) <= {tool.name for tool in all_tools()} | {"klockstat"}


def test_a_run_on_a_page(tmp_path: Path) -> None:
    samples = Samples(tmp_path / "samples.json")
    assert "No run is kept yet" in output_section(samples, "opensnoop")
    samples.tools["opensnoop"] = [Sample("ebt opensnoop -x", "cat /none", "PID COMM", "6.1")]
    samples.save()
    text = output_section(Samples(samples.path), "opensnoop")
    assert "On Linux 6.1 while this ran: `cat /none`" in text and "# ebt opensnoop -x\nPID COMM\n```" in text


def test_costs(tmp_path: Path) -> None:
    assert costs.costs_section(tmp_path / "none") == ""
    row = {"attach": 0.2, "ns": 123.4, "instructions": 56, "runs": 7}
    peers = [{"kind": "P", **row}, {"kind": "L", "problem": "no"}]
    kept = {"a machine": {"opensnoop": {**row, "again": 0.1, "peers": peers}}}
    (tmp_path / "costs").write_text(json.dumps(kept))
    text = costs.costs_section(tmp_path / "costs")
    assert "| `opensnoop` | 0.20 s | 0.10 s | 123 | 56 | P | 0.20 s | 123 | 56 |" in text
    assert "|  |  |  |  |  | L: no |  |  |  |" in text and "on a machine:" in text
