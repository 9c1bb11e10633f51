"""A function's name and /lib/modules → the module that has it and is not loaded.

Names of functions begin with that of their file system or driver; the module's own file says whether the
function is in it. Nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MODULES = Path("/lib/modules")
_LOADED = Path("/sys/module")
_MAX_BYTES = 64 << 20
_MOST = 30  # files to look into


def unloaded_module(function: str, release: str = "", root: Path = _MODULES) -> str:
    """The module's name as modprobe takes it; empty where none is found. Reads a few files at most."""
    folder = root / (release or os.uname().release)
    for path in _candidates(function, folder):
        name = path.name.partition(".")[0]
        if not (_LOADED / name.replace("-", "_")).exists() and _has(path, function):
            return name
    return ""


def _candidates(function: str, folder: Path) -> Iterator[Path]:
    """Files of modules whose names begin as the function's does, the most alike first."""
    try:
        lines = (folder / "modules.dep").read_text().split("\n")
    except (OSError, UnicodeDecodeError):
        return
    word = function.lstrip("_").partition("_")[0]
    ranked = []
    for line in lines:
        path = folder / line.partition(":")[0]
        first = path.name.partition(".")[0].replace("-", "_").partition("_")[0]
        if first == word or (min(len(first), len(word)) > 2 and first.startswith(word[:3])):
            ranked.append((first != word, not word.startswith(first), path))
    yield from (path for *_, path in sorted(ranked)[:_MOST])


def _has(path: Path, function: str) -> bool:
    """Whether the module's table of strings names the function."""
    needle = b"\0" + function.encode() + b"\0"
    try:
        return needle in _contents(path)
    except (OSError, EOFError, ValueError, ImportError):
        return False


def _contents(path: Path) -> bytes:
    """A module's file, unpacked. Raises OSError, EOFError or ValueError for one that is damaged."""
    if path.suffix == ".xz":
        import lzma  # only for this rare question

        try:
            with lzma.open(path) as packed:
                return packed.read(_MAX_BYTES)
        except lzma.LZMAError as error:
            raise ValueError(str(error)) from None
    if path.suffix == ".gz":
        import gzip

        with gzip.open(path) as file:
            return file.read(_MAX_BYTES)
    if path.suffix != ".ko":
        raise ValueError(f"{path}: packed in a way that ebt does not read")
    with path.open("rb") as plain:
        return plain.read(_MAX_BYTES)
