"""Statements of one body → the types of its variables and of the program's maps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lang import ast
from lang.checked import MapInfo, VariableInfo
from lang.convert import aggregates, as_int, fits, promote, settle, storable
from lang.diagnostics import listed
from lang.functions import FUNCTIONS
from lang.infer_base import SCALAR_USE
from lang.infer_flow import Flow
from lang.infer_operators import PRINT_IT, UNREADABLE
from lang.types import INT64, VOID, Aggregate, Last, Record, Timestamp, Type, Void, size_of

MAX_UNROLL = 100
FIELD_KINDS = ("count", "sum", "min", "max", "avg")
MAX_VALUE_BYTES = 16384  # of one variable or map value: what the per-CPU memory of a program can hold
MISMATCH = "type mismatch for {}: trying to assign value of type '{}' when {} already has a type '{}'"


class Statements(Flow):
    """The statements, on top of the typing of expressions."""

    def visit_body(self, probe: ast.Probe) -> None:
        """Visit the predicate and all statements once."""
        if probe.predicate is not None:
            condition = probe.predicate.condition
            self.condition(condition, self.type(condition))
        self.block(probe.body)

    def statement(self, node: ast.Statement) -> None:
        if self.final and self.found.full:
            return
        visit: Callable[[Any], None] = getattr(self, "_do_" + type(node).__name__.lower())
        visit(node)

    def block(self, node: ast.Block) -> Type | None:
        """Visit a block; the type of its value, void where it has none."""
        self.scopes.append({})
        *before, last = node.statements or (None,)
        for item in before:
            if item is not None:
                self.statement(item)
        kind: Type | None = VOID
        if node.has_value and isinstance(last, ast.Evaluate):
            kind = self.type(last.value)
        elif last is not None:
            self.statement(last)
        for item, following in pairwise(node.statements) if self.final else ():
            if ast.ends_probe(item):
                self.found.warn(following.span, "unreachable statement")
                break
        self.scopes.pop()
        return kind

    def _do_block(self, node: ast.Block) -> None:
        self.block(node)

    def _do_evaluate(self, node: ast.Evaluate) -> None:
        value = node.value
        if isinstance(value, ast.Call) and value.name in FUNCTIONS and FUNCTIONS[value.name].aggregate:
            usage = FUNCTIONS[value.name].usage
            self.error(value, f"{value.name}() must be assigned directly to a map", f"usage: {usage}")
            return
        if isinstance(value, ast.Block):
            self.block(value)  # a macro's expansion, whose value is not wanted
            return
        kind = self.type(value)
        quiet = isinstance(value, ast.Call | ast.StepAfter | ast.StepBefore) or isinstance(kind, Void)
        if kind is not None and self.final and not quiet:
            hint = "assign it to '_' to say that this is meant"
            self.found.warn(value.span, "return value discarded", hint)

    def _do_discard(self, node: ast.Discard) -> None:
        self.type(node.value)

    def _do_return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.type(node.value)
            self.error(node.value, "a probe returns no value", "write return;")

    def _do_ifstatement(self, node: ast.IfStatement) -> None:
        self.condition(node.condition, self.type(node.condition))
        live = self.live_branch(node.condition)
        if live is not False:
            self.block(node.then)
        if node.otherwise is not None and live is not True:
            self.statement(node.otherwise)

    def _do_unroll(self, node: ast.Unroll) -> None:
        self.type(node.count)
        count = self.constant(node.count)
        if isinstance(count, bool) or not isinstance(count, int):
            self.error(node.count, "unroll needs a literal count")
        elif not 1 <= count <= MAX_UNROLL:
            self.error(node.count, f"unroll must be 1 to {MAX_UNROLL} times ({count} provided)")
        self.block(node.body)

    # ---- Variables

    def _do_let(self, node: ast.Let) -> None:
        name = node.variable.name
        info = self.declared.setdefault(node, VariableInfo(name, node.span))
        if self.lookup(name) is not None:
            self.error(node.variable, f"variable {name} was already declared")
        if node.type is not None:
            declared = self._declared_type(node.type)
            if declared != Timestamp("") or info.type is None:
                info.declared, info.type = True, declared
            info.wrong = info.type is None
        if node.value is not None:
            self._assign_variable(node, info, node.value, node.converts)
        self.scopes[-1][name] = info
        self.variables[node.variable] = info
        if info.type is not None:
            self.types[node.variable] = info.type
        elif self.final and not info.wrong and not info.used:
            self.found.warn(node.span, f"{name} is never used")

    def _declared_type(self, node: ast.Type | ast.TypeOf) -> Type | None:
        kind = self.written_type(node)
        if kind is not None and not storable(kind):
            self.error(node, f"a variable cannot have the type '{kind}'")
            return None
        return None if kind is not None and self._too_large(node, kind) else kind

    def _too_large(self, node: ast.Node, kind: Type) -> bool:
        size = size_of(kind)
        if size > MAX_VALUE_BYTES:
            self.error(node, f"a value of type '{kind}' has {size} bytes: the limit is {MAX_VALUE_BYTES}")
        return size > MAX_VALUE_BYTES

    def _assign_variable(
        self, node: ast.Node, info: VariableInfo, value_node: ast.Expression, converts: bool = False
    ) -> None:
        value = self._value_for(value_node, info.name)
        if value is None:
            info.wrong |= self.final
            return
        if info.declared:
            if info.type is None or (converts and _converts(info.type, value)):
                return
            if info.type == Timestamp("") and isinstance(value, Timestamp):
                self._grow(info, value)
            if not self._accepts(info.type, value, value_node):
                self.error(node, MISMATCH.format(_plain(info.name), value, "variable", info.type))
            return
        merged = value if info.type is None else promote(info.type, value)
        if merged is None:
            self.error(node, MISMATCH.format(_plain(info.name), value, "variable", info.type))
        else:
            self._grow(info, merged)

    def _accepts(self, declared: Type, value: Type, node: ast.Expression) -> bool:
        """Whether a declared type holds every value of the other; a constant's own value decides."""
        number = self.constant(node)
        if isinstance(number, int) and not isinstance(number, bool):
            return fits(number, declared)
        merged = promote(declared, value)
        return merged is not None and settle(merged) == settle(declared)

    def _value_for(self, node: ast.Expression, name: str) -> Type | None:
        """The type of what is assigned to a variable."""
        value = self.type(node)
        if isinstance(value, Aggregate):
            if isinstance(node, ast.Call):
                usage = FUNCTIONS[node.name].usage
                self.error(node, f"{node.name}() must be assigned directly to a map", f"usage: {usage}")
            else:
                self.error(node, UNREADABLE.format(f"a {value}"), PRINT_IT)
            return None
        if isinstance(value, Void):
            self.error(node, f"this has no value to assign to {name}")
            return None
        return None if value is not None and self._too_large(node, value) else value

    # ---- Assignments

    def _do_assign(self, node: ast.Assign) -> None:
        target = node.target
        if isinstance(target, ast.Variable):
            info = self.lookup(target.name)
            if info is None:
                info = self.declared.setdefault(node, VariableInfo(target.name, node.span))
                # The name is not visible in its own first value.
                self._assign_variable(node, info, node.value)
                self.scopes[-1][target.name] = info
            else:
                self._assign_variable(node, info, node.value)
            self._note(target, info)
            return
        map_info = self.write_map(target)
        value = self._map_value_of(node.value)
        if value is not None:
            self._grow_map(node, map_info, value)
        self._visit_target(target, map_info)

    def _do_fieldassign(self, node: ast.FieldAssign) -> None:
        """`@m[k].field = sum(n)`: the record has the fields that the whole program gives it."""
        info = self.write_map(node.target)
        known = isinstance(info.value, Record) and node.field in info.value.names
        if node.change is not None and not known:
            self._grow_field(node, info, INT64)
        given = self.type(node.value)
        if given is not None and not self._fits_field(node, given):
            return
        if given is not None:
            self._grow_field(node, info, given)
        self._visit_target(node.target, info)

    def _fits_field(self, node: ast.FieldAssign, kind: Type) -> bool:
        if isinstance(kind, Aggregate):
            if isinstance(node.value, ast.Call) and kind.kind in FIELD_KINDS:
                return True
            wanted = listed(f"{name}()" for name in FIELD_KINDS)
            message = f"a field of a map's entry takes a plain value, {wanted}, not {kind.kind}()"
            self.error(node.value, message, f"keep it in a map of its own: @name[key] = {kind.kind}(…)")
            return False
        if not storable(kind):
            self.error(node.value, f"a field of a map's entry cannot hold a value of type {kind}")
            return False
        return not self._too_large(node.value, kind)

    def _grow_field(self, node: ast.FieldAssign, info: MapInfo, kind: Type) -> None:
        """The record grows by a field, or the field grows; see `_record_of` for what mixes."""
        old = info.value
        if old is None:
            self._grow(info, Record((node.field,), (kind,)))
            return
        if not isinstance(old, Record):
            self.error(node, MISMATCH.format(info.name, f"record {{ .{node.field} }}", "map", old))
            return
        if node.field not in old.names:
            self._grow(info, _record_of((*old.names, node.field), (*old.elements, kind)))
            return
        place = old.names.index(node.field)
        before = old.elements[place]
        merged = promote(before, Last(kind) if isinstance(before, Last) else kind)
        if merged is None:
            name = f"{info.name}.{node.field}"
            self.error(node, MISMATCH.format(name, kind, "field", before))
        elif merged is not before:
            elements = (*old.elements[:place], merged, *old.elements[place + 1 :])
            self._grow(info, _record_of(old.names, elements))

    def _note(self, target: ast.Variable, info: VariableInfo) -> None:
        info.used = True
        self.variables[target] = info
        if info.type is not None:
            self.types[target] = info.type

    def _visit_target(self, target: ast.Map | ast.MapEntry, info: MapInfo) -> None:
        if isinstance(target, ast.MapEntry):
            self.key(target, info, target.keys)
        elif info.keyed:
            self.error(target, SCALAR_USE.format(info.name))
        else:
            info.keyed = False
        if info.value is not None:
            self.types[target] = info.value

    def _map_value_of(self, node: ast.Expression) -> Type | None:
        value = self.type(node)
        source = node.inner if isinstance(node, ast.Group) else node
        if isinstance(source, ast.Map | ast.MapEntry):
            name = source.name if isinstance(source, ast.Map) else source.map.name
            info = self.maps.get(name)
            value = info.value if info is not None and isinstance(info.value, Aggregate) else value
        if isinstance(value, Aggregate) and not isinstance(node, ast.Call):
            self.error(node, UNREADABLE.format(f"a {value}"), PRINT_IT)
            return None
        if isinstance(value, Void):
            self.error(node, "this has no value to assign")
            return None
        return None if value is not None and self._too_large(node, value) else value

    def _grow_map(self, node: ast.Node, info: MapInfo, value: Type) -> None:
        merged = value if info.value is None else promote(info.value, value)
        if merged is None:
            self.error(node, MISMATCH.format(info.name, value, "map", info.value))
        else:
            self._grow(info, merged)

    def _do_assignby(self, node: ast.AssignBy) -> None:
        target = node.target
        whole = ast.Binary(node.span, target, node.operator, node.value)
        if isinstance(target, ast.Variable):
            info = self.lookup(target.name)
            self._change_variable(node, whole, target, info)
            return
        map_info = self.write_map(target)
        if map_info.value is None:
            map_info.value, self.grew = INT64, True
        if aggregates(map_info.value):
            self.error(node, f"a {map_info.value} cannot be changed by '{node.operator}='")
            return
        result = self.type(whole)
        if result is not None:
            self.types[node] = result
            self._grow_map(node, map_info, result)

    def _change_variable(
        self, node: ast.AssignBy, whole: ast.Binary, target: ast.Variable, info: VariableInfo | None
    ) -> None:
        result = self.type(whole)
        if result is None or info is None:
            return
        self.types[node] = result
        if info.declared:
            # `let $x: uint8 = 1; $x += 1` is meant: it wraps as the type says.
            if info.type is not None and promote(info.type, result) is None:
                self.error(node, MISMATCH.format(_plain(info.name), result, "variable", info.type))
        else:
            merged = promote(info.type, result) if info.type is not None else result
            if merged is None:
                self.error(node, MISMATCH.format(_plain(info.name), result, "variable", info.type))
            else:
                self._grow(info, merged)
        self._note(target, info)


def _record_of(names: tuple[str, ...], elements: tuple[Type, ...]) -> Record:
    """A map's record. Beside an aggregation, which each CPU keeps for itself, a plain field is kept by each
    CPU too, with the time at which it was written: the last one counts."""
    if any(isinstance(item, Aggregate) for item in elements):
        elements = tuple(item if isinstance(item, Aggregate | Last) else Last(item) for item in elements)
    return Record(names, elements)


def _converts(declared: Type, value: Type) -> bool:
    """Whether a function takes the value for an integer of the declared type, whatever its sign."""
    wanted, given = as_int(declared), as_int(value)
    return wanted is not None and given is not None and given.bits <= wanted.bits


def _plain(name: str) -> str:
    """A variable's name as the script has it: those of an expansion are numbered."""
    return name.partition("·")[0]
