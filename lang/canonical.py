"""A file's tree → its canonical text, for `ebt fmt`: the same tree, with its comments where they stood.

Literals, types and what stands in front of a probe's body keep their spelling. A comment stands on its own
line in front of what follows it, or behind the line that it ended. A statement with a comment inside of it
stays as it was written; in the head of a probe or a condition there is no place for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lang import ast
from lang.canonical_values import value_text
from lang.comments import Comment, comments
from lang.diagnostics import Diagnostic, ScriptError
from lang.records import dataclass, field
from lang.source import Source

INDENT = "    "
_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def canonical(script: ast.Script) -> str:
    """The text of a file's tree, nothing expanded. Raises ScriptError for a comment in the way."""
    source = script.span.source
    items = sorted(ast.children(script), key=lambda item: item.span.start)
    printer = _Printer(source, comments(source.text))
    printer.root(items)
    return "\n".join(printer.lines).strip("\n") + "\n"


@dataclass
class _Printer:
    source: Source
    waiting: list[Comment]
    lines: list[str] = field(default_factory=list)
    depth: int = 0

    def line(self, text: str) -> None:
        self.lines.append(INDENT * self.depth + text if text else "")

    def root(self, items: list[ast.Node]) -> None:
        before: ast.Node | None = None
        for item in items:
            if before is not None and (type(item) is not type(before) or _is_tall(item) or _is_tall(before)):
                self.blank()
            self.before(item.span.start)
            self.item(item)
            self.behind(item.span.end)
            before = item
        self.before(len(self.source.text) + 1)

    def blank(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")

    # ---- Comments

    def before(self, offset: int) -> None:
        """The comments that stand in front of an offset, each on a line of its own."""
        while self.waiting and self.waiting[0].start < offset:
            comment = self.waiting.pop(0)
            if comment.apart:
                self.blank()
            for number, text in enumerate(comment.text.split("\n")):
                self.line(text.strip() if number == 0 else _inner(text))

    def behind(self, offset: int) -> None:
        """The comment at the end of the line that was just written."""
        if not self.waiting:
            return
        comment = self.waiting[0]
        between = self.source.text[offset : comment.start]
        one_line = "\n" not in between + comment.text and not comment.text.startswith("#")
        if comment.start >= offset and one_line and not between.strip("; \t"):
            self.lines[-1] += f"  {self.waiting.pop(0).text.rstrip()}"

    def refuse_inside(self, start: int, end: int) -> None:
        """No comment may stand between two offsets: its place would be lost."""
        found = next((item for item in self.waiting if start < item.start < end), None)
        if found is not None:
            raise ScriptError([Diagnostic(
                "error", found.span(self.source), "a comment would lose its place here",
                ("put it in front of the line",),
            )])  # fmt: skip

    # ---- Root items

    def item(self, node: ast.Node) -> None:
        match node:
            case ast.Probe():
                self.probe(node)
            case ast.Macro(_, name, parameters, body):
                self.headed(node, f"macro {name}({', '.join(item.name for item in parameters)})", body)
            case ast.Function():
                result = f" : {node.result.span.text}" if node.result is not None else ""
                given = [f"{item.variable.name}: {item.type.span.text}" for item in node.parameters]
                self.headed(node, f"fn {node.name}({', '.join(given)}){result}", node.body)
            case ast.Config(_, settings):
                self.refuse_inside(node.span.start, node.span.end)
                given = [f"{item.name} = {item.value_span.text}" for item in settings]
                self.line("config = {" + "".join(f" {text};" for text in given).rstrip(";") + " }")
            case ast.CStruct() | ast.CEnum():
                self.verbatim(node, ";")
            case _:
                self.refuse_inside(node.span.start, node.span.end)
                self.line(_root_line(node))

    def probe(self, node: ast.Probe) -> None:
        start = node.span.start
        points = [_point(item) for item in node.attach_points]
        for text in points[:-1]:
            self.line(f"{text},")
        head = points[-1]
        if node.predicate is not None:
            head += f" /{value_text(node.predicate.condition)}/"
        self.refuse_inside(start, node.body.span.start)
        self.body(head, node.body)

    def headed(self, node: ast.Node, head: str, body: ast.Block) -> None:
        self.refuse_inside(node.span.start, body.span.start)
        self.body(head, body)

    def body(self, head: str, node: ast.Block, tail: str = "") -> None:
        """`head {`, the statements, `}`."""
        if not node.statements and not any(item.start < node.span.end for item in self.waiting):
            self.line(f"{head} {{ }}{tail}".lstrip())
            return
        self.line(f"{head} {{".lstrip())
        self.depth += 1
        for at, item in enumerate(node.statements):
            last = node.has_value and at == len(node.statements) - 1
            self.before(item.span.start)
            self.statement(item, "" if last else ";")
            self.behind(item.span.end)
        self.before(node.span.end)
        self.depth -= 1
        self.line(f"}}{tail}")

    # ---- Statements

    def statement(self, node: ast.Statement, end: str) -> None:
        rule = _STATEMENTS.get(type(node))
        if rule is not None:
            rule(self, node)
            return
        if self.waiting and self.waiting[0].start < node.span.end:
            self.verbatim(node, end)
            return
        for text in (_simple(node) + end).split("\n"):
            self.line(text)

    def verbatim(self, node: ast.Node, end: str) -> None:
        """A statement with comments inside of it stays as it was written."""
        while self.waiting and self.waiting[0].start < node.span.end:
            self.waiting.pop(0)
        first, *rest = (node.span.text.rstrip("; \n\t") + end).split("\n")
        self.line(first.rstrip())
        self.lines += [text.rstrip() for text in rest]

    def conditional(self, node: ast.IfStatement, lead: str = "") -> None:
        self.refuse_inside(node.span.start, node.then.span.start)
        self.body(f"{lead}if {value_text(node.condition)}", node.then)
        if node.otherwise is None:
            return
        head = self.lines.pop().strip() + " else"
        if isinstance(node.otherwise, ast.Block):
            self.body(head, node.otherwise)
        else:
            self.conditional(node.otherwise, f"{head} ")

    def loop(self, node: ast.While | ast.ForRange | ast.ForMap | ast.ForOption | ast.Unroll) -> None:
        self.refuse_inside(node.span.start, node.body.span.start)
        match node:
            case ast.While(_, condition):
                head = f"while {value_text(condition)}"
            case ast.Unroll(_, count):
                head = f"unroll {value_text(count)}"
            case ast.ForRange(_, variable, first, last):
                head = f"for {variable.name} : {value_text(first)}..{value_text(last)}"
            case ast.ForOption(_, variable, option):
                head = f"for {variable.name} : opt.{option}"
            case ast.ForMap(_, variable, table):
                head = f"for {variable.name} : {table.name}"
        self.body(head, node.body)

    def plain_block(self, node: ast.Block) -> None:
        self.body("", node)


def _simple(node: ast.Statement) -> str:
    match node:
        case ast.Let(_, variable, kind, value):
            text = f"let {variable.name}" + (f": {kind.span.text}" if kind is not None else "")
            return text if value is None else f"{text} = {value_text(value)}"
        case ast.Assign(_, target, value):
            return f"{value_text(target)} = {value_text(value)}"
        case ast.FieldAssign(_, target, name, _, value):
            if isinstance(change := node.change, ast.Binary):
                return f"{value_text(target)}.{name} {change.operator}= {value_text(change.right)}"
            return f"{value_text(target)}.{name} = {value_text(value)}"
        case ast.AssignBy(_, target, operator, value):
            return f"{value_text(target)} {operator}= {value_text(value)}"
        case ast.Discard(_, value):
            return f"_ = {value_text(value)}"
        case ast.Evaluate(_, value):
            return value_text(value)
        case ast.Return(_, value):
            return "return" if value is None else f"return {value_text(value)}"
    return type(node).__name__.lower()


_STATEMENTS: dict[type[ast.Node], Callable[[_Printer, Any], None]] = {
    ast.Block: _Printer.plain_block,
    ast.IfStatement: _Printer.conditional,
    ast.While: _Printer.loop,
    ast.Unroll: _Printer.loop,
    ast.ForRange: _Printer.loop,
    ast.ForMap: _Printer.loop,
    ast.ForOption: _Printer.loop,
}


def _point(node: ast.AttachPoint) -> str:
    """An attach point as written, without blanks around its colons."""
    if not node.alternatives and not node.optional and node.prototype is None:
        return "".join(node.span.text.split()) if '"' not in node.span.text else node.span.text
    return " ".join(node.span.text.split())


def _is_tall(node: ast.Node) -> bool:
    return isinstance(node, ast.Probe | ast.Macro | ast.Function | ast.CStruct | ast.CEnum)


def _root_line(node: ast.Node) -> str:
    text = node.span.text
    if isinstance(node, ast.Declaration):
        entries = text[text.rfind("(") + 1 : text.rfind(")")].strip()
        return f"let {node.map} = {node.kind}({entries});"
    if isinstance(node, ast.Exclusion):
        return f"option {' | '.join(node.names)};"
    strings = _STRING.findall(text)
    if not isinstance(node, ast.Option):
        return f"import {strings[0]};"
    kind = node.kind
    if node.choices:
        kind += f"({', '.join(strings[: len(node.choices)])})"
        strings = strings[len(node.choices) :]
    elif node.bounds is not None:
        low, high = node.bounds
        kind += f"({low}..{'' if high is None else high})"
    if node.default is None:
        return " ".join([f"option {node.name}: {kind}", *strings]) + ";"
    default = node.default_span.text.removeprefix("=").strip()
    strings = strings[1:] if default.startswith('"') else strings
    return " ".join([f"option {node.name}: {kind} = {default}", *strings]) + ";"


def _inner(text: str) -> str:
    return f" {text.strip()}" if text.strip().startswith("*") else f"   {text.strip()}"
