"""The tools for processes on the lab's kernels: what this machine's tests check."""

from __future__ import annotations

import pytest

from tests.kernel.test_tools_process import (
    test_bashreadline,
    test_capable,
    test_execsnoop,
    test_exitsnoop,
    test_gethostlatency,
    test_killsnoop,
    test_oomkill,
    test_pidpersec,
    test_sigsnoop,
    test_syscount,
    test_threadsnoop,
)

pytestmark = pytest.mark.lab
__all__ = [
    "test_bashreadline",
    "test_capable",
    "test_execsnoop",
    "test_exitsnoop",
    "test_gethostlatency",
    "test_killsnoop",
    "test_oomkill",
    "test_pidpersec",
    "test_sigsnoop",
    "test_syscount",
    "test_threadsnoop",
]
