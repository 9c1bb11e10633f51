"""The builtin functions on strings."""

from __future__ import annotations

from collections.abc import Callable

from lang import ast
from lang.convert import is_char_array
from lang.functions_maps import text_length
from lang.signature import Function, Typing, expect_literal, fixed
from lang.types import BOOL, INT64, UINT64, Array, Int, Pointer, Str, Type, size_of

CONCATENATED = 1024
MAX_COMPARED = 1024
SHORT = 32  # bytes of a literal that is looked for without a loop in a loop
MAX_SEARCH = 1024


def is_text(kind: Type) -> bool:
    """Whether it is a string, or a char array or pointer."""
    if isinstance(kind, Pointer):
        return isinstance(kind.to, Int) and kind.to.bits == 8
    return isinstance(kind, Str) or is_char_array(kind)


def _texts(typing: Typing, call: ast.Call, count: int) -> None:
    """Visit the first arguments, which must be strings or like them."""
    for node in call.arguments[:count]:
        kind = typing.type(node)
        if kind is not None and not is_text(kind):
            typing.error(node, f"{call.name}() expects a string, not {kind}")


def _of_texts(count: int, result: Type) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        _texts(typing, call, count)
        return result

    return rule


def _strncmp(typing: Typing, call: ast.Call) -> Type | None:
    _texts(typing, call, 2)
    size = typing.constant(call.arguments[2])
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        typing.error(call.arguments[2], "strncmp() expects a literal length that is not negative")
    return UINT64


def _memcmp(typing: Typing, call: ast.Call) -> Type | None:
    size = expect_literal(typing, call, 2, 1, MAX_COMPARED) or 1
    for node in call.arguments[:2]:
        kind = typing.type(node)
        if kind is None or isinstance(kind, Pointer):
            continue
        if isinstance(kind, Int):
            typing.error(node, f"memcmp() expects memory, not {kind}")
        elif size_of(kind) < size:
            typing.error(node, f"memcmp(): a value of {size_of(kind)} bytes has no {size} to compare")
    return INT64


def _strstr(typing: Typing, call: ast.Call) -> Type | None:
    """Two unknown strings take a loop in a loop, of which the verifier bears only so many rounds."""
    _texts(typing, call, 2)
    part = typing.constant(call.arguments[1])
    if isinstance(part, str) and len(part.encode("utf-8", "surrogateescape")) <= SHORT:
        return INT64
    rounds = 1
    for node in call.arguments:
        kind = typing.type(node)
        rounds *= size_of(kind) if isinstance(kind, Str | Array) else typing.scene.settings.max_strlen
    if rounds > MAX_SEARCH:
        typing.error(
            call,
            f"this search is too much for the kernel's verifier: {rounds} steps, the limit is {MAX_SEARCH}",
            f"search for a literal of up to {SHORT} bytes, or in a shorter string: str(pointer, 64)",
        )
    return INT64


def _contains(call: ast.Call) -> ast.Expression:
    """`strstr(text, part) >= 0`."""
    found = ast.Call(call.span, "strstr", call.arguments)
    return ast.Binary(call.span, found, ">=", ast.Integer(call.span, 0))


TEXT = (
    Function(
        "strlen",
        1,
        1,
        _of_texts(1, UINT64),
        "strlen(text)",
        "the bytes before the NUL",
        value=text_length,
    ),
    Function("strcap", 1, 1, _of_texts(1, UINT64), "strcap(text)", "the bytes that the string can have"),
    Function(
        "strncmp", 3, 3, _strncmp, "strncmp(text, text, length)", "0 if the starts are the same, else 1"
    ),
    Function("strstr", 2, 2, _strstr, "strstr(text, part)", "where the part is in it, or -1"),
    Function(
        "strcontains",
        2,
        2,
        fixed(BOOL),
        "strcontains(text, part)",
        "whether the part is in it",
        meaning=_contains,
    ),
    Function("str_concat", 2, 2, _of_texts(2, Str(CONCATENATED)), "str_concat(text, text)", "both, joined"),
    Function("memcmp", 3, 3, _memcmp, "memcmp(data, data, length)", "the order of two pieces of memory"),
)
