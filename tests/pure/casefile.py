"""Case files: blocks of a script and what the front end must say about it, in the language itself.

A block is separated by blank lines. Its lines that begin with `# ` state the whole expectation:
`# error: 1:9 text`, `# warning: 1:9 text`, `# hint: text` below either, `# type EXPRESSION: type` for every
expression with that text, and `# map @name[key]: value`. `# parameters: a b` are the script's parameters,
`# without: a b` features that the kernel is to lack.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from ebt.machines import WithoutFeatures
from kernel.recorded import default_machine
from lang.ast import Node
from lang.check import check
from lang.checked import Checked, MapInfo
from lang.diagnostics import Diagnostic, ScriptError
from lang.machine import Machine
from lang.parser import parse
from lang.records import dataclass, field
from lang.source import Source

CASES = Path(__file__).parent / "cases"


@dataclass
class Case:
    """One block: the script and the lines it expects."""

    where: str
    script: str
    expected: list[str] = field(default_factory=list)
    parameters: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def said(self) -> list[str]:
        """What the front end says of the script, in the form of the expectation."""
        try:
            machine: Machine = WithoutFeatures(default_machine(), self.without)
            result = check(parse(Source("stdin", self.script)), machine, self.parameters)
        except ScriptError as wrong:
            return [line for item in wrong.diagnostics for line in told(item)]
        types = types_of(result.checked)
        stated = [line for line in self.expected if line.startswith(("type ", "map "))]
        heads = [line.rpartition(": ")[0] for line in stated]
        warnings = [line for item in result.warnings for line in told(item)]
        return warnings + [f"{head}: {types.get(head)}" for head in heads]


def told(item: Diagnostic) -> list[str]:
    """One diagnostic as expectation lines."""
    line, column = item.span.source.position(item.span.start)
    return [f"{item.severity}: {line}:{column} {item.message}", *(f"hint: {hint}" for hint in item.hints)]


def load(path: Path) -> list[Case]:
    """The cases of a file, in order."""
    cases = []
    text = path.read_text("utf-8")
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        script = "\n".join(line for line in lines if not line.startswith("# "))
        case = Case(f"{path.stem}: {script[:60]}", script)
        for line in lines:
            if line.startswith("# parameters: "):
                case.parameters = tuple(shlex.split(line.removeprefix("# parameters: ")))
            elif line.startswith("# without: "):
                case.without = tuple(shlex.split(line.removeprefix("# without: ")))
            elif line.startswith("# "):
                case.expected.append(line[2:])
        cases.append(case)
    return cases


def types_of(checked: Checked) -> dict[str, str]:
    """The expressions of a script by their text, with their types; maps with their keys and values."""
    found: dict[str, set[str]] = {}
    for body in checked.bodies:
        for node, kind in body.types.items():
            found.setdefault("type " + _text(node), set()).add(str(kind))
    types = {text: " and ".join(sorted(kinds)) for text, kinds in found.items()}
    return types | {"map " + _head(info): str(info.value) for info in checked.maps.values()}


def _text(node: Node) -> str:
    return " ".join(node.span.text.split())


def _head(info: MapInfo) -> str:
    key = "" if info.key is None else str(info.key) if str(info.key).startswith("(") else f"({info.key})"
    return info.name + (f"[{key[1:-1]}]" if key else "")
