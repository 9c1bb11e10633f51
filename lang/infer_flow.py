"""Loops, blocks and conditionals as values, compile-time questions → their types."""

from __future__ import annotations

from collections.abc import Sequence

from lang import ast
from lang.builtins import ARGUMENT
from lang.checked import Target, VariableInfo
from lang.convert import as_int, castable, is_flexible, promote
from lang.diagnostics import Diagnostics
from lang.expand import Expansion
from lang.fold import Constant
from lang.functions import FUNCTIONS
from lang.infer import Inference
from lang.options import option_constant
from lang.probes import expand_attach_point
from lang.types import (
    INT64,
    UINT64,
    Aggregate,
    Pointer,
    Struct,
    Tuple,
    Type,
    Void,
)  # fmt: skip

# What needs the probe's registers: a loop's body is a function of its own, which has none.
_NEEDS_CONTEXT = ("args", "retval", "duration", "ctx", "func", "kstack", "ustack", "reg")


class Flow(Inference):
    """Control flow, as far as it has types; the statements that hold no loop are in infer_statements."""

    loops = 0  # how many loops are open whose body is a callback
    breakable = 0  # how many loops of any kind are open

    # ---- Values

    def _block(self, node: ast.Block) -> Type | None:
        kind = self.block(node)
        if isinstance(kind, Void):
            self.error(node, "this block has no value", "its last expression stands without a semicolon")
        return kind

    def _ifvalue(self, node: ast.IfValue) -> Type | None:
        self.condition(node.condition, self.type(node.condition))
        live = self.live_branch(node.condition)
        branches = [node.then if live is not False else None, node.otherwise if live is not True else None]
        kinds = [self.type(branch) for branch in branches if branch is not None]
        known = [kind for kind in kinds if kind is not None]
        if not known:
            return None
        both = known[0] if len(known) == 1 else promote(known[0], known[1])
        if both is None:
            self.error(node, f"the branches have different types: '{known[0]}' and '{known[1]}'")
        return both

    def live_branch(self, condition: ast.Expression) -> bool | None:
        """True or False where the condition is constant: the other branch is not even looked at."""
        value = self.constant(condition)
        return bool(value) if isinstance(value, int) else None

    def _comptime(self, node: ast.Comptime) -> Type | None:
        kind = self.type(node.operand)
        if kind is not None and self.constant(node.operand) is None:
            self.error(node, "this cannot be computed at compile time")
        return kind

    def _typeof(self, node: ast.TypeOf) -> Type | None:
        self.error(node, "typeof gives a type, not a value", "it stands in a cast, a let, sizeof or offsetof")
        return None

    def _namedargument(self, node: ast.NamedArgument) -> Type | None:
        self.error(node, f"this function has no argument named '{node.name}'")
        return self.type(node.value)

    # ---- Compile-time questions

    def special_constant(self, node: ast.Expression) -> Constant | None:
        """What sizeof, offsetof, an option, a constant's name or a compile-time function gives, if known."""
        if isinstance(node, ast.Member) or (isinstance(node, ast.Call) and node.name == "getopt"):
            return option_constant(node, self.option_values)
        if isinstance(node, ast.Call) and node not in self.sizes:
            function = FUNCTIONS.get(node.name)
            answer = None
            if function is not None and function.value and function.count_error(len(node.arguments)) is None:
                answer = function.value(self, node)
            if answer is None:
                return None
            assert isinstance(answer, int)
            self.sizes[node] = answer
        return self.sizes.get(node)

    def exists(self, node: ast.Call) -> bool | None:
        """Whether this kernel has what the literal names; None for what is no literal."""
        text = self.constant(node.arguments[0]) if len(node.arguments) == 1 else None
        if not isinstance(text, str):
            return None
        if text.startswith(("struct ", "union ")):
            return self._type_exists(text)
        kind, *parts = text.split(":")
        if kind == "helper":
            return self.machine.supports(":".join(parts).removeprefix("bpf_")).works
        if self._targets(node, kind, parts):
            return True
        # a probe's own name may hold dots: those of a function that the compiler renamed
        *before, last = parts or ("",)
        name, _, argument = last.rpartition(".")
        targets = self._targets(node, kind, [*before, name]) if name else ()
        return bool(targets) and all(_has_argument(target, argument) for target in targets)

    def _targets(self, node: ast.Call, kind: str, parts: Sequence[str]) -> tuple[Target, ...]:
        """What a probe of this name would be attached to; nothing where it cannot be."""
        found = Diagnostics()
        expansion = Expansion(self.machine, self.parameters, self.settings, found, options=self.option_values)
        spans = tuple(node.span for _ in parts)
        point = ast.AttachPoint(node.span, kind, node.span, tuple(parts), spans)
        targets = expand_attach_point(point, expansion)
        return () if found.errors else tuple(targets)

    def _type_exists(self, text: str) -> bool:
        head, *path = text.split(".")
        tag, _, name = head.partition(" ")
        kind: Type | None = self.machine.struct(tag, name.strip())
        for step in path:
            if isinstance(kind, Pointer):
                kind = kind.to
            field = self.field(kind, step) if isinstance(kind, Struct) else None
            if field is None:
                return False
            kind = field.type
        return kind is not None

    def coalesce(self, node: ast.Binary) -> Type | None:
        """`a.x ?? a.y`: the left side if all its fields exist here, else the right side."""
        left = self._present(node.left)
        if left is None:
            return None
        side = self.meanings[node] = node.left if left else node.right
        return self.type(side)

    def _present(self, node: ast.Expression) -> bool | None:
        """Whether every field on the way exists; None while a type is not known yet."""
        if isinstance(node, ast.Group):
            return self._present(node.inner)
        if isinstance(node, ast.Index):
            return self._present(node.base)
        if isinstance(node, ast.Binary) and node.operator == "??":
            return self._present(node.left) or self._present(node.right)
        if not isinstance(node, ast.Member):
            return True
        if isinstance(node.base, ast.Name) and node.base.name == "args":
            return self.argument(node.name) is not None
        below = self._present(node.base)
        if not below:
            return below
        kind = self.type(node.base)
        if kind is None:
            return None
        struct = kind.to if isinstance(kind, Pointer) else kind
        return isinstance(struct, Struct) and self.field(struct, node.name) is not None

    # ---- Loops

    def _do_while(self, node: ast.While) -> None:
        self.condition(node.condition, self.type(node.condition))
        self.breakable += 1
        self.block(node.body)
        self.breakable -= 1

    def _do_forrange(self, node: ast.ForRange) -> None:
        kinds = [self.type(bound) for bound in (node.first, node.last)]
        for bound, kind in zip((node.first, node.last), kinds, strict=True):
            if kind is not None and as_int(kind) is None:
                self.error(bound, f"a loop's bound must be an integer, not '{kind}'")
        integers = [as_int(kind) for kind in kinds if kind is not None]
        unsigned = [kind for kind in integers if kind is not None and not kind.signed]
        flexible = all(kind is None or not kind.signed or is_flexible(kind) for kind in integers)
        self._loop(node, node.variable, UINT64 if unsigned and flexible else INT64, node.body)

    def _do_formap(self, node: ast.ForMap) -> None:
        info = self.map(node.map)
        assert info is not None
        if info.keyed is False:
            self.error(node.map, f"{info.name} has no keys to go through", "a scalar map is read by its name")
        self._need_map_walk(node)
        self.read_over_cpus(node.map, info)
        value = castable(info.value) if info.value is not None else None
        if isinstance(value, Aggregate):
            self.error(node.map, f"the values of a {value.kind}() map cannot be read in a probe")
            value = INT64
        kind = Tuple((info.key, value)) if info.key is not None and value is not None else None
        self._loop(node, node.variable, kind, node.body)

    def _need_map_walk(self, node: ast.ForMap) -> None:
        support = self.machine.supports("for_each_map_elem")
        if not support.works:
            message = "a probe cannot go through a map on this kernel: it lacks bpf_for_each_map_elem"
            self.error(node, message, support.reason, f"print({node.map.name}) shows all entries")

    def _loop(self, node: ast.Node, variable: ast.Variable, kind: Type | None, body: ast.Block) -> None:
        if self.lookup(variable.name) is not None:
            self.error(variable, f"variable {variable.name} was already declared")
        info = self.declared.setdefault(node, VariableInfo(variable.name, variable.span))
        info.type, info.used, info.declared = kind, True, True
        self.variables[variable] = info
        if kind is not None:
            self.types[variable] = kind
        self.scopes.append({variable.name: info})
        self.loops += 1
        self.breakable += 1
        self.block(body)
        self.loops -= 1
        self.breakable -= 1
        self.scopes.pop()

    def _do_break(self, node: ast.Break) -> None:
        if not self.breakable:
            self.error(node, "'break' stands outside of a loop")

    def _do_continue(self, node: ast.Continue) -> None:
        if not self.breakable:
            self.error(node, "'continue' stands outside of a loop")

    def refuse_in_loop(self, node: ast.Node, name: str) -> bool:
        """What a callback cannot have: reported, as bpftrace does."""
        if self.loops and (name in _NEEDS_CONTEXT or ARGUMENT.fullmatch(name)):
            hint = "assign it to a $variable before the loop"
            self.error(node, f"'{name}' builtin is not allowed in a for-loop", hint)
            return True
        return False


def _has_argument(target: Target, name: str) -> bool:
    """Whether `args.NAME` is there in a probe on this target."""
    fields = {field.name for field in target.fields or ()}
    return name in fields or name in {parameter.name for parameter in target.parameters or ()}
