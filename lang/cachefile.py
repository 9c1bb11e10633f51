"""Key and bytes → files that survive the process: atomic, checksummed, private to the user.

A cache may be lost, never wrong: a damaged or foreign entry reads as missing, and what cannot be
written (full disk, read-only home) costs only the cache.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress

_MAGIC = b"ebtc"


def cache_directory() -> str | None:
    """The cache folder of ebt, made on first use with mode 0700.

    None where there is none to trust: not ours, or writable by others.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(base, "ebt")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        status = os.stat(folder)
    except OSError:
        return None
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    return folder


def _path(folder: str, kind: str, key: str) -> str:
    return f"{folder}/{kind}-{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"


def load(kind: str, key: str) -> memoryview | None:
    """The bytes stored under this key, or None if absent, damaged or not ours."""
    folder = cache_directory()
    if folder is None:
        return None
    try:
        with open(_path(folder, kind, key), "rb") as file:
            data = file.read()
    except OSError:
        return None
    body = memoryview(data)[20:]
    if data[:4] != _MAGIC or data[4:20] != hashlib.blake2b(body, digest_size=16).digest():
        return None
    return body


def store(kind: str, key: str, body: bytes) -> None:
    """Put the bytes under the key, whole or not at all; failure is silent, as it only costs time."""
    folder = cache_directory()
    if folder is None:
        return
    name = f"{folder}/.{kind}-{os.getpid()}-{time.monotonic_ns()}"
    try:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(_MAGIC + hashlib.blake2b(body, digest_size=16).digest() + body)
        os.replace(name, _path(folder, kind, key))
    except OSError:
        with suppress(OSError):
            os.unlink(name)


def remove(kind: str, key: str) -> None:
    """Forget what is stored under the key."""
    folder = cache_directory()
    if folder is not None:
        with suppress(OSError):
            os.unlink(_path(folder, kind, key))


def prune(kind: str, most: int) -> None:
    """Keep so many files of this kind: those that were written last."""
    folder = cache_directory()
    if folder is None:
        return
    with suppress(OSError):
        files = [entry for entry in os.scandir(folder) if entry.name.startswith(f"{kind}-")]
        if len(files) > most:
            files.sort(key=lambda entry: entry.stat().st_mtime_ns)
            for entry in files[: len(files) - most]:
                os.unlink(entry.path)
