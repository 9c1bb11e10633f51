"""A session → all that can be completed in it; the kernel's names are read on a thread, taken as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from repl.catalogue import EMPTY, catalogue_of
from repl.commands import COMMANDS
from repl.state import State
from repl.suggest import Knowledge

_NAMES_PATIENCE = 30.0  # seconds: a completion that gave up would not be asked again until the next key


class Names:
    """What can be completed: read on a thread after `read`, and taken as a whole when it is there."""

    def __init__(self, state: State, files: Callable[[str], Sequence[str]]) -> None:
        self._state, self._files = state, files
        self._catalogue, self._machine = EMPTY, state.host.machine
        self._tools: list[tuple[str, str]] = []
        self._there = threading.Event()

    def read(self) -> None:
        """Begin to read the names of the machine that programs are compiled for."""
        self._catalogue, self._machine = EMPTY, self._state.host.machine
        self._there.clear()
        threading.Thread(target=self._fill, name="names", daemon=True).start()

    def _fill(self) -> None:
        machine = self._machine
        try:
            tools = self._state.host.tools("")
            found = catalogue_of(machine)
            if machine is self._machine:
                self._tools, self._catalogue = tools, found
        finally:
            if machine is self._machine:
                self._there.set()  # without names too: nobody is to wait for them in vain

    def known(self, asked: bool) -> Knowledge:
        """Everything at this moment; `asked` by a key. Waits a little for names being read, on a thread."""
        state = self._state
        if state.host.machine is not self._machine:
            self.read()
        self._there.wait(_NAMES_PATIENCE)
        return Knowledge(
            self._catalogue, self._machine, {item.name: item.about for item in COMMANDS.values()},
            sorted({name for job in state.jobs.alive for name in job.maps}),
            list(state.definitions.variables()), state.definitions.callables(), self._tools,
            [(job.number, job.title) for job in state.jobs.all.values()], state.host.tool_flags, self._files,
            asked,
        )  # fmt: skip
