"""Which module has a function that is not there: from the module's own file, never from its name alone."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from kernel.modules import unloaded_module

STRINGS = b"\x7fELF\0thing_read\0thing_write\0"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "1.2.3" / "kernel"
    folder.mkdir(parents=True)
    (folder / "thing.ko").write_bytes(STRINGS)
    (folder / "other-mod.ko.xz").write_bytes(lzma.compress(b"\0other_flush\0"))
    (folder / "thin.ko.gz").write_bytes(gzip.compress(b"\0thing_deep\0"))
    (folder / "bad.ko.xz").write_bytes(b"not xz at all \0bad_call\0")
    names = ("thing.ko", "other-mod.ko.xz", "thin.ko.gz", "bad.ko.xz", "gone.ko", "odd.ko.zst")
    text = "".join(f"kernel/{name}: kernel/thing.ko\n" for name in names)
    (tmp_path / "1.2.3" / "modules.dep").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("function", "module"),
    [
        ("thing_read", "thing"), ("thing_rea", ""), ("__thing_read", ""), ("other_flush", "other-mod"),
        ("thing_deep", "thin"), ("bad_call", ""), ("gone_call", ""), ("odd_call", ""),
        ("vfs_read", ""), ("", ""),
    ],
)  # fmt: skip
def test_found_in_the_file(tree: Path, function: str, module: str) -> None:
    assert unloaded_module(function, "1.2.3", tree) == module


def test_no_modules_at_all(tmp_path: Path) -> None:
    assert unloaded_module("thing_read", "1.2.3", tmp_path) == ""
