"""A process and its descendants, looked at while they run → names for their addresses after they have ended.

The kernel forgets which files a process has mapped as soon as it ends, and a script's maps are printed later.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

from kernel import elf
from runtime.libbcc import FileSymbols
from runtime.symbolize import Found

# A process maps its libraries in its first moments: looked at often for so long, and each second later.
_FIRST, _OFTEN, _LAST = 0.0005, 0.03, 1.0
_PROCESSES = 4096  # that are remembered: the last ones
_KEPT = 4  # of one process, newest first: before and after an exec, before and after a dlopen
_MOST = 512  # processes in one look
_THREADS = 64  # of one process, in whose children more processes are looked for
_NOTE = struct.Struct("=III")


class Mappings:
    """What `root` and its descendants have mapped. `due` is when `tick` wants to be called (monotonic, s)."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._texts: dict[int, list[bytes]] = {}
        self._began = time.monotonic()
        self._step, self.due = _FIRST, 0.0

    def tick(self) -> None:
        """Look at the processes, if it is time."""
        now = time.monotonic()
        if now < self.due:
            return
        self._look()
        if now > self._began + _OFTEN:
            self._step = min(self._step * 2, _LAST)
        self.due = time.monotonic() + self._step

    def resolve(self, pid: int, address: int) -> Found:
        """(name, offset, file) of an address in a process that was seen, or None."""
        for text in self._texts.get(pid, ()):
            for start, end, offset, path in _executable(text):
                if start <= address < end:
                    return file_symbol(path, address - start + offset)
        return None

    def _look(self) -> None:
        waiting, seen = [self._root], 0
        while waiting and seen < _MOST:
            pid = waiting.pop()
            seen += 1
            with suppress(OSError):  # it has ended
                text = Path(f"/proc/{pid}/maps").read_bytes()
                known = self._texts.setdefault(pid, [])
                if text and text not in known[:1]:
                    self._texts[pid] = [text, *known][:_KEPT]
                waiting += _children(pid)
        while len(self._texts) > _PROCESSES:
            del self._texts[next(iter(self._texts))]


def _children(pid: int) -> list[int]:
    found = []
    for thread in os.listdir(f"/proc/{pid}/task")[:_THREADS]:
        with suppress(OSError):  # the thread has ended, or the kernel does not tell (CONFIG_PROC_CHILDREN)
            found += Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split()
    return [int(item) for item in found]


@lru_cache(maxsize=64)
def _executable(text: bytes) -> list[tuple[int, int, int, str]]:
    """(start, end, offset in the file, path) of the parts of /proc/PID/maps that have code of files."""
    found = []
    for line in text.decode("utf-8", "replace").splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and "x" in words[1] and words[5].startswith("/"):
            start, _, end = words[0].partition("-")
            found.append((int(start, 16), int(end, 16), int(words[2], 16), words[5]))
    return found


def file_symbol(path: str, offset: int) -> Found:
    """(name, offset, file) of what lies at an offset of an ELF file, or None."""
    known = _symbols_of(path)
    if known is None:
        return None
    symbols, parts = known
    for place, start, size in parts:
        if place <= offset < place + size:
            return symbols.resolve(offset - place + start)
    return None


@cache
def _symbols_of(path: str) -> tuple[FileSymbols, tuple[tuple[int, int, int], ...]] | None:
    """The symbols of a file, and (offset, address, bytes) of each part that is loaded."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            parts = tuple(elf.loaded(data))
            note = next(item for item in elf.sections(data) if item.name == ".note.gnu.build-id")
            name, size, _ = _NOTE.unpack_from(data, note.offset)
            at = note.offset + _NOTE.size + (name + 3 & ~3)
            build_id = data[at : at + size]
    except (OSError, ValueError, IndexError, struct.error, StopIteration):
        return None  # gone, replaced, or no ELF file with a build id
    return FileSymbols(path, build_id), parts
