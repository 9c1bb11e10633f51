"""What the parser saw and what it could have taken → a message in the user's terms."""

from __future__ import annotations

import re

from lang.diagnostics import Diagnostic
from lang.source import Source, Span

# Words that are no names: in a value they are mistakes, at a statement's start they say what was meant.
NOT_YET = {
    "typeinfo": "'typeinfo' is unstable in bpftrace and not to be had here: "
    "is_ptr(x), is_str(x), is_integer(x) and is_array(x) ask for a type",
}  # fmt: skip
RESERVED = {
    *NOT_YET,
    "while", "for", "break", "continue", "macro", "typeof", "comptime", "if", "else", "unroll",
    "return", "let", "sizeof", "offsetof", "true", "false", "struct", "union", "enum",
    "fn", "import",
}  # fmt: skip
_VALUE_STARTS = {"INTEGER", "STRING", "NAME", "VARIABLE", "MAP"}
_TOKEN = re.compile(
    r"""[@$]?\w+|\$\#|"(?:\\.|[^"\\\n])*"?|\+\+|--|->|&&|\|\||[=!<>]=|<<|>>|\.\.|/\*|\S|""", re.DOTALL
)
_NAMED = {
    "COMMA": "','", "COLON": "':'", "LBRACE": "'{'", "RPAR": "')'", "RSQB": "']'", "SEMICOLON": "';'",
    "LPAR": "'('", "__ANON_0": "'='", "NAME": "a name", "INTEGER": "a number", "VARIABLE": "a $variable",
    "MAP": "a @map", "STRING": "a string", "_PREDICATE_END": "'/' at the predicate's end",
}  # fmt: skip
_AFTER_PROBE = {"COLON", "COMMA", "LBRACE", "SLASH", "OR", "QUESTION"}


def explain(source: Source, start: int, expected: set[str]) -> Diagnostic:
    """One diagnostic for the token at an offset, which cannot stand there; `expected` are Lark's names."""
    if expected - {"LPAR"} == _AFTER_PROBE:  # a prototype may stand there: hardly what was meant
        expected = _AFTER_PROBE
    found = _TOKEN.match(source.text, start)
    seen = found[0] if found else ""
    span = Span(source, start, start + len(seen))
    before = source.text[:start].rstrip()
    message, hint = (
        _lexical(before, seen, expected)
        or _known_mistake(before, seen, expected)
        or (_missing(before, seen, expected), "")
    )
    if message.startswith("unexpected character"):
        span = Span(source, start, start + 1)
    return Diagnostic("error", span, message, (hint,) if hint else ())


def _lexical(before: str, seen: str, expected: set[str]) -> tuple[str, str] | None:
    """Nothing at all, or characters that begin no token."""
    if not seen and not _without_comments(before):
        return "the script is empty", "a script has at least one probe: begin { … }"
    if seen.startswith('"') and (len(seen) == 1 or not seen.endswith('"')):
        return "unterminated string", 'a string ends with " on the same line'
    if seen == "/*":
        return "unterminated comment", "a comment ends with */"
    if seen == "'":
        return 'unexpected "\'"', 'strings are written with double quotes: "text"'
    if seen and not seen.isprintable():
        return f"unexpected character U+{ord(seen[0]):04X}", ""
    return None


def _known_mistake(before: str, seen: str, expected: set[str]) -> tuple[str, str] | None:
    """What stands in front tells what was meant."""
    root, word = "PROVIDER" in expected or expected == _AFTER_PROBE, _statement_word(before)
    if word == "let" and expected == {"MAP"}:
        return "root-level let statements need to be map declarations, e.g. let @a = hash(2)", ""
    if word in NOT_YET and (expected != {"NAME"} or root):
        return NOT_YET[word], ""
    if expected == _AFTER_PROBE and "/" in before.split()[-1:][0].split(":")[-1] and seen != "{":
        return f"expected '{{' before {_shown(seen)}", "a predicate stands after a space: probe /…/ { … }"
    if (
        word == "if"
        and "LBRACE" in expected
        and seen
        and not seen[0].isalnum()
        and "PROVIDER" not in expected
    ):
        return f"expected '{{' before {_shown(seen)}", "write the whole condition in brackets: if (…) { … }"
    if seen in ("++", "--") and "PLUS" in expected:
        hint = "it steps $variables and @maps; a field of a map's record only as a statement: @m[k].f++;"
        return f"unexpected '{seen}'", hint
    if seen == "=" and {"EQUAL", "SEMICOLON"} & expected and "__ANON_0" not in expected:
        what = "expected ';' or an operator before '='" if "SEMICOLON" in expected else "unexpected '='"
        return what, "'==' compares; only $variables and @maps can be assigned to"
    return None


def _missing(before: str, seen: str, expected: set[str]) -> str:
    shown = _shown(seen)
    if expected == _AFTER_PROBE:
        return f"expected a probe's body '{{' before {shown}"
    if "PROVIDER" in expected:
        return f"expected a probe before {shown}"
    if not seen:
        opened = before.count("{") - before.count("}")
        return "the script ends inside a block: '}' is missing" if opened > 0 else "the script ends too early"
    if expected >= _VALUE_STARTS:
        return f"expected a value before {shown}"
    if "SEMICOLON" in expected:
        return f"expected ';' or an operator before {shown}"
    after_value = "PLUS" in expected
    wanted = [
        text for name, text in _NAMED.items()
        if name in expected and not (after_value and name in ("LPAR", "__ANON_0"))
    ]
    if 1 <= len(wanted) <= 4:
        return f"expected {' or '.join(wanted)} before {shown}"
    return f"unexpected {shown}"


def _shown(seen: str) -> str:
    return f"'{seen[:40]}'" if seen else "the end of the script"


def _statement_word(before: str) -> str:
    """The first word of the statement, or of the root item, that the text ends in."""
    start = max(before.rfind(";"), before.rfind("{"), before.rfind("}")) + 1
    found = re.match(r"\s*(\w+)", before[start:])
    return found[1] if found else ""


def _without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/|#![^\n]*", "", text, flags=re.DOTALL).strip()
