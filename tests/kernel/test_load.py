"""Compile, load, attach and run on the running kernel: C text and a plan in, map contents out."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codegen.plan import Attach, Map, Place, Plan, Program, ProgramKind, Settings
from kernel import bpfcall
from kernel.cpus import online_cpus, possible_cpus
from kernel.mounts import private_tracefs
from kernel.tracefs import find_tracefs
from lang.diagnostics import CompilerBug
from lang.types import UINT64
from runtime.attach import AttachError
from runtime.bpf import compile_c
from runtime.load import Loaded, LoadError, load
from runtime.object import Object

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.kernel

PLACE = Place("x.ebt", 1, 1)
COUNTS = Map("counts", "@", "percpu_array", None, UINT64, 4, 8, 4)
COUNT_C = """
BPF_TABLE("percpu_array", u32, u64, counts, 4);
static inline void count(u32 slot) {
  u64 *value = counts.lookup(&slot);
  if (value) *value += 1;
}
"""


@pytest.fixture(scope="module", autouse=True)
def tracefs() -> None:
    """A mount of tracefs that only this process sees, where the system has none."""
    if not private_tracefs():
        pytest.skip("no tracefs")


def program(name: str, kind: ProgramKind, *points: Attach) -> Program:
    return Program(name, kind, points)


def point(label: str, **fields: object) -> Attach:
    return Attach(label, PLACE, **fields)  # type: ignore[arg-type]


def plan(*programs: Program, maps: tuple[Map, ...] = (COUNTS,), **settings: object) -> Plan:
    return Plan("x.ebt", programs, maps, (), Settings(**settings))  # type: ignore[arg-type]


def counted(loaded: Loaded, slot: int = 0) -> list[int]:
    """The count of a slot on each processor."""
    count = possible_cpus()
    value = bpfcall.map_lookup(loaded.map_fd("counts"), slot.to_bytes(4, "little"), 8 * count)
    assert value is not None
    return [int.from_bytes(value[at : at + 8], "little") for at in range(0, 8 * count, 8)]


def simple(body: str = "count(0);") -> str:
    return COUNT_C + "int p(void *ctx) {\n" + body + "\nreturn 0;\n}\n"


@pytest.fixture(scope="module")
def counter() -> Object:
    return compile_c(simple(), "counter")


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


# --- load -------------------------------------------------------------------------------------------


def test_nothing_is_left_behind(counter: Object) -> None:
    before = descriptors()
    with load(plan(program("p", "tracepoint", SCHED)), counter) as loaded:
        loaded.attach_all()
    assert descriptors() == before


def test_a_refused_program_names_the_line() -> None:
    text = simple('u32 k = bpf_get_prandom_u32();\nu64 *v = counts.lookup(&k);\n#line 9 "x.ebt"\n*v = 3;')
    wanted = plan(program("p", "tracepoint", SCHED))
    before = descriptors()
    with pytest.raises(LoadError) as refused:
        load(wanted, compile_c(text, "bad"), c_text=text)
    assert refused.value.errno == errno.EACCES
    assert "map_value_or_null" in str(refused.value)
    assert refused.value.place == Place("x.ebt", 9, 1)
    assert descriptors() == before


def test_a_map_that_is_too_big(counter: Object) -> None:
    huge = Map("counts", "@big", "percpu_array", None, UINT64, 4, 8, 0xFFFFFFF0)
    with pytest.raises(LoadError, match=r"@big.*too much"):
        load(plan(program("p", "tracepoint", SCHED), maps=(huge,)), counter)


def test_plan_and_text_must_agree(counter: Object) -> None:
    wrong = Map("counts", "@", "percpu_array", None, UINT64, 4, 16, 4)
    with pytest.raises(CompilerBug, match="counts"):
        load(plan(program("p", "tracepoint", SCHED), maps=(wrong,)), counter)
    with pytest.raises(CompilerBug, match="no function"):
        load(plan(program("q", "tracepoint", SCHED)), counter)
    with pytest.raises(CompilerBug, match="not in the plan"):
        load(plan(program("p", "tracepoint", SCHED), maps=()), counter)


def test_begin_and_end_run_here() -> None:
    text = COUNT_C + "int b(void *ctx) { if (bpf_get_current_pid_tgid() >> 32 == PID) count(0); return 0; }\n"
    text += "int e(void *ctx) { count(1); return 0; }\n"
    obj = compile_c(text, "special", (f"-DPID={os.getpid()}",))
    begin, end = point("begin", name="begin"), point("end", name="end")
    with load(plan(program("b", "special", begin), program("e", "special", end)), obj) as loaded:
        assert loaded.attach_all() == 0
        assert loaded.run_special("begin") == 1
        assert (sum(counted(loaded, 0)), sum(counted(loaded, 1))) == (1, 0)
        assert loaded.run_special("end") == 1
        assert sum(counted(loaded, 1)) == 1


def test_ring_buffer() -> None:
    ring = Map("ring", "", "ringbuf", None, UINT64, 0, 0, 1 << 16)
    output = "bpf_ringbuf_output((void *)bpf_pseudo_fd(1, 0xEB700000), &x, 8, 0);"
    text = "int p(void *ctx) { u64 x = 7; " + output + " return 0; }"
    obj = compile_c(text, "ring", map_names=("ring",))
    with load(plan(program("p", "special", point("begin", name="begin")), maps=(ring,)), obj) as loaded:
        assert bpfcall.map_info(loaded.map_fd("ring"))[3] == 1 << 16
        loaded.run_special("begin")


# --- attach -----------------------------------------------------------------------------------------

SCHED = point("tracepoint:sched:sched_switch", category="sched", name="sched_switch")
GETPID = point("tracepoint:syscalls:sys_enter_getppid", category="syscalls", name="sys_enter_getppid")
MINE = "if (bpf_get_current_pid_tgid() >> 32 == PID) count(0);"


def call_everywhere(calls: int) -> None:
    """Make this process call getppid so many times on each processor."""
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in sorted(allowed):
            os.sched_setaffinity(0, {cpu})
            for _ in range(calls):
                os.getppid()
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.fixture(scope="module")
def mine() -> Object:
    return compile_c(simple(MINE), "mine", (f"-DPID={os.getpid()}",))


def test_one_event_serves_all_processors(mine: Object) -> None:
    with load(plan(program("p", "tracepoint", GETPID)), mine) as loaded:
        assert loaded.attach_all() == 1
        call_everywhere(1000)
        here = counted(loaded)
        assert [here[cpu] for cpu in sorted(os.sched_getaffinity(0))] == [1000] * len(os.sched_getaffinity(0))
        loaded.detach()
        call_everywhere(10)
        assert counted(loaded) == here


def test_one_program_on_several_points(mine: Object) -> None:
    uid = point("tracepoint:syscalls:sys_enter_getuid", category="syscalls", name="sys_enter_getuid")
    with load(plan(program("p", "tracepoint", GETPID, uid)), mine) as loaded:
        assert loaded.attach_all() == 2
        os.getppid()
        os.getuid()
        assert sum(counted(loaded)) == 2


def test_two_programs_on_one_point() -> None:
    text = COUNT_C + "int p(void *ctx) { count(0); return 0; }\nint q(void *ctx) { count(1); return 0; }\n"
    both = plan(program("p", "tracepoint", GETPID), program("q", "tracepoint", GETPID))
    with load(both, compile_c(text, "two")) as loaded:
        assert loaded.attach_all() == 2
        os.getppid()
        assert sum(counted(loaded, 0)) == sum(counted(loaded, 1)) >= 1


def test_raw_tracepoint(mine: Object) -> None:
    with load(plan(program("p", "raw_tracepoint", GOOD["raw_tracepoint"])), mine) as loaded:
        loaded.attach_all()
        os.getppid()
        assert sum(counted(loaded)) >= 1


@contextmanager
def busy_processors() -> Iterator[None]:
    """Keep every processor from idling: the clock of an idle one hardly ticks."""
    spin = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    spinning = [subprocess.Popen([sys.executable, "-c", spin, str(cpu)]) for cpu in online_cpus()]
    try:
        time.sleep(0.2)
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


@pytest.mark.parametrize("cpus", ["all", "first"])
def test_profile(counter: Object, cpus: str) -> None:
    clock = point("profile:ms:1", perf_type=1, perf_config=0, period=1_000_000, cpus=cpus)
    with busy_processors(), load(plan(program("p", "perf_event", clock)), counter) as loaded:
        loaded.attach_all()
        time.sleep(0.3)
        loaded.detach()
        active = [cpu for cpu, hits in enumerate(counted(loaded)) if hits]
        online = list(online_cpus())
        assert active == (online if cpus == "all" else online[:1])


def test_software_event(counter: Object) -> None:
    faults = point("software:faults:1", perf_type=1, perf_config=2, period=1)
    with load(plan(program("p", "perf_event", faults)), counter) as loaded:
        loaded.attach_all()
        with tempfile.TemporaryFile() as file:
            file.write(bytes(1 << 20))
        held = bytearray(8 << 20)
        assert sum(counted(loaded)) >= 1
        del held


def test_uprobe_and_uretprobe(tmp_path: Path, machine_code: tuple[Path, int]) -> None:
    path, offset = machine_code
    text = COUNT_C + "int p(void *ctx) { count(0); return 0; }\nint q(void *ctx) { count(1); return 0; }\n"
    at = {"path": str(path), "offset": offset}
    probes = (
        program("p", "uprobe", point("uprobe:libc:getenv", **at)),
        program("q", "uretprobe", point("uretprobe:libc:getenv", **at)),
    )
    with load(plan(*probes), compile_c(text, "user")) as loaded:
        assert loaded.attach_all() == 2
        subprocess.run([sys.executable, "-Sc", ""], check=True)
        assert sum(counted(loaded, 0)) >= 1
        assert sum(counted(loaded, 0)) == sum(counted(loaded, 1))


@pytest.fixture(scope="module")
def machine_code() -> tuple[Path, int]:
    """libc and the file offset of its getenv."""
    from kernel.live import LiveMachine

    machine = LiveMachine()
    path = machine.binary("libc")
    assert path is not None
    (function,) = machine.user_functions(path, "getenv")
    return Path(function.path), function.offset


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("tracepoint", {"category": "no", "name": "such"}, "no tracepoint no:such"),
        ("raw_tracepoint", {"name": "no_such"}, "no raw tracepoint no_such"),
        ("uprobe", {"path": "/no/such/file"}, "no file /no/such/file"),
        ("kprobe", {"name": "no_such_function"}, "no_such_function|no kprobes"),
        ("perf_event", {"perf_type": 1, "perf_config": 0, "period": 99, "pid": 0x3FFFFFFF}, "no process"),
    ],
)
def test_refused_points_say_why(
    counter: Object, kind: ProgramKind, fields: dict[str, object], words: str
) -> None:
    with load(plan(program("p", kind, GOOD[kind], point("it", **fields))), counter) as loaded:
        before = descriptors()
        with pytest.raises(AttachError, match=words) as refused:
            loaded.attach_all()
        assert refused.value.label in ("it", GOOD[kind].label)
        assert descriptors() == before
        heard: list[AttachError] = []
        attached = loaded.attach_all(heard.append)
        assert attached + len(heard) == 2
        assert heard[-1].label == "it"


GOOD: dict[ProgramKind, Attach] = {
    "tracepoint": GETPID,
    "raw_tracepoint": point("rawtracepoint:sys_enter", name="sys_enter"),
    "uprobe": point("uprobe:self", path=sys.executable, offset=0),
    "kprobe": point("kprobe:vfs_read", name="vfs_read"),
    "perf_event": point("profile:hz:1", perf_type=1, perf_config=0, frequency=1),
}


def test_many_tracepoints(counter: Object) -> None:
    root = find_tracefs()
    assert root is not None
    points = list(every_syscall(root))[:30]
    with load(plan(program("p", "tracepoint", *points)), counter) as loaded:
        assert loaded.attach_all() == len(points)


def every_syscall(root: Path) -> Iterator[Attach]:
    for name in sorted(os.listdir(root / "events" / "syscalls")):
        if name.startswith("sys_"):
            yield point(f"tracepoint:syscalls:{name}", category="syscalls", name=name)


def test_program_runs_on_the_processor_asked_for(counter: Object) -> None:
    with load(plan(program("p", "special", point("begin", name="begin"))), counter) as loaded:
        fd = loaded.programs[0][1][0]
        last = online_cpus()[-1]
        bpfcall.prog_test_run(fd, flags=bpfcall.TEST_RUN_ON_CPU, cpu=last)
        assert [cpu for cpu, hits in enumerate(counted(loaded)) if hits] == [last]
        assert bpfcall.prog_id(fd) > 0
