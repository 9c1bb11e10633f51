"""Rule by rule, Lark's children → the nodes of probes, statements and expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

from lang import ast
from lang.diagnostics import Diagnostic, ScriptError
from lang.literals import parse_integer, parse_string
from lang.records import replace
from lang.source import Source, Span
from lang.syntax_errors import NOT_YET, RESERVED
from lang.transform import RootItems
from lang.trees import Meta, Token, Tree


class Builder(RootItems):
    """The methods have the names of the grammar's rules; those of root items are inherited."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def build(self, tree: Tree) -> Any:
        """The node of the whole tree, bottom up and without recursion."""
        built: dict[int, Any] = {}
        result: Any = None
        for subtree in tree.bottom_up():
            items = [built[id(item)] if isinstance(item, Tree) else item for item in subtree.children]
            result = getattr(self, subtree.data)(subtree.meta, items)
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
        first = next((item for item in items if isinstance(item, ast.Probe | ast.Macro)), None)
        if configs and first is not None and first.span.start < configs[0].span.start:
            self.fail(configs[0].span, "config must appear before probes and functions")
        return ast.Script(
            Span(self.source, 0, len(self.source.text)),
            configs[0] if configs else None,
            tuple(item for item in items if isinstance(item, ast.Declaration)),
            tuple(item for item in items if isinstance(item, ast.Probe)),
            self._c_part(items),
            tuple(item for item in items if isinstance(item, ast.Macro)),
            tuple(item for item in items if isinstance(item, ast.Option)),
            tuple(item for item in items if isinstance(item, ast.Function)),
            tuple(item for item in items if isinstance(item, ast.Import)),
            tuple(item for item in items if isinstance(item, ast.Exclusion)),
        )

    def _c_part(self, items: list[Any]) -> tuple[ast.CStruct | ast.CEnum, ...]:
        late = False
        for item in items:
            c_part = isinstance(item, ast.CStruct | ast.CEnum)
            if c_part and late:
                self.fail(item.span, "C definitions must appear before probes and functions")
            late |= not c_part
        return tuple(item for item in items if isinstance(item, ast.CStruct | ast.CEnum))

    def value(self, meta: Meta, items: list[Any]) -> Any:
        return items[0]

    def probe(self, meta: Meta, items: list[Any]) -> ast.Probe:
        predicate = items[1] if len(items) == 3 else None
        return ast.Probe(self.span(meta), items[0], predicate, items[-1])

    def attach_points(self, meta: Meta, items: list[Any]) -> tuple[ast.AttachPoint, ...]:
        return tuple(items)

    def attach_point(self, meta: Meta, items: list[Any]) -> ast.AttachPoint:
        first, *others = [item for item in items if isinstance(item, ast.AttachPoint)]
        optional = isinstance(items[-1], Token) and items[-1].type == "QUESTION"
        if not others and not optional:
            return first
        return replace(first, span=self.span(meta), alternatives=tuple(others), optional=optional)

    def attach_choice(self, meta: Meta, items: list[Any]) -> ast.AttachPoint:
        prototype = items.pop() if isinstance(items[-1], ast.Prototype) else None
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
        where = self.token_span(provider)
        return ast.AttachPoint(self.span(meta), str(provider), where, names, spans, prototype=prototype)

    def block(self, meta: Meta, items: list[Any]) -> ast.Block:
        span = self.span(meta)
        last = items[-1] if items else None
        if isinstance(last, ast.IfStatement) and _is_value(last):
            # `if … else …` at the end, with values in all branches, is the block's value.
            items = [*items[:-1], ast.Evaluate(last.span, _as_value(last))]
            return ast.Block(span, tuple(items), True)
        # The grammar keeps no semicolons: whether one follows the last expression is in the text.
        open_end = isinstance(last, ast.Evaluate) and not self._semicolon_after(last.span.end, span.end)
        return ast.Block(span, tuple(items), open_end)

    def _semicolon_after(self, start: int, end: int) -> bool:
        rest = re.sub(r"//[^\n]*|/\*.*?\*/", "", self.source.text[start:end], flags=re.DOTALL)
        return rest.lstrip().startswith(";")

    def while_(self, meta: Meta, items: list[Any]) -> ast.While:
        return ast.While(self.span(meta), items[0], items[1])

    def for_range(self, meta: Meta, items: list[Any]) -> ast.ForRange:
        variable, (first, last), body = items
        return ast.ForRange(self.span(meta), variable, first, last, body)

    def range(self, meta: Meta, items: list[Any]) -> tuple[Any, Any]:
        return items[0], items[1]

    def named_argument(self, meta: Meta, items: list[Any]) -> ast.NamedArgument:
        token = items[0]
        name = self._string(self.token_span(token), token) if token.type == "STRING" else str(token)
        return ast.NamedArgument(self.span(meta), name, items[1])

    def type_argument(self, meta: Meta, items: list[Token]) -> ast.TypeOf:
        """`struct NAME` as a function's argument."""
        span = self.span(meta)
        tag, name, *stars = items
        return ast.TypeOf(span, ast.Type(span, str(tag), str(name), (0,) * len(stars)))

    def let(self, meta: Meta, items: list[Any]) -> ast.Let:
        kind = next((item for item in items[1:2] if isinstance(item, ast.Type | ast.TypeOf)), None)
        value = items[-1] if len(items) > 1 and items[-1] is not kind else None
        return ast.Let(self.span(meta), items[0], kind, value)

    def assign(self, meta: Meta, items: list[Any]) -> ast.Assign | ast.FieldAssign:
        target = items[0]
        if isinstance(target, ast.Member) and isinstance(target.base, ast.Map | ast.MapEntry):
            return ast.FieldAssign(self.span(meta), target.base, target.name, target.name_span, items[1])
        self._refuse_target(target)
        return ast.Assign(self.span(meta), items[0], items[1])

    def _refuse_target(self, node: ast.Node) -> None:
        if not isinstance(node, ast.Variable | ast.Map | ast.MapEntry):
            message = f"cannot assign to '{node.span.text[:40]}'"
            hint = "'==' compares; only $variables and @maps can be assigned to"
            raise ScriptError([Diagnostic("error", node.span, message, (hint,))])

    def assign_by(self, meta: Meta, items: list[Any]) -> ast.AssignBy | ast.FieldAssign:
        span, target, operator = self.span(meta), items[0], str(items[1])[:-1]
        if isinstance(target, ast.Member) and isinstance(target.base, ast.Map | ast.MapEntry):
            whole = ast.Binary(span, target, operator, items[2])
            return ast.FieldAssign(span, target.base, target.name, target.name_span, whole)
        self._refuse_target(target)
        return ast.AssignBy(span, target, operator, items[2])

    def step_field(self, meta: Meta, items: list[Any]) -> ast.AssignBy | ast.FieldAssign:
        """`@m[k].f++` is a statement: `@m[k].f += 1`."""
        target = next(item for item in items if isinstance(item, ast.Member))
        sign = next(str(item)[0] for item in items if isinstance(item, Token))
        return self.assign_by(meta, [target, f"{sign}=", ast.Integer(self.span(meta), 1)])

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
        then = items[2] if len(items) == 4 else None
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
        names = tuple(str(item) for item in items[1:] if isinstance(item, Token) and item.type == "NAME")
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


