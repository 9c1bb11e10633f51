"""Each example of docs/language.md that needs kprobes prints what the page shows, in other numbers."""

from __future__ import annotations

import pytest

from dockit.language import FILE, Example, alike, examples, run
from tests.conftest import PATIENCE, Ebt

pytestmark = pytest.mark.lab

EXAMPLES = [example for example in examples(FILE.read_text("utf-8")) if example.lab]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.command.removeprefix("ebt "))
def test_example(ebt: Ebt, example: Example) -> None:
    shown = run(example, ebt.command, 60 * PATIENCE)
    assert example.output.strip() and alike(shown, example.output), shown
