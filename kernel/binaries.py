"""A name as a script has it → the path of a program or library, here or as a process sees it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from kernel.elf import is_elf64
from kernel.match import matcher
from kernel.mounts import mount_namespaces

_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
# where the C library's loader looks without a cache, as musl's does
_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")


def find_binary(name: str, pid: int = 0) -> str | None:
    """The path of a program or library; None if there is none.

    With a slash it is a path. `libc` and `libc.so.6` are looked up in what the process has mapped, then as
    the loader would; other names in PATH, then as libraries, with `lib` in front too (`c`). The file of a
    process with another root is given as /proc/PID/root/…, which opens from here.
    """
    root = _root_of(pid)
    if "/" in name:
        found = root + _absolute(name, pid)
        return found if os.path.isfile(found) else None
    looks = (_library, _program) if name.startswith("lib") or ".so" in name else (_program, _library)
    for look in looks:
        place = look(name, pid, root)
        if place is not None:
            return place
    return None if name.startswith("lib") or ".so" in name else _library(f"lib{name}", pid, root)


def mapped_files(pid: int, pattern: str) -> tuple[str, ...]:
    """ELF files that a process has mapped, whose path or file name a `*` pattern matches, in its order."""
    root, matches = _root_of(pid), matcher(pattern)
    files = [(name, root + path) for name, path in _mapped(pid)]
    return tuple(path for name, path in files if (matches(path) or matches(name)) and is_elf64(path))


def _root_of(pid: int) -> str:
    """`` where the process sees the same files as we do, else its root's path."""
    if not pid:
        return ""
    try:
        known = os.readlink(f"/proc/{pid}/ns/mnt") in mount_namespaces()
        same = known and os.stat(f"/proc/{pid}/root") == os.stat("/")
    except OSError:
        return ""
    return "" if same else f"/proc/{pid}/root"


def _absolute(path: str, pid: int) -> str:
    """As the process sees it, whose folder may have been removed: os.path.abspath() fails there."""
    return os.path.normpath(path if path.startswith("/") else os.path.join(_cwd_of(pid), path))


def _cwd_of(pid: int) -> str:
    """The folder that the process is in, ours for 0; a removed one has a name that nothing has."""
    try:
        return os.readlink(f"/proc/{pid or 'self'}/cwd")
    except OSError:
        return "/"


def _program(name: str, pid: int, root: str) -> str | None:
    if not root:
        from shutil import which  # it brings three kinds of compression along

        found = which(name)
        return _absolute(found, 0) if found else None
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = f"{root}{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _library(name: str, pid: int, root: str) -> str | None:
    places = (*_mapped(pid), *_loader_cache(root), *_folders(root))
    for soname, path in places:
        if _is_named(soname, name) and is_elf64(root + path):
            return root + path
    return None


def _is_named(soname: str, name: str) -> bool:
    """`libc` names libc.so, libc.so.6 and libc-2.31.so; `libc.so.6` only itself."""
    versioned = soname.startswith(f"{name}-") and soname[len(name) + 1 :][:1].isdigit() and ".so" in soname
    return soname == name or soname.startswith(f"{name}.") or versioned


def _mapped(pid: int) -> Iterator[tuple[str, str]]:
    """(file name, path) of what a process has mapped."""
    if not pid:
        return
    try:
        lines = Path(f"/proc/{pid}/maps").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    paths = dict.fromkeys(line.split(maxsplit=5)[5] for line in lines if "/" in line)
    for path in paths:
        if path.startswith("/"):
            yield os.path.basename(path), path.removesuffix(" (deleted)")


def _loader_cache(root: str) -> Iterator[tuple[str, str]]:
    """(soname, path) of /etc/ld.so.cache, in its order: the format of glibc's sysdeps/generic/dl-cache.h."""
    try:
        data = Path(f"{root}/etc/ld.so.cache").read_bytes()
    except OSError:
        return
    start = data.find(_CACHE_MAGIC)
    if start < 0 or len(data) < start + 48:
        return
    (count,) = struct.unpack_from("=I", data, start + len(_CACHE_MAGIC))
    entries = data[start + 48 : start + 48 + 24 * count]
    for _, key, value, _, _ in struct.iter_unpack("=iIIIQ", entries[: len(entries) // 24 * 24]):
        yield _text(data, start + key), _text(data, start + value)


def _text(data: bytes, at: int) -> str:
    return os.fsdecode(data[at : data.find(b"\0", at)])


def _folders(root: str) -> Iterator[tuple[str, str]]:
    for folder in (*_FOLDERS, f"/usr/lib/{os.uname().machine}-linux-gnu"):
        try:
            names = sorted(os.listdir(root + folder))
        except OSError:
            continue
        yield from ((name, f"{folder}/{name}") for name in names if ".so" in name)
