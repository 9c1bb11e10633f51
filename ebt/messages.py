"""A message → standard error, and the exit codes that go with it."""

from __future__ import annotations

import sys

REFUSED = 255  # load or attach failed: bpftrace's -1
WRONG = 1


def tell(text: str) -> None:
    """One message on standard error; a closed one is not ours to complain about."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return
