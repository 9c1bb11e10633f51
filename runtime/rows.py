"""Rows of emit() → aligned lines or members of JSON objects, by functions compiled once a statement.

Numbers stand right and text left; columns give way where the terminal is too narrow for them. A value that
is wider than its column pushes what follows, nothing is cut.
In JSON a value of ms(), us(), sec() and kb() is a number in that unit, not rounded; hex() is a number;
what stands for a name (errname, ksym, time …) is text, as in bpftrace's JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from codegen.plan import Event
from lang.convert import is_format
from lang.printf import parse
from lang.types import (
    Bool,
    Enum,
    Formatted,
    Inet,
    Int,
    Pointer,
    Stack,
    Str,
    Symbol,
    Timestamp,
    Tuple,
    Type,
    offsets,
    size_of,
)
from runtime.decode import MARK, RECORD_HEADER, Cell, Rows, compile_rows, stride_of
from runtime.formatters import strftime
from runtime.jsonl import quote
from runtime.printf import format_values
from runtime.units import UNITS, meminfo, unit_json
from runtime.values import Values, int_code, json_int

_INTEGERS = {8: 4, 16: 6, 32: 7, 64: 10}
_NARROW_INTEGERS = {8: 4, 16: 5, 32: 5, 64: 6}
_FORMATTED = {
    "ms": 10, "us": 10, "sec": 10, "kb": 8, "percent": 8, "oct": 8, "meminfo": 10, "errname": 12,
    "signame": 9, "capname": 20, "diskname": 8, "flags": 20,
    "username": 12, "mac": 17, "mac_address": 17, "macaddr": 17,
}  # fmt: skip
_NUMBERS = (*UNITS, "meminfo")
MAX_TEXT_WIDTH = 24
_CONTROLS = re.compile("[\0-\x1f\x7f]")


def is_number(kind: Type) -> bool:
    """Whether values of the type stand right in their column."""
    return isinstance(kind, Int) or (isinstance(kind, Formatted) and kind.name in _NUMBERS)


def width_of(kind: Type) -> int:
    """The width of a column of this type, if its title is not wider."""
    match kind:
        case Int(bits):
            return _INTEGERS[bits]
        case Bool():
            return 5
        case Str(size):
            return min(size, MAX_TEXT_WIDTH)
        case Pointer() | Formatted("hex"):
            return 18
        case Formatted("sec", _, (digits,)):
            return max(int(digits) + 5, 10)
        case Formatted("flags", _, ("rwbs",)):
            return 4
        case Formatted("flags", _, ("tcp",)):
            return 11
        case Formatted("format", Tuple(parts), (text,)):
            return _width_of_format(text, parts)
        case Formatted(name):
            return _FORMATTED.get(name, 12)
        case Timestamp(format):
            return max(len(strftime(format, 0)), 8)
        case Inet() | Enum():
            return 16
        case Symbol() | Stack():
            return MAX_TEXT_WIDTH
    return 16


def _width_of_format(text: str, kinds: Sequence[Type]) -> int:
    """What the usual values of format() take: 21 for an address and a port."""
    values = iter(kinds)
    widths = (
        len(item) if isinstance(item, str) else max(item.width, _least(next(values))) for item in parse(text)
    )
    return min(max(sum(widths), 12), MAX_TEXT_WIDTH)


def align(text: str, width: int, right: bool) -> str:
    """The text at a column's width."""
    return text.rjust(width) if right else text.ljust(width)


def clean(text: str) -> str:
    """A text that stays on its line: control characters as `\\xNN`."""
    if text.isprintable():
        return text
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _least(kind: Type) -> int:
    """The width of a column where the terminal is narrow: what most values take."""
    match kind:
        case Int(bits):
            return _NARROW_INTEGERS[bits]
        case Str(size):
            return min(size, 10)
        case Inet():
            return 15
        case Enum():
            return 11
        case Formatted("format"):
            return min(width_of(kind), 15)
        case Formatted("sec", _, (digits,)):
            return max(int(digits) + 3, 6)
        case Formatted(name) if name in _NUMBERS:
            return 6
    return width_of(kind)


