"""Each row of the reference's tables on the running kernel, by the value that it gives; many rows a run.

Rows are data, in rows/. Those of the language are each a `begin` of one script: what it prints stands behind
its mark, and its maps, renamed to be its own, come at the end.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from kernel.cpus import possible_cpus
from tests.conftest import Ebt, Result
from tests.kernel.rows import events, functions, language, runs
from tests.kernel.rows.language import SETUP, Row
from tests.kernel.rows.runs import ANY, Run
from tests.kernel.support import fresh, lines, said, tracer, work

pytestmark = pytest.mark.kernel

BATCH = 30
PARAMETERS = ("23", "word")


def begins(ebt: Ebt, rows: Mapping[str, Row], *options: str) -> dict[str, list[str]]:
    """What each row prints."""
    names = list(rows)
    script = "\n".join(_begin(number, name, rows[name]) for number, name in enumerate(names))
    result = ebt("-q", "--no-warnings", *options, "-e", script, *PARAMETERS, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    return by_row(result.stdout, names)


def by_row(text: str, names: list[str]) -> dict[str, list[str]]:
    """The lines of each row: behind its mark, or of its maps, whose names are as the row has them."""
    found: dict[str, list[str]] = defaultdict(list)
    name = ""
    for line in text.splitlines():
        mark = re.fullmatch(r"== (\d+)", line)
        owner = re.match(r"@row(\d+)_", line)
        if mark or owner:
            name = names[int((mark or owner or [""])[1])]
        if line and not mark:
            found[name].append(re.sub(r"@row\d+_", "@", line))
    return {name: found[name] for name in names}


def own(number: int, script: str) -> str:
    """A row's piece of a script: its mark, and its maps under names of its own."""
    return re.sub(r"@(\w+)", rf"@row{number}_\1", filled(script)).replace(
        "MARK", f'printf("== {number}\\n");'
    )


def _begin(number: int, name: str, row: Row) -> str:
    body = f"print({name});" if isinstance(row, str) else row[0]
    return own(number, f"begin {{ MARK {SETUP} {body} }}")


@functools.cache
def here() -> dict[str, str]:
    """What stands in the rows for what only this machine knows."""
    symbols = Path("/proc/kallsyms").read_text()
    address = re.search(r"^(\w+) \w vfs_read$", symbols, re.MULTILINE)
    return {
        "YEAR": time.strftime("%Y"), "FOLDER": os.getcwd(), "CGROUP": str(os.stat("/sys/fs/cgroup").st_ino),
        "VFSREAD": "0x" + (address[1] if address else "0"),
        "NCPUS": str(possible_cpus()),
    }  # fmt: skip


def filled(text: str) -> str:
    for word, value in here().items():
        text = text.replace(word, value)
    return text


def wanted(rows: Mapping[str, Row]) -> dict[str, list[str]]:
    texts = {name: [row] if isinstance(row, str) else row[1:] for name, row in rows.items()}
    return {name: [filled(line) for line in row if line] for name, row in texts.items()}


def compare(found: dict[str, list[str]], rows: dict[str, list[str]]) -> None:
    """Line by line; a wanted line with `~` in front is a pattern."""
    wrong = {}
    for name, texts in rows.items():
        same = len(texts) == len(found[name]) and all(map(_fits, texts, found[name]))
        if not same:
            wrong[name] = {"wanted": texts, "found": found[name]}
    assert not wrong


def _fits(line: str, found: str) -> bool:
    return bool(re.fullmatch(line[1:], found)) if line.startswith("~") else line == found


TABLES = language.TABLES | functions.TABLES
BATCHES = [
    (table, number) for table, rows in TABLES.items() for number in range(0, len(rows), BATCH)
]  # fmt: skip


@pytest.mark.parametrize(("table", "first"), BATCHES)
def test_language(ebt: Ebt, table: str, first: int) -> None:
    rows = dict(list(TABLES[table].items())[first : first + BATCH])
    compare(begins(ebt, rows, "--unsafe"), wanted(rows))


@pytest.mark.parametrize("table", events.TABLES)
def test_events(ebt: Ebt, table: str) -> None:
    rows, name = events.TABLES[table], fresh()
    pieces = (own(number, piece[0]) for number, piece in enumerate(rows.values()))
    script = "\n".join(pieces).replace("FILTER", f'comm == "{name}"')
    run = tracer(ebt)(script, f"name={name}", *events.STEPS, args=("--unsafe", "--no-warnings"), timeout=60)
    told = {"PID": said(run.workload, "pid"), "PARENT": said(run.workload, "parent"), "NAME": name}
    compare(
        by_row(run.out, list(rows)),
        {row: [_told(line, told) for line in piece[1:]] for row, piece in rows.items()},
    )


def _told(line: str, told: Mapping[str, object]) -> str:
    for word, value in told.items():
        line = line.replace(word, str(value))
    return line


@pytest.mark.parametrize("name", runs.SETTINGS | runs.RUNS)
def test_run(ebt: Ebt, name: str) -> None:
    row = (runs.SETTINGS | runs.RUNS)[name]
    check(row, run_row(ebt, row, f"config = {{ {row.config} }} " if row.config else ""))


@pytest.mark.parametrize("name", [name for name, row in runs.SETTINGS.items() if row.config])
def test_setting_of_the_environment(ebt: Ebt, name: str) -> None:
    row = runs.SETTINGS[name]
    key, _, value = row.config.partition(" = ")
    check(row, run_row(ebt, row, "", {f"BPFTRACE_{key.upper()}": value.strip('"')}))


def run_row(ebt: Ebt, row: Run, head: str, environment: Mapping[str, str] | None = None) -> Result:
    words = ["-c", " ".join(work(*row.steps))] if row.steps else []
    return ebt("-q", *words, "-e", head + row.program, *row.options, env=environment)


def check(row: Run, result: Result) -> None:
    out = "\n".join(lines(result.stdout))
    assert re.fullmatch(row.out, out) and re.match(rf"(?:{row.err})(\n|\Z)", result.stderr), result
    assert row.rc in (result.rc, ANY), result
