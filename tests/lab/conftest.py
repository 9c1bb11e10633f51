"""Fixtures of the lab's tests: file systems and devices, and a record of how each tool fared.

A test marked `@pytest.mark.tool("NAME")` leaves a line in $EBT_LAB_OUT/tools.jsonl, of which
`scripts/lab matrix` makes the table of tools and kernels.
"""

import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.lab import support

_T = TypeVar("_T")
Refused = Callable[[str], None]


@pytest.fixture
def refused(record_property: Callable[[str, object], None]) -> Refused:
    """Call it with the message where the test proves that the tool refuses this kernel, rightly."""
    return lambda message: record_property("refused", message.removeprefix("ebt: error: ").strip())


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


# ---- The record


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hand the tools' names on to the report."""
    report = yield
    for mark in item.iter_markers("tool"):
        report.user_properties += [("tool", name) for name in mark.args]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A line for each tool of a test, when its outcome is known."""
    if report.when != "call" and report.outcome == "passed":
        return
    known = report.user_properties
    tools, refused = ([value for name, value in known if name == key] for key in ("tool", "refused"))
    why = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
    out = os.environ.get("EBT_LAB_OUT")
    if not out or not tools:
        return
    with open(Path(out) / "tools.jsonl", "a") as file:
        for tool in dict.fromkeys(map(str, tools)):
            entry = {"tool": tool, "test": report.nodeid, "outcome": report.outcome, "why": why}
            file.write(json.dumps({**entry, "refused": refused}) + "\n")
