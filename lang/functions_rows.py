"""The builtin functions that make rows: emit(), and the formatters that user space applies to raw values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from lang import ast
from lang.checked import MapInfo
from lang.convert import as_int, castable, settle
from lang.fold import Constant
from lang.functions_output import format_type
from lang.records import dataclass
from lang.signature import Function, Typing, expect_int
from lang.types import INT64, UINT64, VOID, Aggregate, Formatted, Record, Struct, Tuple, Type, Void

MAX_COLUMNS = 64
MAX_DIGITS = 9
_AFTER_THE_MAP = "behind the map, table() takes TITLE = COLUMN, sort = COLUMN, top = NUMBER, begins = TEXT"
TABLE_OPTIONS = ("sort", "top", "begins")  # what is said of a table() besides its columns
# formatter → digits behind the point where none are asked for
UNITS = {"ms": 3, "us": 0, "sec": 3, "kb": 0, "percent": 2}
FLAG_SETS = (
    "gfp", "open", "mount", "umount", "mmap", "prot", "clone", "access", "request", "rwbs", "fsopen",
    "fsmount", "mountattr", "movemount", "tcp",
)  # fmt: skip


class Folding(Protocol):
    """What knows constants: the checker, and the lowering."""

    def constant(self, node: ast.Expression) -> Constant | None: ...


@dataclass(frozen=True)
class Cell:
    """One argument of emit(): the column's title, its name in JSON, and what stands in it."""

    title: str
    key: str
    value: ast.Expression


def cells(typing: Folding, call: ast.Call) -> tuple[Cell, ...]:
    """The columns of an emit() in order; one that is `constant ? value : ()` is left out where it is ()."""
    found = (_cell(typing, item) for item in call.arguments)
    return tuple(cell for cell in found if not is_empty(cell.value))


def _cell(typing: Folding, node: ast.Expression) -> Cell:
    if isinstance(node, ast.NamedArgument):
        return Cell(node.name, node.name, shown_side(typing, node.value))
    node = shown_side(typing, node)
    name = column_name(node)
    return Cell(name.upper(), name, node)


def shown_side(typing: Folding, node: ast.Expression) -> ast.Expression:
    """What a `?:` leaves whose condition is constant, if one of its sides is ()."""
    plain = _inner(node)
    if not isinstance(plain, ast.Ternary) or plain.then is None:
        return node
    value = typing.constant(plain.condition)
    if not isinstance(value, int) or not (is_empty(plain.then) or is_empty(plain.otherwise)):
        return node
    return shown_side(typing, plain.then if value else plain.otherwise)


def _inner(node: ast.Expression) -> ast.Expression:
    while isinstance(node, ast.Group):
        node = node.inner
    return node


def is_empty(node: ast.Expression) -> bool:
    node = _inner(node)
    return isinstance(node, ast.Tuple) and not node.elements


def column_name(node: ast.Expression) -> str:
    """A column's name by what stands in it: `args.dev` is `dev`, `ms(duration)` is `duration`; what has no
    name of its own goes by its text on one line, without casts and the mark of a variable."""
    while True:
        match node:
            case ast.Cast(_, _, inner) | ast.Group(_, inner) | ast.Index(_, inner):
                node = inner
            case ast.Member(_, _, name):
                return name
            case ast.Call(_, name, arguments) if name in _OWN_NAME or not arguments:
                return name
            case ast.Call(_, _, arguments):
                node = next((item for item in arguments if not _is_literal(item)), arguments[0])
            case _:
                return " ".join(node.span.text.split()).lstrip("$@") or "value"


_OWN_NAME = ("time", "strftime", "kstack", "ustack", "count", "comm", "pid", "tid", "nsecs")


def key_names(keys: tuple[ast.Expression, ...]) -> tuple[str, ...]:
    """The names of a map's key columns, by the expressions that were written there."""
    parts = keys[0].elements if len(keys) == 1 and isinstance(keys[0], ast.Tuple) else keys
    return tuple("key" if _is_literal(item) else column_name(item) for item in parts)


