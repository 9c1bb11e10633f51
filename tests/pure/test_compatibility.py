"""docs/compatibility.md is what the tables say, and nothing stands in two of them."""

from __future__ import annotations

import pytest

from dockit.compatibility import FILE, page, supported
from dockit.inventory import CONFIG
from lang.functions import REFUSED


def test_the_page_is_as_it_would_be_written() -> None:
    assert FILE.read_text("utf-8") == page(), "run scripts/compatibility, and read what changed"


def test_what_is_refused_is_not_there_as_well() -> None:
    assert not [name for name in REFUSED if supported("function", name) or supported("builtin", name)]


@pytest.mark.parametrize("name", CONFIG)
def test_every_config_option_is_accepted(name: str) -> None:
    if name != "max_bpf_progs":
        assert supported("config", name)
