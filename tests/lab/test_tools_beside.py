"""Tools for block devices and memory beside their originals, on the lab's kernels."""

from __future__ import annotations

import pytest

from tests.kernel.test_tools_beside import test_biolatency, test_biosnoop, test_slabratetop

pytestmark = pytest.mark.lab
__all__ = ["test_biolatency", "test_biosnoop", "test_slabratetop"]


@pytest.fixture
def disk(raw_disk: str) -> str:
    """A disk that nobody else uses."""
    return raw_disk
