"""The parts of the benchmark: name → a function from the set-up to rows. A table to extend."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchkit.events import events
from benchkit.inkernel import in_kernel
from benchkit.maps import maps
from benchkit.run import BenchError, in_turn, run
from benchkit.scale import idle, scale
from benchkit.setup import SetUp, each
from benchkit.start import after_boot, start
from benchkit.table import Row

HERE = Path(__file__).resolve().parent


def front_end(setup: SetUp) -> list[Row]:
    """A script of sixty lines → C, as a command and by stage."""
    script = HERE / "sixty.ebt"
    setup.progress("front end")
    ebt = (setup.peers.ebt,)
    command = [*ebt[0].command, "compile", str(script)]
    in_turn(1, ebt, lambda tracer: run(command, tracer.environ()))
    whole = in_turn(setup.rounds(15, 7), ebt, lambda tracer: run(command, tracer.environ()))
    nothing = in_turn(
        setup.rounds(15, 7), ebt, lambda tracer: run([*tracer.command, "--version"], tracer.environ())
    )
    stages: dict[str, list[float]] = {}
    for _ in range(setup.rounds(9, 5)):
        worker = [setup.python, "-I", str(HERE / "frontend.py"), str(script), "5"]
        done = subprocess.run(worker, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"the front end failed: {done.stderr.strip().splitlines()[-1]}")
        for name, values in json.loads(done.stdout).items():
            stages.setdefault(name, []).extend(values)
    what = f"{len(script.read_text().splitlines())} lines to C"
    return [
        Row(what, "ebt compile, whole process", "ms", each(whole, lambda sample: sample.wall * 1000)),
        Row(what, "ebt --version, to compare", "ms", each(nothing, lambda sample: sample.wall * 1000)),
        *(Row(what, name, "ms", {"ebt": values}) for name, values in stages.items()),
    ]


@dataclass(frozen=True)
class Part:
    """`traces`: it needs root and a kernel that may be traced. `quick`: it is part of a quick run."""

    name: str
    title: str
    measure: Callable[[SetUp], list[Row]]
    traces: bool = True
    quick: bool = True


PARTS = (
    Part("start", "1. Start", start),
    Part("boot", "1. Start: the first use after a boot", after_boot, quick=False),
    Part("frontend", "1. Start: a script to C", front_end, traces=False),
    Part("events", "2. Events", events),
    Part("kernel", "3. In the kernel", in_kernel),
    Part("maps", "4. Maps", maps),
    Part("scale", "5. Scale", scale),
    Part("idle", "5. Idle", idle),
)
