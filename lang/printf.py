"""printf format → literal text and conversions, by bpftrace's rule, which is not quite C's.

Flags stand in one order only (`-`, `+`, space, `#`, `0`); `*` is accepted and means nothing. What does
not match the rule is literal text, so `100%` needs no second percent sign.
"""

from __future__ import annotations

import re
from typing import Literal

from lang.records import dataclass

ConversionKind = Literal["int", "char", "pointer", "str", "buffer", "gfp", "unsupported"]

_PATTERN = re.compile(
    r"%(-?)(\+?)( ?)(#?)(0?)(\*|[0-9]+)?(?:\.(\*|[0-9]+))?([hlLjzt]*)([diouxXeEfFGaAcspn%]|gr|g|rh|rx|r)"
)
_KINDS: dict[str, ConversionKind] = {
    **dict.fromkeys("diouxX", "int"), "c": "char", "p": "pointer", "s": "str",
    "r": "buffer", "rx": "buffer", "rh": "buffer", "gr": "gfp",
}  # fmt: skip
_BITS = {"hh": 8, "h": 16, "": 32, **dict.fromkeys(("l", "ll", "L", "j", "z", "t"), 64)}


@dataclass(frozen=True)
class Conversion:
    """One `%…` of a format: `letter` is the conversion (`d`, `rx`, …), `kind` what it may be given.

    `unsupported` are the conversions that C has and bpftrace refuses: `%f` and its like, `%n`.
    """

    text: str
    flags: str
    width: int
    precision: int | None
    length: str
    letter: str
    kind: ConversionKind

    @property
    def bits(self) -> int:
        """The bits of an integer that are kept; without a length modifier 32, as in C."""
        return _BITS.get(self.length, 32)


def parse(text: str) -> tuple[str | Conversion, ...]:
    """The format in order: literals (never empty, `%%` undone) and conversions."""
    parts: list[str | Conversion] = []
    literal, at = "", 0
    for match in _PATTERN.finditer(text):
        literal += text[at : match.start()]
        at = match.end()
        if match[9] == "%":
            literal += "%"
            continue
        if literal:
            parts.append(literal)
        literal = ""
        parts.append(_conversion(match))
    literal += text[at:]
    return (*parts, literal) if literal else tuple(parts)


def conversions(text: str) -> tuple[Conversion, ...]:
    """Only the conversions: as many arguments does the format want."""
    return tuple(part for part in parse(text) if isinstance(part, Conversion))


def _conversion(match: re.Match[str]) -> Conversion:
    width, precision, letter = match[6], match[7], match[9]
    return Conversion(
        text=match[0],
        flags="".join(match.group(1, 2, 3, 4, 5)),
        width=int(width) if width and width != "*" else 0,
        precision=int(precision) if precision and precision != "*" else None,
        length=match[8],
        letter=letter,
        kind=_KINDS.get(letter, "unsupported"),
    )
