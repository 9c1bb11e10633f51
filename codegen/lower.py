"""Checked script → Lowered: the plan for the runtime and the C program as data."""

from __future__ import annotations

from collections.abc import Iterator

from codegen import builtins, entry
from codegen.ctypes import TypeTable
from codegen.expressions import evaluate, store
from codegen.function import Function
from codegen.labels import Labels
from codegen.names import comment, identifier
from codegen.operators import conditions
from codegen.pieces import negated
from codegen.plan import Attach, Map, Plan, Settings
from codegen.plan import Program as PlannedProgram
from codegen.points import by_one_link, counted
from codegen.program import RING, Program, place_of
from codegen.statements import block, declare, statement
from codegen.unit import CFunction, Lowered, Unit
from lang import ast
from lang.checked import Body, Checked, Target
from lang.diagnostics import Diagnostic, ScriptError
from lang.expand_syscall import ENTER, EXIT
from lang.machine import Field, Machine
from lang.probes import BY_NAME, mechanism
from lang.types import UINT32, VOID, Array, Enum, Formatted, Record, Stack, Struct, Symbol, Tuple, Type

PAGE = 4096
MAX_SCRATCH = 32768  # PCPU_MIN_UNIT_SIZE, include/linux/percpu.h: the most that a per-CPU map's value has
DEFAULT_RING_BYTES = 16 << 20
RUNTIME_FEATURES = ("perf_link", "map_batch", "test_run")
_HIDDEN = "what the next program must know of its call's entry"


def lower(checked: Checked, machine: Machine) -> Lowered:
    """Lower every body; the result is plain data."""
    program = Program(checked, machine, TypeTable(machine), points=counted(checked))
    functions: list[CFunction] = []
    lowered: list[tuple[Function, bool]] = []
    for body in checked.bodies:
        function = _lower_body(program, body)
        functions += [_finish(program, inner, ()) for inner in _take(program.loop_bodies)]
        attached = tuple(comment(point.span.text) for point in body.probe.attach_points)
        if entry.entry_kind(function):
            _take_entry(program, function)
            hidden = _lower_entry(program, function)
            functions.append(_finish(program, hidden, (_HIDDEN,)))
            lowered.append((hidden, True))
        functions.append(_finish(program, function, attached))
        lowered.append((function, False))
    for info in checked.maps.values():
        if info.value is not None:
            program.user_map(info.name)
    program.declare_counters()
    program.declare_scratch()
    program.declare_labels()
    planned = [_plan_program(function, hidden) for function, hidden in lowered]
    settings = _settings(checked, program, machine)
    return Lowered(_plan(program, planned, settings), _unit(program, functions, settings))


def _take(functions: list[Function]) -> list[Function]:
    taken = list(functions)
    functions.clear()
    return taken


def _finish(program: Program, function: Function, attached: tuple[str, ...]) -> CFunction:
    """The whole text of a C function: its scratch area, its lines, its return."""
    number = len(program.scratch_bytes)
    if function.event_bytes:
        function.in_scratch("event", f"u64 event[{function.event_bytes // 8}]", function.event_bytes)
    if function.scratch:
        program.types.composite(f"{function.name}_scratch", function.scratch)
        program.scratch_bytes.append(_scratch_size(function))
        _refuse_too_large(function, program.scratch_bytes[-1])
    prologue = function.scratch_prologue(number)
    if function.record:
        program.types.record(f"{function.name}_record", list(function.record.values()))
    at = function.prologue_at
    lines = (*function.code.lines[:at], *prologue, *function.code.lines[at:])
    last = f"    return {0 if function.callback else function.exit_value};"
    if not lines or lines[-1] != last:
        lines = (*lines, last)
    return CFunction(function.name, function.context, attached or ("a loop's body",), lines)


def _lower_body(program: Program, body: Body) -> Function:
    function = Function(program, body, evaluate, store, statement)
    function.name = function.root = program.function_names.fresh(_function_name(body))
    function.context = _context(body.targets[0])
    _filter_process(function)
    if body.targets[0].kind == "iter":
        _refuse_the_end(function)
    filters: list[ast.Expression] = []
    if BY_NAME[function.target.kind].entry:
        for word in ("which", "entered", "call", "duration"):
            function.names.fresh(word)
        filters = entry.filters(function)
        _filter_calls(function, filters)
    function.filtered_at = len(function.code.lines)
    if body.probe.predicate is not None:
        _predicate(function, filters)
    # The scratch area is looked up after the filters, unless these need it themselves.
    function.prologue_at = 0 if function.scratch else len(function.code.lines)
    for info in body.hoisted:
        declare(function, info)
    block(function, body.probe.body)
    return function


