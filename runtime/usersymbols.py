"""A process and an address in it → the function there, by libbcc, which is opened at the first question."""

from __future__ import annotations

from functools import lru_cache

from runtime import libbcc


@lru_cache(maxsize=64)
def _symbols_of(pid: int) -> libbcc.SymbolCache:
    return libbcc.SymbolCache(pid)


def user_symbol(pid: int, address: int) -> tuple[str, int, str] | None:
    """(name, offset, module) of an address in a process that still runs, or None."""
    return _symbols_of(pid).resolve(address)
