"""A script's name, by ebt's own interpreter → the front end's milliseconds by stage, as JSON.

Runs as a program of its own, so that imports and the first use of each cache are seen as a user pays them.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(name: str, rounds: int) -> None:
    """Time one compilation in a fresh process, then `rounds` more in the same one."""
    sys.path.insert(0, str(ROOT))
    start = time.perf_counter()
    from codegen.emit import emit
    from codegen.lower import lower
    from kernel.live import LiveMachine
    from kernel.mounts import private_tracefs
    from lang.check import check
    from lang.parser import parse
    from lang.source import Source

    found: dict[str, list[float]] = {"imports": [(time.perf_counter() - start) * 1000]}
    private_tracefs()
    sys.setrecursionlimit(8000)
    source = Source(name, Path(name).read_text())
    for number in range(rounds + 1):
        times = [time.perf_counter()]
        machine = LiveMachine()
        script = parse(source)
        times.append(time.perf_counter())
        checked = check(script, machine).checked
        times.append(time.perf_counter())
        lowered = lower(checked, machine)
        times.append(time.perf_counter())
        emit(lowered.unit)
        times.append(time.perf_counter())
        for stage, a, b in zip(("parse", "check", "lower", "emit"), times, times[1:], strict=False):
            found.setdefault(f"{stage}, {'again' if number else 'first'}", []).append((b - a) * 1000)
        found.setdefault(f"all four, {'again' if number else 'first'}", []).append(
            (times[-1] - times[0]) * 1000
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
