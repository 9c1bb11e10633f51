"""Lines of a pipe, or of a terminal that can do nothing → a session: for scripts, tests and TERM=dumb."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from repl.commands import COMMANDS
from repl.complete import is_complete
from repl.display import Display
from repl.lines import is_command
from repl.on_maps import map_text
from repl.shell import Shell
from repl.state import Refused


def write(text: str) -> None:
    """Text on standard output, at once; bytes that are no UTF-8 pass as they came."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


class Plain:
    """Reads a piece of input after the other: a line, or as many as make a program complete."""

    def __init__(self, shell: Shell, display: Display, lines: TextIO, *, prompt: bool) -> None:
        self._shell, self._display, self._lines, self._prompt = shell, display, lines, prompt
        self._watching: threading.Event | None = None

    def run(self) -> int:
        """Read to the end; 1 if something could not be done, as a script's caller wants to know."""
        failed = False
        try:
            while not self._shell.state.leaving:
                text = self._read()
                if text is None:
                    break
                failed |= not self._shell.execute(text)
                self._display.flush()
                self._watch()
        except KeyboardInterrupt:
            pass
        finally:
            self._end_watch()
        return int(failed)

    def _read(self) -> str | None:
        text = ""
        while True:
            if self._prompt:
                write("ebt> " if not text else "...> ")
            line = self._lines.readline()
            if not line:
                return text or None
            self._end_watch()
            text += line
            if not line.strip() or is_command(text, COMMANDS) or is_complete(text):
                return text

    def _watch(self) -> None:
        """A watched map is printed anew until the next line is read."""
        watched = self._shell.state.watched
        if watched is None or self._watching is not None:
            return
        query, seconds = watched
        over = self._watching = threading.Event()

        def show() -> None:
            while not over.is_set():
                try:
                    write(map_text(self._shell.state, query) + "\n")
                except Refused as refused:
                    write(f"watch: {refused}\n")
                    return
                over.wait(seconds)

        threading.Thread(target=show, name="watch", daemon=True).start()

    def _end_watch(self) -> None:
        if self._watching is not None:
            self._watching.set()
            self._watching = None
            self._shell.state.watched = None
