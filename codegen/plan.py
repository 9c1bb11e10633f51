"""The contract between compiler and runtime: programs, maps, events, formats, as plain data.

Everything here is frozen and goes to JSON and back, so a plan can be saved, compared and cached.
C struct layouts are those of `lang.types`: the emitter and the decoder both ask there.
"""

from __future__ import annotations

from typing import Literal

from lang.machine import Field
from lang.records import dataclass
from lang.types import Type

ProgramKind = Literal[
    "tracepoint",
    "raw_tracepoint",
    "kprobe",
    "kretprobe",
    "fentry",
    "fexit",
    "uprobe",
    "uretprobe",
    "perf_event",
    "iter",
    "special",
]
Action = Literal[
    "printf", "print_value", "print_map", "clear", "zero", "time", "exit", "join", "cat", "system",
    "errorf", "warnf", "emit", "table", "screen", "folded", "stacked",
]  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A position in the script, for messages at run time: lines and columns count from 1.

    `text` is the whole line, `width` how many of its characters are meant.
    """

    file: str
    line: int
    column: int
    text: str = ""
    width: int = 1


@dataclass(frozen=True)
class Attach:
    """One attach point of one program.

    `label` is bpftrace's `probe` text. What is filled depends on the program's kind:
    tracepoint: `category`, `name`; raw_tracepoint: `name`; kprobe, kretprobe, fentry, fexit:
    `name` (function), `module`, `offset` (bytes into it); uprobe, uretprobe: `path`, `offset` (file
    offset), `pid`, `semaphore`; perf_event: `perf_type`, `perf_config`, `period` or `frequency`, `cpus`,
    `pid`; where `perf_type` is that of breakpoints, `offset` is the address, `perf_config` the kind of access
    and `length` the bytes; iter: `name`, of what is listed; special: `name` is `begin`, `end` or `self`.
    """

    label: str
    place: Place
    category: str = ""
    name: str = ""
    module: str = ""
    path: str = ""
    offset: int = 0
    pid: int = 0
    perf_type: int = 0
    perf_config: int = 0
    period: int = 0  # events, or nanoseconds for the clocks
    frequency: int = 0  # samples a second
    cpus: Literal["all", "first"] = "all"
    semaphore: int = 0  # of a static probe: the file offset of the counter of those who look
    length: int = 0  # of what a watchpoint watches
    matched: bool = False  # by a wildcard: what cannot be attached of it is left out, and told
    number: int = 0  # among the program's points: what a program of many that asks for its point is told


@dataclass(frozen=True)
class Program:
    """One C function and where it is attached.

    `callbacks` are the C functions that it hands to looping helpers, with what kind of helper calls them.
    A `hidden` program is not the script's: it remembers the entries of the calls whose returns the next
    program sees, point by point. `many`: one link attaches it to all its functions
    (kprobe_multi), or to those of one file (uprobe_multi).

    `labels` are texts that differ from point to point, where the program shows them: each takes `label_size`
    bytes of the map `ebt_labels`, the first at `label_at`. A program that is not told its point is loaded for
    `each` of them: its references to the map are given the place of that point's text (BPF_PSEUDO_MAP_VALUE,
    d8eca5bbb2be), those to `ebt_point` the point's number.
    """

    name: str
    kind: ProgramKind
    attach: tuple[Attach, ...]
    callbacks: tuple[tuple[str, Literal["each", "loop"]], ...] = ()
    hidden: bool = False
    many: bool = False
    labels: tuple[str, ...] = ()
    label_at: int = 0
    label_size: int = 0
    each: bool = False


@dataclass(frozen=True)
class Map:
    """One BPF map. `script_name` is `@name` for the user's own, empty for ebt's.

    `kind` is the kernel's map type. `key` is None for a scalar map, which is an array (per-CPU for
    aggregates) of one entry; hist, lhist: of one entry a bucket. A keyed hist has the bucket number as a
    trailing u64 of the key: {key, padding to 8, u64 bucket}. A scalar map's value is the
    type's layout followed by a u64 that is not 0 once the map was written, at the next multiple of 8;
    count, min, max, avg, stats, hist and lhist have none, as zero entries say the same.
    With `points` it is an array of counters, one for each of these keys, in order; one of zero is no entry.
    `added`: no program reads it or sets it back, and each CPU only adds to its own numbers, 64 bits each.
    Sizes are bytes, those of keys as the script has them.
    """

    name: str
    script_name: str
    kind: Literal[
        "hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "array", "percpu_array", "ringbuf", "perf_array"
    ]
    key: Type | None
    value: Type
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    points: tuple[str, ...] = ()
    added: bool = False

    @property
    def real_key_size(self) -> int:
        """The key's size as the kernel knows it."""
        return 4 if self.points else self.key_size


