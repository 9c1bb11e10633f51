"""Members, elements, indexes, written types and layouts → their types, asked of the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from lang import ast
from lang.calling import REGISTER_ARGUMENTS, places
from lang.convert import as_int, is_char_array, settle, value_type
from lang.diagnostics import listed
from lang.expand_function import LOST
from lang.infer_base import InferenceBase
from lang.machine import Field
from lang.options import option_type
from lang.probes import KINDS
from lang.records import fields
from lang.settings import Settings
from lang.types import (
    BASE_TYPES,
    INT8,
    UINT8,
    UINT32,
    UINT64,
    Aggregate,
    AggregateKind,
    Array,
    Buffer,
    Formatted,
    Inet,
    Pointer,
    Record,
    Space,
    Stack,
    Str,
    Struct,
    Symbol,
    Timestamp,
    Tuple,
    Type,
    Void,
    size_of,
)  # fmt: skip

_SHAPED: dict[str, Type] = {
    "inet": Inet(),
    "ksym_t": Symbol("kernel"),
    "usym_t": Symbol("user"),
    "kstack_t": Stack("kernel"),
    "ustack_t": Stack("user"),
    "username_t": Formatted("username", UINT32),
    "macaddr_t": Formatted("mac_address", Array(UINT8, 6)),
    "cgroup_path_t": Formatted("cgroup_path", UINT64),
    "timestamp": Timestamp(""),  # the first value says how it is printed
    **{f"{name}_t": Aggregate(name, True) for name in get_args(AggregateKind)},
    **{f"u{name}_t": Aggregate(name) for name in ("sum", "min", "max", "avg", "stats")},
}
_SIZED: dict[str, Callable[[int], Type]] = {"string": Str, "buffer": Buffer}
MAX_TYPES = 500  # a script that names very many types names nonsense


class Access(InferenceBase):
    """The part of the typing that looks into structs, arrays and tuples."""

    # ---- The probe's arguments

    def refuse_args(self, node: ast.Node) -> bool:
        """Whether this probe has no `args` here; reports it."""
        if self.refuse_in_loop(node, "args"):
            return True
        kind = self.scene.kind
        if kind.args:
            return False
        able = listed(item.name for item in KINDS if item.args)
        self.error(node, f"the args builtin can only be used with {able} probes ({kind.name} used here)")
        return True

    def argument(self, name: str) -> Field | tuple[int, Type] | None:
        """`args.name` here: a tracepoint's field, or a parameter's position and type."""
        target = self.scene.target
        for item in target.fields or ():
            if item.name == name:
                return item
        for position, parameter in enumerate(target.parameters or ()):
            if parameter.name == name:
                return position, parameter.type
        return None

    def argument_hints(self, near: str = "") -> tuple[str, ...]:
        """What may stand behind `args.` here: the nearest names, or all."""
        target = self.scene.target
        names = [item.name for item in target.fields or ()]
        names += [item.name for item in target.parameters or ()]
        close = self.near(near, names) if near else ()
        return close or (("its arguments: " + " ".join(names[:20]),) if names else ("it has no arguments",))

    def _args_member(self, node: ast.Member) -> Type | None:
        if self.refuse_args(node.base):
            return None
        found = self.argument(node.name)
        target = self.scene.target
        if found is None:
            if target.fields is None and target.symbol and target.parameters is None:
                self._refuse_unknown(node)
                return None
            message = f"'{target.label}' has no argument named '{node.name}'"
            self.error(node.name_span, message, *self.argument_hints(node.name))
            return None
        if isinstance(found, Field):
            if found.data_loc:
                return Str(self.settings.max_strlen) if is_char_array(found.type) else found.type
            space = found.type.space if isinstance(found.type, Pointer) else "kernel"
            return value_type(found.type, space)
        return self._passed(node, *found)

    def _refuse_unknown(self, node: ast.Member) -> None:
        """The function is there, but nothing says what its arguments are."""
        target = self.scene.target
        written = f"{target.kind}:{target.name}(TYPE NAME, …)"
        if target.symbol != target.name:
            message = f"'{target.name}' is {target.symbol} here: {LOST}"
            self.error(node.name_span, message, f"where you know them, write its prototype: {written}")
            return
        message = f"the arguments of '{target.name}' are not known by name: its prototype is not in BTF"
        numbered = "use arg0, arg1, … or " if self.scene.kind.numbered else ""
        self.error(node.name_span, message, f"{numbered}write its prototype: {written}")

    def _passed(self, node: ast.Member, position: int, kind: Type) -> Type | None:
        """The type of a function's argument, if it is in one of the registers that a probe can read."""
        target = self.scene.target
        if isinstance(kind, Struct):
            message = f"'{node.name}' is passed by value, as a whole {kind}: it cannot be read"
            self.error(node.name_span, message)
            return None
        found = places(target.parameters or (), REGISTER_ARGUMENTS)[position]
        if target.kind != "rawtracepoint" and found is None:
            message = f"'{node.name}' is passed on the stack, not in a register: it cannot be read"
            self.error(node.name_span, message)
            return None
        return kind

    def _option(self, node: ast.Member) -> Type | None:
        """`opt.name`: a constant."""
        option = self.options.get(node.name)
        if option is None:
            hints = self.near(node.name, self.options) or ("options: " + " ".join(self.options or ["none"]),)
            self.error(node.name_span, f"the script has no option '{node.name}'", *hints)
            return None
        return option_type(option, self.option_values[node.name])

    def _setting(self, node: ast.Member) -> Type | None:
        """`config.name`: a setting, as a literal."""
        known = {item.name for item in fields(Settings)} - {"unsafe"}
        if node.name not in known:
            message = f"there is no setting '{node.name}'"
            self.error(node.name_span, message, *self.near(node.name, known))
            return None
        value = getattr(self.settings, node.name)
        literal: ast.Expression
        if isinstance(value, bool):
            literal = ast.Boolean(node.span, value)
        else:
            literal = (ast.Integer if isinstance(value, int) else ast.String)(node.span, value)
        return self.type(self.meanings.setdefault(node, literal))

    # ---- Members, elements, indexes

    def _member(self, node: ast.Member) -> Type | None:
        if isinstance(node.base, ast.Name) and node.base.name == "args":
            return self._args_member(node)
        if isinstance(node.base, ast.Name) and node.base.name == "opt":
            return self._option(node)
        if isinstance(node.base, ast.Name) and node.base.name == "config":
            return self._setting(node)
        base = self.type(node.base)
        if base is None:
            return None
        if isinstance(base, Record):
            if node.name in base.names:
                return base.elements[base.names.index(node.name)]
            message = f"the record does not contain a field named '{node.name}'"
            self.error(node.name_span, message, *self._close_or_all(node.name, base.names))
            return None
        struct, space = (base.to, base.space) if isinstance(base, Pointer) else (base, self._space(node.base))
        if not isinstance(struct, Struct):
            message = f"can not access field '{node.name}' on expression of type '{base}'"
            hints = ("cast it to a struct first: ((struct NAME *)…)." + node.name,) if as_int(base) else ()
            self.error(node.name_span, message, *hints)
            return None
        field = self.field(struct, node.name)
        if field is None:
            message = f"struct/union of type '{struct}' does not contain a field named '{node.name}'"
            names = [item.name for item in self.machine.fields(struct) if item.name]
            self.error(node.name_span, message, *self._close_or_all(node.name, names))
            return None
        return value_type(field.type, space)

    def field(self, struct: Struct, name: str) -> Field | None:
        """The member of this name."""
        return next((item for item in self.machine.fields(struct) if item.name == name), None)

    def _space(self, node: ast.Expression) -> Space:
        """The address space that a struct value was reached through."""
        while isinstance(node, ast.Member | ast.Index | ast.Group):
            node = node.inner if isinstance(node, ast.Group) else node.base
            base = self.types.get(node)
            if isinstance(base, Pointer):
                return base.space
        base = self.types.get(node)
        if isinstance(node, ast.Unary):
            base = self.types.get(node.operand)
        return base.space if isinstance(base, Pointer) else "kernel"

    def _element(self, node: ast.Element) -> Type | None:
        base = self.type(node.base)
        if isinstance(base, Tuple):
            return self._tuple_element(node, base, node.number)
        if base is not None:
            self.error(node, f"can not access element {node.number} of an expression of type '{base}'")
        return None

    def _tuple_element(self, node: ast.Node, base: Tuple, number: int) -> Type | None:
        count = len(base.elements)
        if 0 <= number < count:
            return base.elements[number]
        elements = "1 element" if count == 1 else f"{count} elements"
        self.error(node, f"invalid tuple index: {number}. Found {elements} in tuple")
        return None

    def _index(self, node: ast.Index) -> Type | None:
        base, index = self.type(node.base), self.type(node.index)
        number = self.constant(node.index)
        if base is None or index is None:
            return None
        if as_int(index) is None:
            self.error(node.index, f"an index must be an integer, not '{index}'")
            return None
        if isinstance(number, int) and number < 0:
            self.error(node.index, "an index must not be negative")
            return None
        match base:
            case Tuple() if isinstance(number, int):
                return self._tuple_element(node, base, number)
            case Tuple():
                self.error(node.index, "the index of a tuple must be a literal")
                return None
            case Array(of, length):
                if isinstance(number, int) and length and number >= length:
                    message = f"the index {number} is out of bounds for an array of {length}"
                    self.error(node.index, message)
                return value_type(of, self._space(node.base))
            case Pointer(to, space) if not isinstance(to, Void):
                return value_type(to, space)
            case Str(size):
                if isinstance(number, int) and number >= size:
                    message = f"the index {number} is out of bounds for a string of {size} bytes"
                    self.error(node.index, message)
                return INT8
        self.error(node, f"an expression of type '{base}' cannot be indexed")
        return None

    # ---- Types as written, sizes and offsets

    def written_type(self, node: ast.Type | ast.TypeOf, space: Space = "kernel") -> Type | None:
        """The type that was written; reports unknown names."""
        if isinstance(node, ast.TypeOf):
            if isinstance(node.operand, ast.Type):
                return self.written_type(node.operand, space)
            kind = self.type(node.operand)
            return settle(kind) if kind is not None else None
        suffixes = list(node.suffixes)
        if node.name in _SIZED and not node.tag:
            size = suffixes.pop(0) if suffixes and suffixes[0] else self.settings.max_strlen
            kind = _SIZED[node.name](size)
        else:
            kind = self._named_type(node)
        for suffix in suffixes if kind is not None else ():
            if suffix and isinstance(kind, Void):
                self.error(node, "there is no array of 'void'")
                return None
            kind = Array(kind, suffix) if suffix else Pointer(kind, space)  # type: ignore[arg-type]
        return kind

    def _named_type(self, node: ast.Type) -> Type | None:
        key = (node.tag, node.name)
        if key not in self.written and len(self.written) < MAX_TYPES:
            self.written[key] = self._machine_type(*key)
        found = self.written.get(key)
        if found is None and node.tag in ("struct", "union"):
            self.error(node, f"unknown struct/union: '{node.tag} {node.name}'")
        elif found is None and node.tag:
            self.error(node, f"unknown enum: '{node.name}'")
        elif found is None:
            self.error(node, f"unknown type: '{node.name}'", *self.near(node.name, [*BASE_TYPES, *_SIZED]))
        return found

    def _machine_type(self, tag: str, name: str) -> Type | None:
        machine = self.machine
        if tag in ("struct", "union"):
            return machine.struct(tag, name)
        if tag == "enum":
            return machine.enum(name)
        return (
            BASE_TYPES.get(name)
            or _SHAPED.get(name)
            or machine.typedef(name)
            or machine.struct("struct", name)
        )

    def _sizeof(self, node: ast.SizeOf) -> Type | None:
        operand = node.operand
        if isinstance(operand, ast.Type | ast.TypeOf):
            kind = self.written_type(operand)
        else:
            kind = self.type(operand)
        if kind is not None:
            self.types[operand] = kind
            self.sizes[node] = size_of(kind)
        return UINT64

    def _offset_base(self, node: ast.Type | ast.Expression) -> Type | None:
        if isinstance(node, ast.Type | ast.TypeOf):
            return self.written_type(node)
        kind = self.type(node)
        return kind.to if isinstance(kind, Pointer) else kind

    def _offsetof(self, node: ast.OffsetOf) -> Type | None:
        kind, offset, path = self._offset_base(node.type), 0, node.type.span.text
        if kind is None:
            return UINT64
        for name in node.path:
            field = self.field(kind, name) if isinstance(kind, Struct) else None
            if field is None:
                names = [item.name for item in self.machine.fields(kind)] if isinstance(kind, Struct) else []
                self.error(node, f"'{path}' has no field '{name}'", *self.near(name, names))
                return UINT64
            kind, offset, path = field.type, offset + field.offset, f"{path}.{name}"
        self.sizes[node] = offset
        return UINT64

    def _close_or_all(self, name: str, names: Sequence[str]) -> tuple[str, ...]:
        return self.near(name, names) or (("its fields: " + " ".join(names[:20]),) if names else ())
