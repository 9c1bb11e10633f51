"""What a run has to say → text: the script's output on one descriptor, messages on another.

`Writer` is the interface that `runtime.jsonl` shares. Output is collected and written in blocks; the session
flushes when it goes to wait.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, Protocol

from codegen.plan import Place
from lang.records import dataclass

Buffering = Literal["auto", "line", "full", "none"]
DumpType = Literal["map", "hist", "stats", "tseries"]
_DRAWN = ("hist", "tseries")  # below their names
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"  # home, the screen, what has scrolled away
_BLOCK = 64 << 10
_ENTRIES = 1 << 14


@dataclass(frozen=True)
class Dump:
    """A printed map: (key, value) texts in order. A scalar map has one entry, without a key."""

    name: str
    type: DumpType
    scalar: bool
    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A printed table: its header, empty in JSON, and its lines, in JSON the members of an object each."""

    name: str
    head: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Warn:
    """A problem met while the programs run: where, what, the source line and how much of it, how often."""

    file: str
    line: int
    column: int
    message: str
    source: str = ""
    width: int = 1
    count: int = 1


class Writer(Protocol):
    """Where a session's output goes."""

    @property
    def json(self) -> bool:
        """Whether values are to be written as JSON."""

    @property
    def columns(self) -> int:
        """How many characters a line of the terminal takes; 0 where nobody looks at one."""

    def printf(self, texts: list[str]) -> None:
        """The texts of consecutive printf events."""

    def values(self, texts: list[str]) -> None:
        """The texts of consecutive printed values."""

    def rows(self, texts: list[str]) -> None:
        """Lines of a table, or in JSON the members of an object each."""

    def table(self, table: Table) -> None: ...

    def text(self, kind: Literal["time", "cat", "join", "syscall"], text: str) -> None: ...

    def screen(self) -> None:
        """A new screen: a terminal is cleared."""

    def message(self, kind: Literal["errorf", "warnf"], text: str, place: Place) -> None:
        """What the script itself calls an error or a warning."""

    def map(self, dump: Dump) -> None: ...

    def attached(self, count: int) -> None:
        """All probes are attached."""

    def line(self, text: str) -> None:
        """A line for programs that wait for it."""

    def lost(self, count: int) -> None:
        """So many more events were lost."""

    def lost_in_all(self, count: int) -> None: ...

    def warning(self, warn: Warn) -> None: ...

    def end(self, maps: bool) -> None:
        """The programs are detached and all events written; maps follow, or not."""

    def flush(self) -> None: ...

    def idle(self) -> None:
        """The session goes to wait: what is held back must be seen now."""


class OutputError(Exception):
    """The output cannot be written: a full disk, a closed descriptor."""


class Output:
    """A file descriptor, written in blocks. Invalid UTF-8 passes through as it came.

    A reader that went away is BrokenPipeError, every other failure OutputError. `full` holds text back
    until a block is full.
    """

    def __init__(self, fd: int, buffering: Buffering = "auto") -> None:
        self.fd, self._buffering = fd, buffering
        self._held: list[bytes] = []
        self._size = 0

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        self._held.append(data)
        self._size += len(data)
        if self._size >= _BLOCK or self._buffering == "none":
            self.flush()

    def idle(self) -> None:
        if self._buffering != "full":
            self.flush()

    def flush(self) -> None:
        if not self._held:
            return
        data = memoryview(b"".join(self._held))
        self._held, self._size = [], 0
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                waiter = select.poll()
                waiter.register(self.fd, select.POLLOUT)
                waiter.poll()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OutputError(f"cannot write the output: {error.strerror}") from error

    def tell(self, text: str) -> None:
        """Write a message now; if nobody can read it the run goes on."""
        with suppress(BrokenPipeError, OutputError):
            self.write(text + "\n")
            self.flush()


def terminal_columns(fd: int) -> int:
    """How many characters a line of the terminal takes; 0 where there is none, or it does not tell."""
    with suppress(OSError):
        return os.get_terminal_size(fd).columns
    return 0


class TextWriter:
    """bpftrace's text format. `quiet` leaves the banner away; without `warnings` warnf() is silent too."""

    json = False

    def __init__(self, out: Output, messages: Output, *, quiet: bool = False, warnings: bool = True) -> None:
        self._out, self._messages, self._quiet, self._warnings = out, messages, quiet, warnings

    @property
    def columns(self) -> int:
        return terminal_columns(self._out.fd)

    def printf(self, texts: list[str]) -> None:
        self._out.write("".join(texts))

    def values(self, texts: list[str]) -> None:
        self._out.write("\n".join([*texts, ""]))

    def rows(self, texts: list[str]) -> None:
        self._out.write("\n".join([*texts, ""]))

    def table(self, table: Table) -> None:
        self.rows([table.head, *table.lines])

    def text(self, kind: Literal["time", "cat", "join", "syscall"], text: str) -> None:
        self._out.write(text if kind in ("time", "cat") else text + "\n")

    def screen(self) -> None:
        self._out.write(_CLEAR if os.isatty(self._out.fd) else "\n")

    def message(self, kind: Literal["errorf", "warnf"], text: str, place: Place) -> None:
        if kind == "errorf" or self._warnings:
            self._tell(message_text(kind, text, place))

    def map(self, dump: Dump) -> None:
        if dump.scalar:
            head, between = f"{dump.name}:", "\n" if dump.type in _DRAWN else " "
            self._out.write("".join([f"{head}{between}{value}\n" for _, value in dump.entries]))
            return
        head, between = f"{dump.name}[", "]:\n" if dump.type in _DRAWN else "]: "
        for start in range(0, len(dump.entries), _ENTRIES):
            part = dump.entries[start : start + _ENTRIES]
            self._out.write("".join([f"{head}{key}{between}{value}\n" for key, value in part]))

    def attached(self, count: int) -> None:
        if not self._quiet:
            self._tell(f"Attached {count} probe{'' if count == 1 else 's'}")

    def line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def lost(self, count: int) -> None:
        self._tell(f"Lost {count} events")

    def lost_in_all(self, count: int) -> None:
        self._tell(f"WARNING: Total lost event count: {count}")

    def warning(self, warn: Warn) -> None:
        if self._warnings:
            self._tell(warning_text(warn))

    def end(self, maps: bool) -> None:
        """bpftrace's two empty lines before the maps; else only what the terminal's ^C needs."""
        self._out.write("\n\n" if maps else "\n" if os.isatty(self._out.fd) else "")

    def flush(self) -> None:
        self._out.flush()

    def idle(self) -> None:
        self._out.idle()

    def _tell(self, text: str) -> None:
        """A message, after all output that came before it."""
        self._out.idle()
        self._messages.tell(text)


def message_text(kind: Literal["errorf", "warnf"], text: str, place: Place) -> str:
    """`file:line:first-last: ERROR: text`, as bpftrace has it."""
    word = "ERROR" if kind == "errorf" else "WARNING"
    return f"{place.file}:{place.line}:{place.column}-{place.column + place.width - 1}: {word}: {text}"


def warning_text(warn: Warn) -> str:
    """`file:line:col: warning: message`, and the source underlined."""
    times = f" ({warn.count} times)" if warn.count > 1 else ""
    lines = [f"{warn.file}:{warn.line}:{warn.column}: warning: {warn.message}{times}"]
    if warn.source:
        lead = "".join("\t" if char == "\t" else " " for char in warn.source[: warn.column - 1])
        lines += [warn.source, lead + "^" + "~" * (warn.width - 1)]
    return "\n".join(lines)
