"""Each example of docs/language.md runs here and prints what the page shows, in other numbers."""

from __future__ import annotations

import pytest

from dockit.language import FILE, Example, alike, examples, run
from tests.conftest import Ebt

pytestmark = pytest.mark.kernel

EXAMPLES = [example for example in examples(FILE.read_text("utf-8")) if not example.lab]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.command.removeprefix("ebt "))
def test_example(ebt: Ebt, example: Example) -> None:
    shown = run(example, ebt.command)
    assert example.output.strip() and alike(shown, example.output), shown
