"""Ring and session against this kernel, by programs of a few instructions that a test runs at will."""

import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from codegen.plan import Attach, Event, EventField, Failure, Map, Place, Plan, Program, Settings
from kernel import bpfcall, cpus
from lang.types import INT64, UINT32, UINT64, VOID, Aggregate, Type
from runtime import session
from runtime.attach import AttachError
from runtime.ring import Ring
from runtime.text import Output, TextWriter

pytestmark = pytest.mark.kernel

PLACE = Place("x.ebt", 1, 1, "printf(…)")


def insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhi", code, src << 4 | dst, off, imm)


def map_address(register: int, fd: int) -> bytes:
    return insn(0x18, register, 1, 0, fd) + insn(0)


def emitting(ring_fd: int, lost_fd: int, *records: tuple[int, int]) -> int:
    """A program that sends records {u32 site; u32 unused; u64 value} and counts those that find no room."""
    code = b""
    for site, value in records:
        code += insn(0x7A, 10, 0, -16, site) + insn(0x7A, 10, 0, -8, value)  # the record, on the stack
        code += map_address(1, ring_fd) + insn(0xBF, 2, 10) + insn(0x07, 2, 0, 0, -16)
        code += insn(0xB7, 3, 0, 0, 16) + insn(0xB7, 4) + insn(0x85, imm=130)  # bpf_ringbuf_output
        count = (
            insn(0x62, 10, 0, -24, 0) + map_address(1, lost_fd) + insn(0xBF, 2, 10) + insn(0x07, 2, 0, 0, -24)
        )
        count += insn(0x85, imm=1) + insn(0x15, 0, 0, 3) + insn(0x79, 1, 0) + insn(0x07, 1, 0, 0, 1)
        count += insn(0x7B, 0, 1)
        code += insn(0x15, 0, 0, len(count) // 8) + count
    return bpfcall.prog_load("raw_tracepoint", code + insn(0xB7) + insn(0x95), "GPL", "emit")


class Loaded:
    """What runtime.load would give; `run_special` and `attach_all` run what the test wants."""

    def __init__(self, plan: Plan) -> None:
        self.maps = {
            item.name: bpfcall.map_create(
                item.kind, 0 if item.kind == "ringbuf" else item.key_size,
                0 if item.kind == "ringbuf" else item.value_size, item.max_entries, 0, item.name,
            )
            for item in plan.maps
        }  # fmt: skip
        self.programs: list[int] = []
        self.on: dict[str, Callable[[], None]] = {}
        self.done: list[str] = []

    @property
    def ring_fd(self) -> int:
        return self.maps["ebt_ring"]

    def map_fd(self, name: str) -> int:
        return self.maps[name]

    def emit(self, *records: tuple[int, int], times: int = 1) -> None:
        program = emitting(self.ring_fd, self.maps["ebt_lost"], *records)
        self.programs.append(program)
        for _ in range(times):
            bpfcall.prog_test_run(program)

    def _step(self, name: str) -> None:
        self.done.append(name)
        self.on.get(name, lambda: None)()

    def iterate(self) -> bool:
        return False

    def run_special(self, name: str) -> None:
        self._step(name)

    def attach_all(
        self, refused: Callable[[AttachError], None] | None = None, child: int = 0
    ) -> None:
        self._step("attach")

    def detach(self) -> None:
        self._step("detach")

    def close(self) -> None:
        for fd in [*self.maps.values(), *self.programs]:
            os.close(fd)


NUMBER = (EventField(INT64, 8),)
EVENTS = (
    Event(0, "printf", 16, PLACE, NUMBER, "%d\n"),
    Event(1, "exit", 16, PLACE, NUMBER),
    Event(2, "print_map", 16, PLACE, map="counts"),
    Event(3, "clear", 16, PLACE, map="counts"),
    Event(4, "print_value", 16, PLACE, NUMBER),
    Event(5, "zero", 16, PLACE, map="counts"),
    Event(6, "time", 16, PLACE, text="%Y\n"),
)
PRINT, EXIT, PRINT_MAP, CLEAR, VALUE, ZERO, TIME = range(7)


def a_plan(*, ring: int = 1 << 16, kind: str = "tracepoint", settings: Settings | None = None) -> Plan:
    value: Type = Aggregate("count")
    point = Attach("x", PLACE, name="begin")
    return Plan(
        "x.ebt",
        (Program("p", kind, (point, point)),),  # type: ignore[arg-type]
        (
            Map("ebt_ring", "", "ringbuf", None, VOID, 0, 0, ring),
            Map("ebt_lost", "", "array", UINT32, VOID, 4, 16, 1),
            Map("counts", "@c", "percpu_hash", UINT64, value, 8, 8, 64),
            Map("total", "@b", "percpu_array", None, value, 4, 8, 1),
        ),
        EVENTS,
        (Failure(Place("x.ebt", 2, 3, "  @x = 1;", 6), "the map @x is full"),),
        settings or Settings(),
    )


@pytest.fixture
def loaded() -> Iterator[Loaded]:
    item = Loaded(a_plan())
    yield item
    item.close()


class Run:
    """A session in this process, writing to files."""

    def __init__(self, loaded: Loaded, plan: Plan, tmp_path: os.PathLike[str]) -> None:
        self.loaded, self.plan = loaded, plan
        self.paths = [os.path.join(tmp_path, name) for name in ("out", "messages")]

    def __call__(self, **options: object) -> tuple[int, str, str]:
        fds = [os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600) for path in self.paths]
        writer = TextWriter(Output(fds[0]), Output(fds[1]))
        try:
            code = session.run(
                self.loaded, self.plan, writer, kernel_symbol=lambda address: None,
                user_symbol=lambda pid, address: None, **options,  # type: ignore[arg-type]
            )  # fmt: skip
            out, messages = (os.pread(fd, 1 << 24, 0).decode() for fd in fds)
        finally:
            for fd in fds:
                os.close(fd)
        return code, out, messages


