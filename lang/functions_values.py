"""The builtin functions that read memory, and those whose values user space turns into text."""

from __future__ import annotations

import os
from collections.abc import Callable

from lang import ast
from lang.convert import as_int
from lang.diagnostics import Diagnostic, ScriptError
from lang.fold import Constant
from lang.literals import packed_address
from lang.probes import Kind
from lang.records import replace
from lang.registers import REGISTERS, register
from lang.signature import Function, Typing, expect_int, expect_text, fixed, visit_all
from lang.types import (
    BOOL,
    INT32,
    UINT8,
    UINT32,
    UINT64,
    VOID,
    Array,
    Buffer,
    Formatted,
    Inet,
    Int,
    Pointer,
    Space,
    Stack,
    Str,
    Symbol,
    Timestamp,
    Type,
    size_of,
)  # fmt: skip

# what one event or map value may hold; the kernel's default sysctl perf_event_max_stack
MAX_STACK_DEPTH = 127
STACK_MODES = ("bpftrace", "perf", "raw")
_BUILD_IDS = "the frames of mode 'build_id' are structs of 32 bytes, which ebt does not keep"
CLOCKS = ("boot", "monotonic", "tai", "sw_tai")
NAMESPACES = ("curr_ns", "init")


def _str(typing: Typing, call: ast.Call) -> Type | None:
    limit = typing.scene.settings.max_strlen
    if len(call.arguments) == 2:
        length = typing.constant(call.arguments[1])
        if isinstance(length, int) and not isinstance(length, bool):
            if length < 1:
                typing.error(call.arguments[1], "str(): the length must be at least 1")
            limit = max(1, min(typing.scene.settings.longest_string, length))
        else:
            expect_int(typing, call.arguments[1], "str(): the length")
    node = call.arguments[0]
    value = typing.constant(node)
    if isinstance(node, ast.Parameter) and not typing.given(node):
        return Str(1)  # a parameter that was not given is an empty string here
    if isinstance(node, ast.Parameter | ast.Binary) and value is not None:
        return Str(len(str(value).encode("utf-8", "surrogateescape")) + 1)
    kind = typing.type(node)
    if kind is None:
        return None
    if isinstance(kind, Str):
        return kind
    if isinstance(kind, Array) and as_int(kind.of) is not None:
        return Str(min(limit, kind.length + 1))
    if not isinstance(kind, Pointer) and as_int(kind) is None:
        typing.error(node, f"str() expects a pointer or an integer, not {kind}")
    return Str(limit)


def _symbol(space: Space) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        kind = typing.type(call.arguments[0])
        if kind is not None and as_int(kind) is None and not isinstance(kind, Pointer):
            typing.error(call.arguments[0], f"{call.name}() expects an address, not {kind}")
        return Symbol(space)

    return rule


def _stack(space: Space) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        mode = typing.scene.settings.stack_mode
        numbers: list[int] = []
        for node in call.arguments:
            if isinstance(node, ast.Name) and node is call.arguments[0]:
                if node.name == "build_id":
                    typing.error(node, _BUILD_IDS, "ustack(perf) prints each frame's binary")
                    continue
                if node.name not in STACK_MODES:
                    typing.error(node, f"unknown stack mode '{node.name}'", "modes: " + " ".join(STACK_MODES))
                    continue
                mode = node.name  # type: ignore[assignment]
                continue
            what, least = ("number to skip", 0) if numbers else ("limit", 1)
            value = typing.constant(node)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_STACK_DEPTH:
                message = f"{call.name}(): the {what} must be a literal from {least} to {MAX_STACK_DEPTH}"
                typing.error(node, message)
                value = least
            numbers.append(value)
        depth, skip, *more = (*numbers, *(MAX_STACK_DEPTH, 0)[len(numbers) :])
        if more:
            typing.error(call, f"{call.name}() takes a mode, a limit and a number to skip")
        return Stack(space, mode, depth, skip)

    return rule


def _ntop(typing: Typing, call: ast.Call) -> Type | None:
    kinds = visit_all(typing, call)
    address = kinds[-1]
    if len(kinds) == 2:
        expect_int(typing, call.arguments[0], "ntop(): the address family")
    if address is None or as_int(address) is not None:
        return Inet()
    size = address.length if isinstance(address, Array) and as_int(address.of) else 0
    size = address.size if isinstance(address, Str) else size
    if size not in (4, 16):
        typing.error(
            call.arguments[-1], f"ntop() expects an integer or an array of 4 or 16 bytes, not {address}"
        )
    return Inet()


