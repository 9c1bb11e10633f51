"""The builtin functions: name → arguments, result type, what it is. A table to extend.

A `result` rule sees the call through `Typing`, reports what is wrong with the arguments at their place, and
gives the call's type: None while an argument's type is not known yet, or after an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, get_args

from lang import ast
from lang.builtins import Scene
from lang.checked import MapInfo
from lang.convert import as_int, is_flexible
from lang.fold import Constant
from lang.printf import Conversion, conversions
from lang.source import Span
from lang.types import (
    BOOL,
    VOID,
    Aggregate,
    AggregateKind,
    Array,
    Bool,
    Buffer,
    Enum,
    Inet,
    Int,
    Pointer,
    Space,
    Stack,
    Str,
    Struct,
    Symbol,
    Type,
    Void,
)  # fmt: skip

_EXISTS_FORMS = 'exists("struct task_struct.__state"), exists("kprobe:vfs_read")'
MAX_PRINTF_ARGUMENTS = 127
MAX_STACK_DEPTH = (
    127  # what one event or map value may hold; the kernel's default sysctl perf_event_max_stack
)
STACK_MODES = ("bpftrace", "perf", "raw")
HISTOGRAM_BITS = range(6)
MAX_LINEAR_BUCKETS = 1000


class Typing(Protocol):
    """What a rule may ask of the checker."""

    @property
    def scene(self) -> Scene: ...
    def type(self, node: ast.Expression) -> Type | None:
        """The type of an argument, which this visits."""

    def constant(self, node: ast.Expression) -> Constant | None:
        """The value of a literal, a parameter or arithmetic on them; None for what is not constant."""

    def map(self, node: ast.Expression, absent: bool = False) -> MapInfo | None:
        """The map that the argument names as a whole; None, unreported, where it is no bare map."""

    def key(self, node: ast.Node, info: MapInfo, keys: tuple[ast.Expression, ...]) -> None:
        """Visit a key given to the map, and unify its type."""

    def given(self, parameter: ast.Parameter) -> bool:
        """Whether the command line gave this parameter."""

    def error(self, node: ast.Node | Span, message: str, *hints: str) -> None: ...


@dataclass(frozen=True)
class Function:
    """`most` is None where any number of arguments may follow."""

    name: str
    least: int
    most: int | None
    result: Callable[[Typing, ast.Call], Type | None]
    usage: str
    doc: str
    aggregate: bool = False

    def count_error(self, given: int) -> str | None:
        """The message for a wrong number of arguments, in bpftrace's words."""
        if given >= self.least and (self.most is None or given <= self.most):
            return None
        if self.most == 0:
            wanted = "requires no arguments"
        elif self.least == self.most:
            wanted = f"requires {_arguments(self.least)}"
        elif given < self.least:
            wanted = f"requires at least {_arguments(self.least)}"
        else:
            wanted = f"takes up to {_arguments(self.most or 0)}"
        return f"{self.name}() {wanted} ({given} provided)"


def _arguments(count: int) -> str:
    return "one argument" if count == 1 else f"{count} arguments"


def _visit_all(typing: Typing, call: ast.Call) -> list[Type | None]:
    return [typing.type(item) for item in call.arguments]


# ---- Output


def _printf(typing: Typing, call: ast.Call) -> Type | None:
    text = typing.constant(call.arguments[0])
    kinds = [typing.type(item) for item in call.arguments[1:]]
    if not isinstance(text, str) or not isinstance(call.arguments[0], ast.String):
        typing.error(call.arguments[0], f"{call.name}() expects a string literal as its format")
        return VOID
    wanted = conversions(text)
    given = len(kinds)
    if given > MAX_PRINTF_ARGUMENTS:
        typing.error(call, f"{call.name}() takes up to {MAX_PRINTF_ARGUMENTS} arguments ({given} provided)")
    elif given < len(wanted):
        typing.error(
            call, f"not enough arguments for format string ({given} supplied, {len(wanted)} expected)"
        )
    elif given > len(wanted):
        typing.error(call, f"too many arguments for format string ({given} supplied, {len(wanted)} expected)")
    for conversion, kind, node in zip(wanted, kinds, call.arguments[1:], strict=False):
        if kind is not None:
            _check_conversion(typing, conversion, kind, node)
    return VOID


