"""Keys of the prompt: Enter asks whether the text is complete, F4 changes between Emacs and vi keys."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import completion_is_selected, has_focus
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

DEFAULT_BUFFER = "DEFAULT_BUFFER"


def key_bindings(is_complete: Callable[[str], bool]) -> KeyBindings:
    """The bindings beyond prompt_toolkit's own."""
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER) & completion_is_selected)
    def take_completion(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER) & ~completion_is_selected)
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        at_end = not buffer.document.text_after_cursor.strip()
        if not at_end or is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=True)
            opened = buffer.document.text_before_cursor.rstrip().endswith("{")
            if opened:
                buffer.insert_text("    ")

    @keys.add("}", filter=has_focus(DEFAULT_BUFFER))
    def close_brace(event: KeyPressEvent) -> None:
        """A brace alone on its line stands one step further left."""
        buffer = event.current_buffer
        line = buffer.document.current_line_before_cursor
        if line and not line.strip():
            buffer.delete_before_cursor(min(4, len(line)))
        buffer.insert_text("}")

    @keys.add("escape", "enter", filter=has_focus(DEFAULT_BUFFER))
    def newline(event: KeyPressEvent) -> None:
        event.current_buffer.newline()

    @keys.add("f4")
    def change_mode(event: KeyPressEvent) -> None:
        vi = event.app.editing_mode == EditingMode.VI
        event.app.editing_mode = EditingMode.EMACS if vi else EditingMode.VI

    return keys
