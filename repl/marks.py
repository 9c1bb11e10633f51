"""Attach points that cannot be attached → underlined as they are typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from repl.status import Status


class MarkRefused(Processor):
    """Adds a style to the characters of attach points that this kernel refuses."""

    def __init__(self, statuses: Callable[[], Sequence[Status]]) -> None:
        self._statuses = statuses

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """One line of the buffer, restyled."""
        start = transformation_input.document.translate_row_col_to_index(transformation_input.lineno, 0)
        refused = [(item.start - start, item.end - start) for item in self._statuses() if not item.works]
        if not refused:
            return Transformation(transformation_input.fragments)
        fragments: StyleAndTextTuples = explode_text_fragments(transformation_input.fragments)
        for index, (style, char, *_) in enumerate(list(fragments)):
            if any(first <= index < last for first, last in refused):
                fragments[index] = (f"{style} class:refused", char)
        return Transformation(fragments)
