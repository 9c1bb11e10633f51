"""docs/language.md and docs/tutorial.md ↔ their examples: scripts, commands, and what they print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/language.md"
TUTORIAL = ROOT / "docs/tutorial.md"
EBT = (sys.executable, "-c",
       f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from ebt.cli import main; sys.exit(main())")  # fmt: skip
RECORDED = tuple(sorted((ROOT / "tests/kernels").glob("*.ebtk")))
_BLOCK = re.compile(r"^```(ebt|console)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FOLDER = "/tmp/examples"  # what the page calls the folder of the scripts
_WORD = re.compile(r"[0-9a-f]*\d[0-9a-f.:]*|@+|\s+|[^\s\d@]+")


@dataclass(frozen=True)
class Example:
    """A command, the script that it runs, what it printed, and where that stands in the page."""

    command: str
    name: str
    script: str
    output: str
    lab: bool  # it needs probes that the development machine's kernel has not
    only: str  # which lines count, by a pattern, where those of other processes may stand between
    span: tuple[int, int]


def examples(page: str) -> Iterator[Example]:
    """The examples of a page in order: a script, then the commands that run it."""
    name, script = "", ""
    for found in _BLOCK.finditer(page):
        if found[1] == "ebt":
            name, script = found[2].strip(), found[3]
            continue
        command, _, output = found[3].partition("\n")
        about = found[2].split()
        command = command.removeprefix("# ")
        only = "".join(word.removeprefix("only=") for word in about if word.startswith("only="))
        yield Example(command, name, script, output, "lab" in about, only, found.span(3))


def run(example: Example, ebt: Sequence[str] = EBT, timeout: float = 60) -> str:
    """What the example prints, on standard output and error."""
    words = shlex.split(example.command)
    stem = example.name.removesuffix(".ebt")
    assert words[0] == "ebt" and {example.name, stem, "-lv"} & {*words}, example.command
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, example.name).write_text(example.script, "utf-8")
        for kernel in RECORDED:
            Path(folder, kernel.name).symlink_to(kernel)
        done = subprocess.run(
            [*ebt, *words[1:]], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
            env={**os.environ, "LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        )  # fmt: skip
    shown = done.stdout.strip("\n").replace(folder, _FOLDER) + "\n"
    if example.only:
        return "".join(line for line in shown.splitlines(True) if re.search(example.only, line))
    return shown


def form(text: str) -> list[str]:
    """What must be the same in two runs: lines without their numbers, spaces and bars, each form once."""
    shapes: list[str] = []
    for line in text.splitlines():
        words = []
        for word in _WORD.findall(line.strip()):
            if word.isspace():
                word = " "
            elif word[0] == "@" and len(word) > 1:
                continue
            elif any(char.isdigit() for char in word):
                word = "N"
            words.append(word)
        shape = re.sub(r" \|.*", " |", re.sub(r"[KMG]?(?=[,)\]])", "", "".join(words)))
        if shape and shape not in shapes:
            shapes.append(shape)
    return shapes


def alike(first: str, second: str) -> bool:
    """Whether two outputs have the same form; rows of a histogram or a table may come in other numbers."""
    return set(form(first)) == set(form(second)) or _kinds(first) == _kinds(second)


def _kinds(text: str) -> list[str]:
    """Forms with all names of files and flags alike."""
    shapes = [re.sub(r"[A-Z_]{3,}(\|[A-Z_]+)*|\S*/\S*", "X", shape) for shape in form(text)]
    return sorted(set(shapes))


def write(page: str) -> str:
    """The page with what its examples print here, or in the lab for those of the lab."""
    for example in reversed(list(examples(page))):
        if example.lab == (os.environ.get("EBT_LAB") == "1"):
            start, end = example.span
            page = page[:start] + f"# {example.command}\n" + run(example, timeout=900) + page[end:]
    return page


if __name__ == "__main__":
    for file in (FILE, TUTORIAL):
        into = Path(os.environ["EBT_LAB_OUT"], file.name) if os.environ.get("EBT_LAB") else file
        into.write_text(write(file.read_text("utf-8")), "utf-8")
