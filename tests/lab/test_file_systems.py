"""What the tests of tools stand on: each file system and device of the lab can be written and read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab import support

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "f2fs"])
def test_file_system(kind: str) -> None:
    with support.mounted(kind) as folder:
        assert any(f" {folder} {kind}" in line for line in Path("/proc/mounts").read_text().splitlines())
        descriptor = os.open(folder / "file", os.O_CREAT | os.O_RDWR)
        os.write(descriptor, b"x" * 5000)
        os.fsync(descriptor)
        os.close(descriptor)
        assert (folder / "file").read_bytes() == b"x" * 5000
    assert not os.path.ismount(folder)


def test_devices() -> None:
    for manager in (support.mirror(), support.loop_device()):
        with manager as name:
            descriptor = os.open(name, os.O_RDWR)
            assert os.pwrite(descriptor, b"x" * 4096, 8192) == 4096
            os.fsync(descriptor)
            assert os.pread(descriptor, 4096, 8192) == b"x" * 4096
            os.close(descriptor)
    assert os.path.exists(support.RAW_DISK) and len(support.DISKS) == 4
