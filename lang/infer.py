"""Expressions of one body → their types, given what is known of variables and maps so far.

A visit never fails: it reports, and answers None for "not known yet". The driver (lang/check.py) visits
all bodies until nothing grows any more, then once with reports on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lang import ast
from lang.builtins import BUILTINS, Scene, find_builtin, refusal
from lang.checked import MapInfo, Target, VariableInfo
from lang.convert import as_int, is_condition, is_flexible, literal_type, promote, settle
from lang.diagnostics import Diagnostics, nearest
from lang.fold import Constant, fold
from lang.functions import FUNCTIONS
from lang.machine import Field, Machine
from lang.settings import Settings
from lang.source import Span
from lang.types import (
    BOOL, INT8, INT64, UINT64, VOID, Aggregate, Array, Bool, Enum, Int, Pointer, Record, Space, Str, Struct,
    Tuple, Type, Void, size_of,
)  # fmt: skip

COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
_BASE_TYPES: dict[str, Type] = {
    "bool": Bool(), "void": VOID,
    **{f"{sign}int{bits}": Int(bits, not sign) for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
_SIZED = ("string", "buffer")


class Inference:
    """The typing of one body at a time; `maps` and `growing` are the whole program's."""

    def __init__(self, machine: Machine, settings: Settings, parameters: tuple[str, ...]) -> None:
        self.machine = machine
        self.settings = settings
        self.parameters = parameters
        self.maps: dict[str, MapInfo] = {}
        self.found = Diagnostics()
        self.final = False  # the last round: reports on
        self.grew = False
        self.types: dict[ast.Node, Type] = {}
        self.variables: dict[ast.Variable, VariableInfo] = {}
        self.sizes: dict[ast.Node, int] = {}
        self.scopes: list[dict[str, VariableInfo]] = []
        self._scene: Scene | None = None

    # ---- What function rules may ask (lang.functions.Typing)

    @property
    def scene(self) -> Scene:
        assert self._scene is not None
        return self._scene

    def enter(self, target: Target, types: dict[ast.Node, Type], variables: dict[ast.Variable, VariableInfo]) -> None:
        """Begin one body; its tables are kept from round to round by the driver."""
        self._scene = Scene(self.machine, self.settings, target)
        self.types, self.variables, self.scopes = types, variables, []

    def error(self, node: ast.Node | Span, message: str, *hints: str) -> None:
        if self.final:
            self.found.error(node.span if isinstance(node, ast.Node) else node, message, *hints)

    def type(self, node: ast.Expression) -> Type | None:
        visit: Callable[[Any], Type | None] = getattr(self, "_" + type(node).__name__.lower())
        kind = visit(node)
        if kind is not None:
            self.types[node] = kind
        return kind

    def constant(self, node: ast.Expression) -> Constant | None:
        return fold(node, self.parameters, self._layout_constant)

    def map(self, node: ast.Expression) -> MapInfo | None:
        if not isinstance(node, ast.Map):
            return None
        info = self.maps.get(node.name)
        if info is None:
            hints = nearest(node.name, self.maps)
            self.error(node, f"undefined map: {node.name}", *hints)
            return MapInfo(node.name, node.span)
        if info.value is not None:
            self.types[node] = info.value
        return info

    def key(self, node: ast.Node, info: MapInfo, keys: tuple[ast.Expression, ...]) -> None:
        kinds = [self.type(key) for key in keys]
        for key, kind in zip(keys, kinds, strict=True):
            if isinstance(kind, Aggregate | Void):
                self.error(key, f"a value of type {kind} cannot be a key")
                return
        if info.keyed is False:
            self.error(node, f"{info.name} used as a map with an explicit key (non-scalar map), previously used without an explicit key (scalar map)")
            return
        info.keyed = True
        if any(kind is None for kind in kinds):
            return
        settled = tuple(settle(kind) if info.key else kind for kind in kinds if kind is not None)
        given: Type = settled[0] if len(settled) == 1 else Tuple(settled)
        merged = given if info.key is None else promote(info.key, given)
        if merged is None:
            shown = f"'{given}'" if isinstance(given, Tuple) else f"'({given})'"
            expected = f"'{info.key}'" if isinstance(info.key, Tuple) else f"'({info.key})'"
            self.error(node, f"argument mismatch for {info.name}: trying to access with arguments: {shown} when map expects arguments: {expected}")
        elif merged != info.key:
            info.key, self.grew = merged, True

    # ---- Literals and parameters

    def _integer(self, node: ast.Integer) -> Type:
        return literal_type(node.value)

    def _string(self, node: ast.String) -> Type:
        size = len(node.value.encode("utf-8", "surrogateescape")) + 1
        if size > self.settings.max_strlen:
            limit = self.settings.max_strlen
            self.error(node, f"the string has {size - 1} bytes: the limit is {limit - 1}", "raise it: config = { max_strlen = N }")
        return Str(size)

    def _boolean(self, node: ast.Boolean) -> Type:
        return BOOL

    def _parameter(self, node: ast.Parameter) -> Type:
        if node.number > len(self.parameters) and self.final:
            self.found.warn(node.span, f"positional parameter ${node.number} was not given: 0 is used")
        value = self.constant(node)
        if isinstance(value, str):
            return Str(len(value.encode("utf-8", "surrogateescape")) + 1)
        return literal_type(int(value or 0))

    def _parametercount(self, node: ast.ParameterCount) -> Type:
        return UINT64

    def _group(self, node: ast.Group) -> Type | None:
        return self.type(node.inner)

    # ---- Names

    def _name(self, node: ast.Name) -> Type | None:
        builtin = find_builtin(node.name)
        if builtin is not None:
            refused = refusal(builtin, self.scene)
            if refused:
                self.error(node, refused)
                return None
            return builtin.type(self.scene)
        if node.name == "args":
            self._refuse_args(node)
            self.error(node, "args needs a field: args.NAME", *self._argument_hints())
            return None
        constant = self.machine.constant(node.name)
        if constant is not None:
            value, enum = constant
            return enum if enum.name else literal_type(value)
        function = FUNCTIONS.get(node.name)
        if function is not None:
            if function.count_error(0) is None:
                return function.result(self, ast.Call(node.span, node.name, ()))
            self.error(node, f"'{node.name}' is a function", f"usage: {function.usage}")
            return None
        self.error(node, f"unknown identifier: '{node.name}'", *nearest(node.name, [*BUILTINS, *FUNCTIONS, "args"]))
        return None

    def _refuse_args(self, node: ast.Node) -> bool:
        scene = self.scene
        if scene.kind.args:
            return False
        self.error(node, f"the args builtin can only be used with tracepoint, rawtracepoint, kprobe and fentry/fexit probes ({scene.kind.name} used here)")
        return True

    def argument(self, name: str) -> Field | tuple[int, Type] | None:
        """`args.name` here: a tracepoint's field, or a parameter's position and type."""
        target = self.scene.target
        for field in target.fields or ():
            if field.name == name:
                return field
        for position, parameter in enumerate(target.parameters or ()):
            if parameter.name == name:
                return position, parameter.type
        return None

    def _argument_names(self) -> list[str]:
        target = self.scene.target
        return [item.name for item in (*(target.fields or ()), *(target.parameters or ()))]

    def _argument_hints(self, near: str = "") -> tuple[str, ...]:
        names = self._argument_names()
        if near and nearest(near, names):
            return nearest(near, names)
        return ("its fields: " + " ".join(names[:20]),) if names else ("it has no arguments",)

    def _variable(self, node: ast.Variable) -> Type | None:
        info = self.lookup(node.name)
        if info is None:
            visible = [name for scope in self.scopes for name in scope]
            self.error(node, f"undefined or undeclared variable: {node.name}", *nearest(node.name, visible))
            return None
        self.variables[node] = info
        if info.type is None:
            self.error(node, f"{node.name} is read before it has a value")
        return info.type

    def lookup(self, name: str) -> VariableInfo | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    # ---- Maps

    def _map(self, node: ast.Map) -> Type | None:
        info = self.maps.get(node.name)
        if info is not None and info.keyed:
            self.error(node, f"{node.name} used as a map without an explicit key (scalar map), previously used with an explicit key (non-scalar map)")
            return None
        if info is not None and info.keyed is None:
            info.keyed = False
        return self._map_value(node, info)

    def _mapentry(self, node: ast.MapEntry) -> Type | None:
        info = self.maps.get(node.map.name)
        if info is not None:
            self.key(node, info, node.keys)
        else:
            for key in node.keys:
                self.type(key)
        return self._map_value(node.map, info)

    def _map_value(self, node: ast.Map, info: MapInfo | None) -> Type | None:
        if info is None or not info.written:
            self.error(node, f"undefined map: {node.name}", *nearest(node.name, [n for n in self.maps if n != node.name]))
            return None
        return info.value

    # ---- Access

    def _member(self, node: ast.Member) -> Type | None:
        if isinstance(node.base, ast.Name) and node.base.name == "args":
            return self._args_member(node)
        base = self.type(node.base)
        if base is None:
            return None
        if isinstance(base, Record):
            if node.name in base.names:
                return base.elements[base.names.index(node.name)]
            self.error(node.name_span, f"{base} has no field named '{node.name}'", *nearest(node.name, base.names))
            return None
        struct, space = (base.to, base.space) if isinstance(base, Pointer) else (base, self._space(node.base))
        if not isinstance(struct, Struct):
            self.error(node.name_span, f"can not access field '{node.name}' on expression of type '{base}'")
            return None
        field = self.field(struct, node.name)
        if field is None:
            names = [item.name for item in self.machine.fields(struct)]
            self.error(node.name_span, f"{struct.kind}/union of type '{struct}' does not contain a field named '{node.name}'".replace("union/union", "struct/union"), *nearest(node.name, names))
            return None
        return value_type(field.type, space)

    def field(self, struct: Struct, name: str) -> Field | None:
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

    def _args_member(self, node: ast.Member) -> Type | None:
        if self._refuse_args(node.base):
            return None
        found = self.argument(node.name)
        if found is None:
            what = self.scene.target.label
            self.error(node.name_span, f"'{what}' has no argument named '{node.name}'", *self._argument_hints(node.name))
            return None
        if isinstance(found, Field):
            if found.data_loc:
                return Str(self.settings.max_strlen) if _is_char(found.type) else found.type
            return value_type(found.type, found.type.space if isinstance(found.type, Pointer) else "kernel")
        return found[1]

    def _element(self, node: ast.Element) -> Type | None:
        base = self.type(node.base)
        if isinstance(base, Tuple):
            return self._tuple_element(node, base, node.number)
        if base is not None:
            self.error(node, f"can not access element {node.number} of an expression of type '{base}'")
        return None

    def _tuple_element(self, node: ast.Node, base: Tuple, number: int) -> Type | None:
        if number < len(base.elements):
            return base.elements[number]
        self.error(node, f"invalid tuple index: {number}. Found {len(base.elements)} elements in tuple.".rstrip("."))
        return None

    def _index(self, node: ast.Index) -> Type | None:
        base, index = self.type(node.base), self.type(node.index)
        number = self.constant(node.index)
        if base is None or index is None:
            return None
        if as_int(index) is None:
            self.error(node.index, f"an index must be an integer, not {index}")
            return None
        if isinstance(number, int) and number < 0:
            self.error(node.index, "an index must not be negative")
        match base:
            case Tuple() if isinstance(number, int):
                return self._tuple_element(node, base, number)
            case Array(of, length):
                if isinstance(number, int) and length and number >= length:
                    self.error(node.index, f"the index {number} is out of bounds for an array of {length}")
                return value_type(of, self._space(node.base))
            case Pointer(to, space) if not isinstance(to, Void):
                return value_type(to, space)
            case Str():
                return INT8
        self.error(node, f"an expression of type '{base}' cannot be indexed")
        return None

    # ---- Operators

    def _unary(self, node: ast.Unary) -> Type | None:
        kind = self.type(node.operand)
        value = self.constant(node)
        if isinstance(value, int) and not isinstance(value, bool) and node.operator in "-+":
            return literal_type(value)
        if kind is None:
            return None
        if node.operator == "!":
            return BOOL if self.condition(node.operand, kind) else None
        if node.operator == "*":
            if isinstance(kind, Pointer) and not isinstance(kind.to, Void):
                return value_type(kind.to, kind.space)
            self.error(node, f"an expression of type '{kind}' cannot be dereferenced", "cast it to a pointer first: *(uint32 *)…")
            return None
        if node.operator == "&":
            self.error(node, "taking an address with '&' is not supported")
            return None
        integer = as_int(kind)
        if integer is None:
            self.error(node, f"the operator '{node.operator}' cannot be applied to {kind}")
            return None
        return INT64 if node.operator == "-" or (integer.signed and node.operator == "+") else UINT64

    def condition(self, node: ast.Expression, kind: Type | None) -> bool:
        """Whether a value of this type can be a condition; reports where not."""
        if kind is None or is_condition(kind):
            return True
        self.error(node, f"invalid condition: {kind}")
        return False

    def _binary(self, node: ast.Binary) -> Type | None:
        left, right = self.type(node.left), self.type(node.right)
        value = self.constant(node)
        if isinstance(value, str):
            return Str(len(value.encode("utf-8", "surrogateescape")) + 1)
        if isinstance(value, int) and not isinstance(value, bool):
            if not -(1 << 63) <= value < 1 << 64:
                self.error(node, "unable to fold literals due to overflow or underflow")
                return None
            return literal_type(value)
        if left is None or right is None:
            return None
        operator = node.operator
        if operator in ("&&", "||"):
            fine = [self.condition(node.left, left), self.condition(node.right, right)]
            return BOOL if all(fine) else None
        if isinstance(left, Pointer) or isinstance(right, Pointer):
            return self._pointer_arithmetic(node, left, right)
        if isinstance(left, Str) and isinstance(right, Str):
            if operator in ("==", "!="):
                return BOOL
            self.error(node, f"the operator '{operator}' cannot be used on strings")
            return None
        a, b = as_int(left), as_int(right)
        if a is None or b is None:
            self.error(node, f"type mismatch for '{operator}': comparing '{left}' with '{right}'" if operator in COMPARISONS else f"the operator '{operator}' cannot be used on '{left}' and '{right}'")
            return None
        if operator in COMPARISONS:
            return BOOL
        return arithmetic_type(operator, a, b)

    def _pointer_arithmetic(self, node: ast.Binary, left: Type, right: Type) -> Type | None:
        if node.operator in COMPARISONS and all(isinstance(k, Pointer) or as_int(k) for k in (left, right)):
            return BOOL
        if node.operator == "+" and isinstance(left, Pointer) and as_int(right):
            return left
        if node.operator == "+" and isinstance(right, Pointer) and as_int(left):
            return right
        if node.operator == "-" and isinstance(left, Pointer) and as_int(right):
            return left
        self.error(node, f"the operator '{node.operator}' cannot be used on '{left}' and '{right}'", "cast the pointer to uint64 to compute with it")
        return None

    def _ternary(self, node: ast.Ternary) -> Type | None:
        condition = self.type(node.condition)
        self.condition(node.condition, condition)
        then = self.type(node.then) if node.then is not None else condition
        otherwise = self.type(node.otherwise)
        if then is None or otherwise is None:
            return then or otherwise
        both = promote(then, otherwise)
        if both is None:
            self.error(node, f"the two sides of '?:' have different types: '{then}' and '{otherwise}'")
        return both

    def _cast(self, node: ast.Cast) -> Type | None:
        value = self.type(node.operand)
        kind = self.written_type(node.type, self._cast_space(node.operand, value))
        if kind is None or value is None:
            return kind
        scalar = as_int(value) is not None or isinstance(value, Pointer)
        if isinstance(kind, Int | Bool | Enum | Pointer):
            if scalar or isinstance(value, Aggregate) or (isinstance(kind, Bool) and isinstance(value, Str)):
                return kind
        elif isinstance(kind, Struct) and isinstance(value, Pointer):
            self.error(node, f"cannot cast a pointer to {kind}", f"cast to a pointer: ({kind} *)")
            return None
        self.error(node, f"cannot cast from '{value}' to '{kind}'")
        return None

    def _cast_space(self, operand: ast.Expression, value: Type | None) -> Space:
        if isinstance(value, Pointer):
            return value.space
        return "user" if self.scene.target.kind.startswith("u") else "kernel"

    def written_type(self, node: ast.Type, space: Space = "kernel") -> Type | None:
        """The type that was written; reports unknown names."""
        suffixes = list(node.suffixes)
        if node.name in _SIZED and not node.tag:
            length = suffixes.pop(0) if suffixes else self.settings.max_strlen
            kind: Type | None = Str(length)
        else:
            kind = self._named_type(node)
        for suffix in suffixes if kind is not None else ():
            kind = Pointer(kind, space) if suffix == 0 else Array(kind, suffix)  # type: ignore[arg-type]
        return kind

    def _named_type(self, node: ast.Type) -> Type | None:
        if node.tag in ("struct", "union"):
            found: Type | None = self.machine.struct(node.tag, node.name)
            if found is None:
                self.error(node, f"unknown struct/union: '{node.tag} {node.name}'")
            return found
        if node.tag == "enum":
            found = self.machine.enum(node.name)
        else:
            found = _BASE_TYPES.get(node.name) or self.machine.typedef(node.name) or self.machine.struct("struct", node.name)
        if found is None:
            self.error(node, f"unknown type: '{node.name}'", *nearest(node.name, _BASE_TYPES))
        return found

    def _sizeof(self, node: ast.SizeOf) -> Type | None:
        if isinstance(node.operand, ast.Type):
            kind = self.written_type(node.operand)
        else:
            kind = self.type(node.operand)
        if kind is not None:
            self.types[node.operand] = kind
            self.sizes[node] = size_of(kind)
        return UINT64

    def _offsetof(self, node: ast.OffsetOf) -> Type | None:
        offset = self._layout_constant(node)
        if offset is None:
            self.error(node, f"'{node.type.span.text}' has no field '{'.'.join(node.path)}'")
        else:
            self.sizes[node] = offset
        return UINT64

    def _layout_constant(self, node: ast.SizeOf | ast.OffsetOf) -> int | None:
        if isinstance(node, ast.SizeOf):
            operand = node.operand
            kind = self.written_type(operand) if isinstance(operand, ast.Type) else self.types.get(operand)
            return size_of(kind) if kind is not None else None
        kind, offset = self.written_type(node.type), 0
        for name in node.path:
            field = self.field(kind, name) if isinstance(kind, Struct) else None
            if field is None:
                return None
            kind, offset = field.type, offset + field.offset
        return offset

    # ---- Tuples, steps, calls

    def _tuple(self, node: ast.Tuple) -> Type | None:
        kinds = [self.type(item) for item in node.elements]
        if any(kind is None for kind in kinds):
            return None
        return Tuple(tuple(settle(kind) for kind in kinds if kind is not None))

    def _record(self, node: ast.Record) -> Type | None:
        kinds = [self.type(item) for item in node.elements]
        if any(kind is None for kind in kinds):
            return None
        if len(set(node.names)) < len(node.names):
            self.error(node, "a record's field names must differ")
        return Record(node.names, tuple(settle(kind) for kind in kinds if kind is not None))

    def _stepbefore(self, node: ast.StepBefore) -> Type | None:
        return self._step(node.target, node.operator)

    def _stepafter(self, node: ast.StepAfter) -> Type | None:
        return self._step(node.target, node.operator)

    def _step(self, target: ast.Target, operator: str) -> Type | None:
        if isinstance(target, ast.Variable):
            kind = self._variable(target)
        else:
            name = target.name if isinstance(target, ast.Map) else target.map.name
            info = self.maps.setdefault(name, MapInfo(name, target.span))
            info.written = True
            if info.value is None or is_flexible(info.value):
                info.value, self.grew = INT64, True
            kind = self.type(target)
        if kind is None:
            return None
        self.types[target] = kind
        integer = as_int(kind)
        if integer is None:
            self.error(target, f"the operator '{operator}' cannot be applied to {kind}")
            return None
        return INT64 if integer.signed or operator == "--" else UINT64

    def _call(self, node: ast.Call) -> Type | None:
        function = FUNCTIONS.get(node.name)
        if function is None:
            builtin = find_builtin(node.name)
            if builtin is not None and not node.arguments:
                return self._name(ast.Name(node.span, node.name))
            for item in node.arguments:
                self.type(item)
            self.error(node, f"unknown function: '{node.name}'", *nearest(node.name, FUNCTIONS))
            return None
        wrong = function.count_error(len(node.arguments))
        if wrong:
            self.error(node, wrong, f"usage: {function.usage}")
            return None
        return function.result(self, node)


def value_type(kind: Type, space: Space) -> Type:
    """The type that reading a member gives: char arrays are strings, pointers keep the space they came by."""
    if isinstance(kind, Array) and _is_char(kind) and kind.length > 0:
        return Str(kind.length)
    if isinstance(kind, Pointer):
        return Pointer(kind.to, space)
    return kind


def _is_char(kind: Type) -> bool:
    return isinstance(kind, Array) and isinstance(kind.of, Int) and kind.of.spelling == "char"


def arithmetic_type(operator: str, left: Int, right: Int) -> Int:
    """Both operands become 64-bit: signed if one is, or for `-`; a shift keeps the left side's sign."""
    if operator in ("<<", ">>"):
        return INT64 if left.signed and not is_flexible(left) else UINT64
    if operator == "-":
        return INT64
    signed = any(item.signed and not is_flexible(item) for item in (left, right))
    return INT64 if signed or (is_flexible(left) and is_flexible(right)) else UINT64
