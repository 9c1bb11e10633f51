"""Fixtures of the lab's tests: file systems and devices."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.lab import support

_T = TypeVar("_T")


def _held(manager: AbstractContextManager[_T]) -> Iterator[_T]:
    try:
        with manager as made:
            yield made
    except support.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def ext4() -> Iterator[Path]:
    """An empty ext4."""
    yield from _held(support.mounted("ext4"))


@pytest.fixture(scope="module")
def xfs() -> Iterator[Path]:
    """An empty xfs."""
    yield from _held(support.mounted("xfs"))


@pytest.fixture(scope="module")
def btrfs() -> Iterator[Path]:
    """An empty btrfs."""
    yield from _held(support.mounted("btrfs"))


@pytest.fixture(scope="module")
def f2fs() -> Iterator[Path]:
    """An empty f2fs."""
    yield from _held(support.mounted("f2fs"))


@pytest.fixture(scope="module")
def nfs() -> Iterator[Path]:
    """NFS 4.2, served by this kernel over loopback TCP."""
    yield from _held(support.mounted("nfs"))


@pytest.fixture(scope="module")
def md() -> Iterator[str]:
    """An md device: RAID 1 of two loop devices."""
    yield from _held(support.mirror())


@pytest.fixture
def raw_disk() -> str:
    """A disk that no file system is on."""
    return support.RAW_DISK


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Leave each failure in $EBT_LAB_OUT/failures.txt as it happens: a lost guest tells no summary."""
    out = os.environ.get("EBT_LAB_OUT")
    if report.failed and out:
        with open(Path(out) / "failures.txt", "a") as file:
            file.write(f"==== {report.nodeid} ({report.when})\n{report.longreprtext}\n")
