"""Rule by rule, Lark's children → the nodes of root items: C definitions, macros, options, imports …"""

from __future__ import annotations

from typing import Any, NoReturn

from lang import ast
from lang.source import Span
from lang.trees import Meta, Token

_QUALIFIERS = {"const", "volatile", "restrict", "__user", "__rcu"}
_Bounds = tuple[int, int | None]


class RootItems:
    """The part of the builder for what stands beside the probes."""

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

    # ---- The C part

    def c_definition(self, meta: Meta, items: list[Any]) -> Any:
        return items[0]

    def c_struct(self, meta: Meta, items: list[Any]) -> ast.CStruct:
        return ast.CStruct(self.span(meta), str(items[0]), str(items[1]), items[2])

    def c_inner(self, meta: Meta, items: list[Any]) -> ast.CStruct:
        name = str(items[1]) if len(items) == 3 else ""
        return ast.CStruct(self.span(meta), str(items[0]), name, items[-1])

    def c_enum(self, meta: Meta, items: list[Any]) -> ast.CEnum:
        return ast.CEnum(self.span(meta), str(items[1]) if len(items) == 3 else "", items[-1])

    def c_constants(self, meta: Meta, items: list[Any]) -> tuple[ast.CConstant, ...]:
        return tuple(items)

    def c_constant(self, meta: Meta, items: list[Any]) -> ast.CConstant:
        return ast.CConstant(self.span(meta), str(items[0]), items[1] if len(items) > 1 else None)

    def c_members(self, meta: Meta, items: list[Any]) -> tuple[ast.CMember, ...]:
        return tuple(member for group in items for member in group)

    def c_member(self, meta: Meta, items: list[Any]) -> list[ast.CMember]:
        """One line of a struct: a base type and its declarators; the first one's name ends the base."""
        span = self.span(meta)
        if isinstance(items[0], ast.CStruct):
            kind: ast.Type | ast.CStruct = items[0]
            declarators = items[1:] or [(0, "", (), 0)]
            return [ast.CMember(span, kind, name, lengths, bits) for _, name, lengths, bits in declarators]
        words = [str(item) for item in items if isinstance(item, Token)]
        tag = words.pop(0) if words[0] in ("struct", "union", "enum") else ""
        tail, *others = [item for item in items if isinstance(item, tuple)]
        stars, name, lengths, bits = tail
        if not name:
            if len(words) < 2:
                self.fail(span, "this member has no name or no type")
            name = words.pop()
        base = " ".join(words)
        return [
            ast.CMember(span, ast.Type(span, tag, base, (0,) * count), called, sizes, width)
            for count, called, sizes, width in [(stars, name, lengths, bits), *others]
        ]

    def c_tail(self, meta: Meta, items: list[Any]) -> tuple[int, str, tuple[Any, ...], int]:
        return self.c_declarator(meta, items)

    def c_declarator(self, meta: Meta, items: list[Any]) -> tuple[int, str, tuple[Any, ...], int]:
        tokens = [item for item in items if isinstance(item, Token)]
        stars = sum(item.type == "STAR" for item in tokens)
        name = next((str(item) for item in tokens if item.type == "NAME"), "")
        width = next((item for item in tokens if item.type == "INTEGER"), None)
        bits = self._integer(self.token_span(width), width) if width is not None else 0
        return stars, name, tuple(item for item in items if isinstance(item, ast.Node)), bits

    # ---- Macros

    def macro(self, meta: Meta, items: list[Any]) -> ast.Macro:
        name, *parameters, body = items
        return ast.Macro(self.span(meta), str(name), tuple(parameters), body)

    def macro_parameter(self, meta: Meta, items: list[Token]) -> ast.Variable | ast.Map | ast.Name:
        span, name = self.span(meta), str(items[0])
        if items[0].type == "VARIABLE":
            return ast.Variable(span, name)
        return ast.Map(span, name) if items[0].type == "MAP" else ast.Name(span, name)

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


def _is_place(word: str) -> bool:
    """Whether a word of an option names a positional argument: upper case, no blank."""
    plain = word.replace("_", "").replace("-", "")
    return plain.isalnum() and plain.isupper() and not word.startswith("-")
