"""README.md → what it says is so: its commands, options, files and names exist; what it calls missing is."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from codegen.pipeline import compile_script
from ebt.commands import USAGE
from ebt.options import read_options
from kernel.recorded import RecordedMachine, default_machine
from lang.builtins import BUILTINS
from lang.functions import FUNCTIONS
from lang.probes import BY_NAME
from lang.source import Source
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# a command may go on over lines while a quote is open; what follows `ebt` here is an option, or `compile`
COMMAND = re.compile(
    r"(?:^|(?<=-- ))(?:[#$] )?(?:\.venv/bin/)?ebt (?:compile )?(?=-|\w+/)((?:'[^']*'|[^\n'#])*)", re.MULTILINE
)
COMMANDS = [found for _, text in BLOCKS if text != USAGE for found in COMMAND.findall(text)]


@pytest.fixture(scope="module")
def machine() -> RecordedMachine:
    return default_machine()


def test_commands_are_found() -> None:
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("text", COMMANDS)
def test_command_is_one(text: str, machine: RecordedMachine) -> None:
    options = read_options(shlex.split(text))
    assert not options.kernel or (ROOT / options.kernel).is_file()
    program = options.program
    if program is None:
        program = (ROOT / options.words[0]).read_text(encoding="utf-8")
    assert "int on_" in compile_script(Source("README", program), machine).c


def test_help_is_what_ebt_prints() -> None:
    assert USAGE in [text for kind, text in BLOCKS]


def test_options_named_in_prose_exist() -> None:
    known = USAGE + _help("bench")
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", prose):
        words = code.split()
        script = re.fullmatch(r"scripts/([a-z-]+)", words[0])
        if words[0].startswith("-"):
            assert re.search(rf"(?<![\w-]){words[0].replace('-lv', '-l')}(?!\w)", known), code
        elif script and len(words) > 1 and words[1].startswith("-"):
            assert words[1] in _help(script[1]), code


def _help(script: str) -> str:
    return subprocess.run([ROOT / "scripts" / script, "--help"], capture_output=True, text=True).stdout


def test_files_named_exist() -> None:
    tops = {path.name for path in ROOT.iterdir()}
    for name in re.findall(r"(?<![\w/.~])([\w.-]+(?:/[\w.-]+)+/?)", README):
        if name.split("/")[0] in tops - {".venv"}:
            assert (ROOT / name).exists(), name


def _row(first: str) -> tuple[set[str], set[str]]:
    cells = next(line for line in README.splitlines() if line.startswith(f"| {first} |")).split(" | ")
    works, missing = (set(re.findall(r"`([\w]+)`", cell)) for cell in cells[1:3])
    assert works
    return works, missing


def test_names_that_work_and_names_that_do_not() -> None:
    """What a later step adds moves from one column to the other."""
    works, missing = _row("probes")
    assert works == {kind.name for kind in BY_NAME.values()} and not missing & set(BY_NAME)
    works, missing = _row("variables")
    assert works - {"arg0", "argN", "args"} == set(BUILTINS) and not missing & set(BUILTINS)
    plain = {name for name, item in FUNCTIONS.items() if not item.aggregate}
    works, missing = _row("functions")
    assert works == plain and not missing & set(FUNCTIONS)
    works, missing = _row("aggregations")
    assert works == set(FUNCTIONS) - plain and not missing & set(FUNCTIONS)
