"""Descriptors 0, 1 and 2 that are closed become /dev/null, before anything else is opened.

Else the next file that is opened, a map or a probe, would be what others take for standard output.
"""

from __future__ import annotations

import os
import sys

_NAMES = ("stdin", "stdout", "stderr")


def fill() -> None:
    """Open what is closed."""
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
                os.close(found)
            os.set_inheritable(number, True)
            setattr(sys, name, None)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
