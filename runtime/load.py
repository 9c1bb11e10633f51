"""Plan and Object → maps and programs in the kernel: a Loaded that attaches, runs and takes all back."""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Literal, Protocol

from codegen.labels import LABELS
from codegen.plan import Attach, Map, Place, Plan, Program, ProgramKind
from kernel.bpfcall import (
    ATTACH_FENTRY,
    ATTACH_FEXIT,
    ATTACH_ITER,
    ATTACH_KPROBE_MULTI,
    ATTACH_UPROBE_MULTI,
    MAP_KINDS,
    BpfError,
    btf_object,
    iter_create,
    map_create,
    map_update,
    prog_load,
    prog_test_run,
)  # fmt: skip
from kernel.cpus import possible_cpus
from kernel.limits import raise_limits
from kernel.mounts import tracefs_place
from kernel.privilege import not_permitted
from lang.diagnostics import CompilerBug
from lang.records import replace
from runtime.attach import USER, Attached, Attacher, AttachError, enable_printk
from runtime.callbacks import Linked, function_btf, link_program
from runtime.detach import detach_all
from runtime.object import Code, MapSpec, Object

if TYPE_CHECKING:
    from kernel.typetable import TypeTable

_KINDS: dict[ProgramKind, str] = {
    "tracepoint": "tracepoint", "raw_tracepoint": "raw_tracepoint", "special": "raw_tracepoint",
    "kprobe": "kprobe", "kretprobe": "kprobe", "uprobe": "kprobe", "uretprobe": "kprobe",
    "fentry": "tracing", "fexit": "tracing", "perf_event": "perf_event", "iter": "tracing",
}  # fmt: skip


Points = list[tuple[int, Attach]]  # with their places in the program's list
# loaded for one function of the kernel each
_TYPED: dict[ProgramKind, int] = {"fentry": ATTACH_FENTRY, "fexit": ATTACH_FEXIT, "iter": ATTACH_ITER}
_NONE = -1  # no descriptor: the kernel refused the program for this point
_VERIFIED = re.compile(r"^\d+: \(", re.MULTILINE)  # the verifier got as far as an instruction


