"""Programs that are right by construction: clang compiles the C of each, and the kernel loads it."""

from __future__ import annotations

import pytest

from codegen.pipeline import compile_script
from kernel.live import LiveMachine
from lang.diagnostics import ScriptError
from lang.source import Source
from runtime.bpf import compile_c
from tests.conftest import Ebt
from tests.pure.generate import programs
from tests.pure.mutate import SEEDS, mutations

pytestmark = pytest.mark.kernel

# what clang or a verifier once refused
ONCE_REFUSED = (
    # neighbouring memsets of 1024 bytes became one, for which clang called a function
    'begin { @s = "a"; $s = comm; $s = ((str(nsecs) != "abc") ? str(nsecs) : "abc"); print($s); }',
)


def test_clang_compiles_what_the_front_end_accepts() -> None:
    machine, tried = LiveMachine(), 0
    for text in (*SEEDS, *programs(20, 5), *mutations(100, 5)):
        try:
            c = compile_script(Source("fuzz", text), machine, ("a", "b")).c
        except ScriptError:
            continue
        compile_c(c, "fuzz")
        tried += 1
    assert tried > 20


@pytest.mark.parametrize("text", [*ONCE_REFUSED, *programs(12, 21)])
def test_the_kernel_loads_it(ebt: Ebt, text: str) -> None:
    result = ebt("--dry-run", "--no-warnings", "-e", text)
    folded = "unable to fold literals" in result.stderr
    assert result.rc == 0 or folded, result.stderr
