"""What the guests told of constructs and tools → docs/matrix.md. Pure, but for reading and writing files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONSTRUCTS_FILE, TOOLS_FILE, RELEASE_FILE = "constructs.jsonl", "tools.jsonl", "release"
HERE = "here"  # this machine's own kernel, beside the lab's
# What a kernel runs, with the folder for its answers in $EBT_LAB_OUT; Python and pytest's arguments follow.
COMMAND = """\
rm -f "$EBT_LAB_OUT/tools.jsonl"
modprobe ext4 2>/dev/null
uname -r >"$EBT_LAB_OUT/release"
"$@" scripts/labkit/constructs.py "$@" -m ebt >"$EBT_LAB_OUT/constructs.jsonl"
exec "$@" -m pytest -p no:cacheprovider -q -rs $TESTS
"""
_ONLY_TOOLS = "-m tool "
_HEAD = """\
# What works on which kernel

Made by `scripts/lab matrix`: each cell was tried on the kernel that stands above it. A number points to the
reason below the table.

"""
_CONSTRUCTS = """\
## Constructs

The program that stands for a construct was attached; the cell names the mechanism that served it.

"""
_TOOLS = """\
## Tools

*rows*: the tool's tests passed there: right rows for known events, none for what its filters exclude. The
number of tests follows.

"""


@dataclass(frozen=True)
class Told:
    """What one kernel told: the lines of its two files."""

    kernel: str
    release: str
    constructs: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass
class Notes:
    """Reasons, numbered as they come; one that is told again keeps its number."""

    texts: list[str] = field(default_factory=list)

    def cell(self, word: str, reason: str) -> str:
        text = " ".join(reason.split()) or "no reason was told"
        if text not in self.texts:
            self.texts.append(text)
        return f"{word} [{self.texts.index(text) + 1}]"

    def lines(self) -> list[str]:
        return ["", *(f"{number}. {text}" for number, text in enumerate(self.texts, 1)), ""]


def read(kernel: str, place: Path) -> Told:
    """Read what a guest left in its directory; what is not there was not told."""
    named = place / RELEASE_FILE
    release = named.read_text().strip() if named.is_file() else "lost"
    return Told(kernel, release, _lines(place / CONSTRUCTS_FILE), _lines(place / TOOLS_FILE))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def job(python: str, tests: str, whole: bool = False) -> tuple[str, ...]:
    """The command that makes a kernel tell; `whole` runs all tests of the folder, not only those of tools."""
    return ("sh", "-c", COMMAND.replace("$TESTS", ("" if whole else _ONLY_TOOLS) + tests), "matrix", python)


def tools(library: Path) -> list[tuple[str, str]]:
    """(name, subject) of the standard tools, by the files of the library."""
    found = [(path.stem, path.parent.name) for path in library.glob("*/*.ebt")]
    return sorted((item for item in found if item[1] not in ("lib", "tutorial")), key=lambda item: item[::-1])


def page(told: Sequence[Told], constructs: Sequence[str], names: Sequence[tuple[str, str]]) -> str:
    """The whole page; `names` are (tool, subject). No cell is empty."""
    return _HEAD + _CONSTRUCTS + _constructs(told, constructs) + "\n" + _TOOLS + _tools(told, names)


def _table(told: Sequence[Told], first: str, rows: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    lines = [
        f"| {first} | " + " | ".join(f"{item.kernel}<br>{item.release}" for item in told) + " |",
        "|---" * (len(told) + 1) + "|",
    ]
    return lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]


def _constructs(told: Sequence[Told], names: Sequence[str]) -> str:
    notes = Notes()
    found = [{entry["construct"]: entry for entry in item.constructs} for item in told]
    rows = [(name, [_construct_cell(entries.get(name), notes) for entries in found]) for name in names]
    return "\n".join([*_table(told, "construct", rows), *notes.lines()])


def _construct_cell(entry: Mapping[str, Any] | None, notes: Notes) -> str:
    if entry is None:
        return notes.cell("not tried", "the guest ended before it came to this")
    if not entry["works"]:
        return notes.cell("no", entry["why"])
    by = str(entry["by"]).replace("|", "\\|")
    return by or (notes.cell("yes", entry["why"]) if entry["why"] else "yes")


def _tools(told: Sequence[Told], names: Sequence[tuple[str, str]]) -> str:
    notes = Notes()
    rows = [
        (f"{name} ({subject})", [_tool_cell(name, item, notes) for item in told]) for name, subject in names
    ]
    return "\n".join([*_table(told, "tool", rows), *notes.lines()])


def _tool_cell(name: str, told: Told, notes: Notes) -> str:
    """A failure goes before all; a refusal that was proven, before rows."""
    entries = [entry for entry in told.tools if entry["tool"] == name]
    failed = [entry for entry in entries if entry["outcome"] == "failed"]
    refused = [text for entry in entries for text in entry["refused"]]
    passed = [entry for entry in entries if entry["outcome"] == "passed"]
    if not entries:
        return notes.cell("not tried", "no test of this tool ran there")
    if failed:
        return notes.cell("**fails**", "failed: " + ", ".join(_short(entry["test"]) for entry in failed))
    if refused:
        word = "refused" if len(passed) <= len(refused) else f"rows ({len(passed)}), less"
        return notes.cell(word, "; ".join(dict.fromkeys(refused)))
    if not passed:
        return notes.cell("no", "; ".join(dict.fromkeys(str(entry["why"]) for entry in entries)))
    return f"rows ({len(passed)})"


def _short(test: str) -> str:
    return "`" + test.rpartition("/")[2] + "`"
