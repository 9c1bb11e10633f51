"""What a run has to say → JSON, one object a line, in bpftrace's shapes and spacing."""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Literal

from codegen.plan import Place
from runtime.text import Dump, Output, Table, Warn

_ENTRIES = 1 << 14
_CONTROLS = (("\b", "\\u0008"), ("\f", "\\u000c"))  # for which the library has short forms


def quote(text: str) -> str:
    """A JSON string. Only what JSON demands is escaped; other control characters as `\\u00NN`."""
    for control, escape in _CONTROLS:
        if control in text:
            return f'"{escape.join([quote(part)[1:-1] for part in text.split(control)])}"'
    return encode_basestring(text)


class JsonWriter:
    """bpftrace's `-f json`. Messages about the run are objects too; there is no end marker."""

    json = True
    columns = 0

    def __init__(self, out: Output, messages: Output, *, quiet: bool = False, warnings: bool = True) -> None:
        self._out, self._messages, self._quiet, self._warnings = out, messages, quiet, warnings

    def printf(self, texts: list[str]) -> None:
        self._out.write("".join([f'{{"type": "printf", "data": {quote(text)}}}\n' for text in texts]))

    def values(self, texts: list[str]) -> None:
        self._out.write("".join([f'{{"type": "value", "data": {text}}}\n' for text in texts]))

    def rows(self, texts: list[str]) -> None:
        self._out.write("".join([f'{{"type": "row", "data": {{{text}}}}}\n' for text in texts]))

    def table(self, table: Table) -> None:
        rows = ", ".join([f"{{{line}}}" for line in table.lines])
        self._out.write(f'{{"type": "table", "data": {{{quote(table.name)}: [{rows}]}}}}\n')

    def text(self, kind: Literal["time", "cat", "join", "syscall"], text: str) -> None:
        self._out.write(f'{{"type": "{kind}", "data": {quote(text)}}}\n')

    def screen(self) -> None:
        """There is no screen in JSON."""

    def message(self, kind: Literal["errorf", "warnf"], text: str, place: Place) -> None:
        if kind == "errorf" or self._warnings:
            where = f'"filename": {quote(place.file)}, "line": {place.line}, "col": {place.column}'
            self._out.write(f'{{"type": "{kind}", "msg": {quote(text)}, {where}}}\n')

    def map(self, dump: Dump) -> None:
        if not dump.entries:
            return
        write = self._out.write
        write(f'{{"type": "{dump.type}", "data": {{{quote(dump.name)}: ')
        if dump.scalar:
            write(f"{dump.entries[0][1]}}}}}\n")
            return
        between = "{"
        for start in range(0, len(dump.entries), _ENTRIES):
            part = dump.entries[start : start + _ENTRIES]
            write(between + ", ".join([f"{quote(key)}: {value}" for key, value in part]))
            between = ", "
        write("}}}\n")

    def attached(self, count: int) -> None:
        if not self._quiet:
            self._count("attached_probes", count, "probes")

    def line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def lost(self, count: int) -> None:
        self._count("lost_events", count, "events")

    def lost_in_all(self, count: int) -> None:
        self._out.idle()
        self._messages.tell(f"WARNING: Total lost event count: {count}")

    def warning(self, warn: Warn) -> None:
        what = f'"msg": {quote(warn.message)}, "count": {warn.count}'
        place = f'"filename": {quote(warn.file)}, "line": {warn.line}, "col": {warn.column}'
        self._out.write(f'{{"type": "runtime_error", {what}, {place}}}\n')

    def end(self, maps: bool) -> None:
        """Nothing marks the end in JSON."""

    def _count(self, kind: str, count: int, unit: str) -> None:
        self._out.write(f'{{"type": "{kind}", "count": {count}, "data": {{"{unit}": {count}}}}}\n')

    def flush(self) -> None:
        self._out.flush()

    def idle(self) -> None:
        self._out.idle()
