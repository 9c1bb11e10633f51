"""The command of -c → a process that waits before its first instruction until it is told to go on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress

# Starts stopped, so that the probes see it from its first instruction: like bpftrace's -c.
_STOPPED = 'kill -STOP $$; exec "$@"'
_PATIENCE = 2.0
_WORD = re.compile(r"""(['"])(.*?)\1(?!\S)|\S+""", re.DOTALL)


class ChildError(Exception):
    """The command cannot be started: one line for the user."""


def start_child(command: str) -> subprocess.Popen[bytes]:
    """Start the command, stopped. Raises ChildError."""
    words = words_of(command)
    if not words:
        raise ChildError("-c: the command is empty")
    path = shutil.which(words[0])
    if path is None:
        raise ChildError(f"-c: there is no command '{words[0]}'")
    child = subprocess.Popen(["/bin/sh", "-c", _STOPPED, "sh", path, *words[1:]], close_fds=True)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    return child


def words_of(command: str) -> list[str]:
    """The command's words: between blanks, as bpftrace has it; but from a quote that begins a word to the
    same quote at a word's end is one word: `sh -c "echo a b"`. Other quotes are text, and so are backslashes.
    """
    return [found[0] if found[1] is None else found[2] for found in _WORD.finditer(command)]


def end_child(child: subprocess.Popen[bytes]) -> None:
    """The run is over before the child: it is ended too, as bpftrace does."""
    if child.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGCONT):
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
