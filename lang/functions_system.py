"""The builtin functions that change the traced system, and those that ask the compiler something."""

from __future__ import annotations

import signal
from collections.abc import Callable

from lang import ast
from lang.fold import Constant
from lang.signature import Function, Typing, expect_address, expect_int, expect_literal, expect_text
from lang.types import BOOL, VOID, Array, Int, Pointer, Str, Type, size_of

_SIGNALS = range(1, 65)
MAX_WRITTEN = 1024


def signal_number(value: Constant | None) -> Constant | None:
    """The number of a literal signal: itself, or of `SIGKILL`; 0 for a name that is none."""
    if isinstance(value, str):
        named = getattr(signal, value, None) if value.startswith("SIG") else None
        return int(named) if isinstance(named, signal.Signals) else 0
    return value


def _signal(typing: Typing, call: ast.Call) -> Type | None:
    node = call.arguments[0]
    number = signal_number(typing.constant(node))
    if number is None:
        expect_int(typing, node, f"{call.name}(): the signal")
    elif number not in _SIGNALS or isinstance(number, bool):
        typing.error(node, f"{node.span.text} is not a valid signal, allowed range: [1,64]")
    return VOID


def _override(typing: Typing, call: ast.Call) -> Type | None:
    expect_int(typing, call.arguments[0], "override(): the result")
    return VOID


def _write_user(typing: Typing, call: ast.Call) -> Type | None:
    expect_address(typing, call)
    kind = typing.type(call.arguments[1])
    size = expect_literal(typing, call, 2, 1, MAX_WRITTEN)
    if size is not None and kind is not None and size_of(kind) < size:
        typing.error(call.arguments[1], f"write_user(): a value of {size_of(kind)} bytes has no {size}")
    return BOOL


# ---- Questions to the compiler


def _asked(typing: Typing, call: ast.Call) -> Type | None:
    typing.type(call.arguments[0])
    return BOOL


def _whether(test: Callable[[Type], bool]) -> Callable[[Typing, ast.Call], Constant | None]:
    """The answer about an argument's type; None while that is not known."""

    def value(typing: Typing, call: ast.Call) -> Constant | None:
        kind = typing.type(call.arguments[0])
        return None if kind is None else test(kind)

    return value


def _is_literal(typing: Typing, call: ast.Call) -> Constant | None:
    node = call.arguments[0]
    while isinstance(node, ast.Group):
        node = node.inner
    return isinstance(node, ast.Integer | ast.String | ast.Boolean | ast.Parameter)


def _is_unsigned(kind: Type) -> bool:
    integer = kind if isinstance(kind, Int) else None
    return integer is not None and not integer.signed


def _kfunc_name(typing: Typing, call: ast.Call) -> Type | None:
    expect_text(typing, call, 0, "the function's name")
    return BOOL


def _kfunc_exist(typing: Typing, call: ast.Call) -> Constant | None:
    name = typing.constant(call.arguments[0])
    return typing.scene.machine.function(name) is not None if isinstance(name, str) else None


def _never(typing: Typing, call: ast.Call) -> Constant | None:
    return False


SYSTEM = (
    Function("signal", 1, 1, _signal, "signal(number)", "send the process a signal", unsafe=True),
    Function("signal_thread", 1, 1, _signal, "signal_thread(number)", "the same to the thread", unsafe=True),
    Function(
        "override",
        1,
        1,
        _override,
        "override(result)",
        "return this from the function instead",
        unsafe=True,
        allowed=lambda kind: kind.name == "kprobe",
    ),
    Function(
        "write_user",
        3,
        3,
        _write_user,
        "write_user(address, data, length)",
        "write into user memory",
        unsafe=True,
    ),
    Function(
        "is_array", 1, 1, _asked, "is_array(x)", "its type", value=_whether(lambda k: isinstance(k, Array))
    ),
    Function(
        "is_ptr", 1, 1, _asked, "is_ptr(x)", "its type", value=_whether(lambda k: isinstance(k, Pointer))
    ),
    Function("is_str", 1, 1, _asked, "is_str(x)", "its type", value=_whether(lambda k: isinstance(k, Str))),
    Function(
        "is_integer", 1, 1, _asked, "is_integer(x)", "its type", value=_whether(lambda k: isinstance(k, Int))
    ),
    Function(
        "is_unsigned_integer",
        1,
        1,
        _asked,
        "is_unsigned_integer(x)",
        "its type",
        value=_whether(_is_unsigned),
    ),
    Function("is_literal", 1, 1, _asked, "is_literal(x)", "whether it is a literal", value=_is_literal),
    Function(
        "kfunc_exist",
        1,
        1,
        _kfunc_name,
        'kfunc_exist("name")',
        "whether the kernel has this function",
        value=_kfunc_exist,
    ),
    Function(
        "kfunc_allowed",
        1,
        1,
        _kfunc_name,
        'kfunc_allowed("name")',
        "whether a probe may call it: never, as BCC has no way",
        value=_never,
    ),
)
