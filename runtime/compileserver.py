"""A process of one thread, started early → compiling processes, for a program that has threads of its own.

A child that is forked beside other threads may find a lock held for ever. So the prompt forks this server
before it starts any, and each compilation is a child of the server; libbcc is loaded once, for all of them.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from typing import NoReturn

from runtime import libbcc
from runtime.bpf import serve, spawn_by

_MOST_BYTES = 4096


class CompileServer:
    """Serves `runtime.bpf.Compiler` of this process until `close`. Start it before the first thread."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket, self._lock = ours, threading.Lock()
        if os.fork() == 0:
            ours.close()
            _run(theirs)
        theirs.close()
        spawn_by(self._spawn)

    def close(self) -> None:
        """End the server; what compiles goes on to its end."""
        spawn_by(None)
        self._socket.close()

    def _spawn(self, request: int, answer: int, printed: int, tree: str) -> None:
        with self._lock:
            socket.send_fds(self._socket, [tree.encode()], [request, answer, printed])


def _run(channel: socket.socket) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the prompt
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    with suppress(libbcc.LibbccMissing):  # each compilation will say so
        libbcc.library()
    try:
        while True:
            message, fds, _, _ = socket.recv_fds(channel, _MOST_BYTES, 3)
            if not message:
                break
            request, answer, printed = fds
            if os.fork() == 0:
                channel.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                serve(request, answer, message.decode(), printed)
            for fd in fds:
                os.close(fd)
    finally:
        os._exit(0)
