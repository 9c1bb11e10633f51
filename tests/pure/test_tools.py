"""The command's face: tools found by name, listed, explained; misspelled words; what is a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebt import asked, commands, request, tools
from lang.page import read_page
from tests.conftest import Ebt

PROFILE = "--kernel", str(Path(__file__).parents[1] / "kernels/5.10.ebtk")
SLOW = """// slow: what takes long
//
// Also:
//     fastnot = -t ext4      what is not fast
option t: string = "xfs" "-t" "type";
begin { print(opt.t); }
"""


@pytest.fixture
def stdlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A standard library of one tool and one shared file."""
    for name, text in (("file/slow.ebt", SLOW), ("lib/shared.ebt", "// shared: no tool\n")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(tools, "library", lambda: str(tmp_path))
    return tmp_path


def test_a_tool_by_its_names(stdlib: Path) -> None:
    path = str(stdlib / "file/slow.ebt")
    assert tools.find_tool("slow") == tools.Tool("slow", path, "file")
    alias = tools.Tool("fastnot", path, "file", ("-t", "ext4"), "what is not fast")
    assert tools.find_tool("fastnot") == alias
    for word in ("shared", "nothing", "slow.ebt", "./slow", "-", ""):
        assert tools.find_tool(word) is None


def test_list(stdlib: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.list_tools([]) == 0
    assert capsys.readouterr().out == "file\n  fastnot  what is not fast\n  slow     what takes long\n"
    assert tools.list_tools(["long"]) == 0
    assert capsys.readouterr().out == "file\n  slow  what takes long\n"
    assert tools.list_tools(["slw"]) == 1
    assert capsys.readouterr().err.endswith("holds 'slw'; did you mean 'slow'?\n")


def test_an_alias_gives_its_words(stdlib: Path) -> None:
    for words, value in ((["fastnot"], "ext4"), (["fastnot", "-t", "nfs"], "nfs"), (["slow"], None)):
        _, asked = request.read_request(words, [])
        assert asked.options.get("t") == value


def test_ebt_options_behind_a_tool(stdlib: Path) -> None:
    options, asked = request.read_request(["-q", "slow", "-t", "x", "--kernel", "K", "-f", "json"], [])
    assert (options.quiet, options.kernel, options.format) == (True, "K", "json")
    assert asked.options == {"t": "x"}


def test_the_commands_are_known_to_did_you_mean() -> None:
    assert set(asked.COMMANDS) == set(commands.COMMANDS)


def test_misspelled_words(ebt: Ebt, tmp_path: Path) -> None:
    for word, message in (
        ("doctr", "there is no tool, command or file 'doctr'; did you mean 'doctor'?"),
        ("reds", "there is no tool, command or file 'reds'; did you mean 'reads'?"),
        ("qqqqq", "there is no tool, command or file 'qqqqq'; ebt list shows the tools"),
        ("reads.ebt", "cannot read 'reads.ebt': No such file or directory"),
    ):
        result = ebt(word, cwd=tmp_path)
        assert (result.rc, result.stdout, result.stderr) == (1, "", f"ebt: error: {message}\n")


def test_a_file_does_not_take_a_tools_place(ebt: Ebt, tmp_path: Path) -> None:
    (tmp_path / "reads").write_text("begin { @mine = 1; }")
    (tmp_path / "own").write_text("begin { @mine = 1; }")
    for word, mine in (("reads", False), ("./reads", True), ("own", True)):
        result = ebt("compile", *PROFILE, word, cwd=tmp_path)
        assert (result.rc, "mine" in result.stdout) == (0, mine), result.stderr


def test_each_tool_has_its_page(ebt: Ebt) -> None:
    names = set()
    for tool in tools.all_tools():
        assert tool.summary and tool.name not in names
        names.add(tool.name)
        if not tool.words:
            page = read_page(Path(tool.path).read_text())
            assert page.name == tool.name and page.examples, tool.path
            assert f"ebt {tool.name}" in page.examples, tool.path
    assert names & set(asked.COMMANDS) == {"profile"}  # see asked.names_command()
    result = ebt("reads", "--help")
    assert (result.rc, result.stdout.split("\n")[0]) == (0, "usage: ebt reads [options]")
