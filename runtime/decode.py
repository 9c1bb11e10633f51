"""Cells laid out in a record → compiled functions from raw records to text.

A `Cell` says how one value of fixed size becomes text: a `struct` code and a fragment of an f-string. The
cells of a record are compiled into one Python function, once; a batch of records of one size is then
decoded by `struct.iter_unpack` and formatted in a list comprehension, without a copy of any record.

Numbers are little-endian, as on all architectures that ebt runs on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from lang.records import dataclass, field

MARK = "\0"  # in a fragment: the next unpacked variable
RECORD_HEADER = 8


@dataclass(frozen=True)
class Cell:
    """One value: its `struct` code, and the f-string text in which each MARK is its next variable."""

    code: str
    fragment: str


@dataclass
class Names:
    """What the fragments refer to: values under generated names, so that no text is ever spliced in."""

    table: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """A name for the value."""
        name = f"k{len(self.table)}"
        self.table[name] = value
        return name

    def call(self, function: Callable[..., Any], arguments: int = 1) -> str:
        """The fragment that calls this function with the next variables."""
        return "{" + self.bind(function) + "(" + ", ".join([MARK] * arguments) + ")}"

    def index(self, table: Any) -> str:
        """The fragment that looks the next variable up in this table."""
        return "{" + self.bind(table) + "[" + MARK + "]}"


@dataclass(frozen=True)
class Rows:
    """Records of `stride` bytes → text: `many` takes a whole batch, `one` a buffer and an offset."""

    stride: int
    many: Callable[[Any], list[str]]
    one: Callable[[Any, int], str]


class Cache(dict[Any, str]):
    """Value → text, remembered; forgets everything when it has grown to `limit`."""

    def __init__(self, make: Callable[[Any], str], limit: int = 1 << 15) -> None:
        super().__init__()
        self._make, self._limit = make, limit

    def __missing__(self, key: Any) -> str:
        if len(self) >= self._limit:
            self.clear()
        text = self[key] = self._make(key)
        return text


def literal(text: str) -> str:
    """Plain text as part of a fragment."""
    return text.replace("{", "{{").replace("}", "}}")


def stride_of(size: int) -> int:
    """Bytes that a record of this size takes in the ring: header, data, padding to 8."""
    return (size + RECORD_HEADER + 7) & ~7


def compile_rows(parts: Sequence[str | tuple[int, Cell]], stride: int, names: Names) -> Rows:
    """Functions that print a record: the parts are literals and (offset, cell), in printing order."""
    code, count, template = _plan(parts, stride)
    layout = struct.Struct(code)
    if layout.size != stride:
        raise ValueError(f"a record of {stride} bytes cannot hold {code}")
    if not count:
        text = template.replace("{{", "{").replace("}}", "}")
        return Rows(stride, lambda view: [text] * (len(view) // stride), lambda _data, _at: text)
    variables = "".join(f"v{index}, " for index in range(count))
    source = (
        f"def many(view):\n    return [f{template!r} for {variables}in iterate(view)]\n"
        f"def one(data, at):\n    {variables.rstrip()} = unpack(data, at)\n    return f{template!r}\n"
    )
    space: dict[str, Any] = {**names.table, "iterate": layout.iter_unpack, "unpack": layout.unpack_from}
    exec(compile(source, "<rows>", "exec"), space)  # holds generated names and escaped literals only
    return Rows(stride, space["many"], space["one"])


def _plan(parts: Sequence[str | tuple[int, Cell]], stride: int) -> tuple[str, int, str]:
    """The struct code in order of offsets, the number of variables, and the f-string."""
    cells = sorted((part for part in parts if not isinstance(part, str)), key=lambda part: part[0])
    code, at, first, starts = "<", 0, 0, {}
    for offset, cell in cells:
        size = struct.calcsize("<" + cell.code)
        if offset < at or offset + size > stride:
            raise ValueError(f"a field of {size} bytes at {offset} overlaps or leaves its record")
        code += f"{offset - at}x{cell.code}"
        starts[offset, id(cell)] = first
        at, first = offset + size, first + cell.fragment.count(MARK)
    code += f"{stride - at}x"
    template = []
    for part in parts:
        if isinstance(part, str):
            template.append(literal(part))
        else:
            template.append(_numbered(part[1].fragment, starts[part[0], id(part[1])]))
    return code, first, "".join(template)


def _numbered(fragment: str, first: int) -> str:
    head, *rest = fragment.split(MARK)
    return head + "".join(f"v{first + index}{tail}" for index, tail in enumerate(rest))


def join_cells(cells: Sequence[tuple[int, Cell]], size: int, before: str, between: str, after: str) -> Cell:
    """Cells at their offsets inside one value of `size` bytes, as one cell (tuples, records)."""
    code, at = "", 0
    for offset, cell in cells:
        code += f"{offset - at}x{cell.code}"
        at = offset + struct.calcsize("<" + cell.code)
    body = literal(between).join(cell.fragment for _, cell in cells)
    return Cell(f"{code}{size - at}x", literal(before) + body + literal(after))
