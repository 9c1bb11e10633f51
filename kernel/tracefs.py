"""The tracing file system → tracepoints and their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kernel.match import is_pattern, matching
from kernel.mounts import boot_key, tracefs_place
from kernel.typetable import TypeTable
from lang import cachefile
from lang.machine import Field, Tracepoint
from lang.types import BOOL, CHAR, UINT8, VOID, Array, Bool, Enum, Int, Pointer, Space, Struct, Type, size_of


def find_tracefs() -> Path | None:
    """The tracing file system that this process can read, or None."""
    place = tracefs_place()
    return None if place is None else Path(place)


def tracepoint_names(root: Path | None) -> tuple[tuple[str, str], ...]:
    """All (category, name) of this boot, sorted.

    Read from `available_events` once per boot and set of modules, then from the cache.
    """
    if root is None:
        return ()
    key = boot_key()
    stored = cachefile.load("tracepoints", key)
    if stored is None:
        try:
            text = (root / "available_events").read_bytes()
        except OSError:
            return ()
        stored = memoryview(b"\n".join(sorted(text.split())))
        cachefile.store("tracepoints", key, bytes(stored))
    pairs = (line.partition(":") for line in str(stored, "utf-8", "replace").split("\n"))
    return tuple((category, name) for category, _, name in pairs if name)


def match_tracepoints(root: Path | None, category: str, name: str) -> tuple[tuple[str, str], ...]:
    """(category, name) of the tracepoints that two `*` patterns match; exact names open no list."""
    if root is None:
        return ()
    if not is_pattern(category) and not is_pattern(name):
        return ((category, name),) if _event_directory(root, category, name) else ()
    return match_pairs(tracepoint_names(root), category, name)


def match_pairs(pairs: Iterable[tuple[str, str]], first: str, second: str) -> tuple[tuple[str, str], ...]:
    """The pairs of which two `*` patterns match each half, sorted."""
    known = [pair for pair in pairs if (not is_pattern(first) and pair[0] == first) or is_pattern(first)]
    firsts = set(matching(first, {pair[0] for pair in known}))
    seconds = set(matching(second, {pair[1] for pair in known}))
    return tuple(sorted(pair for pair in known if pair[0] in firsts and pair[1] in seconds))


def _event_directory(root: Path, category: str, name: str) -> Path | None:
    if not _NAME.fullmatch(category) or not _NAME.fullmatch(name):
        return None
    place = root / "events" / category / name
    return place if (place / "format").exists() else None


def read_format(root: Path | None, category: str, name: str) -> str | None:
    """The text of a tracepoint's `format` file, or None."""
    place = _event_directory(root, category, name) if root else None
    try:
        return (place / "format").read_text("utf-8", "replace") if place else None
    except OSError:
        return None


def declarations(text: str) -> list[tuple[str, str]]:
    """(type, name) of the fields that a `format` file declares, in its words, without those that all have."""
    found = []
    for line in _LINE.finditer(text):
        kind, _, name = " ".join(line[1].split()).rpartition(" ")
        if not name.startswith("common_"):
            found.append((kind, name))
    return found


_NAME = re.compile(r"[\w.-]+")
_ID = re.compile(r"^ID:\s*(\d+)", re.MULTILINE)
_LINE = re.compile(r"^\s*field:(.+?);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:(\d+);)?", re.MULTILINE)
# `char comm[16]`, `__data_loc char[] name`, `const struct file * file`, `unsigned long args[6]`
_DECLARATION = re.compile(r"(.*?)(\w+)\s*(?:\[([^\]]*)\])?$", re.DOTALL)
_WORDS = re.compile(r"[A-Za-z_]\w*")
_NOISE = frozenset({"const", "volatile", "__user", "__kernel", "__rcu", "__force", "__data_loc", "__rel_loc"})


def parse_format(category: str, name: str, text: str, types: TypeTable) -> Tracepoint:
    """A tracepoint from the text of its format file; lines that are not understood are left out."""
    found = _ID.search(text)
    fields = (_field(category, match, types) for match in _LINE.finditer(text))
    kept = tuple(item for item in fields if item is not None and not item.name.startswith("common_"))
    return Tracepoint(category, name, kept, int(found.group(1)) if found else 0)


