"""Every standard tool compiles for every recorded kernel, or is refused there for a known reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.pipeline import compile_script
from dockit.tools import WORDS, resolve
from ebt.imports import Imports
from ebt.tools import all_tools
from kernel.recorded import RecordedMachine
from lang.command_line import read_words
from lang.diagnostics import ScriptError
from lang.parser import parse
from lang.source import Source

ROOT = Path(__file__).parents[2]
KERNELS = {path.stem: path for path in sorted((ROOT / "tests/kernels").glob("*.ebtk"))}
TOOLS = sorted({tool.path for tool in all_tools()})
# what works by no tracepoint, so not on 6.18 as it was recorded: without kprobes and fentry
FUNCTIONS_ONLY = set(
    "mdflush dcsnoop dcstat filelife readahead vfscount numamove funclatency".split()
)
_UNATTACHED = ("cannot be attached on this kernel", "none of these can be attached here")
# tool, kernel → the message, where it cannot work
REFUSED: dict[tuple[str, str], str] = {}


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: Path(path).stem)
@pytest.mark.parametrize("kernel", KERNELS)
def test_compiles(path: str, kernel: str) -> None:
    name = Path(path).stem
    source = Source(path, Path(path).read_text())
    script = parse(source, Imports([source]))
    given, _ = read_words(script, WORDS.get(name, ()), {}, resolve)
    machine = RecordedMachine(KERNELS[kernel])
    try:
        compile_script(script, machine, given.parameters, {}, options=given.options)
    except ScriptError as wrong:
        if kernel == "6.18" and name in FUNCTIONS_ONLY:
            assert all(any(text in item.message for text in _UNATTACHED) for item in wrong.diagnostics)
            return
        assert wrong.diagnostics[0].message == REFUSED.get((name, kernel)), wrong.diagnostics[0].render()
    else:
        assert (name, kernel) not in REFUSED
        assert kernel != "6.18" or name not in FUNCTIONS_ONLY, "it works there now: take it from the list"
