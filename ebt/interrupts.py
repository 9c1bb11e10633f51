"""Imported first: an interrupt before the session runs ends the process, as it ends any program.

A KeyboardInterrupt would leave a traceback of half an import, and one that is raised where Python ignores
exceptions (a callback of the import system, say) would be lost.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from ebt import standard_files

standard_files.fill()
# What a start makes it keeps: collecting every 700 objects takes a tenth of it.
gc.set_threshold(50_000, 20, 20)
_at_import = signal.getsignal(signal.SIGINT)
if _at_import is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def loaded() -> None:
    """All modules are there: whoever imported them has the handler back."""
    signal.signal(signal.SIGINT, _at_import)


@contextmanager
def fatal() -> Iterator[None]:
    """For the time of compiling and loading, when there is nothing to tidy up."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
