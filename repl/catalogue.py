"""A machine → the names that can be completed, gathered once, on a thread."""

from __future__ import annotations

from lang.expand import HARDWARE_EVENTS, SOFTWARE_EVENTS
from lang.expand_events import ITERATOR
from lang.machine import Machine
from lang.records import dataclass
from lang.syscalls import syscall_names
from repl.search import Names

# the kinds that kernels have had (bpf_iter_reg_target in kernel/bpf, net and mm); asked of BTF by name
_ITERATORS = (
    "bpf_link", "bpf_map", "bpf_map_elem", "bpf_prog", "bpf_sk_storage_map", "cgroup", "dmabuf", "ipv6_route",
    "kmem_cache", "ksym", "netlink", "sockmap", "task", "task_file", "task_vma", "tcp", "udp", "unix",
)  # fmt: skip
UNITS = ("s", "ms", "us", "ns", "hz")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What this kernel has to be named. `ready` is False while it is still being read."""

    tracepoints: Names
    functions: Names
    raw_tracepoints: Names
    syscalls: Names
    iterators: Names
    ready: bool = True

    def targets(self, kind: str) -> Names | None:
        """The names behind `kind:`; None where there is no list."""
        match kind:
            case "tracepoint":
                return self.tracepoints
            case "rawtracepoint":
                return self.raw_tracepoints
            case "kprobe" | "kretprobe" | "fentry" | "fexit":
                return self.functions
            case "syscall" | "sysret":
                return self.syscalls
            case "iter":
                return self.iterators
            case "software":
                return Names.of(SOFTWARE_EVENTS)
            case "hardware":
                return Names.of(HARDWARE_EVENTS)
            case "interval" | "profile":
                return Names.of(f"{unit}:" for unit in UNITS)
        return None


_NONE = Names.of(())
EMPTY = Catalogue(_NONE, _NONE, _NONE, _NONE, _NONE, ready=False)


def catalogue_of(machine: Machine) -> Catalogue:
    """Ask the machine for all its names; a second or so on a large kernel the first time after boot."""
    return Catalogue(
        Names.of(f"{category}:{name}" for category, name in machine.tracepoints("*", "*")),
        Names.of(name for _, name in machine.functions("*")),
        Names.of(machine.raw_tracepoints("*")),
        Names.of(name for name in syscall_names(machine.arch) if name),
        Names.of(kind for kind in _ITERATORS if machine.struct("struct", f"{ITERATOR}{kind}") is not None),
    )

