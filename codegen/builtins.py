"""Builtin variables → C: those with a scalar value are read, those in memory are written to a place.

Two tables to extend: a builtin of lang/builtins.py needs an entry in one of them.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen import usdt
from codegen.ctypes import is_memory
from codegen.function import Function, Place, Value
from codegen.names import c_string, identifier
from codegen.points import label
from codegen.program import OWN_FRAMES, STACK_FRAMES
from lang.builtins import ARGUMENT
from lang.machine import Field
from lang.types import Pointer, Stack, Str, Symbol, Type, size_of

BPF_F_USER_STACK = 1 << 8  # include/uapi/linux/bpf.h
_X86_CS = 17 * 8  # offset of cs in struct pt_regs, arch/x86/include/uapi/asm/ptrace.h


def read(f: Function, name: str, kind: Type) -> Value | None:
    """The value of a scalar builtin; None where it is not one."""
    found = ARGUMENT.fullmatch(name)
    if found:
        number = int(found[1])
        return usdt.argument(f, number, kind) if f.target.operands else f.argument(number, None)
    rule = _SCALARS.get(name)
    return rule(f, kind) if rule is not None else None


def _simple(hint: str, c_type: str, text: str) -> Callable[[Function, Type], Value]:
    return lambda f, kind: Value(f.shared(text, hint, c_type, text), kind)


def _ids(f: Function) -> str:
    return f.shared("pid_tgid", "pid_tgid", "u64", "bpf_get_current_pid_tgid()")


def _namespace_ids(f: Function, device: int, inode: int) -> str:
    """The struct of pid and tgid in the tracer's own pid namespace."""
    found = f.code.known("ns_ids")
    if found is None:
        found = f.names.fresh("ids")
        f.code.line(f"struct bpf_pidns_info {found} = {{}};")
        f.code.line(f"bpf_get_ns_current_pid_tgid({device}ULL, {inode}ULL, &{found}, sizeof({found}));")
        f.code.learn("ns_ids", found)
    return found


def _pid(f: Function, kind: Type) -> Value:
    namespace = f.program.machine.pid_namespace()
    if namespace is not None:
        return Value(f"{_namespace_ids(f, *namespace)}.tgid", kind)
    return Value(f.shared("pid", "pid", "u32", f"{_ids(f)} >> 32"), kind)


def _tid(f: Function, kind: Type) -> Value:
    namespace = f.program.machine.pid_namespace()
    if namespace is not None:
        return Value(f"{_namespace_ids(f, *namespace)}.pid", kind)
    return Value(f.shared("tid", "tid", "u32", f"(u32){_ids(f)}"), kind)


def initial_id(f: Function, which: str) -> str:
    """pid or tid in the initial pid namespace."""
    if which == "pid":
        return f.shared("initial_pid", "pid", "u32", f"{_ids(f)} >> 32")
    return f.shared("initial_tid", "tid", "u32", f"(u32){_ids(f)}")


def _uid_gid(f: Function) -> str:
    return f.shared("uid_gid", "uid_gid", "u64", "bpf_get_current_uid_gid()")


def _uid(f: Function, kind: Type) -> Value:
    return Value(f.shared("uid", "uid", "u64", f"(u32){_uid_gid(f)}"), kind)


def _gid(f: Function, kind: Type) -> Value:
    return Value(f.shared("gid", "gid", "u64", f"{_uid_gid(f)} >> 32"), kind)


def now(f: Function) -> str:
    """The boot clock where the kernel has it (5.8), else the monotonic one."""
    boot = f.program.machine.supports("boot_clock").works
    text = "bpf_ktime_get_boot_ns()" if boot else "bpf_ktime_get_ns()"
    return f.temporary("now", "u64", text)  # not shared: two readings in one body must differ


def _nsecs(f: Function, kind: Type) -> Value:
    return Value(now(f), kind)


def _setting(f: Function) -> str:
    """What user space knew at the start: a pointer to it."""
    place = f.program.refer(f.program.settings())
    return f.shared("settings", "setting", "struct ebt_setting *", place)


