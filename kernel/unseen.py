"""BTF and a recorded kernel → tracepoint records where tracefs cannot be read, as by an ordinary user.

The record of an event is its class's `struct trace_event_raw_CLASS`. BTF does not say which class an event
has: it is the one of the event's own name (TRACE_EVENT), the only one made from the same prototype, or the
one with the fields that the recorded kernel's event has. Else the event is unknown: never a guess. System
calls have records of one fixed form (kernel/trace/trace_syscalls.c); the recorded kernel knows their names.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from kernel.match import is_pattern
from kernel.recorded import ProfileError, RecordedMachine, default_machine
from kernel.tracefs import parse_format
from kernel.typetable import TypeTable
from lang.machine import Field, Tracepoint
from lang.types import CHAR, Array, Struct, Type

_RECORD, _MADE, _DYNAMIC = "trace_event_raw_", "__bpf_trace_", "__data_loc_"


class UnseenTracepoints:
    """Tracepoints of a kernel with these types; `id` is always 0."""

    def __init__(
        self, types: TypeTable, open_known: Callable[[], RecordedMachine] = default_machine
    ) -> None:
        self._types = types
        self._open_known = open_known

    @cached_property
    def _known(self) -> RecordedMachine | None:
        try:
            return self._open_known()
        except ProfileError:
            return None

    def match(self, category: str, name: str) -> tuple[tuple[str, str], ...]:
        """(category, name) of the tracepoints that two `*` patterns match, sorted.

        A pattern finds those of the recorded kernel that this kernel has too.
        """
        if not is_pattern(category) and not is_pattern(name):
            return ((category, name),) if self.tracepoint(category, name) is not None else ()
        if self._known is None:
            return ()
        here = set(self._types.raw_tracepoints())
        pairs = self._known.tracepoints(category, name)
        return tuple(pair for pair in pairs if pair[0] == "syscalls" or pair[1] in here)

    def tracepoint(self, category: str, name: str) -> Tracepoint | None:
        """The record of one tracepoint, or None where it is not certain."""
        text = self._known.tracepoint_format(category, name) if self._known is not None else None
        known = parse_format(category, name, text, self._types) if text is not None else None
        if category == "syscalls":
            return known
        record = self._record(name, known)
        return Tracepoint(category, name, self._fields(record, known)) if record is not None else None

    def _record(self, name: str, known: Tracepoint | None) -> Struct | None:
        arguments = self._types.raw_tracepoint(name)
        if arguments is None:
            return None
        own = self._types.struct("struct", _RECORD + name)
        if own is not None:
            return own
        records = self._classes.get(tuple(item.type for item in arguments), [])
        if len(records) == 1:
            return records[0]
        names = [item.name for item in known.fields] if known is not None else []
        alike = [item for item in records if [field.name for field in self._fields(item, known)] == names]
        layouts = {self._fields(item, known) for item in alike}
        return alike[0] if len(layouts) == 1 else None

    @cached_property
    def _classes(self) -> dict[tuple[Type, ...], list[Struct]]:
        """Types of a prototype → records of the classes made from it."""
        found: dict[tuple[Type, ...], list[Struct]] = {}
        for name in self._types.names_starting(_MADE):
            made = self._types.function(name)
            record = self._types.struct("struct", _RECORD + name.removeprefix(_MADE))
            if made is not None and record is not None:
                found.setdefault(tuple(item.type for item in made.parameters[1:]), []).append(record)
        return found

    def _fields(self, record: Struct, known: Tracepoint | None) -> tuple[Field, ...]:
        """The record's members after the common header; `known` says what data_loc fields hold."""
        dynamic = {item.name: item.type for item in known.fields if item.data_loc} if known else {}
        fields = []
        for item in self._types.fields(record):
            if item.name in ("ent", "__data"):
                continue
            if item.name.startswith(_DYNAMIC):
                name = item.name.removeprefix(_DYNAMIC)
                item = Field(name, dynamic.get(name, Array(CHAR, 0)), item.offset, data_loc=True)
            fields.append(item)
        return tuple(fields)
