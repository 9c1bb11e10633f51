"""The questions that checker and compiler ask of a kernel: one Protocol, answered in `kernel/`.

Two machines answer: the running one (`kernel.live`) and a recorded one (`kernel.recorded`).
Every answer is a plain value; a missing thing is None or an empty tuple, never an exception.
"""

from __future__ import annotations

from typing import Literal, Protocol

from lang.records import dataclass, replace
from lang.types import Enum, Struct, Type


@dataclass(frozen=True)
class Field:
    """A member of a struct, a tracepoint's record or an anonymous union inside one.

    `offset` is bytes from the struct's start. A bit field has `bits` > 0 and starts `shift`
    bits above the lowest bit of the little-endian word at `offset`. `data_loc` fields of
    tracepoints hold {u16 offset, u16 length} and point into the record.
    """

    name: str
    type: Type
    offset: int
    bits: int = 0
    shift: int = 0
    data_loc: bool = False


@dataclass(frozen=True)
class Parameter:
    name: str
    type: Type


@dataclass(frozen=True)
class Function:
    """A kernel function: its parameters and result by BTF; `module` is `vmlinux` for the core."""

    name: str
    module: str
    parameters: tuple[Parameter, ...]
    result: Type
    variadic: bool = False


@dataclass(frozen=True)
class Tracepoint:
    """A tracepoint of tracefs: fields with `offset` from the record's start; common_* left out.

    `id` is what perf_event_open takes; 0 in a recorded machine.
    """

    category: str
    name: str
    fields: tuple[Field, ...]
    id: int = 0


@dataclass(frozen=True)
class UserFunction:
    """A function of a binary: `offset` is the file offset that a uprobe takes."""

    path: str
    name: str
    offset: int
    size: int = 0


@dataclass(frozen=True)
class SourceLine:
    """The file offsets of a source line's code; where there are none, why."""

    offsets: tuple[int, ...]
    reason: str = ""


OperandKind = Literal["constant", "register", "memory", "unknown"]


@dataclass(frozen=True)
class Operand:
    """Where an argument of a static probe lies: `text` is the note's, read by `kernel.usdt`.

    constant: `value`. register: that member of struct pt_regs, shifted right by `value` bits.
    memory: the user's, at `register` + `index` · `scale` + `value`.
    """

    size: int
    signed: bool
    kind: OperandKind
    value: int = 0
    register: str = ""
    index: str = ""
    scale: int = 1
    text: str = ""

    def at(
        self, kind: OperandKind, *, value: int = 0, register: str = "", index: str = "", scale: int = 1
    ) -> Operand:
        """The same argument, in that place."""
        return replace(self, kind=kind, value=value, register=register, index=index, scale=scale)


@dataclass(frozen=True)
class UserProbe:
    """One place of a static probe of a binary. `semaphore` is the file offset of its counter; 0 without."""

    path: str
    provider: str
    name: str
    offset: int
    semaphore: int = 0
    arguments: tuple[Operand, ...] = ()


@dataclass(frozen=True)
class Support:
    """Whether this kernel can do a thing; `reason` says why not, in one line."""

    works: bool
    reason: str = ""