def _is_literal(node: ast.Expression) -> bool:
    while isinstance(node, ast.Cast | ast.Group):
        node = node.operand if isinstance(node, ast.Cast) else node.inner
    return isinstance(node, ast.Integer | ast.String | ast.Boolean)


def _emit(typing: Typing, call: ast.Call) -> Type | None:
    if len(call.arguments) > MAX_COLUMNS:
        typing.error(call, f"a row has up to {MAX_COLUMNS} columns ({len(call.arguments)} provided)")
    titles: set[str] = set()
    shown = cells(typing, call)
    if not shown:
        typing.error(call, "this row has no column")
    for cell in shown:
        if cell.title in titles:
            typing.error(
                cell.value, f"two columns are called '{cell.title}'", f'"OTHER" = {cell.value.span.text}'
            )
        titles.add(cell.title)
        _check_cell(typing, cell)
    return VOID


def _check_cell(typing: Typing, cell: Cell) -> None:
    kind = typing.type(cell.value)
    if isinstance(cell.value, ast.Call) and cell.value.name == "time":
        return  # the time of the event, in this place
    if isinstance(kind, Void):
        typing.error(cell.value, "this has no value to print")
    elif isinstance(kind, Struct):
        typing.error(cell.value, f"a whole {kind} cannot be printed", "print its fields")
    elif isinstance(kind, Aggregate) and isinstance(castable(kind), Aggregate):
        typing.error(cell.value, f"the value of a {kind} cannot be read in a probe", "print(@map) prints it")
    elif isinstance(kind, Aggregate):
        typing.error(cell.value, f"{kind.kind}() must be assigned directly to a map")


def _table(typing: Typing, call: ast.Call) -> Type | None:
    first, *rest = call.arguments
    info = typing.map(first)
    if info is None:
        typing.error(first, "table() expects a map", "table(@name, sort = COLUMN, top = 20)")
        return VOID
    kind = info.value
    if isinstance(kind, Aggregate) and isinstance(castable(kind), Aggregate):
        typing.error(first, f"a {kind.kind}() map is no table", "print(@map) prints it")
    for node in rest:
        if not isinstance(node, ast.NamedArgument):
            typing.error(node, _AFTER_THE_MAP)
        elif node.name == "top":
            value = typing.constant(node.value)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                typing.error(node.value, "table(): top must be a literal that is not negative")
        elif node.name == "begins":
            if not isinstance(typing.constant(node.value), str) or info.key is None:
                typing.error(node.value, "table(): begins is a literal text, of the first part of the key")
        elif node.name == "sort":
            _check_sort(typing, node.value, info)
        else:
            _check_shown(typing, node.value, info)
    return VOID


def _check_shown(typing: Typing, node: ast.Expression, info: MapInfo) -> None:
    """A column's name, a formatter of a number, or what another map holds under a part of the key."""
    node = shown_side(typing, node)
    if is_empty(node):
        return
    if isinstance(node, ast.MapEntry):
        _check_joined(typing, node, info)
        return
    columns = table_columns(info)
    call = node if isinstance(node, ast.Call) and node.name in FORMATTERS else None
    name = shown_name(node)
    if name not in [item.key for item in columns]:
        message = "there is no such column" if call is None else f"{call.name}() of what is no column"
        typing.error(node, message, "columns: " + " ".join(item.key for item in columns))
        return
    if call is None:
        return
    kinds = info.value.elements if isinstance(info.value, Record) else (info.value,)
    place = [item.key for item in columns].index(name) - (len(columns) - len(kinds))
    kind = kinds[place] if place >= 0 else None
    number = castable(kind) if kind is not None else None
    if number is None or isinstance(number, Aggregate) or as_int(number) is None:
        typing.error(call, f"{call.name}() makes text of a number among the values", "make it in the key")
        return
    if len(call.arguments) == 2 and call.name != "flags":
        _digits(typing, call, 1)
    elif call.name == "flags":
        _flag_set(typing, call)


