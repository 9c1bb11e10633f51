"""Key and bytes → files that survive the process: atomic, checksummed, private to the user.

A cache may be lost, never wrong: a damaged or foreign entry reads as missing and is put aside, and what
cannot be written (full disk, read-only home) costs only the cache.
"""

from __future__ import annotations

import marshal
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lang.checksum import blake2b

_MAGIC = b"ebtc"
_told: set[str] = set()
_listeners: list[Callable[[str], None]] = []


def listen(tell: Callable[[str], None]) -> None:
    """Have what is wrong with the cache told, each thing once."""
    _listeners[:] = [tell]


def _complain(text: str) -> None:
    if text not in _told and _listeners:
        _told.add(text)
        _listeners[0](text)


def cache_directory() -> str | None:
    """The cache folder of ebt, made on first use with mode 0700.

    None where there is none to trust: not ours, or writable by others. Who took another's home along (sudo)
    has one in his own.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return _own(os.path.join(base, "ebt"))
    home = os.path.expanduser("~")
    found = _own(os.path.join(home, ".cache/ebt"))
    if found is None:
        import pwd  # hardly ever needed

        with suppress(KeyError):
            own = pwd.getpwuid(os.geteuid()).pw_dir
            return _own(os.path.join(own, ".cache/ebt")) if own != home else None
    return found


def _own(folder: str) -> str | None:
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.stat(folder)
    except OSError:
        return None
    if status.st_uid != os.geteuid():
        return None
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _complain(f"the cache {folder} is not used, as others can write to it; mend: chmod go-w {folder}")
        return None
    return folder


def _path(folder: str, kind: str, key: str) -> str:
    return f"{folder}/{kind}-{blake2b(key.encode(), digest_size=12).hexdigest()}"


def load(kind: str, key: str) -> memoryview | None:
    """The bytes stored under this key, or None if absent, damaged or not ours."""
    folder = cache_directory()
    if folder is None:
        return None
    path = _path(folder, kind, key)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    body = memoryview(data)[20:]
    if data[:4] == _MAGIC and data[4:20] == blake2b(body, digest_size=16).digest():
        return body
    with suppress(OSError):
        os.replace(path, f"{folder}/damaged")
        _complain(f"{path} was damaged, and is now {folder}/damaged; a new one is made")
    return None


def store(kind: str, key: str, body: bytes, most: int = 64) -> None:
    """Put the bytes under the key, whole or not at all; failure is silent, as it only costs time.

    Of this kind so many are kept: those that were written last.
    """
    folder = cache_directory()
    if folder is None:
        return
    name = f"{folder}/.{kind}-{os.getpid()}-{time.monotonic_ns()}"
    try:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(_MAGIC + blake2b(body, digest_size=16).digest() + body)
        os.replace(name, _path(folder, kind, key))
        _prune(folder, kind, most)
    except OSError:
        with suppress(OSError):
            os.unlink(name)


def remembered(kind: str, key: str, make: Callable[[], Any]) -> Any:
    """A plain value that is in the cache, or is made and put there. What marshal cannot read is made anew."""
    stored = load(kind, key)
    if stored is not None:
        with suppress(ValueError, EOFError, TypeError):
            return marshal.loads(stored)
    made = make()
    store(kind, key, marshal.dumps(made))
    return made


def remove(kind: str, key: str) -> None:
    """Forget what is stored under the key."""
    folder = cache_directory()
    if folder is not None:
        with suppress(OSError):
            os.unlink(_path(folder, kind, key))


def _prune(folder: str, kind: str, most: int) -> None:
    with os.scandir(folder) as entries:
        files = [entry.path for entry in entries if entry.name.startswith(f"{kind}-")]
    if len(files) <= most:
        return
    aged = []
    for path in files:
        with suppress(FileNotFoundError):  # another ebt removed it
            aged.append((os.stat(path).st_mtime_ns, path))
    for _, path in sorted(aged)[: len(aged) - most]:
        with suppress(FileNotFoundError):
            os.unlink(path)
