"""Children that detach: none keeps open what another waits for."""

import os
import time

from runtime.detach import PATIENCE, _Child


def test_two_at_once_do_not_wait_for_each_other() -> None:
    read, write = os.pipe()
    first, second = _Child([[write], []]), _Child([[], []])
    os.close(write)
    started = time.monotonic()
    first.wait()
    assert time.monotonic() - started < 0.9 * PATIENCE
    second.wait()
    assert os.read(read, 1) == b""
    os.close(read)