def _field(category: str, line: re.Match[str], types: TypeTable) -> Field | None:
    text, offset, size, signed = line.groups(default="0")
    match = _DECLARATION.match(text.strip())
    if match is None:
        return None
    declared, name, brackets = match.groups()
    if "__data_loc" in declared:
        return Field(name, _dynamic(declared, types), int(offset), data_loc=True)
    space: Space = "user" if category == "syscalls" else "kernel"
    bytes_, negative = int(size), signed == "1"
    if brackets is None or bytes_ == 0:
        kind = _type(declared, bytes_, negative, space, types)
    else:
        kind = _array(declared, brackets, bytes_, negative, space, types)
    return Field(name, kind, int(offset))


def _dynamic(declared: str, types: TypeTable) -> Type:
    """What a `__data_loc TYPE[]` points at, as an array of unknown length."""
    element = _named(_spelling(declared.replace("[]", "")), types)
    return Array(element or UINT8, 0)


def _array(declared: str, length: str, size: int, signed: bool, space: Space, types: TypeTable) -> Type:
    """The element comes from the declaration, the length from the size where a macro stands for it."""
    spelling = _spelling(declared)
    element = CHAR if spelling == "char" else _named(spelling, types)
    if "*" in declared:
        element = _pointer(declared, space, types)
    width = size_of(element) if element else 0
    if element is None or not width or size % width:
        count = int(length) if length.isdigit() and int(length) else size
        element, width = Int(size // count * 8, signed), size // count
        if width not in (1, 2, 4, 8):
            element, width = UINT8, 1
    return Array(element, size // width)


def _type(declared: str, size: int, signed: bool, space: Space, types: TypeTable) -> Type:
    """The type of a plain field: size and sign are the record's, the rest is the declaration's."""
    if "*" in declared:
        return _pointer(declared, space, types)
    spelling = _spelling(declared)
    known = _named(spelling, types)
    if isinstance(known, Struct | Array) and size_of(known) == size:
        return known
    if isinstance(known, Pointer) and size == 8:
        return Pointer(known.to, space)
    if isinstance(known, Bool) and size == 1:
        return BOOL
    if isinstance(known, Enum) and size in (1, 2, 4, 8):
        return Enum(known.name, size * 8, signed)
    if size in (1, 2, 4, 8):
        return Int(size * 8, signed, spelling)
    return Array(UINT8, size)


def _spelling(declared: str) -> str:
    """The type's words without qualifiers: `unsigned long`, `struct file`, `pid_t`."""
    return " ".join(word for word in _WORDS.findall(declared) if word not in _NOISE)


def _pointer(declared: str, space: Space, types: TypeTable) -> Type:
    if "(" in declared:  # to a function
        return Pointer(VOID, space)
    space = "user" if "__user" in declared else space
    kind: Type = _named(_spelling(declared), types) or VOID
    for _ in range(declared.count("*")):
        kind = Pointer(kind, space)
    return kind


def _plain_types() -> dict[str, Type]:
    """The types that C has without a header, and the kernel's fixed-width ones."""
    plain: dict[str, Type] = {"char": CHAR, "bool": BOOL, "_Bool": BOOL, "void": VOID}
    plain["size_t"] = Int(64, False)
    for name, bits in (("short", 16), ("int", 32), ("long", 64), ("long long", 64)):
        plain |= {name: Int(bits, True), f"unsigned {name}": Int(bits, False)}
    plain |= {"signed char": Int(8, True), "unsigned char": Int(8, False), "unsigned": Int(32, False)}
    for bits in (8, 16, 32, 64):
        for signed, letter, lead in ((True, "s", ""), (False, "u", "u")):
            item = Int(bits, signed)
            plain |= {f"{letter}{bits}": item, f"__{letter}{bits}": item, f"{lead}int{bits}_t": item}
    return plain


_PLAIN = _plain_types()


def _named(spelling: str, types: TypeTable) -> Type | None:
    """A type by its C name: the plain ones without asking BTF."""
    plain = _PLAIN.get(spelling)
    if plain is not None:
        return plain
    kind, _, tag = spelling.partition(" ")
    if kind in ("struct", "union"):
        return types.struct(kind, tag)
    return types.enum(tag) if kind == "enum" else types.typedef(spelling)
