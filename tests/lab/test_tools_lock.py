"""klockstat on the lab's kernels, where the functions of locks tell all waits and all holds."""

from __future__ import annotations

import pytest

from tests.kernel.test_tools_lock import (
    test_klockstat,
    test_klockstat_by_thread_and_stack,
    test_klockstat_excludes,
)

pytestmark = pytest.mark.lab
__all__ = ["test_klockstat", "test_klockstat_by_thread_and_stack", "test_klockstat_excludes"]
