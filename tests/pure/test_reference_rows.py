"""Each name in the checker's tables has a row that a kernel executes: tests/kernel/rows, tests/lab/rows.py.

Who adds a builtin, a function, a kind of probe or a setting adds its row there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from string import ascii_letters

import pytest

from lang.builtins import BUILTINS
from lang.functions import FUNCTIONS
from lang.printf import conversions
from lang.probes import KINDS
from lang.settings import NAMES
from tests.kernel.rows import events, functions, language, runs
from tests.lab import rows as lab

TESTS = Path(__file__).parents[1]
# what takes a program of its own is tested there
ELSEWHERE = {
    "usdt": "kernel/test_usdt.py", "watchpoint": "kernel/test_other_probes.py",
    "iter": "kernel/test_rest_of_the_language.py",
}  # fmt: skip


def _rows() -> dict[str, str]:
    """A row's name → its text."""
    rows = {"override": lab.OVERRIDE}
    rows |= {name: (TESTS / place).read_text() for name, place in ELSEWHERE.items()}
    texts = [(name, name if isinstance(row, str) else row[0])
             for table in functions.TABLES.values() for name, row in table.items()]  # fmt: skip
    tables = [*events.TABLES.values(), *lab.TABLES.values()]
    texts += [(name, row[0]) for table in tables for name, row in table.items()]
    texts += [(name, f"{run.config} {run.program}") for name, run in (runs.SETTINGS | runs.RUNS).items()]
    for name, text in texts:
        rows[name] = rows.get(name, "") + text
    return rows


ROWS = _rows()
TEXT = "\n".join(
    name + " " + (row if isinstance(row, str) else row[0])
    for table in language.TABLES.values() for name, row in table.items()
)  # fmt: skip
GRAMMAR = TESTS.parent / "lang/grammar.lark"
NAMED: dict[str, Iterable[str]] = {
    "builtins": BUILTINS, "functions": FUNCTIONS, "probes": (kind.name for kind in KINDS), "settings": NAMES,
}  # fmt: skip


@pytest.mark.parametrize("table", NAMED)
def test_each_name_is_executed(table: str) -> None:
    missing = [name for name in NAMED[table] if not re.search(rf"\b{name}\b", ROWS.get(name, ""))]
    assert not missing, f"without a row in tests/kernel/rows or tests/lab/rows.py: {missing}"


def test_each_operator_is_executed() -> None:
    found = re.findall(r'^[A-Z_]+(?:\.\d+)?: "([^"\s]+)"$', GRAMMAR.read_text(), re.MULTILINE)
    signs = [item for item in found if not re.search(r"\w", item)]
    assert len(signs) > 20 and not [sign for sign in signs if sign not in TEXT]


def test_each_conversion_of_printf_is_executed() -> None:
    letters = [*ascii_letters, "rx", "rh", "gr"]
    known = [letter for letter in letters for item in conversions(f"%{letter}") if item.kind != "unsupported"]
    assert len(known) > 12 and not [letter for letter in known if f"%{letter}" not in TEXT]
