"""A profile file → the compiler's questions answered for the kernel that it was recorded on.

The file: magic, a u32 length and a u32 CRC-32 of all that follows, a JSON header, then sections compressed
with zlib: `btf` (reduced), `btf:MODULE` (split from it), `functions` and `tracepoints`.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from kernel.base import KernelMachine, kept
from kernel.btf import FUNC, Blob, Btf
from kernel.functions import SEVERAL, FunctionNames
from kernel.tracefs import match_pairs, parse_format
from kernel.typetable import TypeTable
from lang.machine import Support, Tracepoint

_MAGIC = b"EBTKERN1"
_HEAD = struct.Struct("<8sII")


class ProfileError(Exception):
    """The file is not a kernel profile that this ebt can read; the message names file and fault."""


class RecordedMachine(KernelMachine):
    """A kernel from a profile. Programs and libraries are still this system's; addresses are unknown.

    Raises ProfileError if the file cannot be read, or is not a whole profile.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._header, self._body, checksum = _open(path)
        self._key = f"profile {self.title} {checksum:08x} {len(self._body)}"

    @property
    def title(self) -> str:
        """The title of the kernel recorded: `Linux 6.12.9-amd64 x86_64`."""
        return str(self._header["title"])

    @property
    def cpus(self) -> int:
        """How many CPUs were possible there."""
        return int(self._header.get("cpus", 2))

    @property
    def arch(self) -> str:
        """The architecture of the kernel recorded."""
        return str(self._header["arch"])

    def supports(self, feature: str) -> Support:
        """Whether the kernel recorded can do a thing, as found there."""
        untried = (False, "was not tried when the kernel was recorded")
        works, reason = self._header["features"].get(feature, untried)
        return Support(bool(works), str(reason))

    def _section(self, name: str) -> bytes:
        start, size = self._header["sections"][name]
        try:
            return zlib.decompress(self._body[start : start + size])
        except zlib.error:
            raise ProfileError(f"{self._path}: the section '{name}' is damaged") from None

    @cached_property
    def types(self) -> TypeTable:
        """The kernel's types and prototypes, as far as they were recorded."""
        return TypeTable(self._open_btf, self._module_readers)

    def _open_btf(self) -> Btf | None:
        if "btf" not in self._header["sections"]:
            return None
        return Btf(self._section("btf"), key=self._key)

    def _module_readers(self) -> dict[str, Callable[[], Blob]]:
        names = [name for name in self._header["sections"] if name.startswith("btf:")]
        return {name.removeprefix("btf:"): partial(self._section, name) for name in names}

    @cached_property
    def function_names(self) -> FunctionNames:
        """The names of the traceable functions."""
        return FunctionNames.kept(self._key, self._find_functions)

    @property
    def without_kprobes(self) -> frozenset[str]:
        """Functions that the kernel kept kprobes off."""
        return frozenset(self._header.get("without_kprobes", ()))

    def _find_functions(self) -> dict[str, set[str]]:
        """Those that the BTF has, more without a prototype, and less what cannot be traced."""
        found = {}
        for module, (more, less) in json.loads(self._section("functions")).items():
            holder = self.types.module(module)
            known = holder.names_of(FUNC) if holder is not None else ()
            found[module] = {*known, *more}.difference(less)
        return {**found, SEVERAL: set(self._header.get("several", ()))}

    @cached_property
    def _tracepoints(self) -> dict[tuple[str, str], str]:
        """(category, name) → fields, one a line: `declaration;offset;size;signed`."""
        entries = self._section("tracepoints").decode().split("\n\n")
        pairs = (entry.partition("\n") for entry in entries if entry)
        return {(head.partition(":")[0], head.partition(":")[2]): body for head, _, body in pairs}

    @kept
    def tracepoints(self, category: str, name: str) -> tuple[tuple[str, str], ...]:
        """(category, name) of the tracepoints that two `*` patterns match, sorted."""
        return match_pairs(self._tracepoints, category, name)

    @kept
    def tracepoint(self, category: str, name: str) -> Tracepoint | None:
        """A tracepoint's record; None if the kernel recorded has none of this name."""
        text = self.tracepoint_format(category, name)
        return parse_format(category, name, text, self.types) if text is not None else None

    def tracepoint_format(self, category: str, name: str) -> str | None:
        """The field lines of a tracepoint's format file."""
        body = self._tracepoints.get((category, name))
        if body is None:
            return None
        fields = (line.rsplit(";", 3) for line in body.split("\n") if line)
        return "\n".join("field:{};offset:{};size:{};signed:{};".format(*field) for field in fields)

    def unloaded_module(self, function: str) -> str:
        """Always empty: what else could have been loaded there was not recorded."""
        return ""

    @property
    def knows_symbols(self) -> bool:
        """Never."""
        return False

    def symbol(self, name: str) -> int | None:
        """Always None: addresses change with each boot."""
        return None

    def pid_namespace(self) -> tuple[int, int] | None:
        """Always None: the tracer's namespace is known where it runs."""
        return None


def default_machine() -> RecordedMachine:
    """The kernel that ships with ebt, for where there is none to ask. Raises ProfileError."""
    return RecordedMachine(Path(__file__).parent / "recorded" / "default.ebtk")


def _open(path: Path) -> tuple[dict[str, Any], bytes, int]:
    """The header, the bytes after it, and the file's checksum."""
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ProfileError(f"{path}: {problem.strerror}") from None
    if len(data) < _HEAD.size or data[:7] != _MAGIC[:7]:
        raise ProfileError(f"{path}: not a kernel profile")
    magic, size, crc = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise ProfileError(f"{path}: a kernel profile of another version of ebt; record it again")
    body = data[_HEAD.size :]
    if zlib.crc32(body) != crc:
        raise ProfileError(f"{path}: the kernel profile is damaged or cut short")
    try:
        header = json.loads(body[:size])
        sections = header["sections"]
        end = size + max(start + length for start, length in sections.values())
        texts = isinstance(header["title"], str) and isinstance(header["arch"], str)
        if end > len(body) or not texts or not isinstance(header["features"], dict):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProfileError(f"{path}: the kernel profile has a header that makes no sense") from None
    return header, body[size:], crc


def write_profile(path: Path, header: dict[str, Any], sections: dict[str, bytes]) -> None:
    """Write a profile, whole or not at all. Raises OSError."""
    packed = {name: zlib.compress(body, 9) for name, body in sections.items()}
    places, at = {}, 0
    for name, body in packed.items():
        places[name] = (at, len(body))
        at += len(body)
    text = json.dumps({**header, "sections": places}, sort_keys=True).encode()
    body = text + b"".join(packed.values())
    whole = _HEAD.pack(_MAGIC, len(text), zlib.crc32(body)) + body
    if path.exists() and not path.is_file():  # a pipe, a device: never to be replaced
        path.write_bytes(whole)
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(whole)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
