"""Tools for files, block devices and memory beside their originals, on the lab's kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.support import fresh
from tests.kernel.test_file_tools_beside import (
    test_cachestat,
    test_ext4dist,
    test_ext4slower,
    test_filelife,
    test_filetop,
    test_opensnoop,
    test_statsnoop,
    test_vfsstat,
)
from tests.kernel.test_tools_beside import test_biolatency, test_biosnoop, test_slabratetop
from tests.kernel.test_tools_file import Work

pytestmark = pytest.mark.lab
__all__ = [
    "test_biolatency",
    "test_biosnoop",
    "test_cachestat",
    "test_ext4dist",
    "test_ext4slower",
    "test_filelife",
    "test_filetop",
    "test_opensnoop",
    "test_slabratetop",
    "test_statsnoop",
    "test_vfsstat",
]


@pytest.fixture(name="work")
def work_on_ext4(ext4: Path, tmp_path: Path) -> Work:
    """Work on ext4, which nobody else uses."""
    folder = ext4 / fresh()
    folder.mkdir()
    return Work(folder, tmp_path)


@pytest.fixture
def disk(raw_disk: str) -> str:
    """A disk that nobody else uses."""
    return raw_disk
