"""The tools beside their originals (Debian's libbpf-tools): the same load gives the same counts.

The originals are looked for on the path, or in $EBT_PEER_TOOLS.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator

import pytest

from tests.conftest import PATIENCE, Ebt
from tests.kernel.support import Running, at_rest, rows_of, running, until, working
from tests.kernel.test_tools_block import WRITES, name_of, written
from tests.lab.support import loop_device

pytestmark = pytest.mark.kernel


# in a mount namespace of its own, as the machine has none mounted
_OWN_TRACEFS = ["unshare", "-m", "sh", "-c", 'mount -t tracefs none /sys/kernel/tracing && exec "$@"', "sh"]


@pytest.fixture(scope="module")
def disk() -> Iterator[str]:
    """A block device that nobody else uses."""
    with loop_device() as device:
        yield device


def original(name: str) -> list[str]:
    """The command of an original, which writes line by line; skips where there is none."""
    places = f"{os.environ.get('EBT_PEER_TOOLS', '')}:{os.environ['PATH']}:/usr/sbin"
    path = shutil.which(name, path=places)
    if path is None:
        pytest.skip(f"{name} of libbpf-tools is not installed, so there is nothing to compare with")
    where = [] if os.path.exists("/sys/kernel/tracing/events") else _OWN_TRACEFS
    return [*where, "stdbuf", "-oL", path]


def settle(peer: Running, told: str) -> None:
    """Wait until the original has attached, which it tells; one that cannot on this kernel skips the test.

    Some tell so before they have opened the buffer for what they see: then they must have gone to wait.
    """
    assert until(lambda: told in peer.out or peer.process.poll() is not None, 20), peer.err
    at_rest(peer)  # one that is busy is there too
    if peer.process.poll() is not None:
        pytest.skip(f"the original does not run on this kernel: {_reason(peer.err or peer.out)}")


def _reason(text: str) -> str:
    """The first line that tells a failure: what follows are consequences, and the verifier's log."""
    lines = text.strip().splitlines() or ["it says nothing"]
    return next((line for line in lines if re.search("error|fail|no such|not found", line, re.I)), lines[-1])


@pytest.mark.tool("biolatency")
@pytest.mark.parametrize("options", [(), ("-Q",), ("-F",)])
def test_biolatency(ebt: Ebt, disk: str, options: tuple[str, ...]) -> None:
    command = [*original("biolatency"), "-d", name_of(disk), *options]
    with running(command) as peer, running([*ebt.command, "biolatency", "-d", disk, *options]) as ours:
        settle(peer, "Tracing block device I/O")
        ours.attached()
        assert os.system(f"{written(disk)} && {written(disk)} seek=64") == 0
        time.sleep(0.5 * PATIENCE)
        at_rest(peer, ours)
        theirs, mine = peer.end(signal.SIGINT).stdout, ours.end(signal.SIGINT).stdout
    counted = sum(int(number) for number in re.findall(r"-> \d+ +: (\d+) ", theirs))
    ours_counted = sum(map(int, re.findall(r"^[\[(].*[\])] +(\d+) \|", mine, re.MULTILINE)))
    assert counted == ours_counted == 2 * WRITES


@pytest.mark.tool("biosnoop")
def test_biosnoop(ebt: Ebt, disk: str) -> None:
    """The same rows: command, process, disk, sector, bytes."""
    with (
        running([*original("biosnoop"), "-d", name_of(disk)]) as peer,
        running([*ebt.command, "-f", "json", "biosnoop", "-d", disk]) as ours,
    ):
        settle(peer, "COMM")
        ours.wait_for("attached_probes")
        assert os.system(written(disk)) == 0
        time.sleep(0.5 * PATIENCE)
        at_rest(peer, ours)
        theirs, mine = peer.end(signal.SIGINT).stdout, ours.end(signal.SIGINT).stdout
    row = re.compile(r"^[\d.]+ +(\S+) +(\d+) +(\S+) +(\S+) +(\d+) +(\d+) +[\d.]+ *$", re.MULTILINE)
    names = ("COMM", "PID", "DISK", "T", "SECTOR", "BYTES")
    found = [tuple(str(item[name]) for name in names) for item in rows_of(mine)]
    assert found == row.findall(theirs) and len(found) == WRITES


@pytest.mark.tool("slabratetop")
def test_slabratetop(ebt: Ebt) -> None:
    """What one process takes of the cache filp, which both ways count alike."""
    with working("wait", "open=/dev/null:2300", "wait") as process:
        process.wait_for("ready")
        tool = ["slabratetop", "-C", "-p", str(process.pid)]
        # the original loses what is counted while it reads: it reads once, when it ends
        with running([*original(tool[0]), *tool[1:], "20"]) as peer, running([*ebt.command, *tool]) as ours:
            settle(peer, "loadavg")
            ours.attached()
            process.tell()
            process.wait_for("ready\nready")
            theirs, mine = peer.end(signal.SIGINT).stdout, ours.end(signal.SIGINT).stdout

    def taken(text: str) -> tuple[int, int]:
        rows = re.findall(r"^filp +(\d+) +(\d+) *$", text, re.MULTILINE)
        return sum(int(count) for count, _ in rows), sum(int(size) for _, size in rows)

    assert taken(mine) == taken(theirs) and taken(mine)[0] == 2300