@pytest.fixture
def run(loaded: Loaded, tmp_path: os.PathLike[str]) -> Run:
    return Run(loaded, a_plan(), tmp_path)


def count(loaded: Loaded, name: str, key: bytes, number: int) -> None:
    value = struct.pack("<Q", number) + bytes(8 * (cpus.possible_cpus() - 1))
    bpfcall.map_update(loaded.map_fd(name), key, value)


def fail(loaded: Loaded, number: int) -> None:
    """Let the plan's first failure have come so often."""
    lost = loaded.map_fd("ebt_lost")
    events, _ = struct.unpack("<2Q", bpfcall.map_lookup(lost, bytes(4), 16) or b"")
    bpfcall.map_update(lost, bytes(4), struct.pack("<2Q", events, number))


# --- the ring ---


def test_records_arrive_in_order_and_the_space_is_given_back(loaded: Loaded) -> None:
    with Ring(loaded.ring_fd, 1 << 16) as ring:
        for turn in range(40):  # 24 bytes a record: the ring wraps several times
            loaded.emit((turn % 3, turn), (7, turn), times=60)
            seen: list[tuple[int, int]] = []
            for part in ring.drain():
                stride = (part.end - part.start) // part.records
                for start in range(part.start, part.end, stride):
                    seen.append(struct.unpack_from("<8xI4xQ", ring.data, start))
            assert seen == [(turn % 3, turn), (7, turn)] * 60
            assert ring.waiting == 0
            os.close(loaded.programs.pop())


def test_delivered_and_lost_are_all_that_was_sent() -> None:
    item = Loaded(a_plan(ring=4096))
    with Ring(item.ring_fd, 4096) as ring:
        item.emit((PRINT, 1), times=1000)
        delivered = sum(part.records for part in ring.drain())
        lost, _ = struct.unpack("<2Q", bpfcall.map_lookup(item.map_fd("ebt_lost"), bytes(4), 16) or b"")
        assert 0 < delivered < 1000 and delivered + lost == 1000
        item.emit((PRINT, 1))
        assert sum(part.records for part in ring.drain()) == 1
    item.close()


