"""The running system → the compiler's questions answered: `Machine` over BTF, tracefs, kallsyms and ELF."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property, partial, wraps
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from kernel import binaries, elf, functions, tracefs
from kernel.btf import Blob, Btf, read_blob
from kernel.match import is_pattern, matching
from kernel.typetable import TypeTable
from lang.machine import Field, Function, Parameter, Support, Tracepoint, UserFunction
from lang.types import Enum, Struct, Type

if TYPE_CHECKING:
    from kernel.features import LiveFeatures

_BTF_DIRECTORY = Path("/sys/kernel/btf")
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h

_Self = TypeVar("_Self", bound="LiveMachine")
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


class LiveMachine:
    """The kernel that runs this process. Nothing is read before it is asked for, nothing twice.

    `btf` is a file to use in place of /sys/kernel/btf/vmlinux. A damaged one raises BtfError at the first
    question that needs it; a kernel without BTF answers those with None.
    """

    def __init__(self, btf: Path | None = None) -> None:
        self._btf_path = btf
        self.answers: dict[object, object] = {}

    @cached_property
    def types(self) -> TypeTable:
        """The kernel's types and prototypes."""
        return TypeTable(self._open_btf, self._module_readers)

    @cached_property
    def features(self) -> LiveFeatures:
        """What the kernel lets us do, found by trying."""
        from kernel.features import (
            LiveFeatures,  # its ctypes cost time that a compile for elsewhere need not pay
        )

        return LiveFeatures()

    @cached_property
    def _root(self) -> Path | None:
        return tracefs.find_tracefs()

    def _open_btf(self) -> Btf | None:
        if self._btf_path is not None:
            return Btf(read_blob(self._btf_path), str(self._btf_path))
        path = _BTF_DIRECTORY / "vmlinux"
        try:
            blob = read_blob(path)
        except OSError:
            return None
        return Btf(blob, "vmlinux", key=_build_key())

    def _module_readers(self) -> dict[str, Callable[[], Blob]]:
        """Modules have BTF of their own since 36e68442d1af ("bpf: Load and verify kernel module BTFs")."""
        if self._btf_path is not None:  # its ids are another kernel's
            return {}
        names = [entry.name for entry in os.scandir(_BTF_DIRECTORY) if entry.name != "vmlinux"]
        return {name: partial(read_blob, _BTF_DIRECTORY / name) for name in names}

    @property
    def title(self) -> str:
        """`Linux 6.18.44 x86_64`."""
        system = os.uname()
        return f"{system.sysname} {system.release} {system.machine}"

    @property
    def arch(self) -> str:
        """The machine's architecture as uname has it."""
        return os.uname().machine

    def supports(self, feature: str) -> Support:
        """Whether this kernel can do a thing, and why not."""
        return self.features.supports(feature)

    @kept
    def tracepoints(self, category: str, name: str) -> tuple[tuple[str, str], ...]:
        """(category, name) of the tracepoints that two `*` patterns match, sorted."""
        return tracefs.match_tracepoints(self._root, category, name)

    @kept
    def tracepoint(self, category: str, name: str) -> Tracepoint | None:
        """A tracepoint's record by its format file; None if there is none or tracefs cannot be read."""
        text = tracefs.read_format(self._root, category, name)
        return tracefs.parse_format(category, name, text, self.types) if text is not None else None

    @cached_property
    def _raw_tracepoints(self) -> tuple[str, ...]:
        return self.types.raw_tracepoints()

    def raw_tracepoints(self, name: str) -> tuple[str, ...]:
        """Raw tracepoints that a `*` pattern matches, sorted."""
        if not is_pattern(name):
            return (name,) if self.raw_tracepoint(name) is not None else ()
        return tuple(matching(name, self._raw_tracepoints))

    def raw_tracepoint(self, name: str) -> tuple[Parameter, ...] | None:
        """The arguments of a raw tracepoint by BTF, or None if it does not exist."""
        return self.types.raw_tracepoint(name)

    @cached_property
    def _functions(self) -> dict[str, list[str]]:
        return functions.function_list(self._root, self.types)

    @kept
    def functions(self, name: str, module: str = "") -> tuple[tuple[str, str], ...]:
        """(module, name) of the traceable kernel functions that a `*` pattern matches, sorted."""
        return functions.match_functions(self._functions, name, module)

    def function(self, name: str, module: str = "") -> Function | None:
        """The function's prototype by BTF; None where BTF does not have it."""
        return self.types.function(name, module)

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
    def symbol(self, name: str) -> int | None:
        """The address of a kernel symbol; None if unknown or hidden."""
        return functions.symbol_address(name)

    @kept
    def binary(self, name: str, pid: int = 0) -> str | None:
        """The path of a program or library; with a pid, as that process sees it."""
        return binaries.find_binary(name, pid)

    @kept
    def user_functions(self, path: str, name: str) -> tuple[UserFunction, ...]:
        """Functions of an ELF file that a `*` pattern matches, sorted by name."""
        return elf.functions(path, name)

    def pid_namespace(self) -> tuple[int, int] | None:
        """(device, inode) of our pid namespace, or None in the initial one."""
        try:
            status = os.stat("/proc/self/ns/pid")
        except OSError:
            return None
        return None if status.st_ino == _INITIAL_PID_NAMESPACE else (status.st_dev, status.st_ino)


def _build_key() -> str:
    """Names the running kernel's build for caches: release, version and the build id of its notes."""
    system = os.uname()
    try:
        notes = Path("/sys/kernel/notes").read_bytes()
    except OSError:
        notes = b""
    return f"{system.release} {system.version} {blake2b(notes, digest_size=12).hexdigest()}"
