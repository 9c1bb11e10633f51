"""Kernel name → unpacked kernel in the cache, locks on what is used, directories that vanish after a run.

Presence is validity: a kernel is unpacked beside its place and renamed into it when it is whole.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from labkit.debian import version_key


@dataclass(frozen=True)
class Unpacked:
    """A kernel in the cache: vmlinuz, config and lib/modules/RELEASE under one directory named RELEASE."""

    path: Path

    @property
    def release(self) -> str:
        return self.path.name

    @property
    def vmlinuz(self) -> Path:
        return self.path / "vmlinuz"

    @property
    def modules(self) -> Path:
        return self.path / "lib/modules" / self.release


def headers(release: str) -> Path:
    """Where the headers of a release are unpacked, if they are (scripts/lab fetch --headers)."""
    return root() / "headers" / release


def root() -> Path:
    """The lab's directory in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ebt-lab"


def unpacked(name: str) -> list[Unpacked]:
    """The cached releases of a kernel, newest first."""
    place = root() / "kernels" / name
    found = [Unpacked(path) for path in place.glob("[!.]*")] if place.is_dir() else []
    return sorted(found, key=lambda entry: version_key(entry.release), reverse=True)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the right to change one part of the cache (a kernel's name, or 'runs'); another lab waits here."""
    path = root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def staging(name: str) -> Iterator[Path]:
    """Give a directory beside the kernel's place to unpack in. Its lock is held, so leftovers are dead."""
    place = root() / "kernels" / name
    place.mkdir(parents=True, exist_ok=True)
    for leftover in place.glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=".new-", dir=place))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def in_use(path: Path) -> Iterator[bool]:
    """Keep other labs from removing a directory; false where it went away before the lock was had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
    finally:
        os.close(descriptor)


def remove_unused(path: Path) -> None:
    """Remove a directory unless a lab uses it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Under the name of a leftover first: half a kernel must never stand under a release's name.
        dead = path.with_name(f".dead-{path.name}")
        path.rename(dead)
        shutil.rmtree(dead, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        os.close(descriptor)


@contextmanager
def run_directory(name: str) -> Iterator[Path]:
    """Give one guest a directory of its own, removed at the end; what killed labs left goes at the start."""
    place = root() / "runs"
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        # Between its making and its lock, a directory would look like one of a killed lab.
        with lock("runs"):
            for other in place.iterdir():
                remove_unused(other)
            path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
            held.enter_context(in_use(path))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