def _check_joined(typing: Typing, node: ast.MapEntry, info: MapInfo) -> None:
    other = typing.map(node.map)
    parts = key_types(info)
    names = [item.key for item in table_columns(info)][: len(parts)]
    name = shown_name(node)
    if name not in names:
        typing.error(node, "another map is read under a part of the key", "parts: " + " ".join(names))
    elif other is not None and other.keyed is False:
        typing.error(node, f"{other.name} has no keys")
    elif other is None or other.key is None or other.value is None:
        return  # not known yet, or told where it is written
    elif other.key != parts[names.index(name)]:
        message = f"{other.name} has keys of type {other.key}, and '{name}' is {parts[names.index(name)]}"
        typing.error(node, message, "give both the same type where they are written")
    elif isinstance(other.value, Aggregate | Record):
        typing.error(node, f"{other.name} holds {other.value}, and a column a plain value")


def shown_type(typing: Folding, node: ast.Expression) -> Type | None:
    """The type of the text that a formatter makes of a column; None where the column stands as it is."""
    if not isinstance(node, ast.Call) or node.name not in FORMATTERS:
        return None
    given = typing.constant(node.arguments[1]) if len(node.arguments) == 2 else UNITS.get(node.name, 1)
    return Formatted(node.name, INT64, (str(given),) if node.name in (*UNITS, "oct", "flags") else ())


def shown_name(node: ast.Expression) -> str:
    """The column that a table()'s argument shows, or under which another map is read."""
    if isinstance(node, ast.MapEntry):
        return column_name(node.keys[0]) if len(node.keys) == 1 else ""
    if isinstance(node, ast.Call) and node.name in FORMATTERS and node.arguments:
        node = node.arguments[0]
    return column_name(node)


def _check_sort(typing: Typing, node: ast.Expression, info: MapInfo) -> None:
    names = [item.key for item in table_columns(info)]
    if sort_name(typing, node) not in names:
        typing.error(node, "there is no such column to sort by", "columns: " + " ".join(names))


def sort_name(typing: Folding, node: ast.Expression) -> str:
    """The column that `sort = …` names: by its name, or as a constant string."""
    value = typing.constant(node)
    return value if isinstance(value, str) else column_name(node)


@dataclass(frozen=True)
class TableColumn:
    """One column of a table: a part of the key, or a field of the value."""

    title: str
    key: str


def key_types(info: MapInfo) -> tuple[Type, ...]:
    """The types of the key's parts; none of a map without keys, or before its type is known."""
    if info.key is None:
        return ()
    return info.key.elements if isinstance(info.key, Tuple) else (info.key,)


def table_columns(info: MapInfo) -> tuple[TableColumn, ...]:
    """The columns of a map: the parts of its key as first written, then its value or the value's fields."""
    parts = key_types(info)
    names = info.key_names if len(info.key_names) == len(parts) else [f"key{n}" for n in range(len(parts))]
    fields = info.value.names if isinstance(info.value, Record) else (info.name[1:] or "value",)
    taken: dict[str, int] = {}
    for name in (*names, *fields):
        key = name if name not in taken else f"{name}{len(taken)}"
        taken[key] = len(taken)
    return tuple(TableColumn(key.upper(), key) for key in taken)


def _number(typing: Typing, call: ast.Call) -> Type | None:
    kind = expect_int(typing, call.arguments[0], f"{call.name}(): the value")
    return settle(kind) if kind is not None and as_int(kind) is not None else None


def _unit(typing: Typing, call: ast.Call) -> Type | None:
    kind, digits = _number(typing, call), UNITS[call.name]
    if len(call.arguments) == 2:
        digits = _digits(typing, call, 1)
    return None if kind is None else Formatted(call.name, as_int(kind) or kind, (str(digits),))


def _digits(typing: Typing, call: ast.Call, at: int) -> int:
    given = typing.constant(call.arguments[at])
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_DIGITS:
        message = f"{call.name}(): the digits must be a literal from 0 to {MAX_DIGITS}"
        typing.error(call.arguments[at], message)
        return 0
    return given


def _plain(typing: Typing, call: ast.Call) -> Type | None:
    kind = _number(typing, call)
    return None if kind is None else Formatted(call.name, as_int(kind) or kind)


