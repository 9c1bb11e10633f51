"""A terminal → the same while commands are carried out: what is typed ahead waits for the next prompt."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from prompt_toolkit.input.vt100 import Vt100Input

_INPUT, _LOCAL = 0, 3  # of what termios.tcgetattr gives


class Keys(Vt100Input):
    """The terminal's keys, also while a job's row is written above the prompt.

    prompt_toolkit would let the terminal make lines for that moment, and a Ctrl-D that comes then is lost.
    """

    def cooked_mode(self) -> AbstractContextManager[None]:
        """Leave the terminal as it is: its output is not touched by reading keys."""
        return nullcontext()


@contextmanager
def typing_ahead() -> Iterator[None]:
    """Keys are neither shown nor made to lines, but Ctrl-C interrupts: prompt_toolkit returns to this."""
    before = termios.tcgetattr(sys.stdin)
    quiet = termios.tcgetattr(sys.stdin)
    quiet[_INPUT] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    quiet[_LOCAL] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    with _as(quiet, before):
        yield


@contextmanager
def as_usual() -> Iterator[None]:
    """Lines and echo, as a shell command or an editor expects them."""
    before = termios.tcgetattr(sys.stdin)
    usual = termios.tcgetattr(sys.stdin)
    usual[_INPUT] |= termios.ICRNL
    usual[_LOCAL] |= termios.ECHO | termios.ICANON | termios.IEXTEN
    with _as(usual, before):
        yield


@contextmanager
def _as(wanted: list[int | list[bytes | int]], before: list[int | list[bytes | int]]) -> Iterator[None]:
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, wanted)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
