"""Source → ast.Script, by Lark from grammar.lark; Lark's own trees and tokens stay in here."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from typing import Any, NoReturn

from lark import Lark, Token, Tree
from lark import __version__ as lark_version
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken
from lark.tree import Meta

from lang import ast, cachefile
from lang.diagnostics import Diagnostic, ScriptError
from lang.literals import parse_integer, parse_string
from lang.source import Source, Span
from lang.syntax_errors import NOT_YET, RESERVED, explain

MAX_CHARACTERS = 64 << 10
MAX_DEPTH = 200
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class _Builder:
    """Rule by rule, Lark's children → our nodes."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def build(self, tree: Tree[Token]) -> Any:
        """The node of the whole tree, bottom up and without recursion."""
        built: dict[int, Any] = {}
        result: Any = None
        for subtree in tree.iter_subtrees():
            items = [built[id(item)] if isinstance(item, Tree) else item for item in subtree.children]
            result = getattr(self, str(subtree.data))(subtree.meta, items)
            built[id(subtree)] = result
        return result

    def span(self, meta: Meta) -> Span:
        if meta.empty:
            return Span(self.source, 0, 0)
        return Span(self.source, meta.start_pos, meta.end_pos)

    def token_span(self, token: Token) -> Span:
        return Span(self.source, token.start_pos or 0, token.end_pos or 0)

    def fail(self, span: Span, message: str) -> NoReturn:
        raise ScriptError([Diagnostic("error", span, message)])

    def script(self, meta: Meta, items: list[Any]) -> ast.Script:
        configs = [item for item in items if isinstance(item, ast.Config)]
        if len(configs) > 1:
            self.fail(configs[1].span, "duplicate config block")
        first = next((item for item in items if not isinstance(item, ast.Config)), None)
        if configs and first is not None and first.span.start < configs[0].span.start:
            self.fail(configs[0].span, "config must appear before probes and functions")
        return ast.Script(
            Span(self.source, 0, len(self.source.text)),
            configs[0] if configs else None,
            tuple(item for item in items if isinstance(item, ast.Declaration)),
            tuple(item for item in items if isinstance(item, ast.Probe)),
        )

    def config(self, meta: Meta, items: list[Any]) -> ast.Config:
        return ast.Config(self.span(meta), tuple(items))

    def setting(self, meta: Meta, items: list[Token]) -> ast.Setting:
        name, value = items
        span = self.token_span(value)
        plain: str | int = str(value)
        if value.type == "INTEGER":
            plain = self._integer(span, value)
        elif value.type == "STRING":
            plain = self._string(span, value)
        return ast.Setting(self.span(meta), str(name), plain, span)

    def declaration(self, meta: Meta, items: list[Any]) -> ast.Declaration:
        return ast.Declaration(self.span(meta), str(items[0]), str(items[1]), items[2].value)

    def probe(self, meta: Meta, items: list[Any]) -> ast.Probe:
        predicate = items[1] if len(items) == 3 else None
        return ast.Probe(self.span(meta), items[0], predicate, items[-1])

    def attach_points(self, meta: Meta, items: list[Any]) -> tuple[ast.AttachPoint, ...]:
        return tuple(items)

    def attach_point(self, meta: Meta, items: list[Token]) -> ast.AttachPoint:
        provider, *rest = items
        parts: list[tuple[str, Span]] = []
        for before, token in zip(items, rest, strict=False):
            if token.type == "COLON":
                if before.type == "COLON":
                    parts.append(("", self.token_span(token)))
                continue
            text = self._string(self.token_span(token), token) if token.type == "STRING" else str(token)
            parts.append((text, self.token_span(token)))
        if rest and rest[-1].type == "COLON":
            parts.append(("", self.token_span(rest[-1])))
        names, spans = tuple(item[0] for item in parts), tuple(item[1] for item in parts)
        return ast.AttachPoint(self.span(meta), str(provider), self.token_span(provider), names, spans)

    def let(self, meta: Meta, items: list[Any]) -> ast.Let:
        kind = next((item for item in items if isinstance(item, ast.Type)), None)
        value = items[-1] if len(items) > 1 and items[-1] is not kind else None
        return ast.Let(self.span(meta), items[0], kind, value)

    def assign_by(self, meta: Meta, items: list[Any]) -> ast.AssignBy:
        return ast.AssignBy(self.span(meta), items[0], str(items[1])[:-1], items[2])

    def discard(self, meta: Meta, items: list[Any]) -> ast.Discard:
        if items[0] != "_":
            self.fail(
                self.token_span(items[0]),
                f"cannot assign to '{items[0]}': write '${items[0]}' or '@{items[0]}'",
            )
        return ast.Discard(self.span(meta), items[1])

    def if_statement(self, meta: Meta, items: list[Any]) -> ast.IfStatement:
        return ast.IfStatement(self.span(meta), items[0], items[1], items[2] if len(items) > 2 else None)

    def ternary(self, meta: Meta, items: list[Any]) -> ast.Ternary:
        then = items[1] if len(items) == 3 else None
        return ast.Ternary(self.span(meta), items[0], then, items[-1])

    def member(self, meta: Meta, items: list[Any]) -> ast.Member:
        return ast.Member(self.span(meta), items[0], str(items[2]), self.token_span(items[2]))

    def element(self, meta: Meta, items: list[Any]) -> ast.Element:
        if isinstance(items[0], ast.Integer):
            self.fail(self.span(meta), "there are no floating point numbers")
        return ast.Element(self.span(meta), items[0], self._integer(self.token_span(items[2]), items[2]))

    def name(self, meta: Meta, items: list[Token]) -> ast.Name:
        self._refuse_reserved(items[0])
        return ast.Name(self.span(meta), str(items[0]))

    def _refuse_reserved(self, token: Token) -> None:
        if token in RESERVED:
            self.fail(self.token_span(token), NOT_YET.get(str(token), f"unexpected '{token}'"))

    def call(self, meta: Meta, items: list[Any]) -> ast.Call:
        self._refuse_reserved(items[0])
        return ast.Call(self.span(meta), str(items[0]), tuple(items[1:]))

    def offset_of(self, meta: Meta, items: list[Any]) -> ast.OffsetOf:
        names = tuple(str(item) for item in items[1:] if item.type == "NAME")
        return ast.OffsetOf(self.span(meta), items[0], names)

    def record(self, meta: Meta, items: list[Any]) -> ast.Record:
        return ast.Record(self.span(meta), tuple(str(name) for name in items[::2]), tuple(items[1::2]))

    def map_entry(self, meta: Meta, items: list[Any]) -> ast.MapEntry:
        token = items[0]
        return ast.MapEntry(self.span(meta), ast.Map(self.token_span(token), str(token)), tuple(items[1:]))

    def integer(self, meta: Meta, items: list[Token]) -> ast.Integer:
        span = self.span(meta)
        return ast.Integer(span, self._integer(span, items[0]))

    def string(self, meta: Meta, items: list[Token]) -> ast.String:
        span = self.span(meta)
        return ast.String(span, self._string(span, items[0]))

    def boolean(self, meta: Meta, items: list[Token]) -> ast.Boolean:
        return ast.Boolean(self.span(meta), items[0] == "true")

    def parameter(self, meta: Meta, items: list[Token]) -> ast.Parameter:
        number = int(items[0][1:6])
        if number == 0:
            self.fail(self.span(meta), "positional parameters count from $1")
        if len(items[0]) > 6:
            self.fail(self.span(meta), "there are never so many positional parameters")
        return ast.Parameter(self.span(meta), number)

    def parameter_count(self, meta: Meta, items: list[Token]) -> ast.ParameterCount:
        return ast.ParameterCount(self.span(meta))

    def type(self, meta: Meta, items: list[Token]) -> ast.Type:
        tag = str(items[0]) if items[0].type in ("STRUCT", "UNION", "ENUM") else ""
        name, *rest = items[1:] if tag else items
        for item in rest:
            if item.type == "INTEGER" and not self._integer(self.token_span(item), item):
                self.fail(self.token_span(item), "an array has at least one element")
        suffixes = tuple(
            0 if item.type == "STAR" else self._integer(self.token_span(item), item) for item in rest
        )
        return ast.Type(self.span(meta), tag, str(name), suffixes)

    def _integer(self, span: Span, text: str) -> int:
        try:
            return parse_integer(text)
        except ValueError as wrong:
            self.fail(span, str(wrong))

    def _string(self, span: Span, text: str) -> str:
        try:
            return parse_string(text)
        except ValueError as wrong:
            self.fail(span, str(wrong))


