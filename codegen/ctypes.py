"""Types → C: type names, and the structs that the program declares with just the members it reads."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from codegen.names import identifier
from lang.diagnostics import CompilerBug
from lang.machine import Field, Machine
from lang.records import dataclass, field
from lang.types import (
    UINT64,
    Aggregate,
    Array,
    Bool,
    Buffer,
    Enum,
    Formatted,
    Inet,
    Int,
    Last,
    Pointer,
    Record,
    Stack,
    Str,
    Struct,
    Symbol,
    Timestamp,
    Tuple,
    Type,
    Void,
    offsets,
    size_of,
)  # fmt: skip

# Structs that BCC's own headers declare, or the tiny kernel tree: ours get another name.
_DECLARED_ELSEWHERE = {"pt_regs", "sk_buff", "ethhdr", "iphdr", "__sk_buff", "xdp_md"}


def is_memory(kind: Type) -> bool:
    """Whether values of the type live behind an address in C (strings, tuples, stacks), not in a register."""
    match kind:
        case Symbol(space):
            return space == "user"
        case Formatted(_, of):
            return is_memory(of)
        case Str() | Buffer() | Tuple() | Record() | Array() | Struct() | Stack() | Inet():
            return True
    return False


@dataclass(frozen=True)
class Declaration:
    """A struct for the C text: member lines, and whether it must be packed to keep the kernel's offsets."""

    name: str
    lines: tuple[str, ...]
    packed: bool = False


@dataclass
class _Layout:
    """A kernel struct as the program sees it: the members that were asked for, by name."""

    struct: Struct
    name: str
    members: dict[str, tuple[int, str, int]] = field(
        default_factory=dict
    )  # name → (offset, declaration, size)


@dataclass
class TypeTable:
    """All structs of one C program, declared in the order in which they need each other."""

    machine: Machine
    layouts: dict[int, _Layout] = field(default_factory=dict)
    composites: dict[str, list[str]] = field(default_factory=dict)  # struct name → declaration lines
    by_type: dict[Type, str] = field(default_factory=dict)

    def name(self, kind: Type) -> str:
        """The C type of a scalar, a pointer or a composite."""
        match kind:
            case Int(bits, signed):
                return f"{'s' if signed else 'u'}{bits}"
            case Bool():
                return "bool"
            case Enum(_, bits, signed):
                return f"{'s' if signed else 'u'}{bits}"
            case Pointer(to):
                return self._pointer(to)
            case Symbol("kernel") | Timestamp():
                return "u64"
            case Formatted(_, of):
                return self.name(of)
            case Stack():
                return self._fixed("ebt_stack", ["u64 id;", "u32 frames;", "u32 pid;"])
            case Symbol():
                return self._fixed("ebt_usym", ["u64 address;", "u32 pid;", "u32 unused;"])
            case Inet():
                return self._fixed("ebt_inet", ["u32 family;", "u8 address[16];"])
            case Struct():
                return f"struct {self._layout(kind).name}"
            case Tuple() | Record():
                return self._composite(kind)
            case Aggregate():
                return self._aggregate(kind)
            case Last():
                return self._composite(kind)
            case Void():
                return "void"
        raise CompilerBug(f"no C type for {kind}")

    def declare(self, kind: Type, name: str) -> str:
        """`u32 name` or `char name[16]`: a declaration without its semicolon."""
        match kind:
            case Str(size):
                return f"char {name}[{size}]"
            case Buffer(size):
                return f"struct {{ u32 length; char data[{size_of(kind) - 4}]; }} {name}"
            case Array(of, length):
                return self.declare(of, f"{name}[{max(length, 1)}]")
            case Formatted(_, of):
                return self.declare(of, name)
        text = self.name(kind)
        return f"{text}{name}" if text.endswith("*") else f"{text} {name}"

    def member(self, struct: Struct, item: Field) -> str:
        """The C member that reads a field; a bit field gives the word that holds it."""
        layout = self._layout(struct)
        if item.bits:
            size = word_size(item)
            name = f"{identifier(item.name)}_bits"
            layout.members[name] = (item.offset, f"u{size * 8} {name}", size)
            return name
        name = identifier(item.name)
        layout.members[name] = (item.offset, self._member_declaration(item.type, name), size_of(item.type))
        return name

    def _member_declaration(self, kind: Type, name: str) -> str:
        if isinstance(kind, Array):
            return self._member_declaration(kind.of, f"{name}[{kind.length}]")
        if isinstance(kind, Pointer) and not isinstance(kind.to, Struct):
            return f"void *{name}"
        if isinstance(kind, Int) and kind.spelling == "char":
            return f"char {name}"
        return self.declare(kind, name)

    def record(self, name: str, members: list[tuple[int, str, int]]) -> None:
        """Declare a struct of our own from (offset, declaration, size), such as a tracepoint's record."""
        self.composites[name] = _laid_out(members, None)

    def composite(self, name: str, lines: list[str]) -> None:
        self.composites[name] = lines

    def declarations(self) -> list[Declaration]:
        """Every struct, those first that others hold by value."""
        done: dict[str, list[str]] = {}
        waiting = {
            layout.name: _laid_out(list(layout.members.values()), layout.struct.size)
            for layout in self.layouts.values()
        }
        packed = {layout.name for layout in self.layouts.values() if _is_packed(layout.members.values())}
        waiting.update(self.composites)

        def place(name: str) -> None:
            lines = waiting.pop(name)
            for line in lines:
                for word in _held(line):
                    if word in waiting:
                        place(word)
            done[name] = lines

        while waiting:
            place(next(iter(waiting)))
        return [Declaration(name, tuple(lines), name in packed) for name, lines in done.items()]

    def _pointer(self, to: Type) -> str:
        if isinstance(to, Struct) and to.name:
            return f"struct {self._layout(to).name} *"
        return "void *"

    def _layout(self, struct: Struct) -> _Layout:
        found = self.layouts.get(struct.id)
        if found is None:
            found = _Layout(struct, self._struct_name(struct))
            self.layouts[struct.id] = found
        return found

    def _struct_name(self, struct: Struct) -> str:
        """Unique, and the same for a kernel and its recording, whose ids differ."""
        name = struct.name or "anonymous"
        if name in _DECLARED_ELSEWHERE or name.startswith("bpf_") or struct.kind == "union":
            name = f"kernel_{name}"
        taken = {layout.name for layout in self.layouts.values()} | set(self.composites)
        if struct.name and name not in taken:
            return name
        numbered = (f"{name}_{number}" for number in count(2 if struct.name else 1))
        return next(item for item in numbered if item not in taken)

    def _fixed(self, name: str, lines: list[str]) -> str:
        self.composites.setdefault(name, lines)
        return f"struct {name}"

    def _aggregate(self, kind: Aggregate) -> str:
        number = "s64" if kind.signed else "u64"
        if kind.kind in ("min", "max"):
            return self._fixed(f"ebt_extreme_{number}", [f"{number} value;", "u64 written;"])
        if kind.kind == "tseries":
            return self._fixed(f"ebt_point_{number}", [f"{number} value;", "u64 meta;", "u64 interval;"])
        if kind.kind in ("avg", "stats"):
            return self._fixed(f"ebt_mean_{number}", ["u64 count;", f"{number} total;"])
        return number if kind.kind == "sum" else "u64"

    def _composite(self, kind: Tuple | Record | Last) -> str:
        name = self.by_type.get(kind)
        if name is None:
            name = f"ebt_tuple_{len(self.by_type) + 1}"
            self.by_type[kind] = name
            if isinstance(kind, Last):
                self.composites[name] = self.lines((UINT64, kind.of), ("written", "value"))
            else:
                numbered = tuple(f"f{i}" for i in range(len(kind.elements)))
                names = kind.names if isinstance(kind, Record) else numbered
                self.composites[name] = self.lines(kind.elements, names)
        return f"struct {name}"

    def lines(self, elements: tuple[Type, ...], names: tuple[str, ...]) -> list[str]:
        """Member lines in the layout of lang.types.offsets, with the padding spelled out."""
        places, size = offsets(elements)
        lines, at = [], 0
        for kind, name, place in zip(elements, names, places, strict=True):
            if place > at:
                lines.append(f"u8 unused_{at}[{place - at}];")
            lines.append(self.declare(kind, identifier(name)) + ";")
            at = place + size_of(kind)
        if size > at:
            lines.append(f"u8 unused_{at}[{size - at}];")
        return lines or ["u8 nothing[1];"]


