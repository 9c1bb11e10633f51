"""A pattern and names → the names that match; compiled once per pattern.

In a pattern `*` stands for any run of characters. One that begins with `~*` is a regular expression behind
that, which must match a name from its start, as BCC's tools have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from lang.patterns import REGEXP


@lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], object]:
    """A predicate for names."""
    if pattern.startswith(REGEXP):
        return re.compile(pattern.removeprefix(REGEXP), re.DOTALL).match
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch


def is_pattern(text: str) -> bool:
    """Whether the text holds a wildcard, so that an exact look-up will not do."""
    return "*" in text


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that the pattern matches, sorted."""
    return sorted(filter(matcher(pattern), names))
