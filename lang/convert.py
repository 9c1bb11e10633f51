"""Two types → the type that holds both, or None: the promotion rules of the language.

Literals adapt to the other side's signedness: their type is spelled `literal`, or `negative`.
"""

from __future__ import annotations

from lang.types import (
    INT64, UINT8, Aggregate, Array, Bool, Enum, Formatted, Int, Pointer, Record, Stack, Str, Symbol, Tuple,
    Type, Void,
)  # fmt: skip


def literal_type(value: int) -> Int:
    """The smallest signed type that holds the literal; above INT64_MAX it is uint64."""
    if value >= 1 << 63:
        return Int(64, False)
    spelling = "literal" if value >= 0 else "negative"
    for bits in (8, 16, 32, 64):
        if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            return Int(bits, True, spelling)
    return INT64


def is_flexible(kind: Type) -> bool:
    return isinstance(kind, Int) and kind.spelling == "literal"


def settle(kind: Type) -> Type:
    """The type without the mark of a literal, as it is stored."""
    return Int(kind.bits, kind.signed) if isinstance(kind, Int) and kind.spelling != "char" else kind


def as_int(kind: Type) -> Int | None:
    """The integer type behind a bool, an enum or an integer."""
    match kind:
        case Int():
            return kind
        case Bool():
            return UINT8
        case Enum(_, bits, signed):
            return Int(bits, signed)
    return None


def promote_ints(a: Int, b: Int) -> Int:
    """Both signed or both unsigned: the wider. Else the signed one if wider, or signed of double width."""
    if a.signed == b.signed:
        spelling = a.spelling if a.spelling == b.spelling else ("negative" if is_flexible(a) and is_flexible(b) else "")
        return Int(max(a.bits, b.bits), a.signed, spelling)
    signed, unsigned = (a, b) if a.signed else (b, a)
    if is_flexible(signed):
        return Int(max(a.bits, b.bits), False)
    if signed.bits > unsigned.bits:
        return Int(signed.bits, True)
    return Int(min(64, unsigned.bits * 2), True)


def promote(a: Type, b: Type) -> Type | None:
    """The type that can hold values of both, or None where there is none."""
    if a == b:
        return b if is_flexible(a) else a
    match a, b:
        case (Bool(), Bool()):
            return a
        case (Int() | Bool() | Enum(), Int() | Bool() | Enum()):
            left, right = as_int(a), as_int(b)
            return promote_ints(left, right) if left and right else None
        case (Str(m), Str(n)):
            return Str(max(m, n))
        case (Pointer(), Pointer()):
            return _promote_pointers(a, b)
        case (Tuple(m), Tuple(n)):
            together = _promote_all(m, n)
            return Tuple(together) if together is not None else None
        case (Record(names, m), Record(others, n)) if names == others:
            together = _promote_all(m, n)
            return Record(names, together) if together is not None else None
        case (Stack(space, mode, m), Stack(other, other_mode, n)) if space == other and mode == other_mode:
            return Stack(space, mode, max(m, n))
        case (Aggregate(), Aggregate()) if _same_aggregate(a, b):
            return Aggregate(a.kind, a.signed or b.signed, a.bits, a.low, a.high, a.step)
        case (Array(of, m), Array(other_of, n)) if m == n:
            inner = promote(of, other_of)
            return Array(inner, m) if inner is not None else None
        case (Formatted(name), Formatted(other)) if name == other:
            return a
    return None


def _promote_pointers(a: Pointer, b: Pointer) -> Pointer:
    space = a.space if a.space != "none" else b.space
    if a.to == b.to:
        return Pointer(a.to, space)
    return Pointer(b.to if isinstance(a.to, Void) else a.to if isinstance(b.to, Void) else Void(), space)


def _promote_all(left: tuple[Type, ...], right: tuple[Type, ...]) -> tuple[Type, ...] | None:
    if len(left) != len(right):
        return None
    merged = [promote(m, n) for m, n in zip(left, right, strict=True)]
    return tuple(item for item in merged if item is not None) if None not in merged else None


def _same_aggregate(a: Aggregate, b: Aggregate) -> bool:
    return (a.kind, a.bits, a.low, a.high, a.step) == (b.kind, b.bits, b.low, b.high, b.step)


def is_condition(kind: Type) -> bool:
    """Whether a value of the type may stand in `if`, a predicate, `!`, `&&`, `||` or before `?`."""
    return isinstance(kind, Int | Bool | Enum | Pointer)



def storable(kind: Type) -> bool:
    """Whether a map's value, a key or a variable may have the type."""
    match kind:
        case Void():
            return False
        case Tuple(elements) | Record(_, elements):
            return all(storable(item) for item in elements)
    return True
