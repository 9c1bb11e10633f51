"""A `*` pattern and names → the names that match; compiled once per pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache


@lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], object]:
    """A predicate for names: `*` stands for any run of characters, all else for itself."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch


def is_pattern(text: str) -> bool:
    """Whether the text holds a wildcard, so that an exact look-up will not do."""
    return "*" in text


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that the pattern matches, sorted."""
    return sorted(filter(matcher(pattern), names))
