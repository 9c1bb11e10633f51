"""The types of values: what the checker infers, the layouts that C and the decoder share.

Sizes are bytes. Types are plain frozen data: they compare by value and go to JSON and back
(`to_json`, `from_json`). A `Struct` is a reference; its members are asked of the machine.
"""

from __future__ import annotations

from typing import Any, Literal

from lang.records import dataclass, field, fields, is_dataclass

Space = Literal["kernel", "user", "none"]
SERIES = ("", "avg", "min", "max", "sum")  # the first: the last value
AggregateKind = Literal["count", "sum", "min", "max", "avg", "stats", "hist", "lhist", "tseries"]


@dataclass(frozen=True)
class Void:
    def __str__(self) -> str:
        return "none"


@dataclass(frozen=True)
class Int:
    """An integer of 8 to 64 bits. `spelling` is the C name it came by; only `char` matters."""

    bits: int
    signed: bool
    spelling: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"


@dataclass(frozen=True)
class Bool:
    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True)
class Enum:
    """A C enum: an integer that prints as the name of its constant (asked of the machine)."""

    name: str
    bits: int = 32
    signed: bool = False

    def __str__(self) -> str:
        return f"enum {self.name}"


@dataclass(frozen=True)
class Pointer:
    """A 64-bit address; `space` says which probe_read reads behind it."""

    to: Type
    space: Space = "kernel"

    def __str__(self) -> str:
        return f"{'void' if isinstance(self.to, Void) else self.to} *"


@dataclass(frozen=True)
class Array:
    of: Type
    length: int

    def __str__(self) -> str:
        return f"{self.of}[{self.length}]"


@dataclass(frozen=True)
class Struct:
    """A C struct or union by its id in the machine's type table; anonymous ones have no name."""

    kind: Literal["struct", "union"]
    name: str
    size: int
    id: int

    def __str__(self) -> str:
        return f"{self.kind} {self.name or '(anonymous)'}"


@dataclass(frozen=True)
class Str:
    """A NUL-terminated string in a fixed buffer of `size` bytes."""

    size: int

    def __str__(self) -> str:
        return f"string[{self.size}]"


@dataclass(frozen=True)
class Buffer:
    """Up to `size` bytes behind a u32 length; as `words`, texts that end with a NUL each."""

    size: int
    words: bool = False

    def __str__(self) -> str:
        return f"buffer[{self.size}]"


@dataclass(frozen=True)
class Tuple:
    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return "(" + ",".join(str(item) for item in self.elements) + ")"


@dataclass(frozen=True)
class Record:
    names: tuple[str, ...]
    elements: tuple[Type, ...]

    def __str__(self) -> str:
        pairs = zip(self.names, self.elements, strict=True)
        return "record { " + ", ".join(f".{name} = {item}" for name, item in pairs) + " }"


@dataclass(frozen=True)
class Stack:
    """A stack trace: {u64 id; u32 frames; u32 pid}; the frames are in the stacks map."""

    space: Space
    mode: Literal["bpftrace", "perf", "raw", "build_id"] = "bpftrace"
    depth: int = 127
    skip: int = 0  # so many of the first frames are left out

    def __str__(self) -> str:
        skip = f"_{self.skip}" if self.skip else ""
        return f"{'k' if self.space == 'kernel' else 'u'}stack_{self.mode}_{self.depth}{skip}"


@dataclass(frozen=True)
class Symbol:
    """An address printed as a name. Kernel: u64. User: {u64 address; u32 pid; u32 unused}."""

    space: Space

    def __str__(self) -> str:
        return "ksym_t" if self.space == "kernel" else "usym_t"


@dataclass(frozen=True)
class Inet:
    """An address of the family AF_INET or AF_INET6: {u32 family; u8 address[16]}."""

    def __str__(self) -> str:
        return "inet"


@dataclass(frozen=True)
class Timestamp:
    """Nanoseconds of a clock, printed by strftime in local time."""

    format: str
    clock: str = "boot"

    def __str__(self) -> str:
        return "timestamp"


@dataclass(frozen=True)
class Formatted:
    """An integer that a formatter of user space turns into text: `username`, `mac`, `cgroup_path` …"""

    name: str
    of: Type
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}_t"


