"""Source → ast.Script, by the tables of grammar.lark; of a text that is no script, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module

from lang import ast
from lang.builder import Builder
from lang.diagnostics import CompilerBug, Diagnostic, Diagnostics, ScriptError
from lang.macros import expand_macros, merge
from lang.preprocess import Define, preprocess
from lang.reading import read
from lang.source import Source, Span
from lang.syntax_errors import explain
from lang.tables import END, lark

MAX_CHARACTERS = 48 << 10
MAX_DEPTH = 200
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


Load = Callable[[ast.Import], tuple[Source, ...]]


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
    tree = read(prepared.text, "script")
    if tree is None:
        raise ScriptError([_syntax_error(source, prepared.text)])
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
    tree = read(" " * at + define.text, "value")
    try:
        node: ast.Expression | None = Builder(source).build(tree) if tree is not None else None
    except ScriptError:
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
        waiting += [(child, depth + 1) for child in ast.children(node)]


def _syntax_error(source: Source, text: str) -> Diagnostic:
    """What Lark says of a text that is no script, in the user's terms."""
    errors = import_module("lark.exceptions")  # hardly ever needed
    end = len(source.text.rstrip())
    try:
        lark().parse(text, start="script")
    except errors.UnexpectedToken as wrong:
        at = end if wrong.token.type == END else wrong.token.start_pos or 0
        return explain(source, at, set(wrong.accepts or wrong.expected))
    except errors.UnexpectedEOF as wrong:
        return explain(source, end, set(wrong.expected))
    except errors.UnexpectedCharacters as wrong:
        return explain(source, wrong.pos_in_stream or 0, set(wrong.allowed or ()))
    raise CompilerBug("a text that Lark reads was not read")
