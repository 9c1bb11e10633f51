"""C text → Object, and addresses → symbols, by BCC's library: the one module that opens it.

That takes 20 ms, so it waits until something is compiled: in a child, beside the front end.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from runtime.object import Code, MapSpec, Object, map_references, unlink

# `bpf_pseudo_fd(1, FIRST_NAMED_MAP + i)` in the C text refers to map number i of the names handed in.
FIRST_NAMED_MAP = 0xEB700000
_LAST_NAMED_MAP = 0xEB7FFFFF
_DEBUG_SOURCE = 8
_NAME = "libbcc.so.0"


class LibbccMissing(Exception):
    """libbcc cannot be opened; the message says why and what to install."""


@lru_cache(maxsize=1)
def library() -> Any:
    """The opened library with its prototypes set. Raises LibbccMissing."""
    lib = _opened()
    pointer, text, size, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
    prototypes: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "bpf_module_create_c_from_string": (
            pointer, (text, ctypes.c_uint, ctypes.POINTER(text), number, ctypes.c_bool, text),
        ),
        "bpf_module_destroy": (None, (pointer,)),
        "bpf_num_functions": (size, (pointer,)),
        "bpf_function_name": (text, (pointer, size)),
        "bpf_function_start_id": (pointer, (pointer, size)),
        "bpf_function_size_id": (size, (pointer, size)),
        "bpf_num_tables": (size, (pointer,)),
        "bpf_table_name": (text, (pointer, size)),
        "bpf_table_fd_id": (number, (pointer, size)),
        "bpf_table_type_id": (number, (pointer, size)),
        "bpf_table_key_size_id": (size, (pointer, size)),
        "bpf_table_leaf_size_id": (size, (pointer, size)),
        "bpf_table_flags_id": (number, (pointer, size)),
        "bcc_symcache_new": (pointer, (number, pointer)),
        "bcc_free_symcache": (None, (pointer, number)),
        "bcc_symcache_resolve": (number, (pointer, ctypes.c_uint64, pointer)),
        "bcc_symbol_free_demangle_name": (None, (pointer,)),
        "bcc_buildsymcache_new": (pointer, ()),
        "bcc_buildsymcache_add_module": (number, (pointer, text)),
        "bcc_buildsymcache_resolve": (number, (pointer, pointer, pointer)),
    }  # fmt: skip
    for name, (result, arguments) in prototypes.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, list(arguments)
    return lib


def _opened() -> Any:
    """The library by its name, as BCC's package opens it; that package itself takes 20 ms to import."""
    with suppress(OSError):
        return ctypes.CDLL(_NAME, use_errno=True)
    try:
        import bcc.libbcc
    except (ImportError, OSError) as error:
        how = "on Debian: apt install python3-bpfcc"
        raise LibbccMissing(f"BCC's Python package cannot be imported ({error}); {how}") from error
    # The package on PyPI that has the same name is something else, and has no libbcc.
    return bcc.libbcc.lib


def compile_module(
    text: str, cflags: Sequence[str], map_names: Sequence[str], listing: bool = False
) -> Object | None:
    """Compile C with BCC; None where it refused: the reason went to file descriptor 2.

    With `listing` it prints the instructions under their C lines on file descriptor 1 or 2.
    BCC changes the working directory and reads the environment: call it in a process of its own.
    """
    lib = library()
    debug = _DEBUG_SOURCE if listing else 0
    flags = (ctypes.c_char_p * len(cflags))(*(flag.encode() for flag in cflags))
    module = lib.bpf_module_create_c_from_string(text.encode(), debug, flags, len(cflags), True, None)
    if not module:
        return None
    try:
        return _extract(lib, module, map_names)
    finally:
        lib.bpf_module_destroy(module)


def _extract(lib: Any, module: int, map_names: Sequence[str]) -> Object:
    specs, names = [], {FIRST_NAMED_MAP + index: name for index, name in enumerate(map_names)}
    for index in range(lib.bpf_num_tables(module)):
        name = lib.bpf_table_name(module, index).decode()
        names[lib.bpf_table_fd_id(module, index)] = name
        specs.append(
            MapSpec(
                name,
                lib.bpf_table_type_id(module, index),
                lib.bpf_table_key_size_id(module, index),
                lib.bpf_table_leaf_size_id(module, index),
                lib.bpf_table_flags_id(module, index),
            )
        )
    programs = []
    for index in range(lib.bpf_num_functions(module)):
        start, size = lib.bpf_function_start_id(module, index), lib.bpf_function_size_id(module, index)
        insns = ctypes.string_at(start, size)
        name = lib.bpf_function_name(module, index).decode()
        programs.append(_unlinked(name, insns, names))
    return Object(tuple(programs), tuple(specs), tuple(map_names))


def _unlinked(name: str, insns: bytes, names: dict[int, str]) -> Code:
    unknown = [number for _, number in map_references(insns) if number not in names]
    if unknown:
        kind = "a named map" if FIRST_NAMED_MAP <= unknown[0] <= _LAST_NAMED_MAP else "a map"
        raise ValueError(f"{name} refers to {kind} that was not given (0x{unknown[0]:x})")
    return unlink(name, insns, names)


class _Symbol(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("demangled", ctypes.c_char_p),
        ("module", ctypes.c_char_p),
        ("offset", ctypes.c_ulonglong),
    ]


class SymbolCache:
    """The symbols of one process (or of the kernel, pid -1), read when first asked."""

    def __init__(self, pid: int) -> None:
        self._lib = library()
        self._pid = pid
        self._cache = self._lib.bcc_symcache_new(pid, None)

    def resolve(self, address: int) -> tuple[str, int, str] | None:
        """(demangled name, offset into it, module) of an address, or None."""
        symbol = _Symbol()
        failed = self._lib.bcc_symcache_resolve(self._cache, address, ctypes.byref(symbol))
        return None if failed < 0 else _told(self._lib, symbol)

    def close(self) -> None:
        """Give the memory back."""
        if self._cache:
            self._lib.bcc_free_symcache(self._cache, self._pid)
            self._cache = None


class _Place(ctypes.Structure):
    """struct bpf_stack_build_id, include/uapi/linux/bpf.h."""

    _fields_ = [("status", ctypes.c_int32), ("build_id", ctypes.c_ubyte * 20), ("offset", ctypes.c_uint64)]


class FileSymbols:
    """The symbols of one ELF file, which has this build id; read when first asked."""

    def __init__(self, path: str, build_id: bytes) -> None:
        self._lib = library()
        self._build_id = (ctypes.c_ubyte * 20)(*build_id[:20])
        self._cache = self._lib.bcc_buildsymcache_new()
        self._lib.bcc_buildsymcache_add_module(self._cache, os.fsencode(path))

    def resolve(self, address: int) -> tuple[str, int, str] | None:
        """(demangled name, offset into it, file) of an address as in the file's symbol table, or None."""
        symbol, place = _Symbol(), _Place(1, self._build_id, address)
        found = self._lib.bcc_buildsymcache_resolve(self._cache, ctypes.byref(place), ctypes.byref(symbol))
        return None if found < 0 else _told(self._lib, symbol)


def _told(lib: Any, symbol: _Symbol) -> tuple[str, int, str] | None:
    """(name, offset, module) of what libbcc has found; its copy of the name is given back."""
    if not symbol.name:
        return None
    name = (symbol.demangled or symbol.name).decode("utf-8", "replace")
    module = (symbol.module or b"").decode("utf-8", "replace")
    lib.bcc_symbol_free_demangle_name(ctypes.byref(symbol))
    return name, int(symbol.offset), module
