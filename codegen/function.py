"""One checked body → the lines of one C function: memory, builtins, reads of kernel and user memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from codegen.ctypes import is_memory, word_size
from codegen.direct import known_argument, known_result, loads_itself, takes_scalar
from codegen.names import Names
from codegen.program import SCRATCH, Program
from codegen.writer import Code
from lang import ast
from lang.calling import REGISTER_ARGUMENTS, context_words, places
from lang.checked import Body, Target, VariableInfo
from lang.diagnostics import CompilerBug
from lang.fold import Constant
from lang.machine import Field
from lang.probes import mechanism
from lang.records import dataclass, field
from lang.registers import SYSCALL_REGISTERS
from lang.types import UINT64, Array, Int, Space, Str, Struct, Type, size_of

_OF_CONTEXT = re.compile(r"\bctx(->|\[)|\(ctx\)")
STACK_BUDGET = 320  # of the 512 bytes of a BPF stack: the rest is for the compiler's own spills
MAX_ZEROED_BYTES = 128  # by stores of 8 bytes; of more a helper is smaller, and no slower
MAX_MERGED_BYTES = 64  # what lies in neighbouring memsets without harm
SYSCALL_RESULT = 16  # where struct syscall_trace_exit has `ret`, kernel/trace/trace.h


@dataclass(frozen=True)
class Value:
    """A C expression: a scalar's value, or the address of what lives in memory (`is_memory`).

    `known` says that the verifier knows by BTF what the pointer points to: codegen/direct.py.
    """

    text: str
    type: Type
    known: bool = False


@dataclass(frozen=True)
class Place:
    """Where a thing lies that must be read: a C lvalue in another address space.

    `context` is the program's own argument, which may be loaded from directly, and so may `memory`, the
    program's own too: a copy, which the script may overwrite. `pointer` is that of a place which is all that
    lies behind one: where `*p` stands BCC reads it itself, and then an address is taken of that value. `spot`
    is the struct that a pointer which the verifier knows leads to, and how many bytes into it this lies.
    """

    text: str
    type: Type
    space: Space | str
    item: Field | None = None
    pointer: str = ""
    spot: tuple[Struct, int] | None = None


@dataclass
class Function:
    """The state of one C function while its body is lowered."""

    program: Program
    body: Body
    value: Callable[
        [Function, Any], Value
    ]  # codegen.expressions.evaluate: given, so that no module needs two
    writer: Callable[[Function, str, Type, Any], None]  # codegen.expressions.store
    runner: Callable[[Function, Any], None]  # codegen.statements.statement
    code: Code = field(default_factory=Code)
    names: Names = field(default_factory=Names)
    variables: dict[VariableInfo, str] = field(default_factory=dict)
    scratch: list[str] = field(default_factory=list)  # member lines of this function's scratch struct
    scratch_sizes: list[int] = field(default_factory=list)
    event_bytes: int = 0  # of the scratch area: the largest event that is filled there, not in the ring
    prologue_at: int = 0  # the line before which the scratch area is looked up
    stack_used: int = 0
    taking: set[ast.Call] = field(default_factory=set)  # print(@map) … that also empty the map
    stepping: bool = False  # the statement holds ++ or --: variables are copied when read
    name: str = ""
    root: str = ""  # the program's name: loops inside it are named after it
    callback: bool = False  # a loop's body, called by a helper
    leaves: bool = False  # a callback that ends the probe around it
    callbacks: list[tuple[str, str]] = field(default_factory=list)  # of the whole program
    leaves_loop: tuple[str, str] = ("", "")  # C for break and continue
    context: str = "void *ctx"
    record: dict[str, tuple[int, str, int]] = field(default_factory=dict)  # members of a tracepoint's record
    saved: dict[str, int | Field] | None = None  # what the body reads of its call's entry: codegen/entry.py
    timed: bool = False  # the body reads the duration
    filtered_at: int = 0  # the line before which the entry is looked up
    known: set[VariableInfo] = field(default_factory=set)  # hold what the verifier knows the type of

    @property
    def target(self) -> Target:
        return self.body.targets[0]

    @property
    def mechanism(self) -> str:
        """The kind of the program; the target's kind is what the script wrote."""
        return mechanism(self.target)

    def evaluate(self, node: ast.Expression) -> Value:
        return self.value(self, node)

    def store(self, place: str, kind: Type, node: ast.Expression) -> None:
        self.writer(self, place, kind, node)

    def statement(self, node: ast.Statement) -> None:
        self.runner(self, node)

    def constant(self, node: ast.Expression) -> Constant | None:
        return self.program.checked.constant(node)

    def bug(self, node: ast.Node, what: str) -> CompilerBug:
        return CompilerBug(what, node.span)

    # ---- Temporaries and memory

    def temporary(self, hint: str, kind: str, text: str) -> str:
        """A new C variable that holds the expression."""
        name = self.names.fresh(hint)
        self.code.line(f"{_declare(kind, name)} = {text};")
        if self.code.depth > 1 and _OF_CONTEXT.search(text):
            # Of two branches that each read the context clang would make one read at a computed address, and
            # the verifier refuses that ("dereference of modified ctx ptr").
            self.program.helper("opaque")
            self.code.line(f"ebt_opaque({name});")
        return name

    def shared(self, key: object, hint: str, kind: str, text: str) -> str:
        """The same, once a block: later uses of the key get the same variable."""
        found = self.code.known(key)
        if found is None:
            found = self.temporary(hint, kind, text)
            self.code.learn(key, found)
        return found

    def memory(self, hint: str, kind: Type, zeroed: bool = True) -> str:
        """Room for a value that lives in memory: a C lvalue, on the stack or in the per-CPU scratch area."""
        size = size_of(kind)
        name = self.names.fresh(hint)
        limit = self.program.checked.settings.on_stack_limit
        if size <= limit and self.stack_used + size <= STACK_BUDGET:
            self.stack_used += size
            self.code.line(self.program.types.declare(kind, name) + (" = {};" if zeroed else ";"))
            return name
        place = self.in_scratch(name, self.program.types.declare(kind, name), size)
        if zeroed:
            self.zero(place, size)
        return place

    def struct_memory(self, hint: str, c_type: str, size: int) -> str:
        """A zeroed C struct of ours (a map's key or value), on the stack or in the scratch area."""
        name = self.names.fresh(hint)
        if size <= self.program.checked.settings.on_stack_limit and self.stack_used + size <= STACK_BUDGET:
            self.stack_used += size
            self.code.line(f"{c_type} {name} = {{}};")
            return name
        place = self.in_scratch(name, f"{c_type} {name}", size)
        self.zero(place, size)
        return place

    def in_scratch(self, name: str, declaration: str, size: int) -> str:
        """A member of the scratch area, `size` bytes at a multiple of 8."""
        self.scratch_sizes.append(size)
        self.scratch.append(f"{declaration} __attribute__((aligned(8)));")
        return f"scratch->{name}"

    def event_room(self, size: int) -> str:
        """The part of the scratch area in which events are filled, one after the other."""
        self.event_bytes = max(self.event_bytes, size)
        return "scratch->event"

    def zero(self, place: str, size: int) -> None:
        if size <= MAX_ZEROED_BYTES:
            # clang makes one memset of neighbours, on either side, and may call a function for the sum.
            apart = ['asm volatile("" ::: "memory");'] if size > MAX_MERGED_BYTES else []
            for line in (*apart, f"__builtin_memset(&{place}, 0, {size});", *apart):
                self.code.line(line)
        else:
            # Reading from address 0 fails, and the helper zeroes what it could not read.
            self.code.line(f"bpf_probe_read_kernel(&{place}, {size}, (void *)0);")

    def copy(self, place: str, source: str, size: int) -> None:
        """`size` bytes from BPF memory at the address `source` into the lvalue."""
        if size <= 128:
            self.code.line(f"__builtin_memcpy(&{place}, {source}, {size});")
        else:
            self.code.line(f"bpf_probe_read_kernel(&{place}, {size}, {source});")

    # ---- Reading memory behind pointers

    def read(self, place: Place, hint: str) -> Value:
        """The value at a place: loaded into a variable, or copied into memory."""
        item = place.item
        if item is not None and item.bits:
            return self._read_bits(place, item, hint)
        if isinstance(place.type, Array | Struct | Str) or is_memory(place.type):
            return self._read_memory(place, hint)
        c_type = self.program.types.name(place.type)
        if place.space == "context":
            return Value(self.shared(place.text, hint, c_type, f"({c_type}){place.text}"), place.type)
        if place.space == "memory":
            return Value(self.temporary(hint, c_type, f"({c_type}){place.text}"), place.type)
        if place.spot is not None and takes_scalar(self.program.machine, place.spot, place.type):
            return Value(self.shared(place.text, hint, c_type, place.text), place.type)
        return Value(self._fetch(place, c_type, hint), place.type)

    def _fetch(self, place: Place, c_type: str, hint: str) -> str:
        known = self.code.known(place.text)
        if known is None:
            known = self.names.fresh(hint)
            self.code.line(_declare(c_type, known) + ";")  # what cannot be read the helper makes 0
            self.code.line(f"{reader(place.space)}(&{known}, sizeof({known}), {_address(place)});")
            self.code.learn(place.text, known)
        return known

    def _read_bits(self, place: Place, item: Field, hint: str) -> Value:
        size = word_size(item) * 8
        if place.space == "context":
            word = self.shared(place.text, f"{hint}_bits", f"u{size}", place.text)
        elif place.space == "memory":
            word = self.temporary(f"{hint}_bits", f"u{size}", place.text)
        else:
            word = self._fetch(place, f"u{size}", f"{hint}_bits")
        mask = (1 << item.bits) - 1
        text = f"(({word} >> {item.shift}) & 0x{mask:x})"
        kind = item.type
        if isinstance(kind, Int) and kind.signed:
            text = f"((s64)((u64){word} << {64 - item.shift - item.bits}) >> {64 - item.bits})"
        return Value(text, kind)

    def _read_memory(self, place: Place, hint: str) -> Value:
        room = self.memory(hint, place.type, zeroed=False)
        self.read_into(room, place.type, place)
        return Value(room if isinstance(place.type, Str | Array) else f"&{room}", place.type)

    def read_into(self, room: str, kind: Type, place: Place) -> None:
        """Copy what lies at a place into an lvalue of at least its size."""
        size = size_of(place.type)
        if isinstance(place.type, Str):
            # A char array: what follows its NUL is no part of the text, and must not become part of a key.
            self.read_string(room, str(min(size, size_of(kind))), _address(place), place.space)
        else:
            self.code.line(f"{reader(place.space)}(&{room}, {size}, {_address(place)});")

    def read_string(self, room: str, size: str, address: str, space: Space | str) -> None:
        """The string behind an address, with its NUL, into an lvalue of `size` bytes."""
        which = "user" if space == "user" else "kernel"
        self.code.line(f"bpf_probe_read_{which}_str(&{room}, {size}, (void *){address});")

    # ---- Arguments of the probe

    def argument(self, number: int, kind: Type | None) -> Value:
        """The n-th argument of the function or raw tracepoint, from 0; without a type the n-th word."""
        at = number
        if kind is not None and self.mechanism != "raw_tracepoint":
            place = places(self.target.parameters or (), REGISTER_ARGUMENTS)[number]
            if place is None:
                raise CompilerBug(f"argument {number} is not in a register")
            at = place
        c_type = self.program.types.name(kind) if kind is not None else "u64"
        text = self.word(at)
        key = ("argument", number, c_type)
        hint = f"arg{number}"
        if self.target.parameters and number < len(self.target.parameters) and kind is not None:
            hint = self.target.parameters[number].name
        if self.mechanism in ("kretprobe", "uretprobe"):
            text = self.at_entry(f"arg{at}", at)
        known = kind is not None and known_argument(self, number, kind)
        return Value(self.shared(key, hint, c_type, f"({c_type}){text}"), kind or UINT64, known)

    def word(self, number: int) -> str:
        """C for the n-th word that the program is given: of a trampoline's context, or of the registers."""
        if self.mechanism in ("fentry", "fexit", "raw_tracepoint"):
            return f"ctx[{number}]"
        if number >= REGISTER_ARGUMENTS:
            raise CompilerBug(f"argument {number} is not in a register")
        return f"PT_REGS_PARM{number + 1}(ctx)"

    def syscall_word(self, item: Field) -> str:
        """C for an argument of a system call, in the function that serves it: of the caller's registers."""
        number = (self.target.fields or ()).index(item)
        if self.target.symbol.startswith("sys_"):
            return self.word(number)
        found = self.code.known(("syscall", number))
        if found is None:
            regs = self.shared("regs", "regs", "struct pt_regs *", f"(struct pt_regs *){self.word(0)}")
            found = self.names.fresh(item.name)
            register = SYSCALL_REGISTERS[self.program.machine.arch][number]
            if loads_itself(self):
                self.code.line(f"u64 {found} = {regs}->{register};")
            else:
                self.code.line(f"u64 {found};")
                self.code.line(f"bpf_probe_read_kernel(&{found}, sizeof({found}), &{regs}->{register});")
            self.code.learn(("syscall", number), found)
        return found

    def at_entry(self, name: str, source: int | Field | None) -> str:
        """C for what the call's entry gave: an argument or a field of its record; None is the duration."""
        if self.saved is None:
            self.saved = {}
            self.stack_used += 24
        if source is None:
            self.timed = True
            return name
        if name not in self.saved:
            self.saved[name] = source
            self.stack_used += 8
        return f"call.{name}"

    def retval(self, kind: Type) -> Value:
        c_type = self.program.types.name(kind)
        if self.mechanism == "fexit":
            text = f"ctx[{context_words(self.target.parameters or ())}]"
        elif self.mechanism == "tracepoint":
            self.use_record("ret", (SYSCALL_RESULT, "s64 ret", 8))
            text = "ctx->ret"
        else:
            text = "PT_REGS_RC(ctx)"
        result = self.shared(("retval", c_type), "result", c_type, f"({c_type}){text}")
        return Value(result, kind, known_result(self, kind))

    def use_record(self, name: str, member: tuple[int, str, int]) -> None:
        """The program's argument is the tracepoint's record, and this member of it is read."""
        self.record[name] = member
        self.context = f"struct {self.name}_record *ctx"

    # ---- Programs end, events are lost

    def leave(self) -> None:
        """Leave the probe; out of a loop's body by way of the function around it."""
        if self.callback:
            self.leaves = True
            self.code.line("all->returned = 1;")
        self.code.line(f"return {self.exit_value};")

    @property
    def exit_value(self) -> int:
        if self.callback:
            return 1
        # A tracepoint program that returns 0 hides the event from perf (kernel/trace/trace_event_perf.c).
        return 1 if self.mechanism == "tracepoint" else 0

    def count_failure(self, node: ast.Node, text: str) -> str:
        """The C statement that counts one kind of trouble at this place."""
        return self.program.count_lost(self.program.failure(node.span, text))

    def lost_event(self) -> str:
        return self.program.count_lost(0)

    def scratch_prologue(self, number: int) -> list[str]:
        """Lines at the function's start that find its scratch area; none where it needs none."""
        if not self.scratch:
            return []
        name = f"{self.name}_scratch"
        return [
            f"    u32 slot = {number};",
            f"    struct {name} *scratch = (struct {name} *){SCRATCH}.lookup(&slot);",
            "    if (!scratch)",
            f"        return {self.exit_value};",
        ]


def _address(place: Place) -> str:
    if not place.pointer:
        return f"&{place.text}"
    return f"(void *){place.pointer}" if isinstance(place.type, Struct) else place.pointer


def reader(space: Space | str) -> str:
    """The helper that reads an address space; the program's context counts as kernel memory."""
    return "bpf_probe_read_user" if space == "user" else "bpf_probe_read_kernel"


def _declare(kind: str, name: str) -> str:
    return f"{kind}{name}" if kind.endswith("*") else f"{kind} {name}"
