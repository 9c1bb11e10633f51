"""Raw numbers → names: the flags of block requests."""

from __future__ import annotations

import pytest

from runtime.units import request_flags, request_letters

SYNC, META, FUA, PREFLUSH, RAHEAD = 1 << 11, 1 << 12, 1 << 17, 1 << 18, 1 << 19


@pytest.mark.parametrize(
    ("flags", "names", "letters"),
    [
        (0, "Read", "R"),
        (SYNC | 1, "Sync-Write", "WS"),
        (RAHEAD, "ReadAhead-Read", "RA"),
        (PREFLUSH | 2, "PreFlush-Flush", "FF"),
        (PREFLUSH | FUA | SYNC | META | 1, "PreFlush-FUA-Metadata-Sync-Write", "FWFSM"),
        (3 | 1 << 14, "NoMerge-Discard", "D"),
        (5, "SecureErase", "DE"),
        (34, "Operation34", "N"),
    ],
)
def test_request_flags(flags: int, names: str, letters: str) -> None:
    assert (request_flags(flags), request_letters(flags)) == (names, letters)
