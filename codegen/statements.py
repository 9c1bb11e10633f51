"""Statements → C lines, in order, each under the script's line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from codegen import flow
from codegen.access import leading
from codegen.calls_maps import delete_unasked
from codegen.ctypes import is_memory
from codegen.direct import leads_only, set_once
from codegen.function import Function, Value
from codegen.mapaccess import aggregate, assign_entry, write_entry
from codegen.mapfields import assign_field, assign_fields, together
from codegen.mapkeys import entry
from codegen.names import comment
from codegen.operators import binary_as, condition, conditions
from codegen.pieces import bare
from codegen.series import add_to_series
from lang import ast
from lang.checked import VariableInfo
from lang.diagnostics import Diagnostic, ScriptError
from lang.types import Aggregate, Pointer, Type, size_of

MAX_LINES = 20_000  # of C in one program: clang takes seconds for these, and minutes for thrice as many
ROOMY = 96  # bytes of stack below which nothing needs to be given back
_PRINTING = ("print", "table", "folded", "stacked")
_TELLING = (*_PRINTING, "clear", "zero", "printf", "errorf", "warnf", "cat", "time", "clear_screen")
_COMPOUND = (ast.Block, ast.IfStatement, ast.Unroll, ast.While, ast.ForRange, ast.ForMap)


def block(f: Function, node: ast.Block) -> None:
    """The statements of a block; the variables that it declares end with it, in C as in the script."""
    outer = dict(f.variables)
    emptied = takes(node.statements)
    f.taking |= set(emptied.values())
    for items in together(f, node.statements):
        if items[0] in emptied:  # done by a statement before
            f.code.line(f"// {comment(items[0].span.text)}: with the map's printing")
            continue
        statement(f, items[0], items)
        if ast.ends_probe(items[0]):
            break
    f.variables = outer


def takes(statements: Sequence[ast.Statement]) -> dict[ast.Statement, ast.Call]:
    """clear(@map) → the printing of the map before it that can empty it as it reads.

    So nothing is lost that comes between the two. Between them stand only other calls that tell something.
    """
    printed: dict[str, ast.Call] = {}
    found: dict[ast.Statement, ast.Call] = {}
    for node in statements:
        call = node.value if isinstance(node, ast.Evaluate) else None
        if not isinstance(call, ast.Call) or call.name not in _TELLING:
            printed.clear()
            continue
        first = call.arguments[0] if call.arguments else None
        if not isinstance(first, ast.Map):
            continue
        if call.name in _PRINTING:
            printed[first.name] = call
        elif (before := printed.pop(first.name, None)) is not None and call.name == "clear":
            found[node] = before
    return found


def statement(f: Function, node: ast.Statement, items: Sequence[ast.Statement] = ()) -> None:
    """One statement, after a comment that shows it; or several `items` that are done together."""
    if not isinstance(node, _COMPOUND):
        for item in items or (node,):
            f.code.at(item.span)
            f.code.line(f"// {comment(item.span.text)}")
        f.stepping = any(isinstance(item, ast.StepAfter | ast.StepBefore) for item in ast.walk(node))
    start, used, learned, known = len(f.code.lines), f.stack_used, f.code.learned, dict(f.variables)
    if len(items) > 1:
        assign_fields(f, [item for item in items if isinstance(item, ast.FieldAssign)])
    else:
        _LOWER[type(node)](f, node)
    private = f.code.learned == learned and f.variables == known
    if isinstance(node, _COMPOUND) or not private or used < ROOMY or f.stack_used == used:
        return
    # What the statement put on the stack is of no use to the next one: its block gives it back.
    f.code.enclose(start)
    f.stack_used = used


def _block(f: Function, node: ast.Block) -> None:
    with f.code.block(""):
        block(f, node)


def _if(f: Function, node: ast.IfStatement) -> None:
    f.code.at(node.span)
    live = f.program.checked.live_branch(node.condition)
    if live is not None:
        branch = node.then if live else node.otherwise
        if branch is not None:
            statement(f, branch)
        return
    if node.otherwise is None:
        first, *rest = conditions(f, node.condition)
        _if_all(f, f.evaluate(first).text, rest, node.then)
        return
    with f.code.block(f"if ({condition(f, node.condition)})"):
        block(f, node.then)
    with f.code.otherwise():
        if isinstance(node.otherwise, ast.Block):
            block(f, node.otherwise)
        else:
            statement(f, node.otherwise)


def _if_all(f: Function, text: str, rest: list[ast.Expression], body: ast.Block) -> None:
    """An `if` within the other, from where a condition needs statements of its own."""
    with f.code.block(f"if ({bare(text)})"):
        head = len(f.code.lines)
        for number, node in enumerate(rest, 1):
            more = f.evaluate(node).text
            if len(f.code.lines) > head:
                _if_all(f, more, rest[number:], body)
                return
            text = f"{text} && {more}"
            f.code.lines[head - 1] = f.code.lines[head - 1].partition("if (")[0] + f"if ({text}) {{"
        block(f, body)


def _unroll(f: Function, node: ast.Unroll) -> None:
    count = f.constant(node.count)
    assert isinstance(count, int)
    for _ in range(count):
        if len(f.code.lines) > MAX_LINES:
            message = f"the program is too long: unrolled, it has more than {MAX_LINES} lines of C"
            raise ScriptError([Diagnostic("error", node.span, message, ("unroll fewer times",))])
        with f.code.block(""):
            block(f, node.body)


def _let(f: Function, node: ast.Let) -> None:
    info = f.body.variables[node.variable]
    if node.value is not None:
        _assign_variable(f, info, node.value)
    elif info.type is not None:
        _declare(f, info, info.type, "0")


def _assign(f: Function, node: ast.Assign) -> None:
    target, value = node.target, node.value
    if isinstance(target, ast.Variable):
        _assign_variable(f, f.body.variables[target], value)
        return
    name, keys = (target.name, ()) if isinstance(target, ast.Map) else (target.map.name, target.keys)
    kind = f.program.user_map(name)[1].value
    if isinstance(kind, Aggregate):
        assert isinstance(value, ast.Call)
        add = add_to_series if kind.kind == "tseries" else aggregate
        add(f, node, name, keys, value)
    else:
        assign_entry(f, node, name, keys, value)


def _assign_variable(f: Function, info: VariableInfo, value: ast.Expression) -> None:
    """Set a variable. A script's variable is declared by its first assignment: no read comes before that."""
    kind = info.type
    if kind is None:
        raise f.bug(value, f"{info.name} has no type")
    name = f.variables.get(info)
    if is_memory(kind):
        if name is None:
            name = f.memory(info.name[1:], kind)
        else:
            f.zero(name, size_of(kind))
        f.store(name, kind, value)
        f.variables[info] = name
        return
    if name is None and isinstance(kind, Pointer) and leads_only(f, info):
        found = leading(f, value)
        if found.known:
            f.known.add(info)
    else:
        found = f.evaluate(value)
    text = bare(found.text)
    if name is None and _is_same(f, info, value, found):
        f.variables[info] = text
        return
    if isinstance(kind, Pointer):
        text = f"({f.program.types.name(kind)}){text}"
    if name is None:
        _declare(f, info, kind, text)
        return
    f.code.line(f"{name} = {text};")
    f.code.forget(name)


