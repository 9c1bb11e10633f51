"""The running system → the compiler's questions answered: `Machine` over BTF, tracefs, kallsyms and ELF."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from kernel import functions, tracefs
from kernel.base import KernelMachine, kept
from kernel.btf import Blob, Btf, BtfError, holds_name, read_blob
from kernel.cpus import possible_cpus
from kernel.typetable import TypeTable
from lang.checksum import blake2b
from lang.later import later
from lang.machine import Field, Support, Tracepoint

if TYPE_CHECKING:
    from kernel import elf, modules, unseen
    from kernel.features import LiveFeatures
else:  # few scripts need them
    elf, modules, unseen = map(later, ("kernel.elf", "kernel.modules", "kernel.unseen"))

_BTF_DIRECTORY = Path("/sys/kernel/btf")
# A member of struct pt_regs that no other architecture has.
_MARKS = {"x86_64": "orig_ax", "aarch64": "pstate"}
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO, include/linux/proc_ns.h


class LiveMachine(KernelMachine):
    """The kernel that runs this process. Nothing is read before it is asked for, nothing twice.

    Where tracefs is not mounted, `kernel.mounts.private_tracefs` must have run before the first question.
    `btf` is a file to use in place of /sys/kernel/btf/vmlinux. One that is missing or damaged raises BtfError
    at the first question that needs it; a kernel without BTF answers those with None.
    """

    def __init__(self, btf: Path | None = None) -> None:
        super().__init__()
        self._btf_path = btf

    @cached_property
    def types(self) -> TypeTable:
        """The kernel's types and prototypes."""
        return TypeTable(self._open_btf, self._module_readers)

    @cached_property
    def features(self) -> LiveFeatures:
        """What the kernel lets us do, found by trying."""
        module = import_module("kernel.features")  # its ctypes cost time that a mere compile need not pay
        features: LiveFeatures = module.LiveFeatures(self.types.function_id)
        return features

    @cached_property
    def _root(self) -> Path | None:
        return tracefs.find_tracefs()

    @cached_property
    def _unseen(self) -> unseen.UnseenTracepoints:
        return unseen.UnseenTracepoints(self.types)

    def _open_btf(self) -> Btf | None:
        if self._btf_path is not None:
            return _open_file(str(self._btf_path))
        try:
            blob = read_blob(_BTF_DIRECTORY / "vmlinux")
        except OSError:
            return None
        return Btf(blob, key=_build_key())

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

    @cached_property
    def cpus(self) -> int:
        """How many CPUs are possible."""
        return possible_cpus()

    def supports(self, feature: str) -> Support:
        """Whether this kernel can do a thing, and why not."""
        return self.features.supports(feature)

    @kept
    def tracepoints(self, category: str, name: str) -> tuple[tuple[str, str], ...]:
        """(category, name) of the tracepoints that two `*` patterns match, sorted."""
        if self._root is None:
            return self._unseen.match(category, name)
        return tracefs.match_tracepoints(self._root, category, name)

    @kept
    def tracepoint(self, category: str, name: str) -> Tracepoint | None:
        """A tracepoint's record by its format file, or by BTF where tracefs cannot be read."""
        if self._root is None:
            return self._unseen.tracepoint(category, name)
        text = self.tracepoint_format(category, name)
        return tracefs.parse_format(category, name, text, self.types) if text is not None else None

    def syscall_arguments(self, name: str) -> tuple[Field, ...] | None:
        """By this kernel's tracepoint, else by that of the recorded one: user programs rely on them."""
        own = super().syscall_arguments(name)
        if own is not None:
            return own
        known = self._unseen.tracepoint("syscalls", f"sys_enter_{name}")
        return known.fields if known is not None else None

    def tracepoint_format(self, category: str, name: str) -> str | None:
        """The text of a tracepoint's format file."""
        return tracefs.read_format(self._root, category, name)

    @cached_property
    def function_names(self) -> functions.FunctionNames:
        """The names of the traceable functions."""
        return functions.traceable_functions(self._root, self.types)

    @cached_property
    def without_kprobes(self) -> frozenset[str]:
        """Functions that the kernel keeps kprobes off, as debugfs lists them; none if it is not read."""
        return functions.without_kprobes()

    @kept
    def unloaded_module(self, function: str) -> str:
        """The module of this kernel that has the function and is not loaded; empty where there is none."""
        return modules.unloaded_module(function)

    @property
    def knows_symbols(self) -> bool:
        """Always; some may be hidden."""
        return True

    @kept
    def symbol(self, name: str) -> int | None:
        """The address of a kernel symbol; None if unknown or hidden."""
        return functions.symbol_address(name)

    def pid_namespace(self) -> tuple[int, int] | None:
        """(device, inode) of our pid namespace, or None in the initial one."""
        try:
            status = os.stat("/proc/self/ns/pid")
        except OSError:
            return None
        return None if status.st_ino == _INITIAL_PID_NAMESPACE else (status.st_dev, status.st_ino)


def _open_file(path: str) -> Btf:
    """The BTF of a file: of a vmlinux, or bare. Raises BtfError, also for another architecture's."""
    here = os.uname().machine
    try:
        if not elf.is_elf64(path):
            blob = read_blob(Path(path))
        elif elf.machine(path) != here:
            raise BtfError(f"{path}: a vmlinux for {elf.machine(path)}; this machine is {here}")
        else:
            blob = elf.section(path, ".BTF")
            if not blob:
                raise BtfError(f"{path}: an ELF file without a section .BTF")
    except OSError as problem:
        raise BtfError(f"{path}: {problem.strerror}") from None
    found = Btf(blob, path)
    mark = _MARKS.get(here, "")
    if mark and any(found.find("struct", "pt_regs")) and not holds_name(blob, mark):
        raise BtfError(f"{path}: BTF of another architecture; this machine is {here}")
    return found


def _build_key() -> str:
    """Names the running kernel's build for caches: release, version and the build id of its notes."""
    system = os.uname()
    try:
        notes = Path("/sys/kernel/notes").read_bytes()
    except OSError:
        notes = b""
    return f"{system.release} {system.version} {blake2b(notes, digest_size=12).hexdigest()}"
