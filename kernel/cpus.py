"""/sys/devices/system/cpu → the numbers of the processors."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1)
def possible_cpus() -> int:
    """How many values a per-CPU map holds for each key."""
    return _cpu_list("possible")[-1] + 1


def online_cpus() -> tuple[int, ...]:
    """The numbers of the processors that run now."""
    return _cpu_list("online")


def _cpu_list(which: str) -> tuple[int, ...]:
    with open(f"/sys/devices/system/cpu/{which}", encoding="ascii") as file:
        return parse_cpus(file.read())


def parse_cpus(text: str) -> tuple[int, ...]:
    """`0-2,7` → (0, 1, 2, 7)."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        numbers.extend(range(int(low), int(high or low) + 1))
    return tuple(numbers)