# ---- Bytes and addresses


def _buf(typing: Typing, call: ast.Call) -> Type | None:
    limit = typing.scene.settings.max_strlen
    node = call.arguments[0]
    kind = typing.type(node)
    if len(call.arguments) == 2:
        length = typing.constant(call.arguments[1])
        if isinstance(length, int) and not isinstance(length, bool):
            if length < 1:
                typing.error(call.arguments[1], "buf(): the length must be at least 1")
            return Buffer(max(1, min(typing.scene.settings.longest_string, length)))
        expect_int(typing, call.arguments[1], "buf(): the length")
    elif kind is not None and not isinstance(kind, Array | Str):
        typing.error(call, f"buf() of {kind} needs a length", "buf(address, length)")
    if isinstance(kind, Array | Str):
        return Buffer(max(1, min(limit, size_of(kind))))
    if kind is not None and as_int(kind) is None and not isinstance(kind, Pointer):
        typing.error(node, f"buf() expects an array or an address, not {kind}")
    return Buffer(limit)


def _words(typing: Typing, call: ast.Call) -> Type | None:
    kind = _buf(typing, call)
    return replace(kind, words=True) if isinstance(kind, Buffer) else None


def _macaddr(typing: Typing, call: ast.Call) -> Type | None:
    kind = typing.type(call.arguments[0])
    if kind is not None and not (isinstance(kind, Array | Str) and size_of(kind) == 6):
        typing.error(call.arguments[0], f"macaddr() expects an array of 6 bytes, not {kind}")
    return Formatted("mac_address", Array(UINT8, 6))


def _pton(typing: Typing, call: ast.Call) -> Type | None:
    text = expect_text(typing, call, 0, "its address")
    if text is None:
        return None
    raw = packed_address(text)
    if raw is None:
        typing.error(call.arguments[0], f"invalid IP address: '{text}'")
        return None
    return Array(UINT8, len(raw))


def _bswap(typing: Typing, call: ast.Call) -> Type | None:
    kind = expect_int(typing, call.arguments[0], "bswap(): the value")
    integer = as_int(kind) if kind is not None else None
    return Int(integer.bits, False) if integer is not None else None


def _in_space(space: Space) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        kind = typing.type(call.arguments[0])
        if isinstance(kind, Pointer):
            return Pointer(kind.to, space)
        if kind is not None:
            typing.error(call.arguments[0], f"{call.name}() expects a pointer, not {kind}")
        return None

    return rule


def _is_err(call: ast.Call) -> ast.Expression:
    """The last 4095 addresses are error numbers: MAX_ERRNO, include/linux/err.h."""
    span = call.span
    number = ast.Cast(span, ast.Type(span, "", "uint64", ()), ast.Group(span, call.arguments[0]))
    return ast.Binary(span, number, ">=", ast.Integer(span, (1 << 64) - 4095))


def _container_of(call: ast.Call) -> ast.Expression:
    """`(T *)((int8 *)pointer - offsetof(T, member))`."""
    span, (pointer, kind, member) = call.span, call.arguments
    if isinstance(kind, ast.TypeOf) and isinstance(kind.operand, ast.Type):
        whole = kind.operand
    elif isinstance(kind, ast.Name):
        whole = ast.Type(kind.span, "", kind.name, ())
    else:
        raise _wrong(kind, "container_of() expects a type here", "container_of(pointer, struct NAME, member)")
    path: list[str] = []
    node = member
    while isinstance(node, ast.Member):
        path.insert(0, node.name)
        node = node.base
    if not isinstance(node, ast.Name):
        raise _wrong(member, "container_of() expects the member's name here")
    path.insert(0, node.name)
    bytes_of = ast.Cast(span, ast.Type(span, "", "int8", (0,)), ast.Group(span, pointer))
    start = ast.Binary(span, bytes_of, "-", ast.OffsetOf(member.span, whole, tuple(path)))
    result = ast.Type(whole.span, whole.tag, whole.name, (*whole.suffixes, 0))
    return ast.Cast(span, result, ast.Group(span, start))


