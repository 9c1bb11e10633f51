"""Attached points → detached ones, without waiting for the kernel longer than need be.

The kernel waits for a grace period whenever a perf event of a tracepoint or a kprobe loses its program, and
again when it is closed: 15 to 90 ms each, one event after the other. A script of 350 tracepoints would take
half a minute to end. So a child holds on to the descriptors and closes them, and this process goes on as soon
as the programs are off, or after `PATIENCE` seconds.
"""

from __future__ import annotations

import _thread  # threading takes its time to import, and most runs detach little
import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from runtime.attach import Attached

PATIENCE = 1.0  # programs that are still attached then may count on for a while; nobody reads it any more
_FEW = 4  # links to trampolines and raw tracepoints, which close at once
_THREADS = 64  # where the kernel lets them, they wait for the same grace period

# Jobs of the prompt end on threads side by side: a child that kept another's pipe open would wait for it, and
# that one for this, with all programs still attached.
_forking = _thread.allocate_lock()
_going: set[int] = set()  # the ends that parents close when they want their children to go on


def detach_all(attached: list[Attached]) -> None:
    """Take all programs off their points; the list is empty afterwards.

    An entry that is remembered for a return goes after it: else the last returns would miss their entries.
    """
    attached.sort(key=lambda item: item.hidden)
    done = None
    if any(item.events for item in attached) or len(attached) > _FEW:
        done = _Child([_links(attached, hidden=False), _links(attached, hidden=True)])
    while attached:
        attached.pop(0).close()  # at once, where the child has them too
    if done is not None:
        done.wait()


def _links(attached: Sequence[Attached], hidden: bool) -> list[int]:
    return [number for item in attached if item.hidden == hidden for number in item.descriptors]


class _Child:
    """A process that closes what this one has open now, once this one has: one group, then the next.

    Where there is no room for another process, closing simply takes its time here.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        with _forking:
            self._done, told = os.pipe()
            go, self._go = os.pipe()
            _going.add(self._go)
            try:
                child = os.fork()
            except OSError:
                child = -1
            if child == 0:
                _serve(groups, go, told)
            os.close(told)
            os.close(go)
        if child > 0:
            os.waitpid(child, 0)

    def wait(self) -> None:
        """Until the programs are detached."""
        with _forking:
            _going.remove(self._go)
            os.close(self._go)
        poll = select.poll()
        poll.register(self._done, select.POLLIN)
        poll.poll(PATIENCE * 1000)
        os.close(self._done)


def _serve(groups: Sequence[Sequence[int]], go: int, told: int) -> NoReturn:
    """In a child of the child, which nobody has to wait for."""
    try:
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(stop, signal.SIG_IGN)
        if os.fork() == 0:
            for number in (*_going, 0, 1, 2):
                with suppress(OSError):
                    os.close(number)
            os.read(go, 1)  # its end: the parent has closed its own
            for links in groups:
                _close_all(links)
            os.close(told)
            os.execv("/bin/true", ["true"])  # gives back the memory, then closes the events one by one
    finally:
        os._exit(0)


def _close_all(links: Sequence[int]) -> None:
    import threading  # only where there is so much to detach

    parts = [links[start::_THREADS] for start in range(min(_THREADS, len(links)))]
    threads = [threading.Thread(target=_close, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _close(descriptors: Sequence[int]) -> None:
    for number in descriptors:
        os.close(number)
