"""The tools for processors and scheduling on the lab's kernels: what this machine's tests check."""

from __future__ import annotations

import pytest

from tests.kernel.test_tools_sched import (
    test_cpudist,
    test_cpudist_keys,
    test_cpuwalk,
    test_hardirqs,
    test_offcputime,
    test_offcputime_as_text,
    test_offcputime_folded,
    test_profile,
    test_runqlat,
    test_runqlen,
    test_runqslower,
    test_softirqs,
)

pytestmark = pytest.mark.lab
__all__ = [
    "test_cpudist",
    "test_cpudist_keys",
    "test_cpuwalk",
    "test_hardirqs",
    "test_offcputime",
    "test_offcputime_as_text",
    "test_offcputime_folded",
    "test_profile",
    "test_runqlat",
    "test_runqlen",
    "test_runqslower",
    "test_softirqs",
]
