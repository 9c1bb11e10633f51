"""Positions and messages → what the user reads: one error form for every stage.

Two families: `ScriptError` is the user's, with a place in the script; `CompilerBug` is ours.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from lang.records import dataclass, field
from lang.source import Span

Severity = Literal["error", "warning"]
MAX_EXCERPT = 160
MAX_DIAGNOSTICS = 20  # what one reads; the rest are told after the next try


@dataclass(frozen=True)
class Diagnostic:
    """One message about one place, with hints below the underlined line.

    `lack` marks what the script is not at fault for: the kernel has no such probe.
    """

    severity: Severity
    span: Span
    message: str
    hints: tuple[str, ...] = ()
    lack: bool = False

    def render(self) -> str:
        """`file:line:col: error: message`, the source line, the span underlined, the hints."""
        head = f"{self.span}: {self.severity}: {self.message}"
        return "\n".join([head, *_excerpt(self.span), *(f"hint: {hint}" for hint in self.hints)])


def _excerpt(span: Span) -> list[str]:
    line, column = span.source.position(span.start)
    text = span.source.line(line)
    width = min(max(span.end - span.start, 1), max(len(text) - column + 1, 1))
    start = column - 1
    if len(text) > MAX_EXCERPT:
        cut = max(0, start - MAX_EXCERPT // 2)
        text, start = text[cut : cut + MAX_EXCERPT], start - cut
        width = min(width, MAX_EXCERPT - start)
    lead = "".join("\t" if char == "\t" else " " * _cells(char) for char in text[:start])
    shown = "".join(
        char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
    marked = sum(_cells(char) for char in text[start : start + width]) or 1
    return [shown, lead + "^" + "~" * (marked - 1)]


def _cells(char: str) -> int:
    """Columns of a terminal that a character takes."""
    if char.isascii():
        return 1
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class ScriptError(Exception):
    """The script is at fault, or this kernel cannot do what it asks: one or more diagnostics."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(item.render() for item in self.diagnostics))


class CompilerBug(Exception):
    """Something the earlier stages should have refused: a fault of ebt, never of the script."""

    def __init__(self, message: str, span: Span | None = None) -> None:
        self.span = span
        place = f"{span}: " if span is not None else ""
        super().__init__(f"{place}internal compiler error: {message}")


@dataclass
class Diagnostics:
    """A collector: stages report into it and go on, so that one run tells several mistakes."""

    found: list[Diagnostic] = field(default_factory=list)
    _told: set[tuple[str, str, int, int]] = field(default_factory=set)
    _count: Counter[Severity] = field(default_factory=Counter)

    def error(self, span: Span, message: str, *hints: str, lack: bool = False) -> None:
        self._add(Diagnostic("error", span, message, hints, lack))

    def warn(self, span: Span, message: str, *hints: str, lack: bool = False) -> None:
        self._add(Diagnostic("warning", span, message, hints, lack))

    @property
    def full(self) -> bool:
        """Whether there are as many errors as one run tells."""
        return self._count["error"] >= MAX_DIAGNOSTICS

    def _add(self, item: Diagnostic) -> None:
        """Keep the first message of a place: the others follow from it."""
        place = (item.severity, item.span.source.name, item.span.start, item.span.end)
        if place not in self._told and self._count[item.severity] < MAX_DIAGNOSTICS:
            self._told.add(place)
            self._count[item.severity] += 1
            self.found.append(item)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        wrong = [item for item in self.found if item.severity == "error"]
        wrong.sort(key=lambda item: item.span.start)
        return tuple(wrong)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(item for item in self.found if item.severity == "warning")

    def raise_errors(self) -> None:
        if self.errors:
            raise ScriptError(self.errors)


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def nearest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """A `did you mean` hint for a misspelled name, or nothing where no name is near."""
    from difflib import get_close_matches  # every start would pay for it

    close = get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=0.7)
    if not close:
        return ()
    return ("did you mean " + " or ".join(f"'{item}'" for item in close) + "?",)
