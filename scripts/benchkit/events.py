"""Part 2: a load of known events → the highest rate without loss, processor an event, and losses as told."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchkit.load import OUR_FD
from benchkit.run import BenchError, Sample, Tracer, attached, in_turn
from benchkit.setup import SetUp, each
from benchkit.table import Row

HERE = Path(__file__).resolve().parent
_PROBE = f"tracepoint:syscalls:sys_enter_write /args->fd == {OUR_FD}/"
PRINTF = _PROBE + ' { printf("%d %s %d %d\\n", pid, comm, args->fd, args->count); }'
# what is printed → (ebt's program, bpftrace's or None, words before)
KINDS: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "printf of 4 fields": (PRINTF, PRINTF, ()),
    "emit of 4 fields": (f"{_PROBE} {{ emit(pid, comm, FD = args.fd, COUNT = args.count); }}", None, ()),
    "printf as JSON": (PRINTF, PRINTF, ("-f", "json")),
    "a string of up to 256 bytes": (
        f'{_PROBE} {{ printf("%s %s\\n", comm, str(args->buf, 256)); }}',
        f'{_PROBE} {{ printf("%s %s\\n", comm, str(args->buf, 256)); }}',
        (),
    ),
    "a kernel stack": (
        f'{_PROBE} {{ printf("%s %s\\n", comm, kstack(4)); }}',
        f'{_PROBE} {{ printf("%s %s\\n", comm, kstack(4)); }}',
        (),
    ),
}
_LOST = re.compile(rb"[Ll]ost (\d+) events?|(\d+) events? (?:were )?lost|lost_events\D+(\d+)")
_SLOWEST = 20_000
_SECONDS = 2
_SEARCH = 3  # halvings of the gap between a rate with and one without loss


@dataclass(frozen=True)
class _Delivery:
    made: int
    seconds: float
    delivered: int
    lost: int
    sample: Sample

    @property
    def whole(self) -> bool:
        return self.delivered == self.made

    @property
    def rate(self) -> float:
        return self.made / self.seconds

    @property
    def each(self) -> float:
        return self.sample.cpu * 1e6 / max(self.delivered, 1)


def _deliver(
    setup: SetUp, tracer: Tracer, command: Sequence[str], rate: float, writers: int
) -> _Delivery:
    """A run of the load; its time lasts until the tracer has written its last line and ended."""
    output = setup.scratch / "events"
    words = [setup.python, "-I", str(HERE / "load.py"), str(_SECONDS), str(rate), str(writers)]
    with attached(tracer, command, output) as running:
        started = running.elapsed
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"the load failed: {done.stderr.strip()[-200:]}")
        sample = running.stop()
    delivered, lost = _read(output)
    output.unlink()
    return _Delivery(int(done.stdout), sample.wall - started, delivered, lost, sample)


def _read(path: Path) -> tuple[int, int]:
    """(events printed, events told as lost): a record is a line with the load's name or process in it."""
    delivered = lost = 0
    with open(path, "rb") as file:
        for line in file:
            if (found := _LOST.search(line)) and b"python" not in line:
                lost += int(next(filter(None, found.groups())))
            elif b"python" in line:
                delivered += 1
    return delivered, lost


def _command(tracer: Tracer, kind: str) -> list[str] | None:
    ours, theirs, before = KINDS[kind]
    if tracer.family == "BCC":
        return list(tracer.command)
    text = ours if tracer.family == "ebt" else theirs
    return None if text is None else [*tracer.command, *before, "-e", text]


def _highest(
    setup: SetUp, tracer: Tracer, command: Sequence[str], writers: int, halvings: int
) -> tuple[float, list[_Delivery]]:
    """The highest rate at which nothing was lost: as fast as it goes, else by halving, or 0."""
    tried = [_deliver(setup, tracer, command, 0, writers)]
    if tried[0].whole:
        return tried[0].rate, tried
    without, with_loss = 0.0, tried[0].rate
    rate = max(with_loss * tried[0].delivered / tried[0].made, _SLOWEST)
    for _ in range(halvings):
        found = _deliver(setup, tracer, command, rate, writers)
        tried.append(found)
        if found.whole:
            without = max(without, found.rate)
        else:
            with_loss = min(with_loss, found.rate)
        if without > with_loss * 0.85:
            break
        rate = (without + with_loss) / 2 if without else with_loss / 2
    return without, tried


def events(setup: SetUp) -> list[Row]:
    """Rates and costs of each kind of output at 1, 2 and 4 writers, then losses."""
    rows = []
    for kind in list(KINDS)[:1] if setup.quick else KINDS:
        for writers in (1,) if setup.quick or kind != "printf of 4 fields" else (1, 2, 4):
            rows += _kind(setup, kind, writers)
    return rows + _losses(setup)


def _kind(setup: SetUp, kind: str, writers: int) -> list[Row]:
    tracers = [*setup.peers.tracers, *setup.peers.bcc(kind)]
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    for tracer in tracers:
        command = _command(tracer, kind)
        if command is None:
            continue
        setup.progress(f"events: {kind}, {writers} writers, {tracer.name}")
        # searching takes a while: what is printed most is searched for
        halvings = setup.rounds(_SEARCH, 2) if writers == 1 and kind == next(iter(KINDS)) else 0
        highest = partial(_highest, setup, tracer, command, writers, halvings)
        found = setup.attempt(f"{kind}, {tracer.name}", highest)
        if found is None:
            continue
        if found[0]:
            rates[tracer.name] = [found[0] / 1000]
        costs[tracer.name] = [found[1][0].each]
        shares[tracer.name] = [found[1][0].delivered / found[1][0].made * 100]
    what = f"{kind}, {writers} writer{'s' if writers > 1 else ''}"
    return [
        Row(what, "highest rate without loss", "k/s", rates, {"bpftrace": 2, "BCC": 3}, larger=True),
        Row(what, "delivered when written as fast as it goes", "%", shares, larger=True),
        Row(what, "processor an event, then", "us", costs, {"bpftrace": 0.7, "BCC": 0.3}),
    ]


def _losses(setup: SetUp) -> list[Row]:
    """More than a small ring can take: every event is printed or told as lost."""
    setup.progress("events: losses")
    text = "config = { perf_rb_pages = 16 } " + PRINTF
    ebt = setup.peers.ebt

    def once(tracer: Tracer) -> _Delivery:
        return _deliver(setup, tracer, tracer.program(text), 0, 4)

    found = in_turn(setup.rounds(3, 1), [ebt], once)
    what = "4 writers as fast as they go into a ring of 64 KiB"
    return [
        Row(what, "written", "", each(found, lambda one: one.made)),
        Row(what, "delivered", "", each(found, lambda one: one.delivered)),
        Row(what, "told as lost", "", each(found, lambda one: one.lost)),
        Row(what, "unaccounted for", "", each(found, lambda one: one.made - one.delivered - one.lost)),
    ]
