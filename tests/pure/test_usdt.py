"""The notes of static probes, read from a fabricated file, and each way to say where an argument lies."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from kernel.usdt import operand, user_probes
from lang.machine import Operand

BASE, NOTED, PROBE, COUNTER = 0x402000, 0x401F00, 0x401110, 0x403020


def note(provider: str, name: str, arguments: str, location: int, semaphore: int = 0) -> bytes:
    body = struct.pack("=QQQ", location, NOTED, semaphore)
    body += b"".join(text.encode() + b"\0" for text in (provider, name, arguments))
    return struct.pack("=III", 8, len(body), 3) + b"stapsdt\0" + body + bytes(-len(body) % 4)


def program(notes: bytes) -> bytes:
    """An ELF64 of two segments, moved by 0x100 after its notes were written."""
    labels = b"\0.note.stapsdt\0.stapsdt.base\0.shstrtab\0"
    notes_at = 64 + 2 * 56
    labels_at = notes_at + len(notes)
    sections_at = labels_at + len(labels)
    segments = struct.pack("=IIQQQQQQ", 1, 5, 0x1000, 0x401000, 0, 0x1000, 0x1000, 0x1000)
    segments += struct.pack("=IIQQQQQQ", 1, 6, 0x2100, 0x403100, 0, 0x1000, 0x1000, 0x1000)
    sections = bytes(64)
    sections += struct.pack("=IIQQQQIIQQ", 1, 7, 0, 0, notes_at, len(notes), 0, 0, 4, 0)
    sections += struct.pack("=IIQQQQIIQQ", 15, 1, 2, BASE, 0x2000, 1, 0, 0, 1, 0)
    sections += struct.pack("=IIQQQQIIQQ", 29, 3, 0, 0, labels_at, len(labels), 0, 0, 1, 0)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("=HHIQQQIHHHHHH", 3, 62, 1, 0, 64, sections_at, 0, 64, 56, 2, 64, 4, 3)
    return head + segments + notes + labels + sections


def test_notes(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(program(
        note("app", "start", "", PROBE) + note("app", "done", "8@%rax -4@$-2", PROBE + 16, COUNTER)
        + note("app", "done", "4@%ebx 8@8(%rsp)", PROBE + 32, COUNTER)
        + note("app", "nowhere", "", 0x900000)
    ))  # fmt: skip
    done, other, start = user_probes(str(file), "x86_64")
    assert (start.provider, start.name, start.offset, start.semaphore) == ("app", "start", 0x1210, 0)
    assert start.arguments == ()
    assert [(probe.name, probe.offset, probe.semaphore) for probe in (done, other)] == [
        ("done", 0x1220, 0x2120), ("done", 0x1230, 0x2120),
    ]  # fmt: skip
    assert done.arguments == (
        Operand(8, False, "register", register="ax", text="8@%rax"),
        Operand(4, True, "constant", -2, text="-4@$-2"),
    )
    assert other.arguments[1] == Operand(8, False, "memory", 8, "sp", text="8@8(%rsp)")


@pytest.mark.parametrize(
    ("text", "kind", "value", "register", "index", "scale"),
    [
        ("4@%edi", "register", 0, "di", "", 1),
        ("1@%sil", "register", 0, "si", "", 1),
        ("2@%r9w", "register", 0, "r9", "", 1),
        ("1@%ch", "register", 8, "cx", "", 1),
        ("8@$0x10", "constant", 16, "", "", 1),
        ("8@-16(%rbp)", "memory", -16, "bp", "", 1),
        ("8@(%rax)", "memory", 0, "ax", "", 1),
        ("8@8(%rax,%r12,4)", "memory", 8, "ax", "r12", 4),
        ("8@(,%rdi,8)", "memory", 0, "", "di", 8),
        ("4@counter(%rip)", "memory", 0x500, "ip", "", 1),
        ("4@counter+4(%rip)", "memory", 0x504, "ip", "", 1),
        ("4@missing(%rip)", "unknown", 0, "", "", 1),
        ("8f@%xmm0", "unknown", 0, "", "", 1),
        ("8@%xmm0", "unknown", 0, "", "", 1),
        ("8@$name", "unknown", 0, "", "", 1),
        ("nonsense", "unknown", 0, "", "", 1),
    ],
)
def test_operands(text: str, kind: str, value: int, register: str, index: str, scale: int) -> None:
    found = operand(text, "x86_64", {"counter": 0x500}.get)
    assert (found.kind, found.value, found.register, found.index, found.scale) == (
        kind, value, register, index, scale,
    )  # fmt: skip
    assert found.text == text and found.signed == text.startswith("-")


@pytest.mark.parametrize(
    ("text", "kind", "value", "register"),
    [
        ("-4@w3", "register", 0, "regs[3]"), ("8@[sp, 12]", "memory", 12, "sp"), ("8@7", "constant", 7, ""),
        ("8@[x29, -8]", "memory", -8, "regs[29]"), ("8@[x1]", "memory", 0, "regs[1]"),
        ("8@d0", "unknown", 0, ""),
    ],
)  # fmt: skip
def test_operands_of_arm(text: str, kind: str, value: int, register: str) -> None:
    found = operand(text, "aarch64")
    assert (found.kind, found.value, found.register) == (kind, value, register)


def test_damaged_files(tmp_path: Path) -> None:
    """No file makes it fail."""
    whole, file = program(note("app", "start", "8@%rax", PROBE)), tmp_path / "program"
    chance = random.Random(7)
    for _ in range(300):
        data = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.5 else whole)
        for _ in range(chance.randrange(8) if data else 0):
            data[chance.randrange(len(data))] = chance.randrange(256)
        file.write_bytes(data)
        assert len(user_probes(str(file), "x86_64")) <= 1
