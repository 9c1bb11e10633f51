"""The checker's tables and docs/bt-tools.json → docs/compatibility.md: what is refused, what is otherwise."""

from __future__ import annotations

import re
from pathlib import Path

from btkit.results import CHECKED, Fared, Results
from btkit.tools import TOOLS
from codegen.pipeline import compile_script
from dockit.inventory import BUILTINS, CONFIG, FUNCTIONS, OTHERWISE, PROBES, SYNTAX
from kernel.recorded import default_machine
from lang.builtins import find_builtin
from lang.diagnostics import Diagnostic, ScriptError
from lang.expand_events import REFUSED
from lang.functions import FUNCTIONS as OURS
from lang.functions import REFUSED as NONE
from lang.probes import BY_NAME
from lang.settings import NAMES, RENAMED, WITHOUT_EFFECT
from lang.source import Source

FILE = Path(__file__).resolve().parents[2] / "docs/compatibility.md"
_HEAD = """\
# bpftrace and ebt

A script that bpftrace accepts means the same in ebt and prints the same text. This page lists what is
refused, and what is done otherwise on purpose. `scripts/compatibility` writes it from the tables that the
checker uses, and a test compares: do not edit it.
"""
_TOOLS = """\
## bpftrace's own tools

The scripts that Debian 12's bpftrace 0.17 installs in `/usr/sbin`. *check*: `ebt check`, recorded kernel.
*run*: started, given a load of its own (`scripts/btkit/loads.py`), rows seen. 6.18 is the kernel of the
development machine, without kprobes; the others are Debian's, in the lab. `scripts/bt-tools` measures this.
"""


def page(results: Results | None = None) -> str:
    """The whole page."""
    return (
        "\n".join(
            [_HEAD, *_refused(), *_there(), *_config(), *_otherwise(), *_tools(results or Results())]
        ).rstrip()
        + "\n"
    )


def supported(kind: str, name: str) -> bool:
    """Whether the checker knows a name of bpftrace's: a probe, a builtin, a function or an option."""
    match kind:
        case "probe":
            return name in BY_NAME
        case "builtin":
            return find_builtin(name) is not None or (name in OURS and OURS[name].bare) or name == "args"
        case "function":
            return name in OURS
    return name in NAMES or name in RENAMED or name in WITHOUT_EFFECT


def told(script: str) -> Diagnostic | None:
    """The first message for a script on the recorded kernel; None where it compiles."""
    try:
        compile_script(Source("stdin", script), default_machine())
    except ScriptError as wrong:
        return wrong.diagnostics[0]
    return None


# ---- Sections


def _refused() -> list[str]:
    lines = ["## What is refused", "", "| what | message | instead |", "|---|---|---|"]
    for name in PROBES:
        if not supported("probe", name):
            reason, _, instead = REFUSED.get(name, "; ").partition("; ")
            lines.append(_row(f"`{name}` probes", reason, instead))
    for kind, names in (("builtin", BUILTINS), ("function", FUNCTIONS)):
        for name in names:
            if not supported(kind, name):
                call = f"{name}()" if kind == "function" else name
                reason, instead = NONE.get(name, ("not there yet", ""))
                lines.append(_row(f"`{call}`", reason.removeprefix(f"{call} cannot be had: "), instead))
    for what, example, instead in SYNTAX:
        message = told(example)
        if message is not None:
            lines.append(_row(what, message.message, instead))
    return [*lines, ""]


def _there() -> list[str]:
    def listed(kind: str, names: tuple[str, ...]) -> str:
        return " ".join(f"`{name}`" for name in names if supported(kind, name))

    return [
        "## What there is", "", "| of bpftrace's | in ebt |", "|---|---|",
        _row("probes", listed("probe", PROBES)), _row("builtin variables", listed("builtin", BUILTINS)),
        _row("functions", listed("function", FUNCTIONS)), "",
    ]  # fmt: skip


def _config() -> list[str]:
    working = " ".join(f"`{name}`" for name in CONFIG if name in NAMES)
    old = ", ".join(f"`{old}` for `{new}`" for old, new in RENAMED.items())
    idle = " ".join(f"`{name}`" for name in CONFIG if name in WITHOUT_EFFECT)
    return [
        "## The config block", "",
        f"These options work: {working}.",
        f"These are accepted and have no effect, as they have nothing to change here: {idle}.",
        f"Old names are accepted: {old}.", "",
    ]  # fmt: skip


def _otherwise() -> list[str]:
    return ["## What is otherwise, on purpose", "", *(f"- {text}" for text in OTHERWISE), ""]


def _tools(results: Results) -> list[str]:
    runs = sorted(
        {
            how.removeprefix("run ")
            for found in results.tools.values()
            for how in found
            if how.startswith("run ")
        },
        key=lambda name: [int(part) for part in name.split(".")],
    )
    titles = [*(f"check {name}" for name in CHECKED), *(f"run {name}" for name in runs)]
    lines = [
        _TOOLS,
        "| tool | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|",
    ]  # fmt: skip
    reasons: list[str] = []
    for tool in TOOLS:
        cells = [_cell(results.get(tool.name, how), tool.lab_only, how, reasons) for how in titles]
        lines.append(_row(f"`{tool.name}`", *cells))
    return [*lines, "", *(f"{number}. {text}" for number, text in enumerate(reasons, 1)), ""]


def _cell(fared: Fared | None, lab_only: bool, how: str, reasons: list[str]) -> str:
    if fared is None:
        here = how == "run 6.18"
        return "its load needs the lab" if lab_only and here else "not run"
    if fared.what in ("passes", "rows"):
        return "passes" if fared.what == "passes" else "rows"
    text = _plain(re.sub(r"^'\S+' cannot be attached on this kernel: ", "", fared.text))
    if text not in reasons:
        reasons.append(text)
    return f"{fared.what} ({reasons.index(text) + 1})"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _row(*cells: str) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(page(), encoding="utf-8")