def software_tai(f: Function) -> str:
    """The boot clock and the offset of TAI that user space measured at the start."""
    setting = _setting(f)
    return f.temporary("now", "u64", f"{now(f)} + {setting}->tai_offset")


def _elapsed(f: Function, kind: Type) -> Value:
    found = f.code.known("elapsed")
    if found is None:
        time = now(f)
        setting = _setting(f)
        found = f.temporary("elapsed", "u64", f"{time} - {setting}->start_ns")
        f.code.learn("elapsed", found)
    return Value(found, kind)


def _curtask(f: Function, kind: Type) -> Value:
    c_type = f.program.types.name(kind)
    return Value(f.shared("curtask", "task", c_type, f"({c_type})bpf_get_current_task()"), kind)


def _retval(f: Function, kind: Type) -> Value:
    return f.retval(kind)


def _duration(f: Function, kind: Type) -> Value:
    return Value(f.at_entry("duration", None), kind)


def _func(f: Function, kind: Type) -> Value | None:
    if is_memory(kind):
        return None
    # A kprobe's ip is one past its breakpoint instruction on x86-64; the symbol is the same.
    return Value(f.shared("func", "function", "u64", "PT_REGS_IP(ctx)"), kind)


def _username(f: Function, kind: Type) -> Value:
    return Value(f"(u32){_uid_gid(f)}", kind)


def _cpid(f: Function, kind: Type) -> Value:
    return Value(f.shared("cpid", "cpid", "u64", f"{_setting(f)}->child_pid"), kind)


def _ctx(f: Function, kind: Type) -> Value:
    return Value(f"(({f.program.types.name(kind)})ctx)", kind)


def _usermode(f: Function, kind: Type) -> Value:
    # The lowest bits of the code segment's selector are the privilege level: 3 is user mode.
    text = f"(*(u64 *)((char *)ctx + {_X86_CS}) & 3) == 3"
    return Value(f.shared("usermode", "usermode", "u8", text), kind)


_SCALARS: dict[str, Callable[[Function, Type], Value | None]] = {
    "pid": _pid,
    "tid": _tid,
    "uid": _uid,
    "gid": _gid,
    "nsecs": _nsecs,
    "elapsed": _elapsed,
    "cpu": _simple("cpu", "u64", "bpf_get_smp_processor_id()"),
    "rand": lambda f, kind: Value(f.temporary("random", "u32", "bpf_get_prandom_u32()"), kind),
    "cgroup": _simple("cgroup", "u64", "bpf_get_current_cgroup_id()"),
    "curtask": _curtask,
    "retval": _retval,
    "duration": _duration,
    "func": _func,
    "username": _username,
    "ncpus": lambda f, kind: Value(str(f.program.machine.cpus), kind),
    "numaid": _simple("numaid", "u64", "bpf_get_numa_node_id()"),
    "jiffies": lambda f, kind: Value(f.temporary("jiffies", "u64", "bpf_jiffies64()"), kind),
    "cpid": _cpid,
    "ctx": _ctx,
    "usermode": _usermode,
}


# ---- In memory


def _comm(f: Function, place: str, kind: Type) -> None:
    f.code.line(f"bpf_get_current_comm(&{place}, {min(16, size_of(kind))});")


def _probe(f: Function, place: str, kind: Type) -> None:
    _store_text(f, place, tuple(target.label for target in f.body.targets))


def _store_text(f: Function, place: str, texts: tuple[str, ...]) -> None:
    """A text of the body's target, or of the one of its targets that the program is loaded for."""
    if len(set(texts)) == 1:
        store_label(f, place, texts[0])
    else:
        f.copy(place, label(f, texts), max(len(text.encode()) for text in texts) + 1)


def store_label(f: Function, place: str, label: str) -> None:
    f.code.line(f"__builtin_memcpy(&{place}, {c_string(label)}, {len(label.encode()) + 1});")


def _probetype(f: Function, place: str, kind: Type) -> None:
    store_label(f, place, f.target.kind)