def _check_conversion(typing: Typing, conversion: Conversion, kind: Type, node: ast.Expression) -> None:
    if isinstance(kind, Void):
        typing.error(node, "this has no value to print")
        return
    fits = {
        "str": True,
        "buffer": isinstance(kind, Buffer),
        "unsupported": False,
    }.get(conversion.kind, isinstance(kind, Int | Bool | Enum | Pointer))
    if isinstance(kind, Aggregate):
        typing.error(node, f"the value of a {kind} cannot be read in a probe", "print(@map) prints it")
    elif isinstance(kind, Struct):
        typing.error(node, f"a whole {kind} cannot be printed", "print its fields")
    elif conversion.kind == "unsupported":
        typing.error(node, f"unsupported format specifier: {conversion.letter}")
    elif not fits:
        typing.error(node, f"unsupported format specifier for type '{kind}': {conversion.letter}")


def _print(typing: Typing, call: ast.Call) -> Type | None:
    first, *rest = call.arguments
    info = typing.map(first, absent=True)
    if info is None:
        kind = typing.type(first)
        if isinstance(kind, Void):
            typing.error(first, "this has no value to print")
        elif isinstance(kind, Aggregate):
            message = f"cannot print the value of individual keys of a {kind.kind}() map"
            hint = (
                f"@name = {kind.kind}(…)" if isinstance(first, ast.Call) else "print(@map) prints all of them"
            )
            typing.error(first, message, hint)
        elif isinstance(kind, Struct):
            typing.error(first, f"a whole {kind} cannot be printed", "print its fields")
        if rest:
            typing.error(call, f"print() of a value takes one argument ({len(call.arguments)} provided)")
        return VOID
    for node, name in zip(rest, ("top", "div"), strict=False):
        value = typing.constant(node)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            typing.error(node, f"print(): the {name} argument must be a literal that is not negative")
    return VOID


def _whole_map(typing: Typing, call: ast.Call) -> Type | None:
    if typing.map(call.arguments[0], absent=True) is None:
        first = call.arguments[0]
        kind = typing.type(first)
        hint = (
            f"{call.name}({first.map.name})" if isinstance(first, ast.MapEntry) else "a map is written @name"
        )
        if kind is not None:
            typing.error(first, f"{call.name}() expects a map", hint)
    return VOID


def _delete(typing: Typing, call: ast.Call) -> Type | None:
    first, *keys = call.arguments
    if isinstance(first, ast.MapEntry) and not keys:
        typing.type(first)
        return BOOL
    info = typing.map(first)
    if info is None:
        typing.error(first, "delete() expects a map", "delete(@map, key)")
    elif keys:
        key = keys[0]
        typing.key(call, info, key.elements if isinstance(key, ast.Tuple) and key.elements else (key,))
    elif info.keyed:
        typing.error(
            call, f"delete() of {info.name} needs a key", f"delete({info.name}, key), or clear({info.name})"
        )
    return BOOL


def _has_key(typing: Typing, call: ast.Call) -> Type | None:
    info, key = typing.map(call.arguments[0]), call.arguments[1]
    if info is None or info.keyed is False:
        typing.error(call.arguments[0], "call to has_key() expects a map with explicit keys")
        return BOOL
    typing.key(call, info, key.elements if isinstance(key, ast.Tuple) and key.elements else (key,))
    return BOOL


def _exists(typing: Typing, call: ast.Call) -> Type | None:
    if not isinstance(call.arguments[0], ast.String):
        typing.error(call.arguments[0], "exists() expects a string literal", _EXISTS_FORMS)
    return BOOL


def _time(typing: Typing, call: ast.Call) -> Type | None:
    if call.arguments and not isinstance(typing.constant(call.arguments[0]), str):
        typing.error(call.arguments[0], "time() expects a string literal as its format")
    return VOID


