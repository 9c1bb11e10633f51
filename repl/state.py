"""What one session of the prompt holds, and the one way to refuse a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from codegen.pipeline import Compiled
from lang.records import dataclass, field
from repl.definitions import Definitions
from repl.host import Host
from repl.jobs import Job, Jobs
from repl.lines import Query


class Refused(Exception):
    """A command cannot be done: one line for the user."""


@dataclass(eq=False)
class State:
    """`say` prints, `edit` opens an editor on a text, `paint` gives C and ebt text colours.

    `outside` lends the terminal to other programs, `flush` shows what jobs have printed so far. `watched` is
    the map that a terminal redraws, and how often. `recorded` names the kernel that programs are compiled
    for, if it is not the running one, `not_run` is the last of these programs.
    """

    host: Host
    jobs: Jobs
    say: Callable[[str], None]
    edit: Callable[[str], str | None]
    paint: Callable[[str, str], str] = lambda text, language: text
    outside: Callable[[], AbstractContextManager[None]] = nullcontext
    flush: Callable[[], None] = lambda: None
    definitions: Definitions = field(default_factory=Definitions)
    watched: tuple[Query, float] | None = None
    recorded: str = ""
    not_run: Compiled | None = None
    leaving: bool = False

    def job(self, words: Sequence[str]) -> Job:
        """The job whose number is the first word, without one the newest. Raises Refused."""
        if words:
            if not words[0].isdecimal() or int(words[0]) not in self.jobs.all:
                raise Refused(f"there is no job {words[0]}; 'jobs' lists them")
            return self.jobs.all[int(words[0])]
        newest = self.jobs.newest()
        if newest is None:
            raise Refused("there is no job yet: type a program")
        return newest


def positive(text: str, what: str) -> int:
    """A number above 0. Raises Refused."""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise Refused(f"{what} is a number above 0, not '{text}'")
    return int(text)