def _frames(f: Function, more: int = 0) -> str:
    """Room for a stack; a whole entry of the map of stacks is copied from behind what is left out."""
    name = f"frames_and_{more}" if more else "frames"
    if not any(f" {name}[" in line for line in f.scratch):
        f.in_scratch(name, f"u64 {name}[{STACK_FRAMES + more}]", (STACK_FRAMES + more) * 8)
    return f"scratch->{name}"


def write_stack(f: Function, place: str, kind: Stack) -> None:
    """Take the stack, keep its frames under their hash, and write {id, frames, pid}."""
    f.program.helper("stack")
    f.program.stacks()
    in_kernel, skip, depth = kind.space == "kernel", kind.skip, min(kind.depth, STACK_FRAMES)
    flags = 0 if in_kernel else BPF_F_USER_STACK
    if f.mechanism in ("kretprobe", "uretprobe"):
        skip = max(0, skip - 1)  # the function itself has left the stack already
    trampoline = f.mechanism in ("fentry", "fexit")
    if in_kernel and (trampoline or f.mechanism == "raw_tracepoint"):
        frames = _frames(f, OWN_FRAMES + skip)
        knows = trampoline and f.program.machine.supports("func_ip").works
        function = "bpf_get_func_ip(ctx)" if knows else "0"
        room = (depth + skip + OWN_FRAMES) * 8
        f.program.helper("stack_part")
        f.program.helper("stack_behind")
        f.code.line(f"ebt_take_stack_behind(ctx, &{place}, {frames}, {room}, {depth}, {skip}, {function});")
    elif skip:
        frames = _frames(f, skip)
        f.program.helper("stack_part")
        f.program.helper("stack_from")
        f.code.line(
            f"ebt_take_stack_from(ctx, &{place}, {frames}, {(depth + skip) * 8}, {depth}, {skip}, {flags});"
        )
    else:
        f.code.line(f"ebt_take_stack(ctx, &{place}, {_frames(f)}, {depth * 8}, {flags});")
    if kind.space == "user":
        pid = initial_id(f, "pid")
        f.code.line(f"{place}.pid = {pid};")


def _stack(f: Function, place: str, kind: Type) -> None:
    assert isinstance(kind, Stack)
    write_stack(f, place, kind)


def write_user_symbol(f: Function, place: str, address: str) -> None:
    pid = initial_id(f, "pid")
    f.code.line(f"{place}.address = {address};")
    f.code.line(f"{place}.pid = {pid};")


def _user_func(f: Function, place: str, kind: Type) -> None:
    """A user function by its address; one whose name is known as text."""
    if isinstance(kind, Str):
        _store_text(f, place, tuple(target.name for target in f.body.targets))
        return
    assert isinstance(kind, Symbol)
    write_user_symbol(f, place, "PT_REGS_IP(ctx)")


WRITERS: dict[str, Callable[[Function, str, Type], None]] = {
    "comm": _comm,
    "probe": _probe,
    "probetype": _probetype,
    "kstack": _stack,
    "ustack": _stack,
    "func": _user_func,
}


# ---- Tracepoint records


def tracepoint_member(f: Function, item: Field) -> str:
    """The member of the tracepoint's record, declared in the record's struct on first use."""
    types = f.program.types
    name = identifier(item.name)
    size = 4 if item.data_loc else size_of(item.type)
    if item.data_loc:
        text = f"u32 {name}"
    elif isinstance(item.type, Pointer):
        text = f"{types.name(item.type)}{name}"
    else:
        text = types.declare(item.type, name)
    f.use_record(name, (item.offset, text, size))
    return name


def read_data_loc(f: Function, room: str, kind: Type, place: Place) -> None:
    """A tracepoint's variable-length text: {u16 offset, u16 length} in the record."""
    address = f"((char *)ctx + ({place.text} & 0xffff))"
    f.read_string(room, str(min(size_of(place.type), size_of(kind))), address, "kernel")


def data_loc_string(f: Function, place: Place) -> Value:
    """The same, in memory of its own."""
    room = f.memory("text", place.type)
    read_data_loc(f, room, place.type, place)
    return Value(room, place.type)
