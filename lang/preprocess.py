"""Source → the same text with its # lines blanked, and what they defined: positions stay as they are.

A script's C part may hold `#define NAME value`, `#include`, and conditionals, chiefly
`#ifndef BPFTRACE_HAVE_BTF` around headers and structs that BTF makes needless. Kernel headers are never
read: BTF has their types. A file in quotes is read through the search path that the caller gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lang.diagnostics import Diagnostics, nearest
from lang.records import dataclass, field
from lang.source import Source, Span

PREDEFINED = {"BPFTRACE_HAVE_BTF": "1"}
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(\w+)?((?:[^\n\\]|\\.|\\\n)*)$", re.MULTILINE)
_DEFINE = re.compile(r"\s+([A-Za-z_]\w*)(\([^)]*\))?[ \t]*(.*)", re.DOTALL)
_INCLUDE = re.compile(r"\s*(?:<([^>]+)>|\"([^\"]+)\")\s*$")
_KNOWN = ("define", "undef", "include", "if", "ifdef", "ifndef", "elif", "else", "endif", "pragma", "error")


@dataclass(frozen=True)
class Define:
    """`#define name value`: the value's text and where it stands."""

    name: str
    text: str
    span: Span


@dataclass(frozen=True)
class Preprocessed:
    """`text` has the source's length and lines; `included` are the quoted files, in order."""

    text: str
    defines: dict[str, Define]
    included: tuple[tuple[str, Span], ...] = ()


@dataclass
class _State:
    """The conditionals that are open: each (is this branch kept, was one kept already)."""

    source: Source
    found: Diagnostics
    defines: dict[str, Define] = field(default_factory=dict)
    included: list[tuple[str, Span]] = field(default_factory=list)
    open: list[tuple[bool, bool, Span]] = field(default_factory=list)

    @property
    def keeping(self) -> bool:
        return all(kept for kept, _, _ in self.open)

    def is_defined(self, name: str) -> bool:
        return name in self.defines or name in PREDEFINED


def preprocess(source: Source, found: Diagnostics) -> Preprocessed:
    """Carry out the # lines. What is wrong with one is reported at its place."""
    state = _State(source, found)
    out: list[str] = []
    at = 0
    text = source.text
    for directive in _DIRECTIVE.finditer(text):
        if directive.start() < at or _in_comment(text, directive.start()):
            continue
        if directive[1] is None and directive[0].lstrip().startswith("#!"):
            continue  # the interpreter line, a comment to the grammar
        out.append(_kept(text[at : directive.start()], state.keeping))
        _carry_out(state, directive)
        out.append(_blank(directive[0]))
        at = directive.end()
    out.append(_kept(text[at:], state.keeping))
    for _, _, span in state.open:
        found.error(span, "this conditional has no #endif")
    return Preprocessed("".join(out), state.defines, tuple(state.included))


def _in_comment(text: str, at: int) -> bool:
    opened = text.rfind("/*", 0, at)
    return opened >= 0 and text.find("*/", opened + 2, at) < 0


def _kept(text: str, keeping: bool) -> str:
    return text if keeping else _blank(text)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _carry_out(state: _State, directive: re.Match[str]) -> None:
    word, rest = directive[1] or "", directive[2].replace("\\\n", "  ")
    span = Span(state.source, directive.start(), directive.start() + len(directive[0].rstrip()))
    handler = _HANDLERS.get(word)
    if handler is not None:
        handler(state, rest, span)
    elif state.keeping and word not in ("pragma", ""):
        known = nearest(word, _KNOWN) or ("# lines: " + " ".join(_KNOWN),)
        state.found.error(span, f"unknown directive '#{word}'", *known)