def _take_entry(program: Program, f: Function) -> None:
    """Put the look-up of the call's entry behind the filters that its hidden program has too."""
    lines = entry.prologue(program, f)
    f.code.lines[f.filtered_at : f.filtered_at] = lines
    if f.prologue_at:
        f.prologue_at += len(lines)


def _lower_entry(program: Program, exit: Function) -> Function:
    function = entry.entry_targets(exit)
    function.name = function.root = program.function_names.fresh(f"{exit.name}_entry")
    function.context = _context(function.target)
    _filter_process(function)
    _filter_calls(function, entry.filters(exit))
    entry.write_entry(program, function, exit)
    return function


def _predicate(f: Function, seen: list[ast.Expression]) -> None:
    """The script's predicate, but for the conditions that were looked at already."""
    predicate = f.body.probe.predicate
    assert predicate is not None
    if f.program.checked.live_branch(predicate.condition):
        return
    f.code.at(predicate.span)
    f.code.line(f"// {comment(predicate.span.text)}")
    for node in conditions(f, predicate.condition):
        if node not in seen:
            _require(f, node)


def _require(f: Function, node: ast.Expression) -> None:
    f.code.line(f"if ({negated(f.evaluate(node).text)})")
    f.code.line(f"    return {f.exit_value};")


def _filter_calls(f: Function, conditions: list[ast.Expression]) -> None:
    """What the entry and the return of a call are filtered by alike."""
    for node in conditions:
        f.code.at(node.span)
        _require(f, node)


def _filter_process(f: Function) -> None:
    """-p for the kernel-wide kinds; user probes and perf events are filtered by the kernel at attach."""
    pid = f.program.checked.pid
    if not pid or f.target.kind not in (
        "tracepoint",
        "syscall",
        "sysret",
        "rawtracepoint",
        "kprobe",
        "kretprobe",
        "fentry",
        "fexit",
    ):
        return
    own = builtins.read(f, "pid", UINT32)
    assert own is not None
    f.code.line(f"if ({own.text} != {pid})")
    f.code.line(f"    return {f.exit_value};")


def _refuse_the_end(f: Function) -> None:
    """After the last object an iterator's program runs once more, without one: {meta, object, …}."""
    f.code.line("if (!((u64 *)ctx)[1])")
    f.code.line(f"    return {f.exit_value};")


def _function_name(body: Body) -> str:
    target = body.targets[0]
    kind = BY_NAME[target.kind]
    if kind.special:
        return f"on_{target.kind}"
    if target.kind in ("profile", "interval", "software", "hardware", "watchpoint", "iter"):
        return identifier("on_" + target.label)
    several = len(body.targets) > 1
    name = target.kind if several else target.name
    suffix = "_return" if kind.retval else ""
    return identifier(f"on_{name}{suffix}")


def _context(target: Target) -> str:
    way = mechanism(target)
    if way in ("kprobe", "kretprobe", "uprobe", "uretprobe"):
        return "struct pt_regs *ctx"
    if way in ("fentry", "fexit", "raw_tracepoint"):
        return "u64 *ctx"
    return "void *ctx"


