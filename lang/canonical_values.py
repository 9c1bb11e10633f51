"""Expression → its canonical text: one blank around operators, none inside of brackets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lang import ast


def value_text(node: ast.Expression) -> str:
    """The text of an expression. Literals and types are spelled as they were written."""
    rule = _RULES.get(type(node))
    return rule(node) if rule is not None else node.span.text


def _list(nodes: Iterable[ast.Expression]) -> str:
    return ", ".join(value_text(item) for item in nodes)


def _tuple(node: ast.Tuple) -> str:
    return f"({_list(node.elements)}{',' if len(node.elements) == 1 else ''})"


def _record(node: ast.Record) -> str:
    pairs = zip(node.names, node.elements, strict=True)
    return "(" + ", ".join(f"{name} = {value_text(value)}" for name, value in pairs) + ")"


def _call(node: ast.Call) -> str:
    return f"{node.name}({_list(node.arguments)})"


def _named(node: ast.NamedArgument) -> str:
    head = node.span.text[: node.value.span.start - node.span.start].rstrip().removesuffix("=").rstrip()
    return f"{head} = {value_text(node.value)}"


def _dot(node: ast.Member | ast.Element) -> str:
    between = node.span.text[node.base.span.end - node.span.start :].strip()
    sign = "->" if between.startswith("->") else "."
    return f"{value_text(node.base)}{sign}{node.name if isinstance(node, ast.Member) else node.number}"


def _cast(node: ast.Cast) -> str:
    return f"({node.type.span.text}){value_text(node.operand)}"


def _unary(node: ast.Unary) -> str:
    inner = value_text(node.operand)
    gap = " " if inner[:1] == node.operator and node.operator in "-+&" else ""
    return f"{node.operator}{gap}{inner}"


def _ternary(node: ast.Ternary) -> str:
    condition, otherwise = value_text(node.condition), value_text(node.otherwise)
    if node.then is None:
        return f"{condition} ?: {otherwise}"
    return f"{condition} ? {value_text(node.then)} : {otherwise}"


_RULES: dict[type[ast.Node], Callable[[Any], str]] = {
    ast.Group: lambda node: f"({value_text(node.inner)})",
    ast.Tuple: _tuple,
    ast.Record: _record,
    ast.Call: _call,
    ast.NamedArgument: _named,
    ast.MapEntry: lambda node: f"{node.map.name}[{_list(node.keys)}]",
    ast.Member: _dot,
    ast.Element: _dot,
    ast.Index: lambda node: f"{value_text(node.base)}[{value_text(node.index)}]",
    ast.StepBefore: lambda node: f"{node.operator}{value_text(node.target)}",
    ast.StepAfter: lambda node: f"{value_text(node.target)}{node.operator}",
    ast.Cast: _cast,
    ast.Unary: _unary,
    ast.Binary: lambda node: f"{value_text(node.left)} {node.operator} {value_text(node.right)}",
    ast.Ternary: _ternary,
    ast.Comptime: lambda node: f"comptime {value_text(node.operand)}",
}
