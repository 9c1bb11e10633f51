"""Suggestions → prompt_toolkit's completions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from repl.suggest import Knowledge, suggest

_ABOUT = 60


class SuggestCompleter(Completer):
    """Asks `suggest` with what is known at the moment."""

    def __init__(self, known: Callable[[bool], Knowledge]) -> None:
        self._known = known

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What may stand at the cursor."""
        known = self._known(complete_event.completion_requested)
        for item in suggest(document.text, document.cursor_position, known):
            yield Completion(item.text, -item.back, display_meta=item.about[:_ABOUT])