def _exit(typing: Typing, call: ast.Call) -> Type | None:
    for node in call.arguments:
        kind = typing.type(node)
        if kind is not None and as_int(kind) is None:
            typing.error(node, f"exit() expects an integer, not {kind}")
    return VOID


# ---- Values


def _str(typing: Typing, call: ast.Call) -> Type | None:
    limit = typing.scene.settings.max_strlen
    if len(call.arguments) == 2:
        length = typing.constant(call.arguments[1])
        if isinstance(length, int) and not isinstance(length, bool):
            if length < 1:
                typing.error(call.arguments[1], "str(): the length must be at least 1")
            limit = max(1, min(limit, length))
        else:
            _expect_int(typing, call.arguments[1], "str(): the length")
    node = call.arguments[0]
    value = typing.constant(node)
    if isinstance(node, ast.Parameter) and not typing.given(node):
        return Str(1)  # a parameter that was not given is an empty string here
    if isinstance(node, ast.Parameter | ast.Binary) and value is not None:
        return Str(len(str(value).encode("utf-8", "surrogateescape")) + 1)
    kind = typing.type(node)
    if kind is None:
        return None
    if isinstance(kind, Str):
        return kind
    if isinstance(kind, Array) and as_int(kind.of) is not None:
        return Str(min(limit, kind.length + 1))
    if not isinstance(kind, Pointer) and as_int(kind) is None:
        typing.error(node, f"str() expects a pointer or an integer, not {kind}")
    return Str(limit)


def _expect_int(typing: Typing, node: ast.Expression, what: str) -> Type | None:
    kind = typing.type(node)
    if kind is not None and as_int(kind) is None:
        typing.error(node, f"{what} must be an integer, not {kind}")
        return None
    return kind


def _symbol(space: Space) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        kind = typing.type(call.arguments[0])
        if kind is not None and as_int(kind) is None and not isinstance(kind, Pointer):
            typing.error(call.arguments[0], f"{call.name}() expects an address, not {kind}")
        return Symbol(space)

    return rule


def _stack(space: Space) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        mode, depth = typing.scene.settings.stack_mode, MAX_STACK_DEPTH
        for node in call.arguments:
            if isinstance(node, ast.Name) and node is call.arguments[0]:
                if node.name not in STACK_MODES:
                    typing.error(node, f"unknown stack mode '{node.name}'", "modes: " + " ".join(STACK_MODES))
                    continue
                mode = node.name  # type: ignore[assignment]
                continue
            value = typing.constant(node)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_STACK_DEPTH:
                typing.error(node, f"{call.name}(): the limit must be a literal from 1 to {MAX_STACK_DEPTH}")
                continue
            depth = value
        return Stack(space, mode, depth)

    return rule


def _ntop(typing: Typing, call: ast.Call) -> Type | None:
    kinds = _visit_all(typing, call)
    address = kinds[-1]
    if len(kinds) == 2:
        _expect_int(typing, call.arguments[0], "ntop(): the address family")
    if address is None or as_int(address) is not None:
        return Inet()
    size = address.length if isinstance(address, Array) and as_int(address.of) else 0
    size = address.size if isinstance(address, Str) else size
    if size not in (4, 16):
        typing.error(
            call.arguments[-1], f"ntop() expects an integer or an array of 4 or 16 bytes, not {address}"
        )
    return Inet()


# ---- Aggregations


def _aggregate(kind: AggregateKind) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        signed = False
        for node in call.arguments[:1]:
            value = _expect_int(typing, node, f"{kind}(): the value")
            integer = as_int(value) if value is not None else None
            signed = integer is not None and integer.signed and not is_flexible(integer)
        return Aggregate(kind, signed)

    return rule


def _hist(typing: Typing, call: ast.Call) -> Type | None:
    _expect_int(typing, call.arguments[0], "hist(): the value")
    bits: int | str | bool | None = 0
    if len(call.arguments) == 2:
        bits = typing.constant(call.arguments[1])
        if isinstance(bits, bool) or not isinstance(bits, int) or bits not in HISTOGRAM_BITS:
            typing.error(call.arguments[1], "hist(): the second argument must be a literal from 0 to 5")
            bits = 0
    return Aggregate("hist", True, bits=int(bits or 0))


