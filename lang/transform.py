"""Rule by rule, Lark's children → the nodes of what ebt adds to bpftrace: options, imports, functions."""

from __future__ import annotations

from typing import Any, NoReturn

from lark import Token
from lark.tree import Meta

from lang import ast
from lang.source import Span

_QUALIFIERS = {"const", "volatile", "restrict", "__user", "__rcu"}
_Bounds = tuple[int, int | None]


class Additions:
    """The part of the parser's builder for ebt's own root items."""

    def span(self, meta: Meta) -> Span:
        raise NotImplementedError

    def token_span(self, token: Token) -> Span:
        raise NotImplementedError

    def fail(self, span: Span, message: str) -> NoReturn:
        raise NotImplementedError

    def _string(self, span: Span, text: str) -> str:
        raise NotImplementedError

    def _integer(self, span: Span, text: str) -> int:
        raise NotImplementedError

    # ---- Imports and functions

    def import_(self, meta: Meta, items: list[Token]) -> ast.Import:
        return ast.Import(self.span(meta), self._string(self.token_span(items[0]), items[0]))

    def function_parameter(self, meta: Meta, items: list[Any]) -> ast.FunctionParameter:
        return ast.FunctionParameter(self.span(meta), *items)

    def function(self, meta: Meta, items: list[Any]) -> ast.Function:
        name, *rest, body = items
        parameters = tuple(item for item in rest if isinstance(item, ast.FunctionParameter))
        result = rest[-1] if len(rest) > len(parameters) else None
        if isinstance(result, ast.Type) and result.name == "void" and not result.suffixes:
            result = None
        return ast.Function(self.span(meta), str(name), parameters, result, body)

    # ---- Prototypes of kernel functions

    def prototype(self, meta: Meta, items: list[Any]) -> ast.Prototype:
        result = items.pop() if items and isinstance(items[-1], ast.Type) else None
        given = tuple(item for item in items if item is not None)
        return ast.Prototype(self.span(meta), given, result)

    def prototype_parameter(self, meta: Meta, items: list[Token]) -> ast.PrototypeParameter | None:
        """`const struct file *f`: qualifiers go, the last word is the name; None for a lone `void`."""
        span = self.span(meta)
        words = [token for token in items if token not in _QUALIFIERS]
        if [*map(str, words)] == ["void"]:
            return None
        stars = sum(token.type == "STAR" for token in words)
        tag = str(words.pop(0)) if words and words[0].type in ("STRUCT", "UNION", "ENUM") else ""
        names = [token for token in words if token.type == "NAME"]
        plain = len(names) + stars == len(words) and words[-1].type == "NAME"
        if not plain or len(names) < 2 or (tag and len(names) != 2):
            self.fail(span, "a parameter is written TYPE NAME, for example struct file *file")
        kind = ast.Type(span, tag, " ".join(names[:-1]), (0,) * stars)
        return ast.PrototypeParameter(span, kind, str(names[-1]))

    # ---- Options

    def for_option(self, meta: Meta, items: list[Any]) -> ast.ForOption:
        variable, base, name, body = (item for item in items if str(item) != ".")
        if base != "opt":
            self.fail(self.token_span(base), "a loop goes through a range, a map or a list of options")
        return ast.ForOption(self.span(meta), variable, str(name), body)

    def option(self, meta: Meta, items: list[Any]) -> ast.Option:
        name, (kind, choices, bounds), *rest = items
        default, default_span = None, self.token_span(name)
        if rest and isinstance(rest[0], tuple):
            default, default_span = rest.pop(0)
        spans = [self.token_span(token) for token in rest]
        words = [self._string(span, token) for span, token in zip(spans, rest, strict=True)]
        flags = tuple(word for word in words if word.startswith("-"))
        places = [word for word in words if _is_place(word)]
        texts = [word for word in words if word not in flags and word not in places]
        if len(places) > 1 or len(texts) > 1 or (places and flags):
            self.fail(spans[-1], "an option has flags or one upper-case name, and then one description")
        description = texts[0] if texts else ""
        place = places[0] if places else ""
        return ast.Option(
            self.span(meta), str(name), kind, choices, default, default_span,
            flags, place, description, bounds,
        )  # fmt: skip

    def exclusion(self, meta: Meta, items: list[Token]) -> ast.Exclusion:
        return ast.Exclusion(self.span(meta), tuple(str(item) for item in items if item.type == "NAME"))

    def option_type(self, meta: Meta, items: list[Token]) -> tuple[str, tuple[str, ...], _Bounds | None]:
        choices = [self._string(self.token_span(token), token) for token in items if token.type == "STRING"]
        if len(set(choices)) < len(choices):
            self.fail(self.span(meta), "an enum's strings must differ")
        numbers = [self._integer(self.token_span(token), token) for token in items if token.type == "INTEGER"]
        bounds = (numbers[0], numbers[1] if len(numbers) > 1 else None) if numbers else None
        return str(items[0]), tuple(choices), bounds

    def option_default(self, meta: Meta, items: list[Token]) -> tuple[str, Span]:
        last = items[-1]
        text = self._string(self.token_span(last), last) if last.type == "STRING" else "".join(items)
        return text, self.span(meta)


def _is_place(word: str) -> bool:
    """Whether a word of an option names a positional argument: upper case, no blank."""
    plain = word.replace("_", "").replace("-", "")
    return plain.isalnum() and plain.isupper() and not word.startswith("-")