@dataclass(frozen=True)
class EventField:
    type: Type
    offset: int


@dataclass(frozen=True)
class Column:
    """One column of a row or a table: its title in text, its name in JSON."""

    title: str
    key: str


@dataclass(frozen=True)
class TableCell:
    """One column that table() was asked to show: `source` is the place in `Event.columns`.

    With `map` (C name) what that map holds under this part of the key is shown.
    """

    title: str
    key: str
    source: int
    type: Type | None = None  # of a formatter that makes text of the number
    map: str = ""


@dataclass(frozen=True)
class Event:
    """One emitting statement: a record {u32 site; u32 unused; fields} of `size` bytes.

    printf, cat, system, errorf, warnf: `text` is the format. join: {u32 count, char[16][1024]}, `text` stands
    between them. screen: nothing. print_value: one field. print_map, clear, zero: `map` (C name), `top`,
    `div`. time: `text` is the strftime format. exit: one field, the code. emit: a column for each field.
    table: `map`, `columns` for the key's parts and then the value's fields, `top`, and in `text` the name of
    the column to sort by; `cells` are what it shows, where the script says so; `begins` is how the first part
    of the key begins in the rows to show. folded, stacked: `map`, `text` stands between the stacks; with
    `offsets` stacked shows how far in its function each frame is. `takes`: the map is emptied as it is read,
    as the script clears it next.
    """

    site: int
    action: Action
    size: int
    place: Place
    fields: tuple[EventField, ...] = ()
    text: str = ""
    map: str = ""
    top: int = 0
    div: int = 0
    columns: tuple[Column, ...] = ()
    cells: tuple[TableCell, ...] = ()
    begins: str = ""
    takes: bool = False
    offsets: bool = False


# maps of one entry, which programs reach by its address
LOST = "ebt_lost"
SETTINGS = "ebt_settings"


@dataclass(frozen=True)
class Failure:
    """A way in which one statement can fail at run time, such as a full map: counted in the map `ebt_lost`.

    That is an array of one entry, of u64: the first counts lost events, number 1 + i `Plan.failures[i]`.
    """

    place: Place
    text: str
    expected: bool = False  # once for each thread: it may be in such a call when probes are attached


@dataclass(frozen=True)
class Settings:
    """What the script's config block (or the environment) says to the runtime."""

    ring_bytes: int = 16 << 20
    print_maps_on_exit: bool = True
    truncation_trailer: str = ".."
    missing_probes: Literal["error", "warn", "ignore"] = "error"
    license: str = "GPL"
    max_cat_bytes: int = 10240
    enums: tuple[tuple[str, tuple[tuple[int, str], ...]], ...] = ()  # name → (value, constant)
    without: tuple[str, ...] = ()  # of perf_link, map_batch and test_run, what the kernel has not
    structs: tuple[tuple[int, tuple[Field, ...]], ...] = ()  # id → members, of structs that are printed whole
    user_code: bool = False  # addresses of processes' code are printed, as stacks or by themselves
    debugs: bool = False  # debugf() writes to the trace


@dataclass(frozen=True)
class Plan:
    """All that the runtime needs beside the C text.

    `uses_start_time`: the map `ebt_settings` (array of one {u64 start_ns; u64 cpid; u64 tai_offset}) must
    be filled before the first program runs. `named` are the maps and callbacks that the C refers to by
    number, as `bpf_pseudo_fd(1, 0xEB700000 + i)`. The C text itself says which script line each of
    its lines is from (#line).
    """

    script: str
    programs: tuple[Program, ...]
    maps: tuple[Map, ...]
    events: tuple[Event, ...]
    failures: tuple[Failure, ...] = ()
    settings: Settings = Settings()
    named: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether there is anything to wait for once `begin` has run."""
        return any(item.kind != "special" or item.attach[0].name == "self" for item in self.programs)

    @property
    def points(self) -> int:
        """How many attach points the script has here."""
        return sum(len(program.attach) for program in self.programs if not program.hidden)