def _lhist(typing: Typing, call: ast.Call) -> Type | None:
    _expect_int(typing, call.arguments[0], "lhist(): the value")
    limits: list[int] = []
    for node, name in zip(call.arguments[1:], ("min", "max", "step"), strict=True):
        value = typing.constant(node)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            typing.error(node, f"lhist: invalid {name} value (must be non-negative literal)")
            return None
        limits.append(value)
    low, high, step = limits
    wrong = _lhist_error(low, high, step)
    if wrong:
        typing.error(call, wrong)
        return None
    return Aggregate("lhist", True, low=low, high=high, step=step)


def _lhist_error(low: int, high: int, step: int) -> str | None:
    if step < 1:
        return f"lhist() step must be >= 1 ({step} provided)"
    if low >= high:
        return f"lhist() min must be less than max (provided min {low} and max {high})"
    buckets = (high - low) // step
    if buckets > MAX_LINEAR_BUCKETS:
        return f"lhist() too many buckets, must be <= {MAX_LINEAR_BUCKETS} (would need {buckets})"
    if step > high - low:
        return f"lhist() step is too large for the given range (provided step {step} for range {high - low})"
    return None


FUNCTIONS = {
    item.name: item
    for item in (
        Function("printf", 1, None, _printf, "printf(format, value, …)", "print formatted text"),
        Function(
            "print", 1, 3, _print, "print(value) or print(@map[, top[, div]])", "print a value or a map"
        ),
        Function("clear", 1, 1, _whole_map, "clear(@map)", "delete all entries of a map"),
        Function("zero", 1, 1, _whole_map, "zero(@map)", "set all values of a map to zero"),
        Function("delete", 1, 2, _delete, "delete(@map, key)", "delete one entry: true if it was there"),
        Function(
            "exists", 1, 1, _exists, 'exists("kind:name")', "whether this kernel has a probe or a field"
        ),
        Function("has_key", 2, 2, _has_key, "has_key(@map, key)", "whether the map has the key"),
        Function("time", 0, 1, _time, "time([format])", "print the time of day, by strftime"),
        Function("exit", 0, 1, _exit, "exit([code])", "end the script"),
        Function("str", 1, 2, _str, "str(pointer[, length])", "the string behind a pointer"),
        Function("ksym", 1, 1, _symbol("kernel"), "ksym(address)", "a kernel address as a symbol"),
        Function("usym", 1, 1, _symbol("user"), "usym(address)", "a user address as a symbol"),
        Function("kstack", 0, 2, _stack("kernel"), "kstack([mode, ][limit])", "the kernel's stack"),
        Function("ustack", 0, 2, _stack("user"), "ustack([mode, ][limit])", "the process's stack"),
        Function("ntop", 1, 2, _ntop, "ntop([family, ]address)", "an IP address as text"),
        Function("count", 0, 0, _aggregate("count"), "@m = count()", "how often", True),
        Function("sum", 1, 1, _aggregate("sum"), "@m = sum(n)", "the sum", True),
        Function("min", 1, 1, _aggregate("min"), "@m = min(n)", "the smallest", True),
        Function("max", 1, 1, _aggregate("max"), "@m = max(n)", "the largest", True),
        Function("avg", 1, 1, _aggregate("avg"), "@m = avg(n)", "the mean", True),
        Function("stats", 1, 1, _aggregate("stats"), "@m = stats(n)", "count, mean and total", True),
        Function("hist", 1, 2, _hist, "@m = hist(n[, bits])", "a histogram of powers of two", True),
        Function("lhist", 4, 4, _lhist, "@m = lhist(n, min, max, step)", "a histogram of equal steps", True),
    )
}
assert set(get_args(AggregateKind)) >= {name for name, item in FUNCTIONS.items() if item.aggregate}
