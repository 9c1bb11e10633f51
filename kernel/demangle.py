"""Symbols of C++ → the names of the source, by the C++ runtime library."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

_LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1", "libc++abi.dylib")


@lru_cache(maxsize=1)
def _runtime() -> tuple[Any, Any] | None:
    """`__cxa_demangle` of the first library that is there (Itanium C++ ABI), and free(); None without any."""
    for name in _LIBRARIES:
        try:
            convert, free = ctypes.CDLL(name).__cxa_demangle, ctypes.CDLL(None).free
        except (OSError, AttributeError):
            continue
        convert.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        convert.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        return convert, free
    return None


def can_demangle() -> bool:
    """Whether this system has a library for it."""
    return _runtime() is not None


def demangled(symbol: str) -> str | None:
    """`_ZN1a1fEi` → `a::f(int)`; None for what is no symbol of C++, or without the library."""
    runtime = _runtime() if symbol.startswith("_Z") else None
    if runtime is None:
        return None
    convert, free = runtime
    text = convert(symbol.encode(), None, None, None)
    if not text:
        return None
    try:
        return ctypes.string_at(text).decode("utf-8", "replace")
    finally:
        free(text)


def without_parameters(name: str) -> str:
    """`a::f(int) const` → `a::f`: the last bracket that closes, back to where it opens."""
    depth = 0
    for at in range(name.rfind(")"), -1, -1):
        depth += (name[at] == ")") - (name[at] == "(")
        if not depth:
            return name[:at]
    return name
