"""docs/repl.md typed again: each line that it shows is printed, whatever the numbers."""

import re
import subprocess

import pytest

from tests.conftest import PATIENCE, ROOT, Ebt

pytestmark = pytest.mark.kernel
PROMPT = "ebt> "
TEXT = (ROOT / "docs" / "repl.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]


def plain(line: str) -> str:
    """The line without what differs between machines: numbers, widths, how many of something."""
    line = re.sub(r"[ \t]+", " ", re.sub(r"[\d,]*\d", "1", line))
    return re.sub(r"1 (entr|line|probe)\w*", r"1 \1", line)


def test_the_tour(ebt: Ebt) -> None:
    typed = [line.removeprefix(PROMPT) for line in LINES if line.startswith(PROMPT)]
    assert len(typed) > 15
    done = subprocess.run(
        [*ebt.command, "repl"], input="\n".join([*typed, ""]), capture_output=True, text=True,
        timeout=120 * PATIENCE, check=False,
    )  # fmt: skip
    printed = [plain(line) for line in done.stdout.splitlines()]
    for line in LINES:
        if line != "…" and not line.startswith(PROMPT):
            assert plain(line) in printed, f"{line}\n--- is not in\n{done.stdout}{done.stderr}"
