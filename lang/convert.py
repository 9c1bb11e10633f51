"""Two types → the type that holds both, or None: the promotion rules of the language.

Literals adapt to the other side's signedness: their type is spelled `literal`, or `negative`. A promotion
that changes nothing gives its first type back, the very same object: so is seen whether a type grew.
"""

from __future__ import annotations

from lang.types import (
    INT64,
    UINT8,
    UINT64,
    Aggregate,
    Array,
    Bool,
    Enum,
    Formatted,
    Int,
    Last,
    Pointer,
    Record,
    Space,
    Stack,
    Str,
    Tuple,
    Type,
    Void,
)  # fmt: skip

COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")


def literal_type(value: int) -> Int:
    """The smallest signed type that holds the literal; above INT64_MAX it is uint64."""
    if value >= 1 << 63:
        return UINT64
    spelling = "literal" if value >= 0 else "negative"
    for bits in (8, 16, 32, 64):
        if -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            return Int(bits, True, spelling)
    return INT64


def is_flexible(kind: Type) -> bool:
    return isinstance(kind, Int) and kind.spelling == "literal"


def settle(kind: Type) -> Type:
    """The type without the marks of literals, as it is stored."""
    match kind:
        case Int(bits, signed, spelling) if spelling in ("literal", "negative"):
            return Int(bits, signed)
        case Tuple(elements):
            return Tuple(tuple(settle(item) for item in elements))
        case Record(names, elements):
            return Record(names, tuple(settle(item) for item in elements))
        case Last(of):
            return Last(settle(of))
    return kind


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


def fits(value: int, kind: Type | None) -> bool:
    """Whether an integer of this type can hold the value."""
    if not isinstance(kind, Int):
        return False
    low = -(1 << (kind.bits - 1)) if kind.signed else 0
    return low <= value < low + (1 << kind.bits)


def arithmetic_type(operator: str, left: Int, right: Int) -> Int:
    """Both operands become 64-bit: signed if one is, or for `-`; a shift keeps the left side's sign."""
    if operator in ("<<", ">>"):
        return INT64 if left.signed and not is_flexible(left) else UINT64
    if operator == "-":
        return INT64
    signed = any(item.signed and not is_flexible(item) for item in (left, right))
    return INT64 if signed or (is_flexible(left) and is_flexible(right)) else UINT64


def promote_ints(a: Int, b: Int) -> Int:
    """Both signed or both unsigned: the wider. Else the signed one if wider, or signed of double width."""
    if a.signed == b.signed:
        spelling = a.spelling if a.spelling == b.spelling else ""
        if not spelling and a.spelling in ("literal", "negative") and b.spelling in ("literal", "negative"):
            spelling = "negative"
        return _same_or(a, Int(max(a.bits, b.bits), a.signed, spelling))
    signed, unsigned = (a, b) if a.signed else (b, a)
    if is_flexible(signed):
        return _same_or(a, Int(max(a.bits, b.bits), False, unsigned.spelling))
    if signed.bits > unsigned.bits:
        return _same_or(a, Int(signed.bits, True))
    return _same_or(a, Int(min(64, unsigned.bits * 2), True))


def _same_or(a: Int, merged: Int) -> Int:
    return a if (a.bits, a.signed, a.spelling) == (merged.bits, merged.signed, merged.spelling) else merged


def promote(a: Type, b: Type) -> Type | None:
    """The type that can hold values of both, or None where there is none."""
    match a, b:
        case (Int(), Int()):
            return promote_ints(a, b)
        case (Tuple(), Tuple()):
            together = _promote_all(a.elements, b.elements)
            return together if together is None else a if together is a.elements else Tuple(together)
        case (Record(names), Record(others)) if names == others:
            together = _promote_all(a.elements, b.elements)
            return together if together is None else a if together is a.elements else Record(names, together)
    if a == b:
        return a
    match a, b:
        case (Int() | Bool() | Enum(), Int() | Bool() | Enum()):
            left, right = as_int(a), as_int(b)
            return promote_ints(left, right) if left and right else None
        case (Str(m), Str(n)):
            return a if m >= n else b
        case (Pointer(), Pointer()):
            return _promote_pointers(a, b)
    return _promote_special(a, b)


