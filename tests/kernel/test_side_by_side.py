"""The same one-liners by ebt and by the distribution's bpftrace, both at once on one load: the same text.

The one-liners are in sidebyside/, in the words that old versions know too (BEGIN, args->x); what the two
versions write differently is in sidebyside/known.py. They all run from the start, some at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Ebt, Result
from tests.kernel.sidebyside import command, events, maps, values
from tests.kernel.sidebyside.known import ALWAYS, DIFFERENCES, ours, theirs
from tests.kernel.sidebyside.runner import Pool, peer_command
from tests.kernel.support import NOTIFY, fresh, running
from tests.kernel.test_usdt import compiled_probes

pytestmark = pytest.mark.kernel

CASES = values.CASES | maps.CASES | events.CASES | command.CASES
CLOSE = 0.35  # of the larger count, where each has a clock of its own


@pytest.fixture(scope="module")
def peer(peer_bpftrace: str) -> list[str]:
    """The command that runs bpftrace."""
    return peer_command(peer_bpftrace)


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest, ebt: Ebt, peer: list[str]) -> Iterator[Pool]:
    """The wanted one-liners, running."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = [item.callspec.params.get("which") for item in items if hasattr(item, "callspec")]
    runs = Pool({name: case for name, case in CASES.items() if name in wanted}, ebt, peer)
    yield runs
    runs.end()


@pytest.mark.parametrize("which", CASES)
def test_the_same(pool: Pool, which: str) -> None:
    case, pair = CASES[which], pool(which)
    assert pair.ours.rc == pair.theirs.rc, pair
    if case.fails:
        assert pair.ours.rc != 0 and place(pair.ours) == place(pair.theirs), pair
        return
    one, other = ours(pair.ours.stdout, case.known), theirs(pair.theirs.stdout, case.known)
    if case.close:
        numbers = [list(map(int, re.findall(r"\d+", text))) for text in (one, other)]
        assert re.sub(r"\d+", "N", one) == re.sub(r"\d+", "N", other)
        assert all(abs(a - b) <= CLOSE * max(a, b) for a, b in zip(*numbers, strict=True)), numbers
    elif case.steps:
        assert other and entries(one) == entries(other)
    else:
        assert one == other


def entries(text: str) -> list[str]:
    """Each map entry with all its lines; those of equal counts come in any order."""
    return sorted(re.split(r"\n(?=@)", text))


def place(result: Result) -> str:
    """The line of the script that the first error is about."""
    found = re.search(r"^stdin:(\d+)", result.stderr, re.MULTILINE)
    return found[1] if found else ""




USDT = {
    "with arguments": 'usdt:APP:app:loop /comm == "NAME"/ { @[arg0, arg2, (int32)arg1] = count(); }',
    "with a semaphore": 'usdt:APP:app:tick /comm == "NAME"/ { @ = count(); @k[probe] = count(); }',
    "without its provider": 'usdt:APP:loop /comm == "NAME"/ { printf("%d %d\\n", arg0, arg2); }',
}


@pytest.mark.parametrize("which", USDT)
def test_static_probes(ebt: Ebt, peer: list[str], tmp_path: Path, which: str) -> None:
    app, name = tmp_path / "app", fresh()
    compiled_probes(app)
    with running([str(app), name, "wait"]) as load:
        words = ["-e", USDT[which].replace("APP", str(app)).replace("NAME", name), "-p", str(load.pid)]
        with (
            running([*ebt.command, *words], {NOTIFY: "1"}) as one,
            running([*peer, *words], {NOTIFY: "1"}) as other,
        ):
            for process in (one, other):
                process.wait_for(f"^{NOTIFY}$")
            load.tell()
            results = one.end(), other.end()  # with the process
    # a process in another mount namespace: bpftrace names its files by way of /proc
    seen = re.sub(r"/proc/\d+/root/", "/", results[1].stdout)
    texts = ours(results[0].stdout, ()), theirs(seen, ())
    assert texts[1] and entries(texts[0]) == entries(texts[1])


def test_there_are_enough() -> None:
    assert len(CASES) >= 150


def test_each_known_difference_is_met() -> None:
    assert {name for case in CASES.values() for name in case.known} | set(ALWAYS) == set(DIFFERENCES)
