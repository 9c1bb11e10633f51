"""Blocks and conditionals as values, and loops → C; a loop over a map or an open range becomes a callback.

The helpers that loop call a BPF function: the loop's body, which sees the variables around it through a
struct of copies. Values go in before the loop and come back after it; what lives in memory goes by address.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen.ctypes import is_memory
from codegen.function import Function, Value
from codegen.mapaccess import aggregate_value, store_record
from codegen.operators import condition
from codegen.pieces import address, bare, number
from lang import ast
from lang.checked import VariableInfo
from lang.convert import aggregates
from lang.records import replace
from lang.types import Aggregate, Record, Tuple, Type, size_of

MAX_PLAIN_ROUNDS = 256  # of a loop that is left to the C compiler and the verifier
MAX_VERIFIED_ROUNDS = 512  # the same without bpf_loop: the verifier keeps at most 8192 branches in mind (6.1)
CUT_OFF = f"the loop ended after {MAX_VERIFIED_ROUNDS} rounds: this kernel has no bpf_loop for more"


# ---- Values


def _finish(f: Function, node: ast.Block, last: Callable[[ast.Expression], None]) -> None:
    """The statements of a block, and its value handed over within the block's scope."""
    outer = dict(f.variables)
    *before, final = node.statements
    for item in before:
        f.statement(item)
    assert isinstance(final, ast.Evaluate)
    last(final.value)
    f.variables = outer


def store_block(f: Function, place: str, kind: Type, node: ast.Block) -> None:
    """The value of a block, which lives in memory, to an lvalue."""
    with f.code.block(""):
        _finish(f, node, lambda value: f.store(place, kind, value))


def block_value(f: Function, node: ast.Block) -> Value:
    """The value of a block expression: what its last expression gives."""
    kind = f.body.type(node)
    if is_memory(kind):
        room = f.memory("block", kind)
        store_block(f, room, kind, node)
        return address(room, kind)
    result = f.temporary("result", f.program.types.name(kind), "0")
    with f.code.block(""):
        _finish(f, node, lambda value: f.code.line(f"{result} = {bare(f.evaluate(value).text)};"))
    return Value(result, kind)


def if_value(f: Function, node: ast.IfValue) -> Value:
    """`if (c) { a } else { b }` as a value."""
    kind = f.body.type(node)
    if is_memory(kind):
        room = f.memory("chosen", kind)
        store_if_value(f, room, kind, node)
        return address(room, kind)
    result = f.temporary("chosen", f.program.types.name(kind), "0")
    _branches(f, node, lambda value: f.code.line(f"{result} = {bare(f.evaluate(value).text)};"))
    return Value(result, kind)


def store_if_value(f: Function, place: str, kind: Type, node: ast.IfValue) -> None:
    """The same, to an lvalue."""
    _branches(f, node, lambda value: f.store(place, kind, value))


def _branches(f: Function, node: ast.IfValue, last: Callable[[ast.Expression], None]) -> None:
    live = f.program.checked.live_branch(node.condition)
    if live is None:
        with f.code.block(f"if ({condition(f, node.condition)})"):
            _finish(f, node.then, last)
        with f.code.otherwise():
            _other_branch(f, node.otherwise, last)
        return
    with f.code.block(""):
        if live:
            _finish(f, node.then, last)
        else:
            _other_branch(f, node.otherwise, last)


def _other_branch(f: Function, node: ast.Block | ast.IfValue, last: Callable[[ast.Expression], None]) -> None:
    if isinstance(node, ast.IfValue):
        _branches(f, node, last)
    else:
        _finish(f, node, last)


# ---- Loops in C


def while_loop(f: Function, node: ast.While) -> None:
    """`while`: the verifier must see that it ends."""
    f.code.at(node.span)
    with f.code.block("for (;;)", fresh=True):
        f.code.line(f"if (!({condition(f, node.condition)}))")
        f.code.line("    break;")
        _body(f, node.body, in_c=True)


def _body(f: Function, node: ast.Block, in_c: bool) -> None:
    outer, before = dict(f.variables), f.leaves_loop
    f.leaves_loop = ("break;", "continue;") if in_c else ("return 1;", "return 0;")
    for item in node.statements:
        f.statement(item)
    f.variables, f.leaves_loop = outer, before


def leave_loop(f: Function, node: ast.Break | ast.Continue) -> None:
    f.code.line(f.leaves_loop[0 if isinstance(node, ast.Break) else 1])