def test_what_was_handed_out_is_not_read_again(loaded: Loaded) -> None:
    with Ring(loaded.ring_fd, 1 << 16) as ring:
        loaded.emit((0, 1), (1, 2), (2, 3))
        for part in ring.drain():
            assert part.site == 0
            break
        assert [part.site for part in ring.drain()] == [1, 2]
        loaded.emit((0, 1), (1, 2))
        ring.skip()
        assert ring.waiting == 0 and not list(ring.drain())


# --- the session ---


def test_the_order_of_a_run(loaded: Loaded, run: Run) -> None:
    loaded.on["begin"] = lambda: loaded.emit((PRINT, 1))
    loaded.on["attach"] = lambda: loaded.emit((PRINT, 2), (PRINT, 2), (VALUE, 3))
    loaded.on["detach"] = lambda: loaded.emit((PRINT, 4))
    loaded.on["end"] = lambda: loaded.emit((PRINT, 5))
    count(loaded, "counts", struct.pack("<Q", 9), 4)
    count(loaded, "total", bytes(4), 6)
    code, out, messages = run(duration=0.05)
    assert loaded.done == ["begin", "attach", "detach", "end"]
    assert (code, out) == (0, "1\n2\n2\n3\n4\n5\n\n\n@b: 6\n@c[9]: 4\n")
    assert messages == "Attached 2 probes\n"


def test_exit_ignores_what_comes_after_it_but_not_the_end(loaded: Loaded, run: Run) -> None:
    loaded.on["begin"] = lambda: loaded.emit((PRINT, 1), (EXIT, 7), (PRINT, 2), (CLEAR, 0))
    loaded.on["attach"] = lambda: loaded.emit((PRINT, 3))
    loaded.on["end"] = lambda: loaded.emit((PRINT, 4))
    count(loaded, "counts", struct.pack("<Q", 9), 4)
    code, out, _ = run()
    assert (code, out) == (7, "1\n4\n\n\n@c[9]: 4\n")


def test_maps_are_printed_and_cleared_in_the_order_of_the_events(loaded: Loaded, run: Run) -> None:
    count(loaded, "counts", struct.pack("<Q", 9), 4)
    loaded.on["begin"] = lambda: loaded.emit(
        (PRINT_MAP, 0), (ZERO, 0), (PRINT_MAP, 0), (CLEAR, 0), (PRINT_MAP, 0), (PRINT, 1), (EXIT, 0)
    )
    assert run()[1] == "@c[9]: 4\n@c[9]: 0\n1\n\n\n"


def test_maps_stay_unprinted_where_the_script_says_so(loaded: Loaded, run: Run) -> None:
    count(loaded, "counts", struct.pack("<Q", 9), 4)
    run.plan = a_plan(settings=Settings(print_maps_on_exit=False))
    assert run(duration=0.01)[1] == ""


def test_a_script_without_probes_ends_at_once(loaded: Loaded, run: Run) -> None:
    run.plan = a_plan(kind="special")
    loaded.on["begin"] = lambda: loaded.emit((TIME, 0))
    code, out, _ = run()
    assert (code, out) == (0, time.strftime("%Y\n\n\n"))


