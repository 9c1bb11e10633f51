"""Program text → whether it ends, or more is to come: asked of the parser, not of brackets."""

from __future__ import annotations

from lang.diagnostics import ScriptError
from lang.parser import parse_file
from lang.source import Source


def is_complete(text: str) -> bool:
    """False where the parser came to the end and wanted more; True for good text, and for wrong text."""
    stripped = text.rstrip()
    if not stripped:
        return True
    if stripped.count("/*") > stripped.count("*/"):
        return False
    try:
        parse_file(Source("input", text))
    except ScriptError as wrong:
        return wrong.diagnostics[0].span.start < len(stripped)
    return True
