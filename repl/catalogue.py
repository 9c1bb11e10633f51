"""A machine → the names that can be completed, gathered once, on a thread; and fuzzy search among them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lang.expand import HARDWARE_EVENTS, SOFTWARE_EVENTS
from lang.machine import Machine
from lang.records import dataclass
from lang.syscalls import syscall_names

_FEW = 20  # below this many, names that only hold the letters in order are looked for too
UNITS = ("s", "ms", "us", "ns", "hz")


@dataclass(frozen=True, eq=False)
class Names:
    """Many names, ready to be searched."""

    all: tuple[str, ...]
    lower: str  # all of them, a line each, in lower case

    @staticmethod
    def of(names: Iterable[str]) -> Names:
        """Sorted, each once."""
        ordered = tuple(sorted(set(names)))
        return Names(ordered, "\n".join(ordered).lower())

    def search(self, word: str, most: int = 200) -> list[str]:
        """First those that begin with the word, then those that hold it, or its letters in order."""
        word = word.lower()
        if not word:
            return list(self.all[:most])
        found = _lines(rf"^{re.escape(word)}.*$", self, most)
        if len(found) < most:
            found += _lines(rf"^.+{re.escape(word)}.*$", self, most)
        if len(found) < _FEW and len(word) > 1:
            spread = "[^\n]*?".join(map(re.escape, word))
            found += _lines(rf"^[^\n]*?{spread}.*$", self, most)
        return list(dict.fromkeys(found))[:most]


def _lines(pattern: str, names: Names, most: int) -> list[str]:
    """The names whose lines match, by counting the lines in front."""
    found: list[str] = []
    line, at = 0, 0
    for match in re.finditer(pattern, names.lower, re.MULTILINE):
        line += names.lower.count("\n", at, match.start())
        at = match.start()
        found.append(names.all[line])
        if len(found) >= most:
            break
    return found


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What this kernel has to be named. `ready` is False while it is still being read."""

    tracepoints: Names
    functions: Names
    raw_tracepoints: Names
    syscalls: Names
    ready: bool = True

    def targets(self, kind: str) -> Names | None:
        """The names behind `kind:`; None where there is no list."""
        match kind:
            case "tracepoint":
                return self.tracepoints
            case "rawtracepoint":
                return self.raw_tracepoints
            case "kprobe" | "kretprobe" | "fentry" | "fexit":
                return self.functions
            case "syscall" | "sysret":
                return self.syscalls
            case "software":
                return Names.of(SOFTWARE_EVENTS)
            case "hardware":
                return Names.of(HARDWARE_EVENTS)
            case "interval" | "profile":
                return Names.of(f"{unit}:" for unit in UNITS)
        return None


EMPTY = Catalogue(Names.of(()), Names.of(()), Names.of(()), Names.of(()), ready=False)


def catalogue_of(machine: Machine) -> Catalogue:
    """Ask the machine for all its names; a second or so on a large kernel the first time after boot."""
    return Catalogue(
        Names.of(f"{category}:{name}" for category, name in machine.tracepoints("*", "*")),
        Names.of(name for _, name in machine.functions("*")),
        Names.of(machine.raw_tracepoints("*")),
        Names.of(name for name in syscall_names(machine.arch) if name),
    )

