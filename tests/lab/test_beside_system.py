"""Tools for processes, scheduling, locks and the network beside their originals, on the lab's kernels."""

from __future__ import annotations

import pytest

from tests.kernel.test_beside_system import (
    test_execsnoop,
    test_funclatency,
    test_klockstat,
    test_offcputime,
    test_runqlat,
    test_softirqs,
    test_syscount,
    test_tcpconnlat,
    test_tcplife,
)

pytestmark = pytest.mark.lab
__all__ = [
    "test_execsnoop",
    "test_funclatency",
    "test_klockstat",
    "test_offcputime",
    "test_runqlat",
    "test_softirqs",
    "test_syscount",
    "test_tcpconnlat",
    "test_tcplife",
]
