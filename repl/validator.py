"""A piece of input that is about to be run → nothing, or the first thing that is wrong with it and where."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.validation import ValidationError, Validator

from lang.diagnostics import ScriptError


class ProgramValidator(Validator):
    """`check(text)` raises ScriptError; commands are not asked about. Other failures the run tells."""

    def __init__(self, check: Callable[[str], object], is_program: Callable[[str], bool]) -> None:
        self._check, self._is_program = check, is_program

    def validate(self, document: Document) -> None:
        """Raise ValidationError at the place of the first error."""
        if not document.text.strip() or not self._is_program(document.text):
            return
        try:
            self._check(document.text)
        except ScriptError as wrong:
            first = wrong.diagnostics[0]
            more = len(wrong.diagnostics) - 1
            words = "; ".join([first.message, *first.hints]) + (f" (and {more} more)" if more else "")
            inside = first.span.source.text == document.text
            raise ValidationError(first.span.start if inside else 0, words) from None
        except Exception:
            return
