"""Source → ast.Script, by Lark from grammar.lark; Lark's own trees and tokens stay in here."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Any

from lark import Lark
from lark import __version__ as lark_version
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from lang import ast, cachefile
from lang.builder import Builder
from lang.diagnostics import Diagnostic, Diagnostics, ScriptError
from lang.macros import expand_macros, merge
from lang.preprocess import Define, preprocess
from lang.source import Source, Span
from lang.syntax_errors import explain

MAX_CHARACTERS = 48 << 10
MAX_DEPTH = 200
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


Load = Callable[[ast.Import], tuple[Source, ...]]


@lru_cache(maxsize=1)
def _parser() -> Lark:
    """The parser; its tables (0.2 s to make) are kept in the cache."""
    text = resources.files("lang").joinpath("grammar.lark").read_text("utf-8")
    key = f"{lark_version} {sys.version} {hashlib.sha256(text.encode()).hexdigest()}"
    stored = cachefile.load("parser", key)
    if stored is not None:
        return _shortened(Lark.load(io.BytesIO(stored)))
    parser = Lark(
        text, parser="lalr", start=["script", "value"], propagate_positions=True, maybe_placeholders=False
    )
    tables = io.BytesIO()
    parser.save(tables)
    cachefile.store("parser", key, tables.getvalue())
    return _shortened(parser)


def _shortened(parser: Lark) -> Lark:
    """Leave out the trees between the levels of precedence, which Lark would dissolve in the next one."""
    callbacks = parser.parser.parser.parser.callbacks
    for rule in callbacks:
        inner = rule.expansion[0] if len(rule.expansion) == 1 else None
        if inner is not None and not inner.is_term and inner.name.startswith("_"):
            if rule.origin.name.startswith("_") and rule.alias is None:
                callbacks[rule] = _first
    return parser


def _first(children: list[Any]) -> Any:
    return children[0]


def parse(source: Source, load: Load | None = None, before: Source | None = None) -> ast.Script:
    """The script's tree with what it imports; macros, functions and #define names are expanded.

    `load` reads an imported file, once. What `before` defines is defined in the script too. Raises
    ScriptError for what is no script.
    """
    script, defines = _with_imports(source, load)
    if before is not None:
        other, others = _with_imports(before, load)
        script, defines = merge(other, script), {**others, **defines}
    script = expand_macros(script, {name: _define_value(item) for name, item in defines.items()})
    _refuse_deep(script)
    return script


def _with_imports(source: Source, load: Load | None) -> tuple[ast.Script, dict[str, Define]]:
    """The script, and in front of its own items those of the files that it imports."""
    script, defines = parse_file(source)
    for node in script.imports:
        if load is None:
            raise ScriptError([Diagnostic("error", node.span, "nothing can be imported here")])
        for found in load(node):
            other, others = _with_imports(found, load)
            if other.config is not None:
                message = "a config block stands in the script itself, not in what it imports"
                raise ScriptError([Diagnostic("error", other.config.span, message)])
            script, defines = merge(other, script), {**others, **defines}
    return script, defines


def parse_file(source: Source) -> tuple[ast.Script, dict[str, Define]]:
    """One file as it is written, and its #define names."""
    _refuse_unreadable(source)
    found = Diagnostics()
    prepared = preprocess(source, found)
    found.raise_errors()
    try:
        tree = _parser().parse(prepared.text, start="script")
    except UnexpectedInput as wrong:
        raise ScriptError([_syntax_error(source, wrong)]) from None
    script: ast.Script = Builder(source).build(tree)
    _refuse_deep(script)
    return script, prepared.defines


def _define_value(define: Define) -> ast.Expression | None:
    """The expression that a #define stands for; None for one without a value, or that is no expression."""
    at = define.span.source.text.find(define.text, define.span.start)
    if not define.text or at < 0:
        return None
    # Blanks in front keep the positions of the script.
    source = define.span.source
    try:
        tree = _parser().parse(" " * at + define.text, start="value")
        node: ast.Expression = Builder(source).build(tree)
    except (UnexpectedInput, ScriptError):
        return None
    return node


def _refuse_unreadable(source: Source) -> None:
    text = source.text
    if len(text) > MAX_CHARACTERS:
        message = f"the script has {len(text)} characters: the limit is {MAX_CHARACTERS}"
        raise ScriptError([Diagnostic("error", Span(source, 0, 0), message)])
    bad = _NO_TEXT.search(text)
    if bad is not None:
        message = "this is not text: a script is UTF-8"
        raise ScriptError([Diagnostic("error", Span(source, bad.start(), bad.end()), message)])


def _refuse_deep(script: ast.Script) -> None:
    """Later stages recurse: bound the depth here, where it costs one walk without recursion."""
    waiting: list[tuple[ast.Node, int]] = [(script, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            message = f"nested too deeply: the limit is {MAX_DEPTH} levels"
            raise ScriptError(
                [Diagnostic("error", Span(node.span.source, node.span.start, node.span.start + 1), message)]
            )
        waiting.extend((child, depth + 1) for child in ast.children(node))


def _syntax_error(source: Source, wrong: UnexpectedInput) -> Diagnostic:
    end = len(source.text.rstrip())
    if isinstance(wrong, UnexpectedToken):
        expected = set(wrong.accepts or wrong.expected)
        at = end if wrong.token.type == "$END" else wrong.token.start_pos or 0
        return explain(source, at, expected)
    if isinstance(wrong, UnexpectedEOF):
        return explain(source, end, set(wrong.expected))
    allowed = set(wrong.allowed or ()) if isinstance(wrong, UnexpectedCharacters) else set()
    return explain(source, wrong.pos_in_stream or 0, allowed)  # type: ignore[redundant-expr]
