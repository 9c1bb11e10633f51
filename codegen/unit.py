"""The C program as data: what the lowering collects, what the template prints."""

from __future__ import annotations

from codegen.ctypes import Declaration
from codegen.plan import Plan
from lang.records import dataclass


@dataclass(frozen=True)
class CMap:
    """One BPF_TABLE: `table` is BCC's name of the map type."""

    table: str
    key: str
    value: str
    name: str
    entries: int
    comment: str = ""


@dataclass(frozen=True)
class CFunction:
    """One program: `attached` are the script's attach points, for the comment above it."""

    name: str
    context: str
    attached: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Reader:
    """A function that reads an aggregation over all CPUs: total, mean, least or most, of u64 or s64."""

    kind: str
    number: str


@dataclass(frozen=True)
class Unit:
    """One C program. `helpers` names the templates in templates/helpers/ that it needs, in order.

    `ring` is the map that events go through: a ring buffer of so many pages, or with 0 a perf buffer a CPU.
    """

    script: str
    machine: str
    structs: tuple[Declaration, ...]
    maps: tuple[CMap, ...]
    ring: str
    ring_pages: int
    helpers: tuple[str, ...]
    functions: tuple[CFunction, ...]
    cpus: int
    readers: tuple[Reader, ...] = ()
    defines: tuple[tuple[str, int], ...] = ()
    path_steps: int = 64
    reads_by_space: bool = True  # bpf_probe_read_kernel and _user, since 5.5


@dataclass(frozen=True)
class Lowered:
    plan: Plan
    unit: Unit