def _plain(node: type[Any]) -> Callable[[Builder, Meta, list[Any]], ast.Node]:
    def build(self: Builder, meta: Meta, items: list[Any]) -> ast.Node:
        values = (str(item) if isinstance(item, Token) else item for item in items)
        return node(self.span(meta), *values)  # type: ignore[no-any-return]

    return build


def _gathering(node: type[Any]) -> Callable[[Builder, Meta, list[Any]], ast.Node]:
    def build(self: Builder, meta: Meta, items: list[Any]) -> ast.Node:
        return node(self.span(meta), tuple(items))  # type: ignore[no-any-return]

    return build


_PLAIN = {
    "predicate": ast.Predicate, "evaluate": ast.Evaluate, "unroll": ast.Unroll,
    "binary": ast.Binary, "unary": ast.Unary, "cast": ast.Cast, "step_before": ast.StepBefore,
    "step_after": ast.StepAfter, "index": ast.Index, "size_of": ast.SizeOf, "group": ast.Group,
    "variable": ast.Variable, "map": ast.Map, "for_map": ast.ForMap, "if_value": ast.IfValue,
    "comptime": ast.Comptime, "typeof": ast.TypeOf, "break": ast.Break, "continue": ast.Continue,
}  # fmt: skip
for _rule, _class in _PLAIN.items():
    setattr(Builder, _rule, _plain(_class))
setattr(Builder, "while", Builder.while_)
setattr(Builder, "import", Builder.import_)
setattr(Builder, "tuple", _gathering(ast.Tuple))  # noqa: B010


def _return(self: Builder, meta: Meta, items: list[Any]) -> ast.Return:
    return ast.Return(self.span(meta), items[0] if items else None)


setattr(Builder, "return", _return)


def _is_value(node: ast.IfStatement) -> bool:
    """Whether an if statement has a value in every branch."""
    other = node.otherwise
    if not node.then.has_value or other is None:
        return False
    return _is_value(other) if isinstance(other, ast.IfStatement) else other.has_value


def _as_value(node: ast.IfStatement) -> ast.IfValue:
    other = node.otherwise
    assert other is not None
    otherwise = _as_value(other) if isinstance(other, ast.IfStatement) else other
    return ast.IfValue(node.span, node.condition, node.then, otherwise)
