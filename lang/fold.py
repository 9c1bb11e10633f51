"""Constant expressions → their values: literals, parameters, sizes, and arithmetic on them."""

from __future__ import annotations

from collections.abc import Callable

from lang import ast
from lang.literals import parse_integer

Constant = int | str | bool
Special = Callable[[ast.Expression], int | str | bool | None]
_ALL = (1 << 64) - 1
_AT_RUN_TIME = frozenset({ast.Map, ast.MapEntry, ast.Variable})

_FOLD: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a // b,
    "%": lambda a, b: a % b, "&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
    "<<": lambda a, b: (a << b) & _ALL, ">>": lambda a, b: (a & _ALL) >> b,
}  # fmt: skip


def parameter_value(text: str) -> int | str:
    """A positional parameter: an integer if it reads as one, else a string."""
    try:
        return -parse_integer(text[1:]) if text.startswith("-") else parse_integer(text)
    except ValueError:
        return text


def fold(node: ast.Expression, parameters: tuple[str, ...], special: Special) -> Constant | None:
    """The value of a constant expression; None for what is known at run time only."""
    if type(node) in _AT_RUN_TIME:  # asked of each operand, several times
        return None
    match node:
        case ast.Integer(_, value) | ast.String(_, value) | ast.Boolean(_, value):
            return value
        case ast.Parameter(_, number):
            return parameter_value(parameters[number - 1]) if number <= len(parameters) else 0
        case ast.ParameterCount():
            return len(parameters)
        case ast.Group(_, inner):
            return fold(inner, parameters, special)
        case ast.Unary(_, operator, operand):
            return _fold_unary(operator, fold(operand, parameters, special))
        case ast.Binary(_, left, operator, right):
            first = fold(left, parameters, special)
            if first is None:
                return None
            return _fold_binary(first, operator, fold(right, parameters, special))
        case ast.Comptime(_, operand):
            return fold(operand, parameters, special)
        case ast.SizeOf() | ast.OffsetOf() | ast.Call() | ast.Name():
            return special(node)
        case ast.Member(_, ast.Name(_, "opt")):
            return special(node)
    return None


def _fold_unary(operator: str, value: Constant | None) -> int | bool | None:
    if not isinstance(value, int):
        return None
    match operator:
        case "-":
            return -value
        case "+":
            return value
        case "!":
            return not value
        case "~":
            return ~value & (1 << 64) - 1 if value >= 0 else ~value
    return None


_COMPARE: dict[str, Callable[[Constant, Constant], bool]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: int(a) < int(b),
    ">": lambda a, b: int(a) > int(b), "<=": lambda a, b: int(a) <= int(b),
    ">=": lambda a, b: int(a) >= int(b),
}  # fmt: skip


def _fold_condition(left: Constant, operator: str, right: Constant | None) -> bool | None:
    """Comparisons of constants of one kind, and logic, which one side may decide."""
    if operator in ("&&", "||"):
        if isinstance(left, int) and bool(left) == (operator == "||"):
            return bool(left)
        return bool(right) if isinstance(left, int) and isinstance(right, int) else None
    if right is None or isinstance(left, str) != isinstance(right, str):
        return None
    if isinstance(left, str) and operator not in ("==", "!="):
        return None
    return _COMPARE[operator](left, right)


def _fold_binary(left: Constant | None, operator: str, right: Constant | None) -> Constant | None:
    if left is not None and (operator in _COMPARE or operator in ("&&", "||")):
        return _fold_condition(left, operator, right)
    if isinstance(left, str) and operator == "+":
        if isinstance(right, str):
            return left + right
        return left[right:] if isinstance(right, int) else None
    if not _is_number(left) or not _is_number(right) or operator not in _FOLD:
        return None
    assert isinstance(left, int) and isinstance(right, int)
    if operator in ("/", "%") and (right == 0 or left < 0 or right < 0):
        return None
    if operator in ("<<", ">>") and not 0 <= right < 64:
        return None
    return _FOLD[operator](left, right)


def _is_number(value: Constant | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
