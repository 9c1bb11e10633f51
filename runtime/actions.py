"""Records of the ring → what their statements do: one compiled handler for each emitting statement.

Handlers are made when the first record of their statement comes, so a start costs nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeVar

from codegen.plan import Event, Plan
from lang.diagnostics import CompilerBug
from lang.types import Array, size_of
from runtime.commands import read_file, run_command
from runtime.decode import RECORD_HEADER, Rows, stride_of
from runtime.formatters import strftime_now
from runtime.maps import Maps
from runtime.printf import printf_rows, value_rows
from runtime.ring import Run
from runtime.rows import column_widths, header, json_rows, text_rows
from runtime.text import Writer
from runtime.values import Values

Handler = Callable[[memoryview, Run], None]
_Shown = TypeVar("_Shown")


class Actions:
    """Executes events in the order of the ring. `exit_code` is set once a script called exit()."""

    def __init__(self, plan: Plan, values: Values, maps: Maps, writer: Writer) -> None:
        self._events = {event.site: event for event in plan.events}
        self._values, self._maps, self._writer = values, maps, writer
        self._handlers: dict[int, Handler] = {}
        self._cat_bytes = plan.settings.max_cat_bytes
        self._headers: set[str] = set()
        self.folded_text = True  # whether folded() is to print
        self.exit_code: int | None = None

    @property
    def exited(self) -> bool:
        """Whether the script called exit()."""
        return self.exit_code is not None

    def handle(self, data: memoryview, run: Run) -> bool:
        """Execute one run of records; True if the script called exit()."""
        handler = self._handlers.get(run.site)
        if handler is None:
            handler = self._handlers[run.site] = self._make(run.site)
        handler(data, run)
        return self.exit_code is not None

    def _make(self, site: int) -> Handler:
        event = self._events.get(site)
        if event is None:
            raise CompilerBug(f"a record of site {site}, which the plan does not have")
        match event.action:
            case "printf":
                return partial(_print_rows, printf_rows(event, self._values), self._writer.printf)
            case "print_value":
                return partial(_print_rows, value_rows(event, self._values), self._writer.values)
            case "emit":
                return self._emit(event)
            case "table":
                return partial(_repeat, partial(self._table, event))
            case "folded":
                return partial(_repeat, partial(self._folded, event))
            case "stacked":
                return partial(_repeat, partial(self._stacks, event, self._maps.stacked))
            case "print_map":
                return partial(_repeat, partial(self._print_map, event))
            case "cat" | "system" | "errorf" | "warnf":
                return partial(_each, printf_rows(event, self._values), partial(self._told, event))
            case "join":
                return partial(self._join, event)
            case "clear":
                return partial(_repeat, partial(self._maps.clear, event.map))
            case "zero":
                return partial(_repeat, partial(self._maps.zero, event.map))
            case "time":
                return partial(_repeat, lambda: self._writer.text("time", strftime_now(event.text)))
            case "screen":
                return partial(_repeat, self._writer.screen)
            case "exit":
                return partial(self._exit, event)

    def _emit(self, event: Event) -> Handler:
        """Rows; in text each header is printed once, above the first of its rows."""
        if self._writer.json:
            return partial(_print_rows, json_rows(event, self._values), self._writer.rows)
        widths = column_widths(event, self._columns)
        head = header(event, widths)
        if head not in self._headers:
            self._headers.add(head)
            self._writer.rows([head])
        return partial(_print_rows, text_rows(event, widths, self._values), self._writer.rows)

    @cached_property
    def _columns(self) -> int:
        """The terminal's, as it was at the first row: all rows of a run agree."""
        return self._writer.columns

    def _print_map(self, event: Event) -> None:
        dump = self._reading(event, lambda: self._maps.dump(event.map, event.top, event.div))
        if dump is not None:
            self._writer.map(dump)

    def _folded(self, event: Event) -> None:
        """Lines for programs that make pictures."""
        if self.folded_text:
            self._stacks(event, self._maps.folded)
        else:
            self._reading(event, lambda: None)

    def _stacks(self, event: Event, lines: Callable[[Event], list[str]]) -> None:
        """A map of stacks in lines of its own; JSON has the map itself."""
        if self._writer.json:
            self._print_map(event)
        else:
            self._writer.rows(self._reading(event, lambda: lines(event)))

    def _told(self, event: Event, text: str) -> None:
        """What is done with the text of a format that is not simply printed."""
        match event.action:
            case "cat":
                self._cat(event, text)
            case "system":
                self._writer.text("syscall", run_command(text))
            case "errorf" | "warnf":
                self._writer.message(event.action, text, event.place)

    def _cat(self, event: Event, path: str) -> None:
        """A file's text on the output; why there is none on standard error, as bpftrace has it."""
        try:
            text = read_file(path, self._cat_bytes)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._writer.message("errorf", f"failed to open file '{path}': {reason}", event.place)
        else:
            self._writer.text("cat", text)

    def _join(self, event: Event, data: memoryview, run: Run) -> None:
        stride = stride_of(event.size)
        for start in range(run.start, run.start + run.records * stride, stride):
            self._writer.text("join", joined(event, data, start + RECORD_HEADER))

    def _table(self, event: Event) -> None:
        self._writer.table(self._reading(event, lambda: self._maps.table(event)))

    def _reading(self, event: Event, show: Callable[[], _Shown]) -> _Shown:
        """Read a map, or take what it holds where the script clears it next."""
        return self._maps.take(event.map, show) if event.takes else show()

    def _exit(self, event: Event, data: memoryview, run: Run) -> None:
        if self.exit_code is None:
            self.exit_code = _number(event, data, run.start)


def _print_rows(rows: Rows, write: Callable[[list[str]], None], data: memoryview, run: Run) -> None:
    if run.records == 1:
        write([rows.one(data, run.start)])
    else:
        write(rows.many(data[run.start : run.end]))


def _each(rows: Rows, act: Callable[[str], None], data: memoryview, run: Run) -> None:
    for text in rows.many(data[run.start : run.end]):
        act(text)


def joined(event: Event, data: memoryview, at: int) -> str:
    """The strings of join's record, `text` between them."""
    count, texts = event.fields
    size = size_of(texts.type.of) if isinstance(texts.type, Array) else 0
    number = int.from_bytes(data[at + count.offset : at + count.offset + 4], "little")
    first = at + texts.offset
    parts = [bytes(data[start : start + size]) for start in range(first, first + number * size, size)]
    return event.text.join([part.partition(b"\0")[0].decode("utf-8", "surrogateescape") for part in parts])


def _repeat(action: Callable[[], None], _data: memoryview, run: Run) -> None:
    for _ in range(run.records):
        action()


def _number(event: Event, data: memoryview, start: int) -> int:
    """The event's only field as a number, 0 if it has none; fields of all sizes are little-endian."""
    if not event.fields:
        return 0
    at = start + RECORD_HEADER + event.fields[0].offset
    return int.from_bytes(data[at : at + size_of(event.fields[0].type)], "little", signed=True)