def _scratch_size(function: Function) -> int:
    """Bytes of the scratch struct: its members, each aligned to 8. The C compiler checks the sum."""
    return sum(-(-size // 8) * 8 for size in function.scratch_sizes)


def _refuse_too_large(function: Function, size: int) -> None:
    if size > MAX_SCRATCH:
        message = f"this probe needs {size} bytes of memory for its strings and other large values"
        hints = (
            f"the limit is {MAX_SCRATCH}: the kernel gives no more to one CPU",
            "str(pointer, 64) takes less, and so does config = { max_strlen = 64 }",
        )
        raise ScriptError([Diagnostic("error", function.body.probe.span, message, hints)])


def _plan_program(function: Function, hidden: bool) -> PlannedProgram:
    way = function.mechanism
    attach = tuple(_attach(target, number) for number, target in enumerate(function.body.targets))
    labels = function.program.labels.get(function.name, Labels())
    numbered = function.name in function.program.numbered
    each = numbered or (labels.size > 0 and not labels.indexed)
    many = by_one_link(function) and not each
    return PlannedProgram(
        function.name, way, attach, tuple(function.callbacks), hidden, many,  # type: ignore[arg-type]
        labels.records, labels.at, labels.size, each,
    )  # fmt: skip


def _attach(target: Target, number: int) -> Attach:
    prefix = {"syscall": ENTER, "sysret": EXIT}.get(target.kind, "")
    name = target.symbol or prefix + target.name
    return Attach(
        target.label, place_of(target.span), target.category, name, target.module,
        target.path, target.offset, target.pid, target.perf_type, target.perf_config, target.period,
        target.frequency, "all" if target.all_cpus else "first", target.semaphore,
        target.length, "*" in target.span.text or "${" in target.span.text, number,
    )  # fmt: skip


def _settings(checked: Checked, program: Program, machine: Machine) -> Settings:
    given = checked.settings
    ring = given.perf_rb_pages * PAGE if given.perf_rb_pages else DEFAULT_RING_BYTES
    ring = 1 << max(12, (ring - 1).bit_length())
    structs: dict[int, tuple[Field, ...]] = {}
    for kind in _printed_types(program):
        _collect_structs(kind, machine, structs)
    printed = [*_printed_types(program), *(item.type for fields in structs.values() for item in fields)]
    parts = [part for kind in printed for part in _parts(kind)]
    enums = sorted({part.name for part in parts if isinstance(part, Enum)})
    return Settings(
        ring_bytes=ring,
        print_maps_on_exit=given.print_maps_on_exit,
        truncation_trailer=given.str_trunc_trailer,
        missing_probes=given.missing_probes,
        license=given.license,
        max_cat_bytes=given.max_cat_bytes,
        enums=tuple((name, _constants(machine, name)) for name in enums),
        structs=tuple(structs.items()),
        user_code=any(map(_is_user_code, parts)),
        debugs="trace_printk" in program.helpers,
        without=tuple(name for name in RUNTIME_FEATURES if not machine.supports(name).works),
    )


def _printed_types(program: Program) -> list[Type]:
    kinds = [field.type for event in program.events for field in event.fields]
    for spec in program.maps.values():
        kinds += [spec.value] if spec.key is None else [spec.value, spec.key]
    return kinds


def _collect_structs(kind: Type, machine: Machine, found: dict[int, tuple[Field, ...]]) -> None:
    """The members of every struct that a value holds; what pointers point to is not printed."""
    match kind:
        case Struct() if kind.id not in found:
            found[kind.id] = machine.fields(kind)
            for item in found[kind.id]:
                _collect_structs(item.type, machine, found)
        case Array(of):
            _collect_structs(of, machine, found)
        case Tuple(elements) | Record(_, elements):
            for element in elements:
                _collect_structs(element, machine, found)


def _parts(kind: Type) -> Iterator[Type]:
    """A printed type, and those that are within it."""
    yield kind
    match kind:
        case Tuple(elements) | Record(_, elements):
            for item in elements:
                yield from _parts(item)
        case Array(of) | Formatted(_, of):
            yield from _parts(of)


def _is_user_code(kind: Type) -> bool:
    return isinstance(kind, Stack | Symbol) and kind.space == "user"


def _constants(machine: Machine, name: str) -> tuple[tuple[int, str], ...]:
    return tuple((value, constant) for constant, value in machine.enum_values(name).items())


def _plan(program: Program, planned: list[PlannedProgram], settings: Settings) -> Plan:
    maps = list(program.maps.values())
    if program.events:
        if program.has_ringbuf:
            maps.append(Map(RING, "", "ringbuf", None, VOID, 0, 0, settings.ring_bytes))
        else:
            maps.append(Map(RING, "", "perf_array", UINT32, VOID, 4, 4, 0))
    script = program.checked.script.span.source.name
    return Plan(
        script, tuple(planned), tuple(maps), tuple(program.events), tuple(program.failures),
        settings=settings, named=tuple(program.named),
    )  # fmt: skip


def _unit(program: Program, functions: list[CFunction], settings: Settings) -> Unit:
    return Unit(
        script=program.checked.script.span.source.name,
        machine=program.machine.title,
        structs=tuple(program.types.declarations()),
        maps=tuple(program.tables.values()),
        ring=RING if program.events else "",
        ring_pages=settings.ring_bytes // PAGE if program.has_ringbuf else 0,
        helpers=tuple(program.helpers),
        functions=tuple(functions),
        cpus=program.machine.cpus,
        readers=tuple(program.readers),
        defines=tuple(program.defines.items()),
        reads_by_space=program.machine.supports("probe_read_kernel").works,
    )
