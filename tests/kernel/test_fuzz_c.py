"""Programs that are right by construction: clang compiles the C of each, and the kernel loads it."""

from __future__ import annotations

from collections import Counter

import pytest

from fuzzkit.generate import programs
from fuzzkit.mutate import SEEDS, mutations
from fuzzkit.pool import Work, run_all
from fuzzkit.trial import FAULTS
from tests.conftest import Ebt

pytestmark = pytest.mark.kernel

# what clang or a verifier once refused
ONCE_REFUSED = (
    # clang made one read of the context of two in different branches, at an address that it computed
    "rawtracepoint:sched_switch { @c = !cpid ? args.next.comm : args.prev.comm; @n = cpu ? arg0 : arg1; }",
    # with what clang itself keeps on the stack, a loop's function needed more than 512 bytes
    """begin { @d[str(nsecs, 100)] = count(); @d[comm] = count(); $n = 1;
        for ($kv : @d) {
            $v = if (str(curtask.mm, 16) != $kv.0 && $kv.1 != elapsed) { $kv.1 } else { @d["cat"] | $n };
            emit(pid, C = errname(strstr(comm, "a") % rand), V = $v);
        } }""",
    # what a loop's body leaves by was not declared where it left by assert() alone
    'begin { $n = pid; for $i : 0..$n { assert(pid == 0, "no"); } }',
    "begin { @m = macaddr(str(nsecs, 6)); @k[macaddr(str(nsecs, 6))] = 1; print(@m); }",
    # neighbouring memsets of 1024 bytes became one, for which clang called a function
    'begin { @s = "a"; $s = comm; $s = ((str(nsecs) != "abc") ? str(nsecs) : "abc"); print($s); }',
)


@pytest.mark.parametrize("text", ONCE_REFUSED)
def test_the_kernel_loads_it(ebt: Ebt, text: str) -> None:
    result = ebt("--dry-run", "--no-warnings", "-e", text)
    assert result.rc == 0, result.stderr


def test_a_sample() -> None:
    """Each is compiled by clang and loaded, or refused in words of the script."""
    texts = [*SEEDS, *programs(40, 5), *mutations(60, 5)]
    found: Counter[str] = Counter()
    for number, outcome in run_all(texts, Work(c=True, loads=True), processes=2):
        assert outcome.kind not in FAULTS, (texts[number], outcome)
        found[outcome.kind] += 1
    assert found["loaded"] > 50
