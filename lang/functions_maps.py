"""The builtin functions on maps: entries, and the aggregations."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from lang import ast
from lang.convert import as_int, is_flexible
from lang.fold import Constant
from lang.signature import Function, Typing, expect_int, expect_literal, expect_text, fixed
from lang.types import BOOL, INT64, SERIES, UINT64, VOID, Aggregate, AggregateKind, Stack, Str, Type

HISTOGRAM_BITS = range(6)
MAX_LINEAR_BUCKETS = 1000
MAX_INTERVALS = 1_000_000


def _whole_map(typing: Typing, call: ast.Call) -> Type | None:
    if typing.map(call.arguments[0]) is None:
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
        entry_of = typing.map(first.map)
        if entry_of is not None:
            typing.key(first, entry_of, first.keys)
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


def _find(call: ast.Call) -> ast.Expression:
    """`if has_key(@map, key) { $value = @map[key]; true } else { false }`."""
    span, (map_node, key, variable) = call.span, call.arguments
    assert isinstance(map_node, ast.Map) and isinstance(variable, ast.Variable)
    keys = key.elements if isinstance(key, ast.Tuple) and key.elements else (key,)
    taken = ast.Assign(span, variable, ast.MapEntry(span, map_node, keys))
    yes, no = (ast.Evaluate(span, ast.Boolean(span, value)) for value in (True, False))
    present = ast.Call(span, "has_key", (map_node, key))
    return ast.IfValue(span, present, ast.Block(span, (taken, yes), True), ast.Block(span, (no,), True))


def _len(typing: Typing, call: ast.Call) -> Type | None:
    node = call.arguments[0]
    info = typing.map(node)
    if info is None:
        kind = typing.type(node)
        if isinstance(kind, Str):
            return UINT64  # as strlen()
        if kind is not None and not isinstance(kind, Stack):
            typing.error(node, f"len() expects a map, a stack or a string, not {kind}")
    elif info.keyed is False:
        typing.error(node, "call to len() expects a map with explicit keys")
    elif isinstance(info.value, Aggregate) and info.value.kind in ("hist", "lhist", "tseries"):
        typing.error(node, f"the entries of a {info.value.kind}() map cannot be counted")
    return INT64


def text_length(typing: Typing, call: ast.Call) -> Constant | None:
    """The bytes of a constant string."""
    text = typing.constant(call.arguments[0])
    return len(text.encode("utf-8", "surrogateescape")) if isinstance(text, str) else None


# ---- Aggregations


def _aggregate(kind: AggregateKind) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        signed = False
        for node in call.arguments[:1]:
            value = expect_int(typing, node, f"{kind}(): the value")
            integer = as_int(value) if value is not None else None
            signed = integer is not None and integer.signed and not is_flexible(integer)
        return Aggregate(kind, signed)

    return rule


def _hist(typing: Typing, call: ast.Call) -> Type | None:
    expect_int(typing, call.arguments[0], "hist(): the value")
    bits: int | str | bool | None = 0
    if len(call.arguments) == 2:
        bits = typing.constant(call.arguments[1])
        if isinstance(bits, bool) or not isinstance(bits, int) or bits not in HISTOGRAM_BITS:
            typing.error(call.arguments[1], "hist(): the second argument must be a literal from 0 to 5")
            bits = 0
    return Aggregate("hist", True, bits=int(bits or 0))


def _lhist(typing: Typing, call: ast.Call) -> Type | None:
    expect_int(typing, call.arguments[0], "lhist(): the value")
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


def _tseries(typing: Typing, call: ast.Call) -> Type | None:
    value = expect_int(typing, call.arguments[0], "tseries(): the value")
    integer = as_int(value) if value is not None else None
    interval = expect_literal(typing, call, 1, 1, (1 << 63) - 1)
    kept = expect_literal(typing, call, 2, 1, MAX_INTERVALS)
    how: str | None = ""
    if len(call.arguments) == 4:
        how = expect_text(typing, call, 3, "what becomes of an interval's values")
        if how is not None and how not in SERIES[1:]:
            typing.error(call.arguments[3], f"tseries(): '{how}' is none of: {' '.join(SERIES[1:])}")
            return None
    if interval is None or kept is None or how is None:
        return None
    signed = integer is not None and integer.signed
    return Aggregate("tseries", signed, bits=SERIES.index(how), low=interval, high=kept)


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


MAPS = (
    Function(
        "find",
        3,
        3,
        fixed(BOOL),
        "find(@map, key, $value)",
        "the value of a key, if it is there",
        meaning=_find,
    ),
    Function(
        "len",
        1,
        1,
        _len,
        "len(@map), len(stack) or len(text)",
        "how many entries, frames or bytes",
        value=text_length,
    ),
    Function("clear", 1, 1, _whole_map, "clear(@map)", "delete all entries of a map"),
    Function("zero", 1, 1, _whole_map, "zero(@map)", "set all values of a map to zero"),
    Function("delete", 1, 2, _delete, "delete(@map, key)", "delete one entry: true if it was there"),
    Function("has_key", 2, 2, _has_key, "has_key(@map, key)", "whether the map has the key"),
    Function("count", 0, 0, _aggregate("count"), "@m = count()", "how often", True),
    Function("sum", 1, 1, _aggregate("sum"), "@m = sum(n)", "the sum", True),
    Function("min", 1, 1, _aggregate("min"), "@m = min(n)", "the smallest", True),
    Function("max", 1, 1, _aggregate("max"), "@m = max(n)", "the largest", True),
    Function("avg", 1, 1, _aggregate("avg"), "@m = avg(n)", "the mean", True),
    Function("stats", 1, 1, _aggregate("stats"), "@m = stats(n)", "count, mean and total", True),
    Function("hist", 1, 2, _hist, "@m = hist(n[, bits])", "a histogram of powers of two", True),
    Function(
        "tseries",
        3,
        4,
        _tseries,
        '@m = tseries(n, interval, count[, "avg"])',
        "the values over time, one for each interval",
        True,
    ),
    Function("lhist", 4, 4, _lhist, "@m = lhist(n, min, max, step)", "a histogram of equal steps", True),
)
assert set(get_args(AggregateKind)) >= {item.name for item in MAPS if item.aggregate}
