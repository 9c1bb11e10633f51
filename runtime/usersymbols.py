"""A process and an address in it → the function there, by libbcc, which is opened at the first question."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from runtime import libbcc

_MOST = 64  # processes whose symbols are kept: a large one's take megabytes

_kept: OrderedDict[int, libbcc.SymbolCache] = OrderedDict()
_lock = Lock()  # the prompt's jobs ask from threads of their own, and libbcc's caches bear one at a time


def user_symbol(pid: int, address: int) -> tuple[str, int, str] | None:
    """(name, offset, module) of an address in a process that still runs, or None."""
    with _lock:
        return _symbols_of(pid).resolve(address)


def _symbols_of(pid: int) -> libbcc.SymbolCache:
    """The symbols of a process; those of the process that was asked for longest ago are given back."""
    found = _kept.get(pid)
    if found is None:
        while len(_kept) >= _MOST:
            _kept.popitem(last=False)[1].close()
        found = _kept[pid] = libbcc.SymbolCache(pid)
    _kept.move_to_end(pid)
    return found