def _promote_special(a: Type, b: Type) -> Type | None:
    match a, b:
        case (Stack(space, mode, m), Stack(other, other_mode, n)) if space == other and mode == other_mode:
            return a if m >= n else b
        case (Aggregate(), Aggregate()) if _same_aggregate(a, b):
            return a if a.signed else b
        case (Array(of, m), Array(other_of, n)) if m == n:
            inner = promote(of, other_of)
            return None if inner is None else a if inner is of else Array(inner, m)
        case (Formatted(name), Formatted(other)) if name == other:
            return a
        case (Last(of), Last(other_of)):
            inner = promote(of, other_of)
            return None if inner is None else a if inner is of else Last(inner)
    return None


def _promote_pointers(a: Pointer, b: Pointer) -> Pointer:
    space = a.space if a.space != "none" else b.space
    merged = Pointer(a.to, space)
    if a.to != b.to:
        to = b.to if isinstance(a.to, Void) else a.to if isinstance(b.to, Void) else Void()
        merged = Pointer(to, space)
    return a if merged == a else merged


def _promote_all(left: tuple[Type, ...], right: tuple[Type, ...]) -> tuple[Type, ...] | None:
    if len(left) != len(right):
        return None
    merged = [promote(m, n) for m, n in zip(left, right, strict=True)]
    if any(item is None for item in merged):
        return None
    if all(item is old for item, old in zip(merged, left, strict=True)):
        return left
    return tuple(item for item in merged if item is not None)


def _same_aggregate(a: Aggregate, b: Aggregate) -> bool:
    return (a.kind, a.bits, a.low, a.high, a.step) == (b.kind, b.bits, b.low, b.high, b.step)


def is_condition(kind: Type) -> bool:
    """Whether a value of the type may stand in `if`, a predicate, `!`, `&&`, `||` or before `?`."""
    return isinstance(kind, Int | Bool | Enum | Pointer)


def storable(kind: Type) -> bool:
    """Whether a key, a variable, or a member of a tuple may have the type."""
    return not isinstance(kind, Void) and not aggregates(kind) and not is_format(kind)


def is_format(kind: Type) -> bool:
    """Whether it is format()'s text, which a row alone can hold."""
    return isinstance(kind, Formatted) and kind.name == "format"


def aggregates(kind: Type | None) -> bool:
    """Whether values of the type are kept for each CPU: an aggregation, or a record of aggregations."""
    if isinstance(kind, Record):
        return any(isinstance(item, Aggregate) for item in kind.elements)
    return isinstance(kind, Aggregate)


def value_type(kind: Type, space: Space) -> Type:
    """The type that reading a member gives: char arrays are strings, pointers keep the space they came by."""
    if isinstance(kind, Array) and is_char_array(kind) and kind.length > 0:
        return Str(kind.length)
    if isinstance(kind, Pointer):
        return Pointer(kind.to, space)
    return kind


def is_char_array(kind: Type) -> bool:
    return isinstance(kind, Array) and isinstance(kind.of, Int) and kind.of.spelling == "char"


def shareable(kind: Type) -> bool:
    """Whether all CPUs can share what is aggregated, as adding is atomic on every kernel."""
    if isinstance(kind, Record):
        return all(shareable(item) or isinstance(item, Last) for item in kind.elements)
    return isinstance(kind, Aggregate) and kind.kind in ("count", "sum", "avg")


def castable(kind: Type) -> Type:
    """What reading an aggregation in a probe gives: an integer, except for those with several numbers."""
    if isinstance(kind, Aggregate) and kind.kind in ("count", "sum", "min", "max", "avg"):
        return Int(64, kind.signed)
    if isinstance(kind, Record) and aggregates(kind):
        return Record(kind.names, tuple(castable(item) for item in kind.elements))
    return kind.of if isinstance(kind, Last) else kind