def _wrong(node: ast.Node, message: str, *hints: str) -> ScriptError:
    return ScriptError([Diagnostic("error", node.span, message, hints)])


# ---- The kernel's symbols and registers


def _symbol_address(typing: Typing, call: ast.Call) -> Constant | None:
    text = typing.constant(call.arguments[0])
    machine = typing.scene.machine
    if not isinstance(text, str):
        return None
    return machine.symbol(text) if machine.knows_symbols else 0


def _kaddr(typing: Typing, call: ast.Call) -> Type | None:
    text = expect_text(typing, call, 0, "the symbol's name")
    machine = typing.scene.machine
    if text is not None and machine.knows_symbols and machine.symbol(text) is None:
        hidden = machine.symbol("linux_banner") is None
        why = ("this kernel tells the addresses of functions alone (CONFIG_KALLSYMS_ALL is off)",)
        message = f"failed to resolve kernel symbol: {text}"
        typing.error(call.arguments[0], message, *(why if hidden else ()), lack=True)
    return UINT64


def _uaddr(typing: Typing, call: ast.Call) -> Type | None:
    """The type of a pointer to the symbol, as far as its size says it."""
    text = expect_text(typing, call, 0, "the symbol's name")
    target = typing.scene.target
    if text is None:
        return None
    found = typing.scene.machine.user_symbol(target.path, text, target.offset)
    if found is None:
        typing.error(call.arguments[0], f"'{target.path}' has no symbol '{text}'")
        return None
    return Pointer(Int(found[1] * 8, False) if found[1] in (1, 2, 4, 8) else VOID, "user")


def _percpu_kaddr(typing: Typing, call: ast.Call) -> Type | None:
    if len(call.arguments) == 2:
        expect_int(typing, call.arguments[1], "percpu_kaddr(): the CPU")
    _kaddr(typing, call)
    return UINT64


def has_registers(kind: Kind) -> bool:
    """Whether the program's argument is, or begins with, the registers: struct bpf_perf_event_data does."""
    return kind.registers or kind.program == "perf_event"


def _reg(typing: Typing, call: ast.Call) -> Type | None:
    text = expect_text(typing, call, 0, "the register's name")
    arch = typing.scene.machine.arch
    if text is not None and register(text, arch) is None:
        known = " ".join(REGISTERS.get(arch, {}))
        typing.error(
            call.arguments[0], f"'{text}' is not a valid register on this architecture ({arch})", known
        )
    return UINT64


def _chosen(words: tuple[str, ...], kind: Type) -> Callable[[Typing, ast.Call], Type | None]:
    """The rule of a function that takes a bare word."""

    def rule(typing: Typing, call: ast.Call) -> Type | None:
        word = call.arguments[0]
        if not isinstance(word, ast.Name) or word.name not in words:
            typing.error(word, f"{call.name}() expects one of: {' '.join(words)}")
        elif word.name == "tai" and not typing.scene.machine.supports("tai_clock").works:
            typing.error(word, "this kernel has no clock 'tai' for probes", "sw_tai is nearly the same")
        elif call.name == "nsecs":
            return Int(64, False, f"clock:{word.name}")
        return kind

    return rule


# ---- Values that user space turns into text


def _strftime(typing: Typing, call: ast.Call) -> Type | None:
    text = expect_text(typing, call, 0, "its format")
    kind = expect_int(typing, call.arguments[1], "strftime(): the time")
    clock = kind.spelling.removeprefix("clock:") if isinstance(kind, Int) and ":" in kind.spelling else "boot"
    return Timestamp(text or "", clock)


def _named(name: str) -> Callable[[Typing, ast.Call], Type | None]:
    def rule(typing: Typing, call: ast.Call) -> Type | None:
        expect_int(typing, call.arguments[0], f"{name}(): the number")
        return Formatted(name, INT32)

    return rule


def _cgroup_path(typing: Typing, call: ast.Call) -> Type | None:
    expect_int(typing, call.arguments[0], "cgroup_path(): the id")
    if len(call.arguments) == 2:
        text = expect_text(typing, call, 1, "its filter")
        return Formatted("cgroup_path", UINT64, (text or "",))
    return Formatted("cgroup_path", UINT64)


