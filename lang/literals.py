"""Literal text → values: integers with suffixes and durations, strings with escapes."""

from __future__ import annotations

import re

DURATIONS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_WIDTHS = {"u": 64, "ul": 64, "ull": 64, "l": 63, "ll": 63}
_INTEGER = re.compile(
    r"(0[xX][0-9a-fA-F_]+|[0-9][0-9_]*?)(?:e([1-9][0-9]*))?(ns|us|ms|s|m|h|d|ull|ul|u|ll|l)?"
)
_ESCAPE = re.compile(r"\\(?:([ntr\"\\])|([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
MAX_UINT64 = (1 << 64) - 1


def parse_integer(text: str) -> int:
    """The value of an integer literal. Raises ValueError with the message for the user."""
    found = _INTEGER.fullmatch(text)
    if found is None or text.endswith("_"):
        raise ValueError(f"invalid integer '{text}'")
    digits, exponent, suffix = found.groups()
    plain = digits.replace("_", "")
    if plain[:2] in ("0x", "0X"):
        if exponent or suffix:
            raise ValueError(f"invalid integer '{text}': a hexadecimal literal takes no suffix")
        value = int(plain, 16)
    else:
        value = _decimal(text, plain, exponent)
    limit = MAX_UINT64
    if suffix in _WIDTHS:
        limit = (1 << _WIDTHS[suffix]) - 1
    elif suffix:
        value *= DURATIONS[suffix]
    if value > limit:
        raise ValueError(f"integer '{text}' is too large: the maximum is {limit}")
    return value


def _decimal(text: str, digits: str, exponent: str | None) -> int:
    if exponent is not None:
        if len(digits) > 1 or digits == "0":
            raise ValueError(f"invalid integer '{text}': the digit before 'e' must be 1 to 9")
        exponent = exponent if len(exponent) < 3 else "99"
        return int(digits) * int(10 ** min(int(exponent), 30))
    if digits.startswith("0") and len(digits) > 1:
        if not set(digits) <= set("01234567"):
            raise ValueError(f"invalid octal integer '{text}'")
        return int(digits, 8)
    if len(digits) > 30:
        raise ValueError(f"integer '{text[:24]}…' is too large: the maximum is {MAX_UINT64}")
    return int(digits)


def parse_string(text: str) -> str:
    """The value of a quoted string. Escaped bytes ≥ 0x80 become surrogates, as bytes that are no UTF-8 do.

    Raises ValueError with the message for the user.
    """

    def replace(found: re.Match[str]) -> str:
        simple, octal, hexadecimal, other = found.groups()
        if simple:
            return _SIMPLE[simple]
        if other is not None:
            raise ValueError(f"invalid escape sequence '\\{other}'")
        value = int(octal, 8) if octal else int(hexadecimal, 16)
        if value > 255:
            raise ValueError(f"octal escape '\\{octal}' is above 255")
        return chr(value) if value < 128 else chr(0xDC00 + value)

    plain = _ESCAPE.sub(replace, text[1:-1])
    # Escaped bytes may spell UTF-8 together: let them join as they would in C.
    return plain.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def packed_address(text: str) -> bytes | None:
    """The bytes of an IPv4 or IPv6 address in network order; None for what is none."""
    import socket  # every start would pay for it

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, text)
        except (OSError, UnicodeEncodeError, ValueError):
            continue
    return None
