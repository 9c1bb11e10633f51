"""How each attach point was resolved: what was tried in which order, what was taken, why the rest was not.

Plain values: the expanders make them, `ebt explain` and `-v` print them, nothing decides by them.
"""

from __future__ import annotations

from lang.records import dataclass
from lang.source import Span


@dataclass(frozen=True)
class Candidate:
    """One way to observe what an attach point names.

    `mechanism` is a kind of program of codegen.plan, `place` what it would be attached to. `reason` says why
    it was not taken, and is empty for what was. `arguments` says where `args` come from; `note` what else
    there is to know.
    """

    mechanism: str
    place: str
    reason: str = ""
    arguments: str = ""
    note: str = ""


@dataclass(frozen=True)
class Choice:
    """One of the alternatives of an attach point (`A || B` has two): `reason` says why it was not taken."""

    text: str
    candidates: tuple[Candidate, ...]
    reason: str = ""
    points: int = 0  # how many probes it gives


@dataclass(frozen=True)
class Resolution:
    """One attach point of the script; `chosen` is an index into `choices`, or None."""

    span: Span
    text: str
    choices: tuple[Choice, ...]
    chosen: int | None = None
    optional: bool = False