def _cgroup_inode(typing: Typing, call: ast.Call) -> Constant | None:
    """A cgroup's id is the inode of its directory (since v5.5)."""
    text = typing.constant(call.arguments[0])
    try:
        return os.stat(text).st_ino if isinstance(text, str) else None
    except (OSError, ValueError):
        return None


def _cgroupid(typing: Typing, call: ast.Call) -> Type | None:
    text = expect_text(typing, call, 0, "the path of a cgroup")
    if text is not None and _cgroup_inode(typing, call) is None:
        typing.error(call.arguments[0], f"failed to resolve cgroup path: '{text}'")
    return UINT64


VALUES = (
    Function("buf", 1, 2, _buf, "buf(data[, length])", "bytes, printed by %r"),
    Function("words", 2, 2, _words, "words(address, length)", "texts that end with a NUL each"),
    Function("macaddr", 1, 1, _macaddr, "macaddr(bytes)", "a hardware address as text"),
    Function("pton", 1, 1, _pton, 'pton("address")', "the bytes of an IP address"),
    Function("bswap", 1, 1, _bswap, "bswap(n)", "the bytes of an integer in reverse"),
    Function("kptr", 1, 1, _in_space("kernel"), "kptr(pointer)", "a pointer into kernel memory"),
    Function("uptr", 1, 1, _in_space("user"), "uptr(pointer)", "a pointer into user memory"),
    Function(
        "is_err", 1, 1, fixed(BOOL), "is_err(pointer)", "whether it is an error number", meaning=_is_err
    ),
    Function(
        "container_of", 3, 3, fixed(UINT64), "container_of(pointer, struct NAME, member)",
        "the struct around a member", meaning=_container_of,
    ),
    Function(
        "kaddr", 1, 1, _kaddr, 'kaddr("symbol")', "the address of a kernel symbol", value=_symbol_address
    ),
    Function(
        "percpu_kaddr",
        1,
        2,
        _percpu_kaddr,
        'percpu_kaddr("symbol"[, cpu])',
        "the address of a CPU's own copy of a kernel symbol",
    ),
    Function(
        "uaddr", 1, 1, _uaddr, 'uaddr("symbol")', "the address of a symbol of the probed program or library",
        allowed=lambda kind: kind.name in ("uprobe", "usdt"),
    ),
    Function("reg", 1, 1, _reg, 'reg("name")', "a register", allowed=has_registers),
    Function("nsecs", 1, 1, _chosen(CLOCKS, UINT64), "nsecs(clock)", "nanoseconds by one of the clocks"),
    Function("pid", 1, 1, _chosen(NAMESPACES, UINT32), "pid(init)", "process id in a pid namespace"),
    Function("tid", 1, 1, _chosen(NAMESPACES, UINT32), "tid(init)", "thread id in a pid namespace"),
    Function("strftime", 2, 2, _strftime, "strftime(format, nsecs)", "a time as text"),
    Function("strerror", 1, 1, _named("strerror"), "strerror(errno)", "the text of an error"),
    Function("signal_name", 1, 1, _named("signal_name"), "signal_name(number)", "the text of a signal"),
    Function("syscall_name", 1, 1, _named("syscall_name"), "syscall_name(number)", "a system call's name"),
    Function("cgroup_path", 1, 2, _cgroup_path, "cgroup_path(id[, filter])", "a cgroup's path"),
    Function("cgroupid", 1, 1, _cgroupid, 'cgroupid("path")', "a cgroup's id", value=_cgroup_inode),
    Function("str", 1, 2, _str, "str(pointer[, length])", "the string behind a pointer"),
    Function("ksym", 1, 1, _symbol("kernel"), "ksym(address)", "a kernel address as a symbol"),
    Function("usym", 1, 1, _symbol("user"), "usym(address)", "a user address as a symbol"),
    Function("kstack", 0, 3, _stack("kernel"), "kstack([mode, ][limit[, skip]])", "the kernel's stack"),
    Function("ustack", 0, 3, _stack("user"), "ustack([mode, ][limit[, skip]])", "the process's stack"),
    Function("ntop", 1, 2, _ntop, "ntop([family, ]address)", "an IP address as text"),
)  # fmt: skip