def for_range(f: Function, node: ast.ForRange) -> None:
    """A short range of constants is a C loop; any other a callback of bpf_loop."""
    info = f.body.variables[node.variable]
    assert info.type is not None
    f.code.at(node.span)
    f.code.line(f"// for {node.variable.name} : {node.first.span.text}..{node.last.span.text}")
    first, last = f.constant(node.first), f.constant(node.last)
    c_type = f.program.types.name(info.type)
    by_helper = f.program.machine.supports("bpf_loop").works
    most = MAX_PLAIN_ROUNDS if by_helper else MAX_VERIFIED_ROUNDS
    if isinstance(first, int) and isinstance(last, int) and last - first <= most:
        name = f.names.fresh(node.variable.name[1:])
        head = f"for ({c_type} {name} = {number(first)}; {name} < {number(last)}; {name}++)"
        with f.code.block(head, fresh=True):
            # the body may change its variable, not how often the loop runs
            changed = _changes(f, node.body, info)
            f.variables[info] = f.temporary(f"this_{name}", c_type, name) if changed else name
            _body(f, node.body, in_c=True)
        del f.variables[info]
        return
    start = f.temporary("first", c_type, bare(f.evaluate(node.first).text))
    end = f.temporary("last", c_type, bare(f.evaluate(node.last).text))
    rounds = f.temporary("rounds", "u32", f"{end} > {start} ? {end} - {start} : 0")
    if not by_helper:
        _bounded_loop(f, node, info, (c_type, start, rounds))
        return
    loop = _Callback(f, node.body, extra=[(c_type, "first", start)])
    inner = loop.inner
    name = inner.temporary(node.variable.name[1:], c_type, "all->first + call->index")
    inner.variables[info] = name
    loop.finish("loop", ["u64 index;"])
    loop.call(f"bpf_loop({rounds}, {loop.reference}, &{loop.all}, 0);")


def _bounded_loop(f: Function, node: ast.ForRange, info: VariableInfo, range: tuple[str, str, str]) -> None:
    """The same without bpf_loop: the verifier goes round itself, so there is a limit, which is told."""
    c_type, start, rounds = range
    index = f.names.fresh("round")
    f.code.line("#pragma clang loop unroll(disable)")
    with f.code.block(f"for (u64 {index} = 0; {index} < {MAX_VERIFIED_ROUNDS}; {index}++)", fresh=True):
        # clang would make one test of the two, for != the end, by which old verifiers see no end
        f.code.line(f'asm volatile("" : "+r"({index}));')
        f.code.line(f"if ({index} >= {rounds})")
        f.code.line("    break;")
        f.variables[info] = f.temporary(node.variable.name[1:], c_type, f"{start} + {index}")
        _body(f, node.body, in_c=True)
    del f.variables[info]
    f.code.line(f"if ({rounds} > {MAX_VERIFIED_ROUNDS})")
    f.code.line(f"    {f.count_failure(node, CUT_OFF)}")


def _changes(f: Function, body: ast.Block, info: VariableInfo) -> bool:
    """Whether a body assigns to a variable."""
    for node in ast.walk(body):
        if isinstance(node, ast.Assign | ast.AssignBy | ast.StepBefore | ast.StepAfter):
            target = node.target
            if isinstance(target, ast.Variable) and f.body.variables.get(target) is info:
                return True
        if isinstance(node, ast.Call) and node.name == "find":
            return True
    return False


def for_map(f: Function, node: ast.ForMap) -> None:
    """Each entry of a map, by bpf_for_each_map_elem; `$kv` is a tuple made of key and value."""
    info = f.body.variables[node.variable]
    kind = info.type
    assert isinstance(kind, Tuple)
    f.code.at(node.span)
    f.code.line(f"// for {node.variable.name} : {node.map.name}")
    spec, map_info = f.program.user_map(node.map.name)
    table = f.program.tables[spec.name]
    loop = _Callback(f, node.body)
    inner = loop.inner
    room = inner.memory(node.variable.name[1:], kind)
    inner.variables[info] = room
    key, value = kind.elements
    if is_memory(key):
        inner.copy(f"{room}.f0", "call->key", size_of(key))
    else:
        inner.code.line(f"{room}.f0 = *call->key;")
    if isinstance(map_info.value, Record) and aggregates(map_info.value):
        store_record(inner, f"{room}.f1", spec.name, "call->key", map_info.value)
    elif isinstance(map_info.value, Aggregate):
        total = aggregate_value(inner, spec.name, "call->key", map_info.value)
        inner.code.line(f"{room}.f1 = {total};")
    elif is_memory(value):
        inner.copy(f"{room}.f1", "call->value", size_of(value))
    else:
        inner.code.line(f"{room}.f1 = *call->value;")
    loop.finish("each", [f"{table.key} *key;", f"{table.value} *value;"])
    loop.call(f"bpf_for_each_map_elem({f.program.refer(spec.name)}, {loop.reference}, &{loop.all}, 0);")


