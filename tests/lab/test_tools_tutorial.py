"""The tutorial's tools on the lab's kernels."""

from __future__ import annotations

import pytest

from tests.kernel.test_tools_tutorial import test_execve, test_hello, test_icmp, test_open, test_write

pytestmark = pytest.mark.lab
__all__ = ["test_execve", "test_hello", "test_icmp", "test_open", "test_write"]
