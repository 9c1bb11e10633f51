"""A regular expression ↔ a part of an attach point, where colons and equals signs part things."""

from __future__ import annotations

import re

REGEXP = "~*"  # in front of one: the star says that it is a pattern
_HIDDEN = {":": "\ue03a", "=": "\ue03d"}  # of Unicode's private use
_HIDE = str.maketrans(_HIDDEN)
_SHOW = str.maketrans({hidden: char for char, hidden in _HIDDEN.items()})


def as_part(expression: str) -> str:
    """A regular expression as it may stand in an attach point. Raises ValueError with what is wrong."""
    try:
        re.compile(expression)
    except (re.error, RecursionError, OverflowError) as wrong:
        raise ValueError(f"'{expression}' is no regular expression: {wrong}") from None
    return REGEXP + expression.translate(_HIDE)


def shown(part: str) -> str:
    """The part once its neighbours are parted from it: the regular expression as it was written."""
    return part.translate(_SHOW) if part.startswith(REGEXP) else part
