"""Each example of docs/language.md and docs/tutorial.md prints here what the page shows, in other numbers."""

from __future__ import annotations

import pytest

from dockit.language import FILE, TUTORIAL, Example, alike, examples, run
from tests.conftest import Ebt

pytestmark = pytest.mark.kernel

EXAMPLES = [
    example for page in (FILE, TUTORIAL) for example in examples(page.read_text("utf-8")) if not example.lab
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.command.removeprefix("ebt "))
def test_example(ebt: Ebt, example: Example) -> None:
    shown = run(example, ebt.command)
    assert example.output.strip() and alike(shown, example.output), shown
