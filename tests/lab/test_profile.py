"""A recorded kernel stands for the kernel, on each kernel of the lab, with the modules of file systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.record import MODULES
from tests.conftest import Ebt
from tests.kernel import test_profile as shared
from tests.lab import support

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_the_same_c_for_the_recorded_kernel_as_on_it(ebt: Ebt, tmp_path: Path) -> None:
    for name in MODULES.split():
        support.load_module(name)
    shared.test_the_same_c_for_the_recorded_kernel_as_on_it(ebt, tmp_path)
