"""A compiled script → its plan and object, compiled otherwise where clang or the verifier refuses it.

Values are moved off the stack where clang finds that too small, and members are read by a helper where the
verifier knows less of a pointer than codegen/direct.py took it to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from codegen.pipeline import Compiled
from codegen.plan import Plan
from lang.diagnostics import Diagnostic, ScriptError
from runtime.bpf import CompileError, Compiler
from runtime.object import Object

if TYPE_CHECKING:  # 20 ms, which the start does not wait for
    from runtime.load import LoadError

# Nothing but scalars on the stack of 512 bytes: slower, as larger values lie in the per-CPU scratch area.
_SMALL = {"EBT_ON_STACK_LIMIT": "0"}
_VERIFIED = re.compile(r"^\d+: \(", re.MULTILINE)  # the verifier got as far as an instruction
_TOO_MUCH = re.compile(r"(?:in function (\w+) .*)?BPF stack limit")


def compile_fitting(
    compiled: Compiled, again: Callable[[Mapping[str, str]], Compiled], compiler: Compiler, name: str
) -> tuple[Compiled, Object]:
    """Compile the C, or that of the script compiled again if clang has no room on the stack for its own.

    `again` compiles the script with these variables in its environment. Raises ScriptError and CompileError.
    """
    try:
        return compiled, compiler.compile(compiled.c, name, map_names=compiled.plan.named)
    except CompileError as error:
        if not _TOO_MUCH.search(error.output):
            raise
    compiled = again(_SMALL)
    try:
        with Compiler() as another:
            return compiled, another.compile(compiled.c, name, map_names=compiled.plan.named)
    except CompileError as error:
        found = _TOO_MUCH.search(error.output)
        if not found:
            raise
        raise _too_large(compiled, found[1] or "") from error


def loads_refused(error: LoadError, plan: Plan) -> bool:
    """Whether the program may load once it is compiled without direct_loads."""
    typed = any(program.kind in ("fentry", "fexit") for program in plan.programs)
    return typed and bool(_VERIFIED.search(error.log))


def _too_large(compiled: Compiled, function: str) -> ScriptError:
    """The probe whose function it is, or a loop or entry of it; the first one where that cannot be told."""
    bodies = compiled.checked.bodies
    names = {program.name: program.attach[0].label for program in compiled.plan.programs if program.attach}
    label = next((label for name, label in names.items() if function.startswith(name)), "")
    body = next((body for body in bodies if any(item.label == label for item in body.targets)), bodies[0])
    message = "this probe needs more than the 512 bytes of stack that the kernel gives a program"
    return ScriptError(
        [Diagnostic("error", body.probe.span, message, ("do less in one probe, or in its loops",))]
    )
