"""What an exit probe knows of its call's entry: a hidden program saves it, the exit program takes it.

The hidden map's key is the call: the thread and where its stack stood. At a function's return the stack
pointer is one word higher than at its entry on x86-64, where `call` pushes the return address; a trampoline
gives both programs the same `ctx`; a thread is in one system call at a time. So recursion and other threads
never mix. A return whose entry was not seen finds nothing, runs no body and is counted.
"""

from __future__ import annotations

from codegen.builtins import tracepoint_member
from codegen.function import Function
from codegen.program import Program
from lang import ast
from lang.builtins import ARGUMENT
from lang.machine import Field
from lang.probes import BY_NAME
from lang.records import replace

# The map evicts the oldest: calls that never return (an exit, a missed return) must not fill it for good.
CALLS = 16384
_LASTING = {"cpid", "pid", "tid"}
# the mechanism of a return → that of its entry
_ENTRY = {"kretprobe": "kprobe", "fexit": "fentry", "uretprobe": "uprobe", "tracepoint": "tracepoint"}
_BEGAN = "ebt_ns"  # no argument has this name
MISSED = "the entry of this call was not seen: it began before the probe was attached, or was dropped"


def entry_kind(function: Function) -> str:
    """The kind of the hidden program; empty where the body asks nothing of the entry."""
    return BY_NAME[function.target.kind].entry if function.saved is not None else ""


def filters(f: Function) -> list[ast.Expression]:
    """The conditions of the predicate that hold at the entry as at the return: no other call needs saving."""
    predicate = f.body.probe.predicate
    if predicate is None or not _is_read(f):
        return []
    waiting: list[ast.Expression] = [predicate.condition]
    found: list[ast.Expression] = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Group):
            waiting.append(node.inner)
        elif isinstance(node, ast.Binary) and node.operator == "&&":
            waiting += [node.right, node.left]
        elif _is_lasting(node):
            found.append(node)
    return found


def _is_lasting(node: ast.Expression) -> bool:
    names = {item.name for item in ast.walk(node) if isinstance(item, ast.Name)}
    plain = ast.Binary | ast.Group | ast.Integer | ast.Parameter | ast.Name
    return bool(names) and names <= _LASTING and all(isinstance(item, plain) for item in ast.walk(node))


def _is_read(f: Function) -> bool:
    """Whether the body reads anything of the call's entry."""
    native = f.mechanism == "fexit"
    for node in ast.walk(f.body.probe):
        if node not in f.body.types:
            continue
        match node:
            case ast.Name(_, "duration"):
                return True
            case ast.Name(_, name) if ARGUMENT.fullmatch(name):
                return True
            case ast.Member(_, ast.Name(_, "args")) if not native:
                return True
    return False


def prologue(program: Program, f: Function) -> list[str]:
    """The exit program's first lines: find the call, take what was saved of it."""
    _declare(program, f)
    missed = program.count_lost(program.failure(f.target.span, MISSED))
    lines = [
        f"    {_key(program, f)}",
        f"    struct {f.name}_call *entered = {f.name}_calls.lookup(&which);",
        "    if (!entered) {",
        f"        {missed}",
        f"        return {f.exit_value};",
        "    }",
        f"    struct {f.name}_call call = *entered;",
        f"    {f.name}_calls.delete(&which);",
    ]
    return [*lines, f"    u64 duration = bpf_ktime_get_ns() - call.{_BEGAN};"] if f.timed else lines


def write_entry(program: Program, f: Function, exit: Function) -> None:
    """The body of the hidden program `f`: save what `exit` reads."""
    f.code.line(_key(program, f))
    f.code.line(f"struct {exit.name}_call call = {{}};")
    for name, source in (exit.saved or {}).items():
        f.code.line(f"call.{name} = (u64){_source(f, source)};")
    if exit.timed:
        f.code.line(f"call.{_BEGAN} = bpf_ktime_get_ns();")
    f.code.line(f"{exit.name}_calls.update(&which, &call);")


def entry_targets(exit: Function) -> Function:
    """A function for the same targets at their entry, as yet without a line."""
    kind, way = BY_NAME[exit.target.kind].entry, _ENTRY[exit.mechanism]
    targets = tuple(replace(target, kind=kind, mechanism=way) for target in exit.body.targets)
    body = replace(exit.body, targets=targets)
    return Function(exit.program, body, exit.value, exit.writer, exit.runner)


def _source(f: Function, source: int | Field) -> str:
    if isinstance(source, Field) and f.mechanism != "tracepoint":
        return f.syscall_word(source)
    if isinstance(source, Field):
        return f"ctx->{tracepoint_member(f, source)}"
    return f.word(source)


def _key(program: Program, f: Function) -> str:
    match f.mechanism:
        case "fentry" | "fexit":
            place = "(u64)ctx"
        case "tracepoint":
            place = "0"
        case way:
            pushed = way in _ENTRY and program.machine.arch == "x86_64"
            place = "PT_REGS_SP(ctx)" + (" - 8" if pushed else "")
    return f"struct ebt_call which = {{ bpf_get_current_pid_tgid(), {place} }};"


def _declare(program: Program, f: Function) -> None:
    members = [*([_BEGAN] if f.timed else ()), *(f.saved or ())]
    program.types.composite("ebt_call", ["u64 thread;", "u64 place;"])
    program.types.composite(f"{f.name}_call", [f"u64 {name};" for name in members])
    program.internal(
        f"{f.name}_calls", "lru_hash", "struct ebt_call", f"struct {f.name}_call", (16, 8 * len(members)),
        CALLS, "calls under way",
    )  # fmt: skip
