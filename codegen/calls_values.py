"""Functions that give a number, or change the system → C."""

from __future__ import annotations

from collections.abc import Callable

from codegen import builtins
from codegen.ctypes import is_memory
from codegen.events import NOTHING
from codegen.function import Function, Value
from lang import ast
from lang.functions_system import signal_number
from lang.registers import register
from lang.types import BOOL, UINT64, Int

KERNEL_CLOCKS = {
    "boot": "bpf_ktime_get_boot_ns",
    "monotonic": "bpf_ktime_get_ns",
    "tai": "bpf_ktime_get_tai_ns",
}


def _number(f: Function, node: ast.Call) -> Value:
    """What user space prints by its number: the argument in the type's width."""
    kind = f.body.type(node)
    return Value(f"({f.program.types.name(kind)}){f.evaluate(node.arguments[-1]).text}", kind)


def _first_number(f: Function, node: ast.Call) -> Value:
    kind = f.body.type(node)
    return Value(f"({f.program.types.name(kind)}){f.evaluate(node.arguments[0]).text}", kind)


def _same(f: Function, node: ast.Call) -> Value:
    """kptr and uptr: the pointer, of another address space."""
    return Value(f.evaluate(node.arguments[0]).text, f.body.type(node))


def _nsecs(f: Function, node: ast.Call) -> Value:
    name = node.arguments[0]
    assert isinstance(name, ast.Name)
    kind = f.body.type(node)
    if name.name == "boot":
        return Value(builtins.now(f), kind)
    if name.name == "sw_tai":
        return Value(builtins.software_tai(f), kind)
    return Value(f.temporary("now", "u64", f"{KERNEL_CLOCKS[name.name]}()"), kind)


def _id(which: str) -> Callable[[Function, ast.Call], Value]:
    def lower(f: Function, node: ast.Call) -> Value:
        (name,) = node.arguments
        kind = f.body.type(node)
        if isinstance(name, ast.Name) and name.name == "init":
            return Value(builtins.initial_id(f, which), kind)
        found = builtins.read(f, which, kind)
        assert found is not None
        return found

    return lower


def _bswap(f: Function, node: ast.Call) -> Value:
    kind = f.body.type(node)
    assert isinstance(kind, Int)
    text = f.evaluate(node.arguments[0]).text
    if kind.bits == 8:
        return Value(f"(u8){text}", kind)
    return Value(f"__builtin_bswap{kind.bits}((u{kind.bits}){text})", kind)


def _register(f: Function, node: ast.Call) -> Value:
    name = f.constant(node.arguments[0])
    assert isinstance(name, str)
    member = register(name, f.program.machine.arch)
    return Value(f.shared(("reg", name), name, "u64", f"((struct pt_regs *)ctx)->{member}"), UINT64)


def _uaddr(f: Function, node: ast.Call) -> Value:
    """As far from the probed instruction as in the file, wherever that is mapped."""
    name, target = f.constant(node.arguments[0]), f.target
    assert isinstance(name, str)
    found = f.program.machine.user_symbol(target.path, name, target.offset)
    kind = f.body.type(node)
    assert found is not None
    return Value(f"(({f.program.types.name(kind)})(PT_REGS_IP(ctx) + ({found[0]}LL)))", kind)


def _percpu_kaddr(f: Function, node: ast.Call) -> Value:
    """The symbol's place in the area of one CPU: 0 for a CPU that does not exist."""
    machine, name = f.program.machine, f.constant(node.arguments[0])
    assert isinstance(name, str)
    start, areas = machine.symbol(name) or 0, machine.symbol("__per_cpu_offset") or 0
    cpu = f.evaluate(node.arguments[1]).text if len(node.arguments) == 2 else "bpf_get_smp_processor_id()"
    number = f.temporary("number", "u64", cpu)
    offset, found = f.temporary("area", "u64", "0"), f.temporary("address", "u64", "0")
    read = f"bpf_probe_read_kernel(&{offset}, 8, (void *)({areas}ULL + {number} * 8)) == 0"
    with f.code.block(f"if ({number} < {machine.cpus} && {read})"):
        f.code.line(f"{found} = {offset} + {start}ULL;")
    return Value(found, UINT64)


# ---- What changes the system


def _signal(helper: str) -> Callable[[Function, ast.Call], Value]:
    def lower(f: Function, node: ast.Call) -> Value:
        number = signal_number(f.constant(node.arguments[0]))
        text = str(number) if number is not None else f.evaluate(node.arguments[0]).text
        f.code.line(f"{helper}({text});")
        return NOTHING

    return lower


def _override(f: Function, node: ast.Call) -> Value:
    f.code.line(f"bpf_override_return(ctx, {f.evaluate(node.arguments[0]).text});")
    return NOTHING


def _write_user(f: Function, node: ast.Call) -> Value:
    target = f.evaluate(node.arguments[0]).text
    value = f.evaluate(node.arguments[1])
    size = f.constant(node.arguments[2])
    assert isinstance(size, int)
    source = value.text
    if not is_memory(value.type):
        source = f"&{f.temporary('data', f.program.types.name(value.type), value.text)}"
    text = f"bpf_probe_write_user((void *){target}, {source}, {size}) == 0"
    return Value(f.temporary("written", "bool", text), BOOL)


VALUES: dict[str, Callable[[Function, ast.Call], Value]] = {
    "ksym": _number,
    "strftime": _number,
    "strerror": _number,
    "signal_name": _number,
    "syscall_name": _number,
    "cgroup_path": _first_number,
    "comm": _number,
    "kptr": _same,
    "uptr": _same,
    "nsecs": _nsecs,
    "pid": _id("pid"),
    "tid": _id("tid"),
    "bswap": _bswap,
    "reg": _register,
    "percpu_kaddr": _percpu_kaddr,
    "uaddr": _uaddr,
    "signal": _signal("bpf_send_signal"),
    "signal_thread": _signal("bpf_send_signal_thread"),
    "override": _override,
    "write_user": _write_user,
}
