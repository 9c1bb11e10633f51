"""The ELF reader over a fabricated library, and names resolved to paths."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kernel import binaries, elf
from kernel.binaries import find_binary
from kernel.elf import functions
from lang.machine import UserFunction

FUNC, OBJECT, IFUNC = 2, 1, 10


def library(symbols: list[tuple[str, int, int, int, int]], kind: int = 11) -> bytes:
    """An ELF64 with one symbol table of (name, type, section, address, size) and one executable segment.

    The segment lies at file offset 0x1000 and address 0x401000.
    """
    names, entries = b"\0", struct.pack("=IBBHQQ", 0, 0, 0, 0, 0, 0)
    for name, info, section, address, size in symbols:
        entries += struct.pack("=IBBHQQ", len(names), 1 << 4 | info, 0, section, address, size)
        names += name.encode() + b"\0"
    segments_at = 64
    symbols_at = segments_at + 2 * 56
    names_at = symbols_at + len(entries)
    labels = b"\0.BTF\0.shstrtab\0"
    labels_at = names_at + len(names)
    sections_at = labels_at + len(labels)
    segments = struct.pack("=IIQQQQQQ", 1, 4, 0, 0x400000, 0, 0x800, 0x800, 0x1000)
    segments += struct.pack("=IIQQQQQQ", 1, 5, 0x1000, 0x401000, 0, 0x1000, 0x1000, 0x1000)
    sections = bytes(64)
    sections += struct.pack("=IIQQQQIIQQ", 0, kind, 0, 0, symbols_at, len(entries), 2, 1, 8, 24)
    sections += struct.pack("=IIQQQQIIQQ", 0, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    sections += struct.pack("=IIQQQQIIQQ", 6, 3, 0, 0, labels_at, len(labels), 0, 0, 1, 0)
    sections += struct.pack("=IIQQQQIIQQ", 1, 1, 0, 0, names_at, len(names), 0, 0, 1, 0)
    order = 1 if sys.byteorder == "little" else 2
    head = b"\x7fELF\x02" + bytes([order]) + b"\1" + bytes(9)
    head += struct.pack("=HHIQQQIHHHHHH", 3, 62, 1, 0, segments_at, sections_at, 0, 64, 56, 2, 64, 5, 3)
    return head + segments + entries + names + labels + sections


SYMBOLS = [
    ("open", FUNC, 1, 0x401010, 16),
    ("fopen", FUNC, 1, 0x401020, 16),
    ("pthread_create@@GLIBC_2.34", FUNC, 1, 0x401030, 8),
    ("pthread_create@GLIBC_2.2.5", FUNC, 1, 0x401040, 8),
    ("memcpy", IFUNC, 1, 0x401050, 0),
    ("imported", FUNC, 0, 0, 0),
    ("environ", OBJECT, 1, 0x401060, 8),
    ("elsewhere", FUNC, 1, 0x900000, 8),
]


@pytest.fixture
def shared(tmp_path: Path) -> str:
    path = tmp_path / "libx.so.1"
    path.write_bytes(library(SYMBOLS))
    return str(path)


def test_one_function_by_name(shared: str) -> None:
    assert functions(shared, "open") == (UserFunction(shared, "open", 0x1010, 16),)
    assert functions(shared, "memcpy") == (UserFunction(shared, "memcpy", 0x1050, 0),)
    for name in ("imported", "environ", "elsewhere", "pen", "", "op"):
        assert functions(shared, name) == ()


def test_names_share_their_tails(tmp_path: Path) -> None:
    data = library([("fopen", FUNC, 1, 0x401020, 16)])
    # let a second symbol begin within the first one's name, as linkers do
    start = data.index(b"fopen\0")
    names_at = start - 1
    entry = struct.pack("=IBBHQQ", start + 1 - names_at, 0x12, 0, 1, 0x401010, 4)
    path = tmp_path / "tails"
    symbols_at = 64 + 2 * 56
    path.write_bytes(data[:symbols_at] + entry + data[symbols_at + len(entry) :])
    assert [item.offset for item in functions(str(path), "open")] == [0x1010]
    assert [item.name for item in functions(str(path), "*open")] == ["fopen", "open"]


def test_versions_are_stripped(shared: str) -> None:
    assert [item.offset for item in functions(shared, "pthread_create")] == [0x1030, 0x1040]


def test_patterns(shared: str) -> None:
    assert [item.name for item in functions(shared, "*open")] == ["fopen", "open"]
    assert len(functions(shared, "*")) == 5


def test_what_is_no_elf_has_no_functions(tmp_path: Path, shared: str) -> None:
    others = (b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(90), b"\x7fELF\x02\x01", bytes(4096))
    for at, data in enumerate(others):
        path = tmp_path / str(at)
        path.write_bytes(data)
        assert functions(str(path), "*") == ()
    assert functions(str(tmp_path / "missing"), "main") == () and functions(str(tmp_path), "main") == ()
    good, dice = Path(shared).read_bytes(), random.Random(3)
    for _ in range(400):
        bad = bytearray(good[: dice.randrange(len(good))] if dice.random() < 0.3 else good)
        for _ in range(4 if bad else 0):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        path.write_bytes(bad)
        functions(str(path), "*")
        functions(str(path), "open")


def test_a_section_by_name(shared: str, tmp_path: Path) -> None:
    assert elf.section(shared, ".BTF").startswith(b"\0open\0")
    assert elf.section(shared, ".none") == b""
    (tmp_path / "short").write_bytes(b"\x7fELF")
    assert elf.section(str(tmp_path / "short"), ".BTF") == b""


def cache_file(entries: list[tuple[str, str]]) -> bytes:
    head = b"glibc-ld.so.cache1.1" + struct.pack("=II20x", len(entries), 0)
    strings, rows = b"", b""
    base = len(head) + 24 * len(entries)
    for soname, path in entries:
        rows += struct.pack("=iIIIQ", 0x303, base + len(strings), base + len(strings) + len(soname) + 1, 0, 0)
        strings += soname.encode() + b"\0" + path.encode() + b"\0"
    return head + rows + strings


def test_the_loader_cache(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    cache = tmp_path / "etc" / "ld.so.cache"
    listed = [("libc.so.6", "/lib/libc.so.6"), ("liba.so", "/a")]
    cache.write_bytes(b"ld.so-1.7.0\0" + bytes(36) + cache_file(listed))
    assert list(binaries._loader_cache(str(tmp_path))) == listed
    for bad in (b"", b"glibc-ld.so.cache1.1", cache_file(listed)[:70], b"junk" * 50):
        cache.write_bytes(bad)
        list(binaries._loader_cache(str(tmp_path)))


@pytest.mark.parametrize(("soname", "name", "same"), [
    ("libc.so.6", "libc", True), ("libc.so.6", "libc.so.6", True), ("libc-2.31.so", "libc", True),
    ("libcap.so.2", "libc", False), ("libc.so.6", "libc.so", True), ("libc-client.so", "libc", False),
])  # fmt: skip
def test_library_names(soname: str, name: str, same: bool) -> None:
    assert binaries._is_named(soname, name) is same


def test_programs_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_binary("tool") == find_binary("./tool") == find_binary(str(tool)) == str(tool)
    assert find_binary("./none") is None and find_binary("no-such-tool") is None
    assert find_binary("libnothing") is None and find_binary(str(tmp_path)) is None


def test_the_c_library_of_this_system() -> None:
    libc = find_binary("libc")
    assert libc is not None and os.path.isabs(libc)
    (malloc,) = functions(libc, "malloc")
    assert malloc.offset > 0
    assert find_binary("libc", os.getpid()) is not None


def test_a_process_of_another_root(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert find_binary("/bin/sh", process.pid) == "/bin/sh"
        process.communicate(b"\n")
    assert find_binary("/bin/sh", 0x7FFFFFFF) == "/bin/sh"