def _is_same(f: Function, info: VariableInfo, node: ast.Expression, value: Value) -> bool:
    """Whether the C variable that the value was read into can be the script's variable: neither changes."""
    while isinstance(node, ast.Group) or node in f.body.meanings:
        node = node.inner if isinstance(node, ast.Group) else f.body.meanings[node]
    if not isinstance(node, ast.Member | ast.Name) or not value.text.isidentifier() or info.type is None:
        return False
    types = f.program.types
    return types.name(value.type) == types.name(info.type) and set_once(f, info)


def declare(f: Function, info: VariableInfo) -> None:
    """A variable of the whole body, zeroed."""
    if info.type is None:
        raise f.bug(f.body.probe, f"{info.name} has no type")
    _declare(f, info, info.type, "0")


def _declare(f: Function, info: VariableInfo, kind: Type, text: str) -> None:
    if is_memory(kind):
        f.variables[info] = f.memory(info.name[1:], kind)
        return
    f.variables[info] = f.temporary(info.name[1:], f.program.types.name(kind), text)


def _assign_by(f: Function, node: ast.AssignBy) -> None:
    target = node.target
    whole = ast.Binary(node.span, target, node.operator, node.value)
    text = bare(binary_as(f, whole, f.body.type(node)).text)
    if isinstance(target, ast.Variable):
        name = f.variables[f.body.variables[target]]
        f.code.line(f"{name} = {text};")
        f.code.forget(name)
        return
    map_name, keys = (target.name, ()) if isinstance(target, ast.Map) else (target.map.name, target.keys)
    write_entry(f, node, entry(f, map_name, keys), text)


def _discard(f: Function, node: ast.Discard | ast.Evaluate) -> None:
    step = node.value
    if isinstance(step, ast.Block):
        _block(f, step)
        return
    if isinstance(step, ast.Call) and step.name == "delete":
        delete_unasked(f, step)
        return
    if isinstance(step, ast.StepBefore | ast.StepAfter) and isinstance(step.target, ast.Variable):
        name = f.variables[f.body.variables[step.target]]
        f.code.line(f"{name}{step.operator};")
        f.code.forget(name)
        return
    value = f.evaluate(node.value)
    plain = value.text.isidentifier() or value.text.isdigit() or is_memory(value.type)
    if not plain:
        f.code.line(f"(void){value.text};")


def _return(f: Function, node: ast.Return) -> None:
    f.leave()


_LOWER: dict[type[ast.Node], Callable[[Function, Any], None]] = {
    ast.Block: _block,
    ast.IfStatement: _if,
    ast.Unroll: _unroll,
    ast.Let: _let,
    ast.Assign: _assign,
    ast.FieldAssign: assign_field,
    ast.AssignBy: _assign_by,
    ast.Discard: _discard,
    ast.Evaluate: _discard,
    ast.Return: _return,
    ast.While: flow.while_loop,
    ast.ForRange: flow.for_range,
    ast.ForMap: flow.for_map,
    ast.Break: flow.leave_loop,
    ast.Continue: flow.leave_loop,
}
