"""Compiled programs as plain data ↔ bytes: instructions, where they refer to maps, what the maps look like.

An Object needs neither clang nor libbcc to be loaded, so it can be kept on disk and used by a later process.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from lang.records import dataclass

_MAGIC = b"ebto\1"
_LD_IMM64 = 0x18
_PSEUDO_MAP_FD = 1


@dataclass(frozen=True)
class Code:
    """One program: its instructions, and (instruction index, map name) of each map reference."""

    name: str
    insns: bytes
    references: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class MapSpec:
    """A map as the C text declares it; `kind` is the kernel's number."""

    name: str
    kind: int
    key_size: int
    value_size: int
    flags: int = 0


@dataclass(frozen=True)
class Object:
    """What one C text was compiled to; `map_names` are those that it refers to by number."""

    programs: tuple[Code, ...]
    maps: tuple[MapSpec, ...] = ()
    map_names: tuple[str, ...] = ()

    def program(self, name: str) -> Code | None:
        """The program of this name."""
        return next((code for code in self.programs if code.name == name), None)

    def to_bytes(self) -> bytes:
        """The object for a file; `from_bytes` gives it back."""
        head = {
            "programs": [[code.name, len(code.insns), code.references] for code in self.programs],
            "maps": [vars(spec) for spec in self.maps],
            "map_names": self.map_names,
        }
        text = json.dumps(head, separators=(",", ":")).encode()
        return b"".join([_MAGIC, struct.pack("<I", len(text)), text, *(code.insns for code in self.programs)])

    @staticmethod
    def from_bytes(data: bytes | memoryview) -> Object:
        """The inverse of `to_bytes`; ValueError for anything else."""
        data = bytes(data)
        try:
            if not data.startswith(_MAGIC):
                raise ValueError("not a compiled program")
            (length,) = struct.unpack_from("<I", data, len(_MAGIC))
            at = len(_MAGIC) + 4 + length
            head = json.loads(data[len(_MAGIC) + 4 : at])
            programs = []
            for name, size, references in head["programs"]:
                insns = data[at : at + size]
                programs.append(Code(name, insns, tuple((int(index), str(to)) for index, to in references)))
                at += size
                inside = all(0 <= index * 8 < size for index, _ in references)
                if len(insns) != size or size % 8 or not inside:
                    raise ValueError("a program is cut off")
            maps = tuple(MapSpec(**spec) for spec in head["maps"])
            return Object(tuple(programs), maps, tuple(head["map_names"]))
        except (struct.error, KeyError, TypeError) as error:
            raise ValueError("not a compiled program") from error


def map_references(insns: bytes) -> list[tuple[int, int]]:
    """(instruction index, immediate) of each instruction that loads the address of a map."""
    found = []
    for at in range(0, len(insns) - 8, 8):
        if insns[at] == _LD_IMM64 and insns[at + 1] >> 4 == _PSEUDO_MAP_FD:
            found.append((at // 8, int.from_bytes(insns[at + 4 : at + 8], "little")))
    return found


def unlink(name: str, insns: bytes, names: Mapping[int, str]) -> Code:
    """Replace the descriptors in the instructions by map names; KeyError holds an unknown descriptor."""
    code = bytearray(insns)
    references = []
    for index, number in map_references(insns):
        references.append((index, names[number]))
        code[index * 8 + 4 : index * 8 + 8] = bytes(4)
    return Code(name, bytes(code), tuple(references))
