"""`ebt repl` in a terminal of 80×24 that pexpect plays, for the tests of the prompt here and in the lab."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.conftest import PATIENCE, ROOT, Ebt


class Prompt:
    """A session of `ebt repl` in a terminal of 80×24."""

    def __init__(self, command: list[str], home: Path) -> None:
        env = {
            **os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(home), "VISUAL": str(home / "editor"),
        }  # fmt: skip
        self.child = pexpect.spawn(
            command[0], [*command[1:], "repl"], encoding="utf-8", dimensions=(24, 80), env=env,
            timeout=20 * PATIENCE, cwd=str(ROOT),
        )  # fmt: skip
        self.child.delaybeforesend = None
        self.wait("ebt> ")

    def wait(self, pattern: str) -> str:
        """Wait for a pattern on the screen; the text of its first group, or all of it.

        Where the cursor is asked for, answer as a terminal does: the bar at the bottom waits for that.
        """
        while self.child.expect([pattern, r"\x1b\[6n"]) == 1:
            self.child.send("\x1b[1;1R")
        match = self.child.match
        assert isinstance(match, re.Match)
        return str(match[1] if match.lastindex else match[0])

    def enter(self, text: str) -> None:
        """Type a line and end it."""
        self.child.send(text + "\r")

    def type(self, text: str) -> None:
        """Type without ending the line."""
        self.child.send(text)

    def kill(self) -> None:
        """End it in any state; a process that detaches in an emulated kernel may take seconds to die."""
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
            self.child.wait()
        self.child.close()

    def leave(self) -> int:
        """Ctrl-D, confirmed where it asks; the exit status."""
        self.child.sendcontrol("d")
        while (found := self.child.expect([pexpect.EOF, r"\x1b\[6n", r"still running"])) != 0:
            self.child.send("\x1b[1;1R" if found == 1 else "y\r")
        self.child.wait()
        assert self.child.exitstatus is not None
        return self.child.exitstatus


@pytest.fixture
def prompt(ebt: Ebt, tmp_path: Path) -> Iterator[Prompt]:
    made = Prompt(list(ebt.command), tmp_path)
    try:
        yield made
    finally:
        made.kill()