@dataclass(frozen=True)
class Aggregate:
    """A per-CPU aggregation; `bits` is hist's, `low`, `high` and `step` are lhist's.

    Of tseries `low` is the interval in nanoseconds, `high` how many are kept, and `bits` the place in SERIES
    of what becomes of the values of one interval.
    """

    kind: AggregateKind
    signed: bool = False
    bits: int = 0
    low: int = 0
    high: int = 0
    step: int = 0

    def __str__(self) -> str:
        unsigned = "u" if not self.signed and self.kind in ("sum", "min", "max", "avg", "stats") else ""
        return f"{unsigned}{self.kind}_t"


@dataclass(frozen=True)
class Last:
    """A plain field of a record that is kept for each CPU: {u64 when it was written; the value}."""

    of: Type

    def __str__(self) -> str:
        return str(self.of)


Type = (
    Void
    | Int
    | Bool
    | Enum
    | Pointer
    | Array
    | Struct
    | Str
    | Buffer
    | Tuple
    | Record
    | Stack
    | Symbol
    | Inet
    | Timestamp
    | Formatted
    | Aggregate
    | Last
)

VOID = Void()
BOOL = Bool()
INT8, INT16, INT32, INT64 = (Int(bits, True) for bits in (8, 16, 32, 64))
UINT8, UINT16, UINT32, UINT64 = (Int(bits, False) for bits in (8, 16, 32, 64))
CHAR = Int(8, True, "char")

# bpftrace's own names of types
BASE_TYPES: dict[str, Type] = {
    "bool": BOOL,
    "void": VOID,
    **{f"{sign}int{bits}": Int(bits, not sign) for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def size_of(kind: Type) -> int:
    """Bytes that a value of this type takes in a map, an event or a C struct."""
    return _measure(kind)[0]


def align_of(kind: Type) -> int:
    """Alignment of the type in bytes, by C's rules."""
    return _measure(kind)[1]


def offsets(elements: tuple[Type, ...]) -> tuple[tuple[int, ...], int]:
    """C struct layout: the offset of each element, and the size of the whole."""
    places, size, _ = _lay_out(elements)
    return places, size


def _lay_out(elements: tuple[Type, ...]) -> tuple[tuple[int, ...], int, int]:
    at, widest, places = 0, 1, []
    for item in elements:
        size, align = _measure(item)
        at = -(-at // align) * align
        places.append(at)
        at += size
        widest = max(widest, align)
    return tuple(places), -(-at // widest) * widest, widest


def _measure(kind: Type) -> tuple[int, int]:
    match kind:
        case Int(bits) | Enum(_, bits):
            return bits // 8, bits // 8
        case Bool():
            return 1, 1
        case Pointer():
            return 8, 8
        case Array(of, length):
            size, align = _measure(of)
            return size * length, align
        case Struct(_, _, size):
            return size, 8
        case Str(size):
            return size, 1
        case Buffer(size):
            return -(-(4 + size) // 4) * 4, 4
        case Tuple(()):
            return 1, 1  # no map holds values of no bytes
        case Tuple(elements) | Record(_, elements):
            return _lay_out(elements)[1:]
        case Stack():
            return 16, 8
        case Symbol(space):
            return (8 if space == "kernel" else 16), 8
        case Inet():
            return 20, 4
        case Timestamp():
            return 8, 8
        case Formatted(_, of):
            return _measure(of)
        case Aggregate("tseries"):
            return 24, 8
        case Aggregate(name):
            return (16 if name in ("min", "max", "avg", "stats") else 8), 8
        case Last(of):
            return 8 + -(-_measure(of)[0] // 8) * 8, 8
        case Void():
            return 0, 1
    raise TypeError(f"type without a layout: {kind!r}")


_BY_NAME: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        Void,
        Int,
        Bool,
        Enum,
        Pointer,
        Array,
        Struct,
        Str,
        Buffer,
        Tuple,
        Record,
        Stack,
        Symbol,
        Inet,
        Timestamp,
        Formatted,
        Aggregate,
        Last,
    )
}


def to_json(kind: Type) -> Any:
    """The type as plain lists: [name, field, …]."""
    return [type(kind).__name__, *(_plain(getattr(kind, item.name)) for item in fields(kind))]


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)  # type: ignore[arg-type]
    if isinstance(value, tuple):
        return ["", *(_plain(item) for item in value)]
    return value


def from_json(data: Any) -> Type:
    """The inverse of `to_json`. Raises KeyError or TypeError for what `to_json` never wrote."""
    name, *values = data
    return _BY_NAME[name](*(_rich(item) for item in values))  # type: ignore[no-any-return]


def _rich(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if value and value[0] == "":
        return tuple(_rich(item) for item in value[1:])
    return from_json(value)