def column_widths(event: Event, room: int = 0) -> list[int]:
    """The width of each column; 0 for the last, if it is text, which takes what is left of the line.

    Where these are more than `room`, the characters of a terminal's line, the widest give way first.
    """
    kinds = [item.type for item in event.fields]
    titles = [len(column.title) for column in event.columns]
    widths = [*map(max, map(width_of, kinds), titles)]
    least = [*map(min, widths, map(max, map(_least, kinds), titles))]
    rest = 0
    if not is_number(kinds[-1]):
        widths[-1], least[-1], rest = 0, 0, titles[-1]
    excess = sum(widths) + len(widths) - 1 + rest - room if room else 0
    for _ in range(min(excess, sum(widths) - sum(least))):
        spare = [width - small for width, small in zip(widths, least, strict=True)]
        widths[spare.index(max(spare))] -= 1
    return widths


def header(event: Event, widths: Sequence[int]) -> str:
    """The line of titles."""
    titles = [
        align(column.title, width, is_number(item.type))
        for column, item, width in zip(event.columns, event.fields, widths, strict=True)
    ]
    return " ".join(titles)


def text_rows(event: Event, widths: Sequence[int], values: Values) -> Rows:
    """The functions that make lines of one statement's records."""
    parts: list[str | tuple[int, Cell]] = []
    for item, width in zip(event.fields, widths, strict=True):
        parts += [" "] if parts else []
        parts.append((RECORD_HEADER + item.offset, text_cell(item.type, width, values)))
    return compile_rows(parts, stride_of(event.size), values.names)


def text_cell(kind: Type, width: int, values: Values) -> Cell:
    """A value at a column's width; 0 is as wide as it is."""
    right = is_number(kind)
    if isinstance(kind, Int):
        return Cell(int_code(kind.bits, kind.signed), f"{{{MARK}:>{width}}}")
    size = size_of(kind)
    if is_format(kind):
        show = _format(kind, values)
        return values.opaque(size, lambda raw: align(clean(show(raw, 0)), width, False))
    if isinstance(kind, Str):
        return values.opaque(size, lambda raw: align(clean(values.string(raw)), width, right))
    one = compile_rows([(0, values.cell(kind, "text"))], size, values.names).one
    cached = isinstance(kind, Enum | Bool | Inet)
    return values.opaque(size, lambda raw: align(one(raw, 0), width, right), cached=cached)


def _format(kind: Type, values: Values) -> Callable[[bytes, int], str]:
    """What makes the text of a format() of its values' bytes."""
    assert isinstance(kind, Formatted) and isinstance(kind.of, Tuple)
    arguments = list(zip(offsets(kind.of.elements)[0], kind.of.elements, strict=True))
    return format_values(kind.arguments[0], arguments, size_of(kind), values).one


def json_rows(event: Event, values: Values) -> Rows:
    """The same as the members of JSON objects."""
    parts: list[str | tuple[int, Cell]] = []
    for column, item in zip(event.columns, event.fields, strict=True):
        parts.append(f"{', ' if parts else ''}{quote(column.key)}: ")
        parts.append((RECORD_HEADER + item.offset, json_cell(item.type, values)))
    return compile_rows(parts, stride_of(event.size), values.names)


def json_cell(kind: Type, values: Values) -> Cell:
    """A value in JSON."""
    if is_format(kind):
        show = _format(kind, values)
        return values.opaque(size_of(kind), lambda raw: quote(show(raw, 0)))
    if isinstance(kind, Formatted) and isinstance(kind.of, Int):
        code = int_code(kind.of.bits, kind.of.signed)
        if kind.name in UNITS:
            return Cell(code, values.names.call(unit_json(kind.name)))
        if kind.name == "meminfo":
            return Cell(code, values.names.call(lambda _: meminfo(kind.arguments[0])))
        if kind.name == "oct":
            return Cell(code, values.names.call(lambda value: json_int(value) if value >= 0 else "null"))
        if kind.name == "hex":
            return Cell(code, values.names.call(json_int))
    return values.cell(kind, "json")