def _percent(typing: Typing, call: ast.Call) -> Type | None:
    for node in call.arguments[:2]:
        expect_int(typing, node, "percent(): what is compared")
    digits = _digits(typing, call, 2) if len(call.arguments) == 3 else UNITS["percent"]
    return Formatted("percent", UINT64, (str(digits),))


def _oct(typing: Typing, call: ast.Call) -> Type | None:
    kind = _number(typing, call)
    digits = _digits(typing, call, 1) if len(call.arguments) == 2 else 1
    return None if kind is None else Formatted("oct", as_int(kind) or kind, (str(digits),))


def _meminfo(typing: Typing, call: ast.Call) -> Type | None:
    name = typing.constant(call.arguments[0])
    if not isinstance(name, str) or not isinstance(call.arguments[0], ast.String):
        typing.error(call.arguments[0], "meminfo() expects a line of /proc/meminfo as a literal", '"Cached"')
        return None
    return Formatted("meminfo", UINT64, (name,))


def _flags(typing: Typing, call: ast.Call) -> Type | None:
    kind, name = _number(typing, call), _flag_set(typing, call)
    return None if kind is None or not name else Formatted("flags", as_int(kind) or kind, (name,))


def _flag_set(typing: Typing, call: ast.Call) -> str:
    name = typing.constant(call.arguments[1]) if len(call.arguments) == 2 else ""
    if name not in FLAG_SETS:
        typing.error(call.arguments[-1], "flags() expects the name of a set of flags", " ".join(FLAG_SETS))
        return ""
    return str(name)


def _formatter(
    name: str, usage: str, doc: str, rule: Callable[[Typing, ast.Call], Type | None], most: int = 1
) -> Function:
    return Function(name, 2 if name == "flags" else 1, most, rule, usage, doc)


ROWS = (
    Function("emit", 1, None, _emit, "emit(value, NAME = value, …)", "print one row of a table"),
    Function(
        "table",
        1,
        None,
        _table,
        "table(@map, TITLE = COLUMN, …, sort = COLUMN, top = N, begins = TEXT)",
        "print a map as a table",
    ),
    _formatter("ms", "ms(nanoseconds[, digits])", "nanoseconds as milliseconds", _unit, 2),
    _formatter("us", "us(nanoseconds[, digits])", "nanoseconds as microseconds", _unit, 2),
    _formatter("sec", "sec(nanoseconds[, digits])", "nanoseconds as seconds", _unit, 2),
    _formatter("kb", "kb(bytes[, digits])", "bytes as KiB", _unit, 2),
    _formatter("hex", "hex(number)", "a number as 0x…", _plain),
    _formatter("oct", "oct(number[, digits])", "a number in octal; n/a below 0", _oct, 2),
    Function("percent", 2, 3, _percent, "percent(part, whole[, digits])", "a part of the whole, as 12.50%"),
    Function("meminfo", 1, 1, _meminfo, 'meminfo("Cached")', "a line of /proc/meminfo, in MiB"),
    _formatter("result", "result(number)", "what a system call returned: -ENOENT, or the number", _plain),
    _formatter("dirfd", "dirfd(number)", "a directory's descriptor: AT_FDCWD, or the number", _plain),
    Function("format", 1, None, format_type, "format(format, value, …)", "a row's cell as printf makes it"),
    _formatter("errname", "errname(number)", "an error's name: ENOENT", _plain),
    _formatter("exitstatus", "exitstatus(code)", "how a process ended: code 3, signal 9 (SIGKILL)", _plain),
    _formatter("capname", "capname(number)", "a capability's name: CAP_SYS_ADMIN", _plain),
    _formatter("signame", "signame(number)", "a signal's name: SIGTERM", _plain),
    _formatter("diskname", "diskname(device)", "a disk's name by the kernel's dev_t", _plain),
    _formatter("flags", 'flags(number, "open")', "the names of the bits that are set", _flags, 2),
)
FORMATTERS = frozenset(item.name for item in ROWS) - {"emit", "table", "percent", "meminfo", "format"}