class _Callback:
    """A loop's body as a function of its own, and the struct `all` that it shares with the one around it."""

    def __init__(self, f: Function, body: ast.Block, extra: list[tuple[str, str, str]] | None = None) -> None:
        self._f, self._body = f, body
        self.name = f.program.function_names.fresh(f"{f.root}_loop")
        self._extra = extra or []
        self._captured = _captured(f, body)
        self.all = f.names.fresh("all")
        self.reference = f.program.refer(self.name)
        self.inner = self._inner()

    def _inner(self) -> Function:
        f = self._f
        inner = replace(
            f, code=type(f.code)(), names=type(f.names)(), variables={}, scratch=[], scratch_sizes=[],
            event_bytes=0, stack_used=0, record={}, name=self.name, context="u64 address", callback=True,
            prologue_at=2, leaves=False,
        )  # fmt: skip
        for taken in ("all", "call", "address", "ctx"):
            inner.names.fresh(taken)
        inner.code.line(f"struct {self.name}_call *call = (struct {self.name}_call *)address;")
        inner.code.line(f"struct {self.name}_all *all = call->all;")
        if not f.program.has_ringbuf:  # a perf buffer is written with the program's context
            inner.code.line("void *ctx = all->ctx;")
            inner.prologue_at += 1
        for info, name in self._captured.items():
            assert info.type is not None
            member = self._member(name)
            inner.variables[info] = f"(*all->{member})" if is_memory(info.type) else f"all->{member}"
        return inner

    @staticmethod
    def _member(name: str) -> str:
        """A member for a variable of the function around: its last word, as that may be a member itself."""
        return name.replace("(*", "").replace(")", "").split("->")[-1]

    def finish(self, kind: str, arguments: list[str]) -> None:
        """Lower the body, and declare the structs."""
        f, types = self._f, self._f.program.types
        _body(self.inner, self._body, in_c=False)
        members = [f"{c_type} {name};" for c_type, name, _ in self._extra]
        for info, name in self._captured.items():
            assert info.type is not None
            member = self._member(name)
            shape = f"(*{member})" if is_memory(info.type) else member
            members.append(types.declare(info.type, shape) + ";")
        if self.inner.leaves:
            members.append("u64 returned;")
        if not f.program.has_ringbuf:
            members.append("void *ctx;")
        types.composite(f"{self.name}_all", members or ["u64 nothing;"])
        types.composite(f"{self.name}_call", [*arguments, f"struct {self.name}_all *all;"])
        f.callbacks.append((self.name, kind))
        f.program.add_callback(self.inner)

    def call(self, text: str) -> None:
        """Copy the variables in, loop, copy them back."""
        f = self._f
        f.code.line(f"struct {self.name}_all {self.all} = {{}};")
        if not f.program.has_ringbuf:
            f.code.line(f"{self.all}.ctx = ctx;")
        for _, member, value in self._extra:
            f.code.line(f"{self.all}.{member} = {value};")
        for info, name in self._captured.items():
            assert info.type is not None
            source = f"&{name}" if is_memory(info.type) else name
            f.code.line(f"{self.all}.{self._member(name)} = {source};")
        f.code.line(text)
        for info, name in self._captured.items():
            assert info.type is not None
            if not is_memory(info.type):
                f.code.line(f"{name} = {self.all}.{self._member(name)};")
                f.code.forget(name)
                f.known.discard(info)
        if self.inner.leaves:
            with f.code.block(f"if ({self.all}.returned)"):
                f.leave()


def _captured(f: Function, body: ast.Block) -> dict[VariableInfo, str]:
    """The variables of the function around that the body uses, with their C names, in order of use."""
    found: dict[VariableInfo, str] = {}
    for node in ast.walk(body):
        if isinstance(node, ast.Variable):
            info = f.body.variables.get(node)
            if info is not None and info in f.variables:
                found[info] = f.variables[info]
    return found
