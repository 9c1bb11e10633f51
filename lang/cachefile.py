"""Key and bytes → files that survive the process: atomic, checksummed, private to the user.

A cache may be lost, never wrong: a damaged or foreign entry reads as missing, and what cannot be
written (full disk, read-only home) costs only the cache.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

_MAGIC = b"ebtc"


def cache_directory() -> Path | None:
    """The cache folder of ebt, made on first use with mode 0700.

    None where there is none to trust: not ours, or writable by others.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "ebt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    return folder


def _path(folder: Path, kind: str, key: str) -> Path:
    return folder / f"{kind}-{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"


def load(kind: str, key: str) -> memoryview | None:
    """The bytes stored under this key, or None if absent, damaged or not ours."""
    folder = cache_directory()
    if folder is None:
        return None
    try:
        data = _path(folder, kind, key).read_bytes()
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
    name = ""
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{kind}-")
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.blake2b(body, digest_size=16).digest() + body)
        os.replace(name, _path(folder, kind, key))
    except OSError:
        if name:
            try:
                os.unlink(name)
            except OSError:
                return