def test_waiting_programs_are_told(loaded: Loaded, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(session.NOTIFY, "1")
    loaded.on["begin"] = lambda: loaded.emit((PRINT, 1), (EXIT, 0))
    assert run()[1] == "__BPFTRACE_NOTIFY_PROBES_ATTACHED\n1\n\n\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_run_and_handlers_come_back(loaded: Loaded, run: Run, number: signal.Signals) -> None:
    def ours(*_: object) -> None:
        """Not the default, which would end the tests, nor nohup's, which a run leaves alone."""

    before = signal.signal(number, ours)
    try:
        loaded.on["end"] = lambda: loaded.emit((PRINT, 5))
        # once the handlers are in place
        loaded.on["attach"] = threading.Timer(0.05, lambda: os.kill(os.getpid(), number)).start
        code, out, _ = run()
        assert (code, out) == (0, "5\n\n\n") and loaded.done[-2:] == ["detach", "end"]
        assert signal.getsignal(number) is ours
    finally:
        signal.signal(number, before)


def test_a_second_signal_gives_up_the_rest(loaded: Loaded, run: Run) -> None:
    def stuck() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.4)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    loaded.on["end"] = stuck
    started = time.monotonic()
    code, out, _ = run(duration=0.01)
    assert (code, out) == (0, "") and time.monotonic() - started < 3
    assert loaded.done == ["begin", "attach", "detach", "end"]


def test_the_process_that_is_traced_ends_the_run(loaded: Loaded, run: Run) -> None:
    with subprocess.Popen(["sleep", "0.1"]) as process:
        assert run(pid=process.pid)[0] == 0
    assert run(pid=process.pid)[0] == 0  # gone before the run began


def test_the_child_goes_on_when_all_is_attached_and_ends_the_run(loaded: Loaded, run: Run) -> None:
    with subprocess.Popen(["sh", "-c", "kill -STOP $$; exit 3"]) as child:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert run(child=child)[0] == 0
        assert child.wait() == 3


def test_a_closed_pipe_ends_the_run(loaded: Loaded, run: Run) -> None:
    read, write = os.pipe()
    os.close(read)
    assert run(reader_fd=write)[0] == 0
    assert loaded.done == ["begin", "attach", "detach", "end"]
    with os.fdopen(write, "wb"):
        writer = TextWriter(Output(write), Output(2), quiet=True)
        loaded.done.clear()
        loaded.on["begin"] = lambda: loaded.emit((PRINT, 1))
        code = session.run(
            loaded,
            run.plan,
            writer,
            kernel_symbol=lambda address: None,
            user_symbol=lambda pid, address: None,
        )
    assert code == 0 and loaded.done == ["begin", "attach", "detach"]


def test_losses_and_failures_are_told(tmp_path: os.PathLike[str]) -> None:
    plan = a_plan(ring=4096)
    item = Loaded(plan)
    item.on["begin"] = lambda: item.emit((PRINT, 1), times=1000)
    item.on["attach"] = lambda: fail(item, 3)
    item.on["detach"] = lambda: fail(item, 5)
    item.on["end"] = lambda: item.emit((PRINT, 1))
    code, out, messages = Run(item, plan, tmp_path)(duration=0.1)
    delivered = out.count("1\n") - 1
    lost = 1000 - delivered
    assert code == 0 and messages.splitlines() == [
        "Attached 2 probes",
        f"Lost {lost} events",
        "x.ebt:2:3: warning: the map @x is full (3 times)",
        "  @x = 1;",
        "  ^~~~~~",
        # it came again: the whole count at the end
        "x.ebt:2:3: warning: the map @x is full (5 times)",
        "  @x = 1;",
        "  ^~~~~~",
        f"WARNING: Total lost event count: {lost}",
    ]
    item.close()


def test_an_exception_leaves_nothing_attached(loaded: Loaded, run: Run) -> None:
    loaded.on["begin"] = lambda: loaded.emit((99, 0))  # a site that the plan does not have
    with pytest.raises(Exception, match="site 99"):
        run()
    assert loaded.done[-1] == "detach"


def test_an_idle_run_sleeps(loaded: Loaded, run: Run) -> None:
    before = time.process_time()
    run(duration=0.5)
    assert time.process_time() - before < 0.1


def test_nothing_is_left_open(loaded: Loaded, run: Run) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    run(duration=0.01)
    before = descriptors()
    with suppress(BrokenPipeError):
        run(duration=0.01)
    assert descriptors() == before
