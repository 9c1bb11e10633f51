"""Expressions of one body → their types, given what is known of variables and maps so far.

A visit never fails: it reports, and answers None for "not known yet". The driver (lang/check.py) visits
all bodies until nothing grows any more, then once with reports on.
"""

from __future__ import annotations

from lang import ast
from lang.builtins import BUILTINS, find_builtin, refusal
from lang.checked import MapInfo, VariableInfo
from lang.constants import well_known
from lang.convert import aggregates, as_int, castable, is_flexible, literal_type, promote, shareable
from lang.functions import FUNCTIONS, REFUSED
from lang.infer_base import SCALAR_USE
from lang.infer_operators import Operators
from lang.probes import mechanism
from lang.types import BOOL, INT64, UINT64, Aggregate, Enum, Int, Record, Tuple, Type

MAX_CONSTANTS = 500
_PREFIX = "__builtin_"  # before bpftrace's own names of builtins

_WRITTEN_DIFFERENTLY = {
    "kretval": "retval", "probefunc": "func",
}  # fmt: skip


class Inference(Operators):
    """Literals, names, maps, tuples and calls; access and operators are inherited."""

    # ---- Literals and parameters

    def _integer(self, node: ast.Integer) -> Type:
        return literal_type(node.value)

    def _string(self, node: ast.String) -> Type:
        return self.text_type(node, node.value)

    def _boolean(self, node: ast.Boolean) -> Type:
        return BOOL

    def _parameter(self, node: ast.Parameter) -> Type:
        if not self.given(node) and self.final and not self.counted:
            self.found.warn(node.span, f"positional parameter ${node.number} was not given: 0 is used")
        value = self.constant(node)
        return self.text_type(node, value) if isinstance(value, str) else literal_type(int(value or 0))

    def _parametercount(self, node: ast.ParameterCount) -> Type:
        self.counted = True
        return UINT64

    def _group(self, node: ast.Group) -> Type | None:
        return self.type(node.inner)

    # ---- Names

    def _name(self, node: ast.Name) -> Type | None:
        name = node.name
        if name.startswith(_PREFIX):
            return self.type(self.meanings.setdefault(node, ast.Name(node.span, name[len(_PREFIX) :])))
        builtin = find_builtin(name)
        if builtin is not None:
            if self.refuse_in_loop(node, name):
                return None
            refused = refusal(builtin, self.scene)
            if refused:
                self.error(node, refused)
                return None
            self._tell_empty_stack(node)
            return builtin.type(self.scene)
        if name == "args":
            return None if self.refuse_args(node) else self.type(self._all_arguments(node))
        constant = self._machine_constant(name)
        if constant is not None:
            value, enum = constant
            return enum if enum.name else literal_type(value)
        number = well_known(name)
        if number is not None:
            self.sizes[node] = number
            return literal_type(number)
        function = FUNCTIONS.get(name)
        if function is not None and function.bare:
            return self.type(self.meanings.setdefault(node, ast.Call(node.span, name, ())))
        if function is not None:
            self.error(node, f"'{name}' is a function", f"usage: {function.usage}")
            return None
        if name in REFUSED:
            self.error(node, *REFUSED[name])
            return None
        hints = self.near(name, [*BUILTINS, *FUNCTIONS, "args"])
        if name in _WRITTEN_DIFFERENTLY:
            hints = (f"write {_WRITTEN_DIFFERENTLY[name]}",)
        elif self.lookup(f"${name}") is not None:
            hints = (f"did you mean '${name}'?",)
        elif f"@{name}" in self.maps:
            hints = (f"did you mean '@{name}'?",)
        self.error(node, f"unknown identifier: '{name}'", *hints)
        return None

    def _all_arguments(self, node: ast.Name) -> ast.Expression:
        """`args` as a whole: a record of all of them."""
        target = self.scene.target
        names = tuple(item.name for item in target.fields or target.parameters or ())
        if node not in self.meanings:
            members = tuple(
                ast.Member(node.span, ast.Name(node.span, "args"), name, node.span) for name in names
            )
            self.meanings[node] = ast.Record(node.span, names, members)
        return self.meanings[node]

    def _machine_constant(self, name: str) -> tuple[int, Enum] | None:
        """An enum constant of the kernel; a script that asks for very many names asks for nonsense."""
        if name not in self.constants and len(self.constants) < MAX_CONSTANTS:
            self.constants[name] = self.machine.constant(name)
        return self.constants.get(name)

    def _variable(self, node: ast.Variable) -> Type | None:
        info = self.lookup(node.name)
        if info is None and node.span.source.name.endswith(".bt") and not self.final:
            info = self.hoisted[node.name] = VariableInfo(node.name, node.span)
            self.grew = True
        if info is None or (node.name in self.hoisted and info.type is None and self.final):
            visible = [name for scope in self.scopes for name in scope]
            self.error(node, f"undefined or undeclared variable: {node.name}", *self.near(node.name, visible))
            return None
        self.variables[node] = info
        if info.type is None and not info.wrong:
            self.error(node, f"{node.name} is read before it has a value")
        return info.type

    # ---- Maps

    def _map(self, node: ast.Map) -> Type | None:
        info = self.maps.get(node.name)
        if info is not None and info.keyed:
            self.error(node, SCALAR_USE.format(node.name))
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
            known = [name for name in self.maps if name != node.name]
            self.error(node, f"undefined map: {node.name}", *self.near(node.name, known))
            return None
        self.read_over_cpus(node, info)
        return castable(info.value) if info.value is not None else None

    def read_over_cpus(self, node: ast.Node, info: MapInfo) -> None:
        """An aggregation that is read: its parts of all CPUs are needed, or one that all CPUs share."""
        if info.value is None or not aggregates(info.value):
            return
        info.read = True
        support = self.machine.supports("percpu_lookup")
        if not support.works and not shareable(info.value):
            kind = "record with min() or max()"
            if isinstance(info.value, Aggregate):
                kind = f"{info.value.kind}()"
            reason = f"its parts of each CPU cannot be looked up there: {support.reason}"
            self.error(node, f"a {kind} cannot be read in a probe on this kernel", reason, "print() shows it")

    # ---- Tuples, steps, calls

    def _tuple(self, node: ast.Tuple) -> Type | None:
        kinds = [self.stored(item, "a tuple") for item in node.elements]
        known = tuple(kind for kind in kinds if kind is not None)
        return Tuple(known) if len(known) == len(kinds) else None

    def _record(self, node: ast.Record) -> Type | None:
        kinds = [self.stored(item, "a record") for item in node.elements]
        known = tuple(kind for kind in kinds if kind is not None)
        if len(set(node.names)) < len(node.names):
            self.error(node, "a record's field names must differ")
            return None
        return Record(node.names, known) if len(known) == len(kinds) else None

    def _stepbefore(self, node: ast.StepBefore) -> Type | None:
        return self._step(node.target, node.operator)

    def _stepafter(self, node: ast.StepAfter) -> Type | None:
        return self._step(node.target, node.operator)

    def _step(self, target: ast.Target, operator: str) -> Type | None:
        """`++` and `--` make an undeclared variable, or a map's value, as wide as their result."""
        info: VariableInfo | MapInfo | None
        if isinstance(target, ast.Variable):
            kind = self._variable(target)
            info = self.lookup(target.name)
        else:
            info = self.write_map(target)
            kind = self.type(target) if info.value is not None else INT64
        if kind is None or info is None:
            return None
        integer = as_int(kind)
        if isinstance(info, MapInfo) and aggregates(info.value):
            self.error(target, f"a {info.value} cannot be changed by '{operator}'")
            return None
        if not isinstance(kind, Int) or integer is None:
            self.error(target, f"the operator '{operator}' cannot be applied to '{kind}'")
            return None
        signed = (integer.signed and not is_flexible(integer)) or operator == "--"
        result = INT64 if signed or is_flexible(integer) else UINT64
        if isinstance(info, MapInfo) or not info.declared:
            merged = promote(info.value if isinstance(info, MapInfo) else info.type, result)  # type: ignore[arg-type]
            self._grow(info, result if merged is None else merged)
            kind = info.value if isinstance(info, MapInfo) else info.type
        if kind is not None:
            self.types[target] = kind
        return result

    def _grow(self, info: VariableInfo | MapInfo, merged: Type) -> None:
        """Give a variable, or a map's value, its new type; the driver goes round again if it is another."""
        if isinstance(info, MapInfo):
            merged = self.lasting_pointer((id(info), "value"), info.value, merged)
            self.grew |= info.value is not merged
            info.value = merged
        else:
            merged = self.lasting_pointer((id(info), "value"), info.type, merged)
            self.grew |= info.type is not merged
            info.type = merged

    def write_map(self, target: ast.Map | ast.MapEntry) -> MapInfo:
        """The map that a statement writes to: from now on it exists."""
        name = target.name if isinstance(target, ast.Map) else target.map.name
        info = self.maps.setdefault(name, MapInfo(name, target.span))
        if not info.written:
            info.written, self.grew = True, True
        return info

    def _tell_empty_stack(self, node: ast.Name | ast.Call) -> None:
        """A warning where the kernel finds no stack of its own."""
        target = self.scene.target
        if node.name != "kstack" or not self.final or target.category != "syscalls":
            return
        support = self.scene.machine.supports("syscall_stacks")
        if mechanism(target) == "tracepoint" and not support.works:
            hint = "tracepoint:raw_syscalls:sys_enter and sys_exit have it, with args.id"
            self.found.warn(node.span, f"kstack is empty here: {support.reason}", hint)

    def _call(self, node: ast.Call) -> Type | None:
        if not node.arguments and (find_builtin(node.name) or node.name == "args"):
            return self.type(self.meanings.setdefault(node, ast.Name(node.span, node.name)))
        if node.name.startswith(_PREFIX):
            plain = ast.Call(node.span, node.name[len(_PREFIX) :], node.arguments)
            return self.type(self.meanings.setdefault(node, plain))
        function = FUNCTIONS.get(node.name)
        self._tell_empty_stack(node)
        if function is None:
            for item in node.arguments:
                self.type(item)
            if node.name in REFUSED:
                self.error(node, *REFUSED[node.name])
            else:
                self.error(node, f"unknown function: '{node.name}'", *self.near(node.name, FUNCTIONS))
            return None
        if self.refuse_in_loop(node, node.name):
            return None
        wrong = function.count_error(len(node.arguments))
        if wrong:
            self.error(node, wrong, f"usage: {function.usage}")
            return None
        refused = function.refusal(self.scene)
        if refused is not None:
            self.error(node, refused, *(("run ebt with --unsafe",) if function.unsafe else ()))
            return None
        if function.meaning is not None:
            meaning = self.meanings.get(node) or function.meaning(node)
            self.meanings[node] = meaning
            if isinstance(meaning, ast.Block) and not meaning.has_value:
                return self.block(meaning)
            return self.type(meaning)
        kind = function.result(self, node)
        if function.value is not None:
            self.constant(node)
        return kind