class Machine(Protocol):
    """What the compiler may know of a kernel."""

    @property
    def title(self) -> str:
        """`Linux 6.18.44 x86_64`, for messages and the generated C's first line."""

    @property
    def arch(self) -> str:
        """`x86_64`, `aarch64` …"""

    @property
    def cpus(self) -> int:
        """How many CPUs are possible: what per-CPU maps have copies for."""

    def supports(self, feature: str) -> Support:
        """Features: tracepoint raw_tracepoint kprobe fentry uprobe perf_event ringbuf boot_clock tai_clock
        probe_read_kernel percpu_lookup for_each_map_elem bpf_loop kprobe_multi uprobe_multi big_keys
        btf test_run perf_link map_batch func_ip syscall_stacks direct_loads."""

    def tracepoints(self, category: str, name: str) -> tuple[tuple[str, str], ...]:
        """(category, name) of the tracepoints that two `*` patterns match, sorted."""

    def tracepoint(self, category: str, name: str) -> Tracepoint | None: ...

    def syscall_arguments(self, name: str) -> tuple[Field, ...] | None:
        """A system call's arguments, as its entry's tracepoint has them; None where they are not known."""

    @property
    def syscall_prefix(self) -> str:
        """How the functions begin that serve system calls: `__x64_sys_`; empty where it is not known."""

    def raw_tracepoints(self, name: str) -> tuple[str, ...]:
        """Raw tracepoints that a `*` pattern matches, sorted."""

    def raw_tracepoint(self, name: str) -> tuple[Parameter, ...] | None:
        """The arguments of a raw tracepoint by BTF (`btf_trace_NAME`), or None if it does not exist."""

    def functions(self, name: str, module: str = "") -> tuple[tuple[str, str], ...]:
        """(module, name) of the traceable kernel functions that a `*` pattern matches, sorted."""

    def function(self, name: str, module: str = "") -> Function | None:
        """The function's prototype by BTF; None where BTF does not have it."""

    @property
    def without_kprobes(self) -> frozenset[str]:
        """Functions that the kernel keeps kprobes off (NOKPROBE_SYMBOL), as far as it tells."""

    @property
    def ambiguous(self) -> frozenset[str]:
        """Names that more than one function of the core has: a kprobe by such a name is refused."""

    def functions_taking(self, struct: str) -> frozenset[tuple[str, str]]:
        """(module, name) of the functions of which a parameter is a pointer to the struct."""

    def unloaded_module(self, function: str) -> str:
        """The module that has this function, and could be loaded; empty where none is known."""

    def struct(self, kind: str, name: str) -> Struct | None:
        """`struct` or `union` by tag name."""

    def fields(self, struct: Struct) -> tuple[Field, ...]:
        """All members; those of anonymous members are lifted, with their offsets added."""

    def typedef(self, name: str) -> Type | None:
        """A typedef or base type by name, resolved."""

    def enum(self, name: str) -> Enum | None: ...

    def enum_values(self, name: str) -> dict[str, int]:
        """The constants of one enum."""

    def constant(self, name: str) -> tuple[int, Enum] | None:
        """An enum constant by its own name."""

    @property
    def knows_symbols(self) -> bool:
        """Whether `symbol` can know addresses; a recorded kernel cannot."""

    def symbol(self, name: str) -> int | None:
        """The address of a kernel symbol, for kaddr(); None if unknown or hidden."""

    def binary(self, name: str, pid: int = 0) -> str | None:
        """The path of a program or library: as given, from PATH, or `libc` by the loader's cache."""

    def user_functions(self, path: str, name: str) -> tuple[UserFunction, ...]:
        """Functions of an ELF file that a `*` pattern matches, sorted by name."""

    def cpp_functions(self, path: str, name: str) -> tuple[UserFunction, ...] | None:
        """Those of C++, by the source's names; without brackets all overloads. None if nothing demangles."""

    def source_line(self, path: str, file: str, line: int, column: int) -> SourceLine:
        """The code of a line of a binary's source, once for each function that has some; column 0 is any."""

    def user_symbol(self, path: str, name: str, offset: int) -> tuple[int, int] | None:
        """(bytes from what lies at a file offset to a symbol, the symbol's size) once the file is mapped."""

    def user_probes(self, path: str, provider: str, name: str) -> tuple[UserProbe, ...]:
        """Static probes (usdt) of an ELF file that two `*` patterns match, sorted."""

    def mapped_files(self, pid: int, name: str) -> tuple[str, ...]:
        """Programs and libraries of a process whose path, or file name, a `*` pattern matches."""

    def pid_namespace(self) -> tuple[int, int] | None:
        """(device, inode) of the tracer's pid namespace, or None in the initial one."""
