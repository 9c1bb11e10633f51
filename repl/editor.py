"""A text → the same text after the user's editor had it."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile


def edit(text: str) -> str | None:
    """Open $VISUAL, $EDITOR or vi on the text; what was written, None where that failed."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", suffix=".ebt", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        try:
            status = subprocess.run([*shlex.split(editor), file.name], check=False).returncode
        except (OSError, ValueError):
            return None
        if status:
            return None
        with open(file.name, encoding="utf-8", errors="surrogateescape") as written:
            return written.read()
