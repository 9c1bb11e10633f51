"""How bpftrace 0.17 differs from the bpftrace of the reference, whose language ebt speaks: one table.

Each difference says what it is, where the reference says how it is now, and how it is taken out: a change to
what one of the two printed, or to the program or environment that the peer is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.kernel.support import NOTIFY

Change = Callable[[str], str]


def _same(text: str) -> str:
    return text


@dataclass(frozen=True)
class Difference:
    """`section` is the reference's (bpftrace-language.md); a case names those that are not `always`."""

    section: str
    was: str
    now: str
    always: bool = False
    ours: Change = _same
    theirs: Change = _same
    program: Change = _same
    environment: Mapping[str, str] = field(default_factory=dict)


def _sub(pattern: str, new: str | Callable[[re.Match[str]], str]) -> Change:
    return lambda text: re.sub(pattern, new, text, flags=re.MULTILINE)


def _one_value(row: re.Match[str]) -> str:
    low, high = int(row[2]), int(row[3])
    return (f"[{low}]".ljust(len(row[1])) if high == low + 1 else row[1]) + row[4]


def _shorter(call: re.Match[str]) -> str:
    return f"str({call[1]}, {int(call[2]) - 1})"


def _objects(text: str) -> str:
    """JSON lines in one spelling; other lines as they are."""
    return "\n".join(_object(line) for line in text.splitlines())


def _object(line: str) -> str:
    if not line.startswith('{"type"'):
        return line
    item = json.loads(line)
    if item["type"] == "attached_probes":
        item.pop("count", None)
    # the order of keys is the order of a map's entries
    return json.dumps(item)


DIFFERENCES = {
    "banner": Difference(
        "5.1", "`Attaching N probes...` on standard output", "`Attached N probes` on standard error",
        always=True, theirs=_sub(r"^Attaching \d+ probes?\.\.\.\n", ""),
    ),
    "the test hook": Difference(
        "5.1", "printed before the attached probes' events", "the same; where it stands is no output",
        always=True, ours=_sub(rf"^{NOTIFY}\n", ""), theirs=_sub(rf"^{NOTIFY}\n", ""),
    ),
    "empty lines": Difference(
        "5.2", "an empty line behind each map", "none behind plain maps, two before the last dump",
        always=True, ours=_sub(r"^\s*\n", ""), theirs=_sub(r"^\s*\n", ""),
    ),
    "the space behind a name": Difference(
        "5.2", "`@name: ` over a histogram", "`@name:`", always=True,
        theirs=_sub(r"^((@|\]).*:) $(?=\n[@\[(]|\n?\Z)", r"\1"),
    ),
    "stats": Difference(
        "0.2, 6", "count 7, average 1, total 7", "{ .count = 7, .average = 1, .total = 7 }",
        always=True,
        theirs=_sub(
            r"count (\d+), average (-?\d+), total (-?\d+)", r"{ .count = \1, .average = \2, .total = \3 }"
        ),
    ),
    "single values": Difference(
        "0.2, 13", "a bucket of one value is `[3, 4)` in a lhist", "`[3]`, as in a hist",
        always=True, theirs=_sub(r"^(\[(\d+), (\d+)\))( +\d+ \|)", _one_value),
    ),
    "frames in keys": Difference(
        "5.3", "frames of a stack in a key have four spaces", "eight, as elsewhere",
        always=True,
        ours=lambda text: _sub(r"^ {8}(?=\S+$)", "    ")(text).replace(r"\n        ", r"\n    "),
        theirs=lambda text: _sub(r"^ {8}(?=\S+$)", "    ")(text).replace(r"\n        ", r"\n    "),
    ),
    "JSON": Difference(
        "5.6", "spaces between buckets; attached_probes has no count", "none; `count`",
        always=True, ours=_objects, theirs=_objects,
    ),
    "comparisons are booleans": Difference(
        "7 (binary operators)", "a comparison is 0 or 1", "bool: false or true",
        ours=lambda text: re.sub(r"\btrue\b", "1", re.sub(r"\bfalse\b", "0", text)),
    ),
    "the NUL counts": Difference(
        "4.2 (str)", "str(p, 5) gives five characters", "four, as the NUL counts",
        program=lambda text: re.sub(r"str\(([^(),]+), (\d+)\)", _shorter, text),
    ),
    "long strings": Difference(
        "0.3 (0.23) and 6.2 (max_strlen)", "strings of 64 bytes", "of 1024",
        environment={"BPFTRACE_STRLEN": "200"},
    ),
    "cut strings": Difference(
        "5.3 (string)", "a string that is cut looks like any other", "`..` behind it",
        ours=_sub(r"\.\.(?=$|\])", ""),
    ),
}  # fmt: skip
ALWAYS = tuple(name for name, item in DIFFERENCES.items() if item.always)


def ours(text: str, known: tuple[str, ...]) -> str:
    """What ebt printed, without what differs."""
    for name in (*ALWAYS, *known):
        text = DIFFERENCES[name].ours(text)
    return text.strip("\n")


def theirs(text: str, known: tuple[str, ...]) -> str:
    """What bpftrace printed, as the reference's version would."""
    for name in (*ALWAYS, *known):
        text = DIFFERENCES[name].theirs(text)
    return text.strip("\n")