def _plain(node: type[Any]) -> Callable[[_Builder, Meta, list[Any]], ast.Node]:
    def build(self: _Builder, meta: Meta, items: list[Any]) -> ast.Node:
        values = (str(item) if isinstance(item, Token) else item for item in items)
        return node(self.span(meta), *values)  # type: ignore[no-any-return]

    return build


def _gathering(node: type[Any]) -> Callable[[_Builder, Meta, list[Any]], ast.Node]:
    def build(self: _Builder, meta: Meta, items: list[Any]) -> ast.Node:
        return node(self.span(meta), tuple(items))  # type: ignore[no-any-return]

    return build


_PLAIN = {
    "predicate": ast.Predicate, "assign": ast.Assign, "evaluate": ast.Evaluate, "unroll": ast.Unroll,
    "binary": ast.Binary, "unary": ast.Unary, "cast": ast.Cast, "step_before": ast.StepBefore,
    "step_after": ast.StepAfter, "index": ast.Index, "size_of": ast.SizeOf, "group": ast.Group,
    "variable": ast.Variable, "map": ast.Map,
}  # fmt: skip
for _rule, _class in _PLAIN.items():
    setattr(_Builder, _rule, _plain(_class))
setattr(_Builder, "block", _gathering(ast.Block))  # noqa: B010
setattr(_Builder, "tuple", _gathering(ast.Tuple))  # noqa: B010


def _return(self: _Builder, meta: Meta, items: list[Any]) -> ast.Return:
    return ast.Return(self.span(meta), items[0] if items else None)


setattr(_Builder, "return", _return)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    """The parser; its tables (0.2 s to make) are kept in the cache."""
    text = resources.files("lang").joinpath("grammar.lark").read_text("utf-8")
    key = f"{lark_version} {sys.version} {hashlib.sha256(text.encode()).hexdigest()}"
    stored = cachefile.load("parser", key)
    if stored is not None:
        return Lark.load(io.BytesIO(stored))
    parser = Lark(text, parser="lalr", start="script", propagate_positions=True, maybe_placeholders=False)
    tables = io.BytesIO()
    parser.save(tables)
    cachefile.store("parser", key, tables.getvalue())
    return parser


def parse(source: Source) -> ast.Script:
    """The script's tree. Raises ScriptError for what is no script."""
    _refuse_unreadable(source)
    try:
        tree = _parser().parse(source.text)
    except UnexpectedInput as wrong:
        raise ScriptError([_syntax_error(source, wrong)]) from None
    script: ast.Script = _Builder(source).build(tree)
    _refuse_deep(script)
    return script


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
