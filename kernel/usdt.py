"""An ELF file's static probes: the notes of .note.stapsdt → where each lies, and where its arguments are.

A note holds the addresses of the probe, of a section that tells whether the file was moved since (prelink),
and of a counter in data (semaphore) that the program looks at before it prepares the arguments; then
provider, name and arguments as text: `-4@%edi 8@-16(%rbp) 8@$5`
(https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation).
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator, Sequence

from kernel.elf import Section, address_at, file_offset, is_native, sections, symbol_address
from lang.machine import Operand, UserProbe

_SECTION, _BASE, _OWNER, _TYPE = ".note.stapsdt", ".stapsdt.base", b"stapsdt\0", 3


def user_probes(path: str, arch: str) -> tuple[UserProbe, ...]:
    """All static probes of a file, sorted by provider, name and place; empty for what has none."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            if not is_native(data[:6]):
                return ()
            found = set(_probes(path, data, arch))
    except (OSError, ValueError, struct.error, IndexError):
        return ()
    return tuple(sorted(found, key=lambda probe: (probe.provider, probe.name, probe.offset)))


def addresses(path: str, offsets: Sequence[int]) -> list[int]:
    """The addresses, as the file has them, of what lies at these offsets in it; 0 for what is not loaded."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        return [address_at(data, offset) or 0 for offset in offsets]


def _probes(path: str, data: mmap.mmap, arch: str) -> Iterator[UserProbe]:
    table = sections(data)
    base = next((item.address for item in table if item.name == _BASE), 0)
    for item in table:
        if item.name != _SECTION:
            continue
        for note in _notes(data, item):
            location, noted, semaphore = struct.unpack_from("=QQQ", note)
            texts = note[24:].split(b"\0")[:3]
            provider, name, arguments = (text.decode("utf-8", "replace") for text in texts)
            moved = base - noted if base and noted else 0
            location += moved
            offset = file_offset(data, location)
            counter = file_offset(data, semaphore + moved) if semaphore else 0
            if offset is None or counter is None:
                continue

            def symbol(wanted: str, at: int = location) -> int | None:
                address = symbol_address(data, wanted)
                return None if address is None else address - at

            operands = tuple(operand(text, arch, symbol) for text in _words(arguments))
            yield UserProbe(path, provider, name, offset, counter, operands)


def _notes(data: mmap.mmap, section: Section) -> Iterator[bytes]:
    """The contents of the section's probe notes."""
    at, end = section.offset, min(section.offset + section.size, len(data))
    while at + 12 <= end:
        owner_size, size, kind = struct.unpack_from("=III", data, at)
        text_at = at + 12 + (owner_size + 3 & ~3)
        if kind == _TYPE and data[at + 12 : at + 12 + owner_size] == _OWNER:
            note = data[text_at : text_at + size]
            if len(note) > 24 and note.count(b"\0", 24) >= 3:
                yield note
        at = text_at + (size + 3 & ~3)


def _words(arguments: str) -> list[str]:
    """`8@x0 4@[sp, 12]` → its arguments: a blank inside brackets does not part two."""
    return re.findall(r"(?:\[[^\]]*\]|\([^)]*\)|\S)+", arguments)


# ---- Operands: the assembler's text of where a value lies

_SMALL = {"ax": "al", "bx": "bl", "cx": "cl", "dx": "dl", "si": "sil", "di": "dil", "bp": "bpl", "sp": "spl"}
_X86: dict[str, str] = {"rip": "ip"}
for _plain, _byte in _SMALL.items():
    _X86 |= {f"r{_plain}": _plain, f"e{_plain}": _plain, _plain: _plain, _byte: _plain}
_X86 |= {f"r{number}{suffix}": f"r{number}" for number in range(8, 16) for suffix in ("", "d", "w", "b")}
_ARM = {f"{kind}{number}": f"regs[{number}]" for number in range(31) for kind in "xw"} | {"sp": "sp"}
_MEMORY = re.compile(r"([+-]?\w*)?(?:([+-])(\w+))?\((?:%(\w+))?(?:,%(\w+)(?:,(\d))?)?\)")
_ARM_MEMORY = re.compile(r"\[(\w+)(?:, *#?(-?\w+))?\]")


def operand(text: str, arch: str, symbol: Callable[[str], int | None] = lambda name: None) -> Operand:
    """One argument. `symbol` gives the distance of a symbol from the probe, for what lies relative to it."""
    found = re.fullmatch(r"(-?)([1248])(f?)@(.+)", text)
    if found is None or found[3]:
        return Operand(8, False, "unknown", text=text)
    signed, size = bool(found[1]), int(found[2])
    read = _read_arm if arch == "aarch64" else _read_x86
    return read(Operand(size, signed, "unknown", text=text), found[4], symbol)


def _read_x86(plain: Operand, text: str, symbol: Callable[[str], int | None]) -> Operand:
    if text.startswith("$"):
        return plain.at("constant", value=_number(text[1:])) if _is_number(text[1:]) else plain
    if text.startswith("%"):
        name = text[1:]
        if name in ("ah", "bh", "ch", "dh"):
            return plain.at("register", register=f"{name[0]}x", value=8)
        return plain.at("register", register=_X86[name]) if name in _X86 else plain
    found = _MEMORY.fullmatch(text)
    if found is None or not (found[4] or found[5]) or {found[4], found[5]} - {None, *_X86}:
        return plain
    distance = _displacement(found[1] or "0", symbol) if found[4] == "rip" or _is_number(found[1]) else None
    if distance is None:
        return plain
    more = _number(f"{found[2]}{found[3]}") if found[3] else 0
    base, index = _X86.get(found[4] or "", ""), _X86.get(found[5] or "", "")
    return plain.at("memory", value=distance + more, register=base, index=index, scale=int(found[6] or 1))


def _displacement(text: str, symbol: Callable[[str], int | None]) -> int | None:
    return _number(text) if _is_number(text) else symbol(text)


def _read_arm(plain: Operand, text: str, symbol: Callable[[str], int | None]) -> Operand:
    if _is_number(text):
        return plain.at("constant", value=_number(text))
    if text in _ARM:
        return plain.at("register", register=_ARM[text])
    found = _ARM_MEMORY.fullmatch(text)
    if found is None or found[1] not in _ARM or not _is_number(found[2] or "0"):
        return plain
    return plain.at("memory", value=_number(found[2] or "0"), register=_ARM[found[1]])


def _is_number(text: str | None) -> bool:
    return re.fullmatch(r"[+-]?(0x[0-9a-fA-F]+|\d+)?", text or "") is not None


def _number(text: str) -> int:
    return int(text, 0) if text.strip("+-") else 0