def _define(state: _State, rest: str, span: Span) -> None:
    if not state.keeping:
        return
    found = _DEFINE.match(rest)
    if found is None:
        state.found.error(span, "#define needs a name", "#define NAME value")
    elif found[2] is not None:
        hint = "write a macro: macro name(x) { … }"
        state.found.error(span, "a #define with parameters is not supported", hint)
    else:
        value = re.sub(r"/\*.*?\*/|//.*", "", found[3], flags=re.DOTALL).strip()
        state.defines[found[1]] = Define(found[1], value, span)


def _undef(state: _State, rest: str, span: Span) -> None:
    if state.keeping:
        state.defines.pop(rest.strip(), None)


def _include(state: _State, rest: str, span: Span) -> None:
    if not state.keeping:
        return
    found = _INCLUDE.match(rest)
    if found is None:
        state.found.error(span, "#include needs a file", '#include <linux/fs.h> or #include "file.h"')
    elif found[2] is not None:
        state.included.append((found[2], span))


def _if(state: _State, rest: str, span: Span) -> None:
    kept = state.keeping and _condition(state, rest, span)
    state.open.append((kept, kept, span))


def _ifdef(state: _State, rest: str, span: Span) -> None:
    kept = state.is_defined(rest.strip())
    state.open.append((kept, kept, span))


def _ifndef(state: _State, rest: str, span: Span) -> None:
    kept = not state.is_defined(rest.strip())
    state.open.append((kept, kept, span))


def _elif(state: _State, rest: str, span: Span) -> None:
    if not state.open:
        state.found.error(span, "#elif without #if")
        return
    _, before, start = state.open.pop()
    kept = not before and state.keeping and _condition(state, rest, span)
    state.open.append((kept, before or kept, start))


def _else(state: _State, rest: str, span: Span) -> None:
    if not state.open:
        state.found.error(span, "#else without #if")
        return
    _, before, start = state.open.pop()
    state.open.append((not before, True, start))


def _endif(state: _State, rest: str, span: Span) -> None:
    if not state.open:
        state.found.error(span, "#endif without #if")
        return
    state.open.pop()


def _error(state: _State, rest: str, span: Span) -> None:
    if state.keeping:
        state.found.error(span, rest.strip() or "#error")


def _condition(state: _State, text: str, span: Span) -> bool:
    """`#if`: defined(NAME), numbers, !, && and ||; other names count as 0, as in C."""
    plain = re.sub(
        r"defined\s*(?:\(\s*(\w+)\s*\)|(\w+))", lambda m: str(int(state.is_defined(m[1] or m[2]))), text
    )
    words = re.findall(r"\w+|&&|\|\||\S", plain)
    try:
        value = _either(state, words)
        if words:
            raise ValueError(words[0])
        return value
    except (ValueError, IndexError) as wrong:
        state.found.error(span, f"this #if cannot be understood: {wrong}", "defined(NAME), !, && and || are")
        return False


def _either(state: _State, words: list[str]) -> bool:
    value = _both(state, words)
    while words and words[0] == "||":
        words.pop(0)
        value = _both(state, words) or value
    return value


def _both(state: _State, words: list[str]) -> bool:
    value = _single(state, words)
    while words and words[0] == "&&":
        words.pop(0)
        value = _single(state, words) and value
    return value


def _single(state: _State, words: list[str]) -> bool:
    word = words.pop(0)
    if word == "!":
        return not _single(state, words)
    if word == "(":
        value = _either(state, words)
        if words.pop(0) != ")":
            raise ValueError("')' is missing")
        return value
    if not word.replace("_", "a").isalnum():
        raise ValueError(f"'{word}'")
    if word in state.defines:
        word = state.defines[word].text
    return word.isdigit() and int(word) != 0  # a name that is not defined counts as 0, as in C


_HANDLERS: dict[str, Callable[[_State, str, Span], None]] = {
    "define": _define, "undef": _undef, "include": _include, "if": _if, "ifdef": _ifdef, "ifndef": _ifndef,
    "elif": _elif, "else": _else, "endif": _endif, "error": _error,
}  # fmt: skip
