"""docs/compatibility.md is what the tables say, and refusals are told at their place."""

from __future__ import annotations

import pytest

from dockit.compatibility import FILE, page, supported, told
from dockit.inventory import BUILTINS, CONFIG, FUNCTIONS
from lang import refusals


def test_the_page_is_as_it_would_be_written() -> None:
    assert FILE.read_text("utf-8") == page(), "run scripts/compatibility, and read what changed"


def test_what_is_refused_is_not_there_as_well() -> None:
    assert not [name for name in refusals.FUNCTIONS if supported("function", name)]
    assert not [name for name in refusals.BUILTINS if supported("builtin", name)]


@pytest.mark.parametrize("name", CONFIG)
def test_every_config_option_is_accepted(name: str) -> None:
    if name != "max_bpf_progs":
        assert supported("config", name)


@pytest.mark.parametrize("name", [*refusals.FUNCTIONS, *refusals.BUILTINS])
def test_refusals_are_told_at_their_place(name: str) -> None:
    assert name in (*FUNCTIONS, *BUILTINS)
    call = f"{name}()" if name in refusals.FUNCTIONS else name
    found = told(f"begin {{ print({call}); }}")
    assert found is not None and found.message.startswith(f"{call} cannot be had: ")
    assert found.span.text == call and found.hints[0].startswith("instead: ")
