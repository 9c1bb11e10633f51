"""What was asked for → the program compiled for it before, if nothing that it was made from has changed.

An entry holds the plan, the instructions and ebt's options, so that running it again needs no parser, no
template and no clang. Its key names the words, the script's text, ebt's own code, libbcc and this boot with
its modules; with the entry stands what else was read: imported files, binaries with probes in them.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from importlib import import_module
from io import BytesIO
from pickle import Unpickler, UnpicklingError, dumps
from typing import Any

from codegen.plan import Plan
from ebt.asked import Asked
from ebt.options import Options
from kernel.mounts import boot_key
from lang import cachefile
from lang.records import dataclass
from lang.source import Source
from runtime.object import Object

KIND = "program"
MOST = 256  # entries; the ones that were used longest ago go first
_CODE = ("lang", "kernel", "codegen", "codegen/templates", "codegen/templates/helpers", "runtime", "ebt")
_PLAIN = {"codegen.plan", "lang.types", "lang.machine", "ebt.options", "ebt.kept"}
_NAMED_SETTINGS = ("BPFTRACE_", "EBT_", "PATH=", "LD_LIBRARY_PATH=", "HOME=")
_LIBBCC = "/usr/lib/*/libbcc.so.0"


@dataclass(frozen=True)
class Ready:
    """A program that only has to be loaded; `warnings` are the messages of compiling it."""

    options: Options
    plan: Plan
    code: bytes  # of runtime.object.Object
    warnings: tuple[str, ...] = ()
    files: tuple[tuple[str, tuple[int, ...]], ...] = ()  # what was read besides the script, and its `stamp`
    named: tuple[tuple[str, str, int | str], ...] = ()  # kind, name, number of what options name here

    @property
    def object(self) -> Object:
        """The compiled programs."""
        return Object.from_bytes(self.code)


def find(key: str) -> Ready | None:
    """The program compiled before; None where there is none, or where something has changed since."""
    body = cachefile.load(KIND, key)
    if body is None:
        return None
    try:
        ready = _Reader(BytesIO(body)).load()
    except (
        UnpicklingError,
        ValueError,
        AttributeError,
        EOFError,
        ImportError,
        IndexError,
        TypeError,
        KeyError,
    ):
        return None  # a checksum that holds over what another version wrote
    return ready if isinstance(ready, Ready) and _holds(ready) else None


def _holds(ready: Ready) -> bool:
    """Whether all that was read is still the same."""
    if any(stamp(path) != seen for path, seen in ready.files):
        return False
    if not ready.named:
        return True
    resolve = import_module("kernel.resolve").resolve  # few options name what lives on this machine
    try:
        return all(resolve(kind, name) == number for kind, name, number in ready.named)
    except ValueError:
        return False


def keep(key: str, ready: Ready) -> None:
    """Remember the program. What cannot be written costs only the time to compile it again."""
    cachefile.store(KIND, key, dumps(ready, protocol=5), MOST)


def forget(key: str) -> None:
    """The kernel refused what is kept: it is not what compiling would give now."""
    cachefile.remove(KIND, key)


def stamps(paths: Iterable[str]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The files with what tells whether they change."""
    return tuple((path, stamp(path)) for path in dict.fromkeys(paths))


def stamp(path: str) -> tuple[int, ...]:
    """What changes when a file is written, replaced or given away; empty if it is not there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # a name with a NUL in it
        return ()
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def imported(sources: Iterable[Source]) -> list[str]:
    """The files that a script imports, and their folders: who may write there matters too."""
    paths = [source.name for source in list(sources)[1:]]
    return [*paths, *(os.path.dirname(path) or "." for path in paths)]


def key_of(asked: Asked) -> str:
    """Names what was asked for and all that the answer depends on, as it is before anything is compiled."""
    environment = sorted(
        f"{name}={value}" for name, value in os.environ.items() if f"{name}=".startswith(_NAMED_SETTINGS)
    )
    system = os.uname()
    parts = (
        asked.words, asked.tool, asked.source.name, asked.source.text, _here(), environment, os.geteuid(),
        system.release, system.version, boot_key(), _code(), os.stat("/proc/self/ns/pid").st_ino,
    )  # fmt: skip
    return repr(parts)


def _here() -> str:
    """The folder that relative paths start from; empty if it has been removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _code() -> tuple[object, ...]:
    """Changes with every change of ebt itself, and of the library that compiles."""
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found: list[object] = [stamp(path) for path in glob.glob(_LIBBCC)]
    for folder in _CODE:
        with os.scandir(os.path.join(top, folder)) as entries:
            for entry in entries:
                if entry.is_file():
                    status = entry.stat()
                    found.append((folder, entry.name, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found, key=repr))


class _Reader(Unpickler):
    """Makes values of ebt's own plain classes, and of nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module not in _PLAIN:
            raise UnpicklingError(f"{module}.{name} is no plain value")
        return super().find_class(module, name)
