"""What is kept of Lark's and Jinja2's work gives what they would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codegen import emit
from codegen.pipeline import compile_script
from kernel.recorded import RecordedMachine
from lang import cachefile, tables
from lang.reading import read
from lang.source import Source
from lang.trees import Token, Tree

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*(ROOT / "stdlib").rglob("*.ebt"), *Path("/usr/sbin").glob("*.bt")])
GOLDEN = sorted((ROOT / "tests/pure/golden").glob("*.ebt"))
MACHINE = RecordedMachine(ROOT / "kernel/recorded/default.ebtk")


def _plain(item: Any) -> object:
    """A tree of ours or of Lark's: names, tokens and their places."""
    if isinstance(item, Token):
        return item.type, str(item), item.start_pos, item.end_pos
    if isinstance(item, Tree):
        place = None if item.meta.empty else (item.meta.start_pos, item.meta.end_pos)
        return item.data, place, [_plain(child) for child in item.children]
    if hasattr(item, "children"):
        place = None if item.meta.empty else (item.meta.start_pos, item.meta.end_pos)
        return str(item.data), place, [_plain(child) for child in item.children]
    return str(item.type), str(item), item.start_pos, item.end_pos


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_our_reading_is_larks(path: Path) -> None:
    text = path.read_text("utf-8")
    ours = read(text, "script")
    if ours is None:  # lines for the preprocessor stand in it
        with pytest.raises(Exception, match="nexpected"):
            tables.lark().parse(text, start="script")
    else:
        assert _plain(ours) == _plain(tables.lark().parse(text, start="script"))


def test_tables_from_the_cache_are_those_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tables.tables.cache_clear()
    made = tables.tables()
    tables.tables.cache_clear()
    monkeypatch.setattr(tables, "lark", lambda: pytest.fail("the cache has them"))
    assert tables.tables() == made
    tables.tables.cache_clear()


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff" * 200])
def test_what_is_no_table_is_made_again(
    damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cachefile, "load", lambda *_: memoryview(damage))
    tables.tables.cache_clear()
    emit._templates.cache_clear()
    assert read("begin { }", "script") is not None
    assert "int on_" in compile_script(Source("x", "begin { exit(); }"), MACHINE).c
    tables.tables.cache_clear()
    emit._templates.cache_clear()


@pytest.mark.parametrize("script", GOLDEN, ids=lambda path: path.stem)
def test_our_rendering_is_jinjas(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(script.name, script.read_text("utf-8"))
    ours = compile_script(source, MACHINE).c
    monkeypatch.setattr(emit, "_templates", lambda: None)
    assert compile_script(source, MACHINE).c == ours
