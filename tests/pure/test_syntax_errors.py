"""What a diagnostic looks like: place, line, underline, hints. The messages are in cases/syntax.ebt."""

from __future__ import annotations

import pytest

from lang.diagnostics import ScriptError, nearest
from lang.parser import parse
from lang.source import Source


def rendered(text: str, name: str = "t.ebt") -> list[str]:
    with pytest.raises(ScriptError) as wrong:
        parse(Source(name, text))
    return wrong.value.diagnostics[0].render().split("\n")


def test_place_line_underline_and_hint() -> None:
    assert rendered("begin {\n  print('a');\n}") == [
        't.ebt:2:9: error: unexpected "\'"',
        "  print('a');",
        "        ^",
        'hint: strings are written with double quotes: "text"',
    ]


def test_tabs_stay_tabs_below_tabs() -> None:
    assert rendered("begin {\n\t\t@x = 1\n\t\t@yy = 2\n}")[1:] == ["\t\t@yy = 2", "\t\t^~~"]


def test_wide_characters_take_two_columns() -> None:
    assert rendered('begin { print("日本" xyz); }')[1:3] == ['begin { print("日本" xyz); }', " " * 21 + "^~~"]


def test_a_very_long_line_is_cut_around_the_place() -> None:
    head, line, mark = rendered("begin { " + "@x = 1; " * 1000 + "] }")
    assert head.startswith("t.ebt:1:8009: error: ")
    assert len(line) <= 160
    assert line[mark.index("^")] == "]"


def test_what_cannot_be_printed_is_replaced() -> None:
    head, line, mark = rendered("begin { \x1b[2J }")
    assert "unexpected character U+001B" in head
    assert "\x1b" not in head + line + mark


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends(end: str) -> None:
    assert (
        rendered(f"begin {{{end}  @x = ;{end}}}{end}")[0] == "t.ebt:2:8: error: expected a value before ';'"
    )


def test_byte_order_mark_is_space() -> None:
    assert len(parse(Source("t", "\ufeffbegin { }")).probes) == 1


def test_nearest_names() -> None:
    assert nearest("pidd", ["pid", "tid", "comm"]) == ("did you mean 'pid'?",)
    assert nearest("zzz", ["pid"]) == ()
