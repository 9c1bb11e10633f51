"""Key and bytes → files that survive the process: atomic, checksummed, private to the user.

A cache may be lost, never wrong: a damaged or foreign entry reads as missing and is put aside, and what
cannot be written (full disk, read-only home) costs only the cache.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MAGIC = b"ebtc"
_HEAD = 20
_MOST_FILES = 400  # each boot and each kernel leaves a few; beyond that the oldest go
_told: set[str] = set()
_listeners: list[Callable[[str], None]] = []


def listen(tell: Callable[[str], None]) -> None:
    """Have what is wrong with the cache told, each thing once."""
    _listeners[:] = [tell]


def _complain(text: str) -> None:
    if text not in _told and _listeners:
        _told.add(text)
        _listeners[0](text)


def cache_directory() -> Path | None:
    """The cache folder of ebt, made on first use with mode 0700.

    None where there is none to trust: not ours, or writable by others. Who took another's home along (sudo)
    has one in his own.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    found = _own(Path(base) / "ebt")
    if found is None and not os.environ.get("XDG_CACHE_HOME"):
        import pwd  # hardly ever needed

        with suppress(KeyError):
            home = pwd.getpwuid(os.geteuid()).pw_dir
            if home != os.path.expanduser("~"):
                return _own(Path(home) / ".cache/ebt")
    return found


def _own(folder: Path) -> Path | None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    if status.st_uid != os.geteuid():
        return None
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _complain(f"the cache {folder} is not used, as others can write to it; mend: chmod go-w {folder}")
        return None
    return folder


def _path(folder: Path, kind: str, key: str) -> Path:
    return folder / f"{kind}-{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"


def load(kind: str, key: str) -> memoryview | None:
    """The bytes stored under this key, or None if absent, damaged or not ours."""
    folder = cache_directory()
    if folder is None:
        return None
    path = _path(folder, kind, key)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = memoryview(data)[_HEAD:]
    if data[:4] == _MAGIC and data[4:_HEAD] == hashlib.blake2b(body, digest_size=16).digest():
        return body
    with suppress(OSError):
        os.replace(path, folder / "damaged")
        _complain(f"{path} was damaged, and is now {folder / 'damaged'}; a new one is made")
    return None


def store(kind: str, key: str, body: bytes) -> None:
    """Put the bytes under the key, whole or not at all; failure is silent, as it only costs time."""
    folder = cache_directory()
    if folder is None:
        return
    name = ""
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{kind}-")
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.blake2b(body, digest_size=16).digest() + body)
        os.replace(name, _path(folder, kind, key))
        _thin_out(folder)
    except OSError:
        if name:
            with suppress(OSError):
                os.unlink(name)


def _thin_out(folder: Path) -> None:
    """Remove the oldest files where there are too many."""
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    if len(files) <= _MOST_FILES:
        return
    aged = []
    for entry in files:
        with suppress(FileNotFoundError):  # another ebt removed it
            aged.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
    for _, path in sorted(aged)[: len(aged) - _MOST_FILES // 2]:
        with suppress(FileNotFoundError):
            os.unlink(path)
