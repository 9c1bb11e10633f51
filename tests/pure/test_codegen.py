"""Script → C for the recorded kernel that ships: the golden files, and the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.pipeline import compile_script
from kernel.recorded import default_machine
from lang.source import Source

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.ebt"))


def compiled(text: str, name: str = "t", parameters: tuple[str, ...] = ()) -> str:
    return compile_script(Source(name, text), default_machine(), parameters).c


@pytest.mark.parametrize("script", GOLDEN, ids=lambda path: str(path.stem))
def test_golden(script: Path) -> None:
    """After a change that is meant: scripts/update-golden, and read the difference."""
    expected = script.with_suffix(".c").read_text("utf-8")
    assert compiled(script.read_text("utf-8"), script.name) == expected


def test_the_same_bytes_whatever_the_hash_seed() -> None:
    program = (
        "import sys; sys.path[:0] = ['.', 'scripts']\n"
        "from fuzzkit.mutate import SEEDS\n"
        "from tests.pure.test_codegen import GOLDEN, compiled\n"
        "texts = [path.read_text() for path in GOLDEN] + list(SEEDS)\n"
        "print('\\n'.join(compiled(text, 't', ('a', 'b')) for text in texts))\n"
    )
    outputs = set()
    for seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, check=True,
        )  # fmt: skip
        outputs.add(run.stdout)
    assert len(outputs) == 1


def test_statements_after_the_end_are_left_out() -> None:
    text = compiled("begin { print(1); return; print(2); }")
    assert text.count("ringbuf_reserve") == 1
    assert "return 0;\n    return 0;" not in text


def test_what_was_checked_leaves_nothing() -> None:
    text = compiled('begin { static_assert(sizeof(uint32) == 4, "four"); }')
    assert text.endswith('"four")\n    return 0;\n}\n')


def test_script_text_never_ends_a_comment() -> None:
    text = compiled('begin { print("*/ int x;\\\\"); /* a\n# 1 */ print("\\n#error"); }')
    assert "\n#error" not in text
    assert all(line.count('"') % 2 == 0 or "//" in line for line in text.split("\n"))
