"""What a live and a recorded kernel answer alike: everything that is a look-up in types and lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from kernel.functions import FunctionNames
from kernel.match import is_pattern, matcher, matching
from kernel.typetable import TypeTable
from lang.later import later
from lang.machine import Field, Function, Parameter, SourceLine, Tracepoint, UserFunction, UserProbe
from lang.types import Enum, Struct, Type

if TYPE_CHECKING:
    from kernel import binaries, demangle, elf, lines, usdt
else:  # only scripts with user probes need them
    binaries, demangle, elf, lines, usdt = map(
        later, ("kernel.binaries", "kernel.demangle", "kernel.elf", "kernel.lines", "kernel.usdt")
    )

# arch/*/include/asm/syscall_wrapper.h; the last is without wrappers
_PREFIXES = (
    "__x64_sys_", "__arm64_sys_", "__s390x_sys_", "__riscv_sys_", "__powerpc_sys_", "__se_sys_", "sys_",
)  # fmt: skip
_Self = TypeVar("_Self", bound="KernelMachine")
_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


def kept(
    method: Callable[Concatenate[_Self, _Asked], _Answer],
) -> Callable[Concatenate[_Self, _Asked], _Answer]:
    """Ask once: the answers of a method of plain arguments, remembered in the object."""

    @wraps(method)
    def ask(self: _Self, *args: _Asked.args, **kwargs: _Asked.kwargs) -> _Answer:
        key = (method.__name__, args, tuple(kwargs.items()))
        if key not in self.answers:
            self.answers[key] = method(self, *args, **kwargs)
        return cast("_Answer", self.answers[key])

    return cast("Callable[Concatenate[_Self, _Asked], _Answer]", ask)


class KernelMachine(ABC):
    """The part of `lang.machine.Machine` that needs only a type table, a list of functions and files."""

    def __init__(self) -> None:
        self.answers: dict[object, object] = {}

    @property
    @abstractmethod
    def types(self) -> TypeTable:
        """The kernel's types and prototypes."""

    @property
    @abstractmethod
    def arch(self) -> str:
        """The machine's architecture as uname has it."""

    @property
    @abstractmethod
    def function_names(self) -> FunctionNames:
        """The names of the traceable functions."""

    @cached_property
    def _raw_tracepoints(self) -> tuple[str, ...]:
        return self.types.raw_tracepoints()

    def raw_tracepoints(self, name: str) -> tuple[str, ...]:
        """Raw tracepoints that a `*` pattern matches, sorted."""
        if not is_pattern(name):
            return (name,) if self.raw_tracepoint(name) is not None else ()
        return tuple(matching(name, self._raw_tracepoints))

    @kept
    def raw_tracepoint(self, name: str) -> tuple[Parameter, ...] | None:
        """The arguments of a raw tracepoint by BTF, or None if it does not exist."""
        return self.types.raw_tracepoint(name)

    @abstractmethod
    def tracepoint(self, category: str, name: str) -> Tracepoint | None:
        """A tracepoint's record."""

    def syscall_arguments(self, name: str) -> tuple[Field, ...] | None:
        """A system call's arguments, as its entry's tracepoint has them."""
        event = self.tracepoint("syscalls", f"sys_enter_{name}")
        return event.fields if event is not None else None

    @cached_property
    def syscall_prefix(self) -> str:
        """The beginning that the function for bpf(2) has: the system call that we ourselves use."""
        return next((item for item in _PREFIXES if self.functions(f"{item}bpf", "vmlinux")), "")

    @kept
    def functions(self, name: str, module: str = "") -> tuple[tuple[str, str], ...]:
        """(module, name) of the traceable kernel functions that a `*` pattern matches, sorted."""
        return self.function_names.match(name, module)

    def function(self, name: str, module: str = "") -> Function | None:
        """The function's prototype by BTF; None where BTF does not have it."""
        return self.types.function(name, module)

    @property
    @abstractmethod
    def without_kprobes(self) -> frozenset[str]:
        """Functions that the kernel keeps kprobes off."""

    @property
    def ambiguous(self) -> frozenset[str]:
        """Names that more than one function of the core has."""
        return self.function_names.several

    @kept
    def functions_taking(self, struct: str) -> frozenset[tuple[str, str]]:
        """(module, name) of the functions of which a parameter is a pointer to the struct."""
        return self.types.functions_taking(struct)

    def struct(self, kind: str, name: str) -> Struct | None:
        """`struct` or `union` by tag name."""
        return self.types.struct(kind, name)

    def fields(self, struct: Struct) -> tuple[Field, ...]:
        """All members, those of anonymous members lifted."""
        return self.types.fields(struct)

    def typedef(self, name: str) -> Type | None:
        """A typedef or base type by name, resolved."""
        return self.types.typedef(name)

    def enum(self, name: str) -> Enum | None:
        """An enum by tag."""
        return self.types.enum(name)

    def enum_values(self, name: str) -> dict[str, int]:
        """The constants of one enum."""
        return self.types.enum_values(name)

    def constant(self, name: str) -> tuple[int, Enum] | None:
        """An enum constant by its own name."""
        return self.types.constant(name)

    @kept
    def binary(self, name: str, pid: int = 0) -> str | None:
        """The path of a program or library of this system; with a pid, as that process sees it."""
        return binaries.find_binary(name, pid)

    @kept
    def user_functions(self, path: str, name: str) -> tuple[UserFunction, ...]:
        """Functions of an ELF file that a `*` pattern matches, sorted by name."""
        return elf.functions(path, name)

    @kept
    def cpp_functions(self, path: str, name: str) -> tuple[UserFunction, ...] | None:
        """Functions of C++ by their names in the source; None where nothing here demangles them."""
        return elf.functions_of_cpp(path, name) if demangle.can_demangle() else None

    @kept
    def source_line(self, path: str, file: str, line: int, column: int) -> SourceLine:
        """The code of a line of a binary's source."""
        return lines.source_line(path, file, line, column)

    @kept
    def user_symbol(self, path: str, name: str, offset: int) -> tuple[int, int] | None:
        """(bytes from what lies at a file offset to a symbol, the symbol's size) once the file is mapped."""
        return elf.symbol_from(path, name, offset)

    @kept
    def user_probes(self, path: str, provider: str, name: str) -> tuple[UserProbe, ...]:
        """Static probes of an ELF file that two `*` patterns match, sorted."""
        first, last = matcher(provider), matcher(name)
        return tuple(item for item in self._probes_of(path) if first(item.provider) and last(item.name))

    @kept
    def _probes_of(self, path: str) -> tuple[UserProbe, ...]:
        return usdt.user_probes(path, self.arch)

    @kept
    def mapped_files(self, pid: int, name: str) -> tuple[str, ...]:
        """Programs and libraries of a process whose path, or file name, a `*` pattern matches."""
        return binaries.mapped_files(pid, name)