class LoadError(Exception):
    """A map or program that the kernel refused: errno, the verifier's log, and the place in the script."""

    def __init__(self, message: str, number: int, log: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.errno = number
        self.log = log
        self.place = place


class HasTypes(Protocol):
    """What load() needs of the machine, for fentry and fexit: the running kernel's BTF."""

    @property
    def types(self) -> TypeTable: ...


def create_maps(plan: Plan) -> Loaded:
    """The maps of a plan, which can be made while its programs are still being compiled. Raises LoadError."""
    raise_limits()
    loaded = Loaded(plan)
    try:
        for item in plan.maps:
            loaded.maps[item.name] = _create(item, plan)
            if item.name == LABELS:
                map_update(loaded.maps[item.name], bytes(item.key_size), _labels(plan, item.value_size))
    except BaseException:
        loaded.close()
        raise
    return loaded


def load(
    plan: Plan, obj: Object, machine: HasTypes | None = None, c_text: str = "", early: Loaded | None = None
) -> Loaded:
    """Create the maps and load the programs of a plan; nothing is attached yet.

    `c_text`, the C that the object was compiled from, lets a LoadError name the script's line. `early` is
    what create_maps gave for a plan: it is used if the maps are still the same ones, and closed if not.
    Raises LoadError, with nothing left in the kernel.
    """
    if early is not None and early.plan.maps == plan.maps and early.plan.settings == plan.settings:
        loaded, early.plan = early, plan
    else:
        if early is not None:
            early.close()
        loaded = create_maps(plan)
    try:
        for item in plan.maps:
            _compare(item, next((spec for spec in obj.maps if spec.name == item.name), None))
        for program in plan.programs:
            loaded.programs.append(_load_program(program, obj, plan, loaded, machine, c_text))
        if plan.settings.debugs:
            enable_printk(tracefs_place())
    except BaseException:
        loaded.close()
        raise
    return loaded


class Loaded:
    """A plan in the kernel. As a context manager it detaches and closes everything at the end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.maps: dict[str, int] = {}
        self.programs: list[tuple[Program, list[int]]] = []  # one descriptor, or one for each attach point
        self.refused: dict[tuple[str, int], LoadError] = {}  # points that a program could not be loaded for
        self.singles: dict[str, Callable[[], int]] = {}  # load a program of many points for one at a time
        self.attached: list[Attached] = []

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map_fd(self, name: str) -> int:
        """The descriptor of a map by its C name."""
        return self.maps[name]

    def attach_all(self, refused: Callable[[AttachError], None] | None = None, child: int = 0) -> int:
        """Attach every program to its points, in the plan's order; how many of the script's were attached.

        `refused` hears of each point that cannot be attached, and the rest goes on; without it the first
        refusal detaches what was attached and raises AttachError. User probes that are for no process in
        particular are for the process `child`, if there is one, as bpftrace's are with -c.
        """
        attacher = Attacher(tracefs_place(), "perf_link" not in self.plan.settings.without)
        tracepoints = (program.attach for program, _ in self.programs if program.kind == "tracepoint")
        attacher.look_up(chain.from_iterable(tracepoints))
        count = 0
        without_entry: set[int] = set()  # points of the next program whose hidden entry was refused
        for program, descriptors in self.programs:
            if program.kind == "special":
                continue
            skipped, without_entry = without_entry, set()
            points = [(index, point) for index, point in enumerate(program.attach) if index not in skipped]
            shared = 0
            if program.many and not (child and program.kind in USER):
                left = self._attach_many(attacher, program, descriptors, points)
                shared, points = len(points) - len(left), left
            for index, point in points:
                try:
                    if child and not point.pid and program.kind in USER:
                        point = replace(point, pid=child)
                    done = self._attach(attacher, program, descriptors, index, point)
                    done.hidden = program.hidden
                    self.attached.append(done)
                    shared += 1
                except AttachError as error:
                    if refused is None:
                        self.detach()
                        raise
                    refused(error)
                    without_entry.add(index)
            if program.hidden:
                continue
            count += shared
            without_entry = set()
        return count

    def _attach(
        self, attacher: Attacher, program: Program, descriptors: list[int], index: int, point: Attach
    ) -> Attached:
        if program.many and len(descriptors) == 1:
            descriptors.append(self.singles[program.name]())
        prog_fd = descriptors[-1] if program.many else descriptors[min(index, len(descriptors) - 1)]
        if prog_fd == _NONE:
            refusal = self.refused[program.name, index]
            raise AttachError(point, refusal.errno, str(refusal).partition(": ")[2])
        return attacher.attach(program.kind, point, prog_fd)

    def _attach_many(
        self, attacher: Attacher, program: Program, descriptors: list[int], points: Points
    ) -> Points:
        """Attach by one link what its name tells, or what lies in one file; the points that are left.

        Those are attached one at a time, and have a program of their own: one that was loaded for many points
        cannot be attached to one.
        """
        done, left = attacher.attach_many(program.kind, [point for _, point in points], descriptors[0])
        for item in done:
            item.hidden = program.hidden
        self.attached += done
        waiting = set(left)
        return [item for item in points if item[1] in waiting]

    def run_special(self, name: Literal["begin", "end", "self"]) -> int:
        """Run the `begin`, `end` or `self` programs in this process, in the plan's order; how many."""
        ran = 0
        for program, descriptors in self.programs:
            if program.kind == "special" and program.attach[0].name == name:
                try:
                    if "test_run" in self.plan.settings.without:
                        import_module("runtime.atwill").run_by_uprobe(descriptors[0])
                    else:
                        prog_test_run(descriptors[0])
                except BpfError as error:
                    what = "this kernel cannot run a program at will (BPF_PROG_TEST_RUN, Linux 5.10)"
                    raise LoadError(f"cannot run {name}: {what}", error.errno or errno.EIO) from error
                ran += 1
        return ran

    def iterate(self) -> bool:
        """Let each attached iterator run through all its objects; whether there was one.

        A read runs the program until it has written a page, or for many objects; at the end it gives nothing.
        """
        found = [item for item in self.attached if item.kind == "iter"]
        for item in found:
            fd = iter_create(item.descriptors[0])
            try:
                while os.read(fd, 1 << 16):
                    continue
            finally:
                os.close(fd)
        return bool(found)

    def detach(self) -> None:
        """Take the programs off their points; a second call does nothing."""
        detach_all(self.attached)

    def close(self) -> None:
        """Detach, then give programs and maps back to the kernel; a second call does nothing."""
        self.detach()
        while self.programs:
            _close(self.programs.pop()[1])
        while self.maps:
            os.close(self.maps.popitem()[1])


# --- maps -------------------------------------------------------------------------------------------


def _create(item: Map, plan: Plan) -> int:
    entries = item.max_entries
    if not entries and item.kind in ("ringbuf", "perf_array"):
        entries = plan.settings.ring_bytes if item.kind == "ringbuf" else possible_cpus()
    key_size, value_size = (0, 0) if item.kind == "ringbuf" else (item.real_key_size, item.value_size)
    try:
        return map_create(item.kind, key_size, value_size, entries, item.flags, item.name)
    except BpfError as error:
        name = item.script_name or item.name
        number = error.errno or errno.EIO
        raise LoadError(f"cannot create the map {name}: {_map_reason(number, item)}", number) from error


def _compare(item: Map, spec: MapSpec | None) -> None:
    """The C text and the plan say the same of a map, or one is wrong. A numbered reference has no spec."""
    if spec is None or item.kind == "ringbuf":
        return
    planned = (MAP_KINDS[item.kind], item.real_key_size, item.value_size)
    declared = (spec.kind, spec.key_size, spec.value_size)
    if planned != declared:
        raise CompilerBug(f"map {item.name}: planned as {planned}, compiled as {declared} (kind, key, value)")


def _map_reason(number: int, item: Map) -> str:
    if number == errno.EPERM:
        locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        unlimited = locked == resource.RLIM_INFINITY
        return not_permitted() + ("" if unlimited else f" (or the locked memory limit of {locked} bytes)")
    if number in (errno.ENOMEM, errno.E2BIG):
        size = f"{item.key_size} + {item.value_size} bytes"
        return f"{item.max_entries} entries of {size} are too much for this kernel"
    return os.strerror(number)


def _labels(plan: Plan, size: int) -> bytes:
    """What the map of labels holds."""
    held = bytearray(size)
    for program in plan.programs:
        for index, text in enumerate(program.labels):
            at = program.label_at + index * program.label_size
            held[at : at + len(text.encode())] = text.encode()
    return bytes(held)


# --- programs ---------------------------------------------------------------------------------------


def _load_program(
    program: Program, obj: Object, plan: Plan, loaded: Loaded, machine: HasTypes | None, c_text: str
) -> tuple[Program, list[int]]:
    code = obj.program(program.name)
    if code is None:
        raise CompilerBug(f"the C text has no function {program.name}")
    def link(index: int) -> Linked:
        at = program.label_at + index * program.label_size
        try:
            return link_program(code, obj, loaded.maps, dict(program.callbacks), at, index)
        except KeyError as error:
            raise CompilerBug(f"{program.name} uses {error}, which is not in the plan") from error

    descriptors: list[int] = []
    linked = link(0)
    points = program.attach if program.kind in _TYPED or program.each else program.attach[:1]
    try:
        for index, point in enumerate(points):
            linked = link(index) if index and program.each else linked
            try:
                descriptors.append(_load_code(program, code, linked, point, plan, obj, machine, c_text))
            except LoadError as error:
                if not _may_be_missing(program, point, plan, error):
                    raise
                loaded.refused[program.name, index] = error
                descriptors.append(_NONE)
    except BaseException:
        _close(descriptors)
        raise
    if program.many:
        single = replace(program, many=False)
        loaded.singles[program.name] = partial(
            _load_code, single, code, linked, points[0], plan, obj, machine, c_text
        )
    return program, descriptors


def _may_be_missing(program: Program, point: Attach, plan: Plan, error: LoadError) -> bool:
    """Whether the function, not the program, is what the kernel refuses, and the script bears it."""
    borne = point.matched or plan.settings.missing_probes != "error"
    if not borne or program.kind not in ("fentry", "fexit"):
        return False
    return not _VERIFIED.search(error.log)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        if descriptor != _NONE:
            os.close(descriptor)


def _load_code(
    program: Program, code: Code, linked: Linked, point: Attach, plan: Plan, obj: Object,
    machine: HasTypes | None, c_text: str,
) -> int:  # fmt: skip
    """Load for one attach point: a fentry or fexit program is bound to its function when it is loaded."""
    expected, btf_id, owner, kind = 0, 0, None, _KINDS[program.kind]
    if program.kind == "special" and "test_run" in plan.settings.without:
        kind = _KINDS["uprobe"]
    btf, info = function_btf(linked) if len(linked.functions) > 1 else (b"", b"")
    try:
        if program.many:
            expected = ATTACH_UPROBE_MULTI if program.kind in USER else ATTACH_KPROBE_MULTI
        elif program.kind in _TYPED:
            expected = _TYPED[program.kind]
            name = f"bpf_iter_{point.name}" if program.kind == "iter" else point.name
            btf_id, owner = _function(point, machine, name)
        return prog_load(
            kind, linked.insns, plan.settings.license, program.name,
            expected_attach_type=expected, attach_btf_id=btf_id, attach_btf_obj_fd=owner or 0,
            btf=btf, function_info=info,
        )  # fmt: skip
    except BpfError as error:
        number = error.errno or errno.EIO
        silent = number in (errno.EPERM, errno.EACCES) and not error.log.strip()
        refusal = import_module("runtime.refusal")  # only a refused program needs it
        reason = not_permitted() if silent else refusal.explain(number, error.log)
        place = refusal.position(error.log, code, c_text, obj.map_names) or point.place
        raise LoadError(f"the kernel refused {point.label}: {reason}", number, error.log, place) from error
    finally:
        if owner is not None:
            os.close(owner)


def _function(point: Attach, machine: HasTypes | None, name: str) -> tuple[int, int | None]:
    """(BTF id, descriptor of the module's BTF or None for the core) of the function to attach to."""
    core = point.module in ("", "vmlinux")
    holder = None
    if machine is not None:
        holder = machine.types.core if core else machine.types.module(point.module)
    found = holder.find("func", name) if holder is not None else iter(())
    number = next((item for item in found if core or (holder and item >= holder.first)), None)
    if number is None:
        where = "" if core else f" of {point.module}"
        message = f"cannot attach {point.label}: this kernel's BTF{where} has no function {name}"
        raise LoadError(message, errno.ENOENT, place=point.place)
    return number, None if core else btf_object(point.module)