def word_size(item: Field) -> int:
    """Bytes of the word that holds a bit field: 1, 2, 4 or 8."""
    needed = (item.shift + item.bits + 7) // 8
    return next(size for size in (1, 2, 4, 8) if size >= needed)


def _held(line: str) -> list[str]:
    """The structs that a member line holds by value."""
    words = line.replace(";", " ").split()
    held = []
    for before, word, after in zip(words, words[1:], [*words[2:], ""], strict=False):
        if before == "struct" and not after.startswith("*"):
            held.append(word)
    return held


def _laid_out(members: list[tuple[int, str, int]], size: int | None) -> list[str]:
    """Members at their offsets, with padding between; those that overlap become a union."""
    lines: list[str] = []
    at = 0
    for group in _clusters(sorted(members)):
        start = group[0][0]
        end = max(place + width for place, _, width in group)
        if start > at:
            lines.append(f"u8 unused_{at}[{start - at}];")
        if len(group) == 1:
            lines.append(f"{group[0][1]};")
        else:
            lines += ["union {", *_union_lines(group, start), "};"]
        at = end
    if size is not None and size > at:
        lines.append(f"u8 unused_{at}[{size - at}];")
    return lines or ["u8 nothing[1];"]


def _clusters(members: list[tuple[int, str, int]]) -> list[list[tuple[int, str, int]]]:
    groups: list[list[tuple[int, str, int]]] = []
    end = -1
    for item in members:
        if groups and item[0] < end:
            groups[-1].append(item)
        else:
            groups.append([item])
        end = max(end, item[0] + item[2])
    return groups


def _union_lines(group: list[tuple[int, str, int]], start: int) -> list[str]:
    lines = []
    for place, text, _ in group:
        if place == start:
            lines.append(f"    {text};")
        else:
            lines.append(
                f"    struct {{ u8 unused_{start}_{place}[{place - start}]; {text}; }} "
                "__attribute__((packed));"
            )
    return lines


def _is_packed(members: Iterable[tuple[int, str, int]]) -> bool:
    """Whether C's own alignment would move a member."""
    scalars = ((place, size) for place, text, size in members if "[" not in text and not _held(text + ";"))
    return any(size in (2, 4, 8) and place % size for place, size in scalars)
