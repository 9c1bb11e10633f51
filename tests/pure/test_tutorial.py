"""docs/tutorial.md shows the scripts of stdlib/tutorial as they are, and all of them but the demo's."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs/tutorial.md").read_text("utf-8")
SCRIPTS = dict(re.findall(r"^```ebt (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_shows_the_tools() -> None:
    tools = {path.name: path.read_text("utf-8") for path in (ROOT / "stdlib/tutorial").glob("*.ebt")}
    del tools["reads.ebt"]
    assert {name: SCRIPTS.get(name) for name in tools} == tools
    assert set(SCRIPTS) - set(tools) == {"slowopen.ebt"}
