"""Source text and a machine → Compiled: the stages in order; the one driver, for command and prompt."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from codegen.emit import emit
from codegen.lower import lower
from codegen.plan import Plan
from lang.ast import Script
from lang.check import check
from lang.checked import Checked
from lang.diagnostics import Diagnostic
from lang.fold import Constant
from lang.machine import Machine
from lang.parser import parse
from lang.records import dataclass
from lang.source import Source

# Trees are at most 200 levels deep (lang.parser); the stages that recurse take several frames a level.
_RECURSION = 8000


@dataclass(frozen=True, eq=False)
class Compiled:
    """All that compiling gives; each stage's value stays for `-d` and the prompt."""

    script: Script
    checked: Checked
    plan: Plan
    c: str
    warnings: tuple[Diagnostic, ...]


def compile_script(
    source: Source | Script,
    machine: Machine,
    parameters: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    pid: int = 0,
    unsafe: bool = False,
    options: Mapping[str, Constant] | None = None,
) -> Compiled:
    """Compile a script for a machine. Raises ScriptError for what is wrong with the script here."""
    if sys.getrecursionlimit() < _RECURSION:
        sys.setrecursionlimit(_RECURSION)
    with _uncollected():
        script = source if isinstance(source, Script) else parse(source)
        result = check(script, machine, parameters, environment, pid, unsafe, options)
        lowered = lower(result.checked, result.checked.machine)
        return Compiled(script, result.checked, lowered.plan, emit(lowered.unit), result.warnings)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: what the stages make is kept to the end, and a large script makes
    enough of it for the search to take a third of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
