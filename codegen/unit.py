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
class Unit:
    """One C program. `helpers` names the templates in templates/helpers/ that it needs, in order."""

    script: str
    machine: str
    structs: tuple[Declaration, ...]
    maps: tuple[CMap, ...]
    ring: str
    ring_pages: int
    helpers: tuple[str, ...]
    functions: tuple[CFunction, ...]
    cpus: int
    defines: tuple[tuple[str, int], ...] = ()
    path_steps: int = 64


@dataclass(frozen=True)
class Lowered:
    plan: Plan
    unit: Unit
