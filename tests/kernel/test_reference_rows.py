"""Each row of the reference's tables on the running kernel, by the value that it gives; many rows a run.

Rows are data, in rows/. Those of the language are each a `begin` of one script: what it prints stands behind
its mark, and its maps, renamed to be its own, come at the end.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

import pytest

from tests.conftest import Ebt
from tests.kernel.rows import language
from tests.kernel.rows.language import SETUP, Row

pytestmark = pytest.mark.kernel

BATCH = 30
PARAMETERS = ("23", "word")


def begins(ebt: Ebt, rows: Mapping[str, Row], *options: str) -> dict[str, list[str]]:
    """What each row prints."""
    names = list(rows)
    script = "\n".join(_begin(number, name, rows[name]) for number, name in enumerate(names))
    result = ebt("-q", "--no-warnings", *options, "-e", script, *PARAMETERS, timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    found: dict[str, list[str]] = defaultdict(list)
    name = ""
    for line in result.stdout.splitlines():
        mark = re.fullmatch(r"== (\d+)", line)
        own = re.match(r"@row(\d+)_", line)
        if mark or own:
            name = names[int((mark or own or [])[1])]
        if line and not mark:
            found[name].append(re.sub(r"@row\d+_", "@", line))
    return {name: found[name] for name in names}


def _begin(number: int, name: str, row: Row) -> str:
    body = f"print({name});" if isinstance(row, str) else row[0]
    body = re.sub(r"@(\w+)", rf"@row{number}_\1", body)
    return f'begin {{ printf("== {number}\\n"); {SETUP} {body} }}'


def wanted(rows: Mapping[str, Row]) -> dict[str, list[str]]:
    return {name: [row] if isinstance(row, str) else list(row[1:]) for name, row in rows.items()}


TABLES = language.TABLES
BATCHES = [
    (table, number) for table, rows in TABLES.items() for number in range(0, len(rows), BATCH)
]  # fmt: skip


@pytest.mark.parametrize(("table", "first"), BATCHES)
def test_language(ebt: Ebt, table: str, first: int) -> None:
    rows = dict(list(TABLES[table].items())[first : first + BATCH])
    assert begins(ebt, rows) == wanted(rows)
