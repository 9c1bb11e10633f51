"""What the parser saw and what it could have taken → a message in the user's terms."""

from __future__ import annotations

import re

from lang.diagnostics import Diagnostic
from lang.source import Span

_VALUE_STARTS = {"INTEGER", "STRING", "NAME", "VARIABLE", "MAP"}
_NOT_YET = {
    "while": "loops with 'while'", "for": "'for' loops", "macro": "macros", "fn": "functions",
    "import": "imports", "break": "loops", "continue": "loops",
}  # fmt: skip


def explain(span: Span, seen: str, expected: set[str]) -> Diagnostic:
    """One diagnostic for one unexpected token; `seen` is empty at the end of the script."""
    before = span.source.text[: span.start].rstrip()
    if not before and not seen:
        return Diagnostic(
            "error", span, "the script is empty", ("a script has at least one probe: begin { … }",)
        )
    if seen == '"':
        return Diagnostic("error", span, "unterminated string", ('a string ends with " on the same line',))
    message = _missing(before, seen, expected)
    hints: tuple[str, ...] = ()
    if seen == "'":
        message, hints = 'unexpected "\'"', ('strings are written with double quotes: "text"',)
    elif seen == "=" and "EQUAL" in expected:
        hints = ("'==' compares; only $variables and @maps can be assigned to",)
    elif seen in _NOT_YET and "PROVIDER" not in expected:
        message = f"{_NOT_YET[seen]} are not supported"
    if seen and not seen.isprintable():
        message = f"unexpected character U+{ord(seen[0]):04X}"
    return Diagnostic("error", span, message, hints)


def _missing(before: str, seen: str, expected: set[str]) -> str:
    shown = f"'{seen[:40]}'" if seen else "the end of the script"
    if "PROVIDER" in expected and "SEMICOLON" not in expected:
        if re.search(r"[\w*]$", before) and "LBRACE" in expected:
            return f"expected a probe's body '{{' before {shown}"
        return f"expected a probe before {shown}"
    if not seen:
        opened = before.count("{") - before.count("}")
        return "the script ends inside a block: '}' is missing" if opened > 0 else "the script ends too early"
    if "SEMICOLON" in expected and not expected >= _VALUE_STARTS and not _operand_missing(before):
        return f"expected ';' or an operator before {shown}"
    if expected >= _VALUE_STARTS:
        return f"expected a value before {shown}"
    if "RPAR" in expected and "COMMA" in expected:
        return f"expected ',' or ')' before {shown}"
    if "RPAR" in expected:
        return f"expected ')' before {shown}"
    if "RSQB" in expected:
        return f"expected ']' before {shown}"
    if "LBRACE" in expected:
        return f"expected '{{' before {shown}"
    if expected == {"NAME"}:
        return f"expected a name before {shown}"
    return f"unexpected {shown}"


def _operand_missing(before: str) -> bool:
    return bool(re.search(r"[-+*/%&|^=<>!~?:,(\[]$", before))
