"""The running kernel → what it can do, found by trying each thing once a boot.

Versions and configurations do not tell: distributions backport, containers forbid, lockdown refuses. So a
trial makes the map, loads the program, attaches it, and takes all back.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from kernel import bpfcall
from kernel.bpfcall import BpfError, instruction
from kernel.btf import Btf, BtfError, read_blob
from kernel.cpus import online_cpus
from kernel.limits import raise_limits
from kernel.multilink import kprobe_multi_link, uprobe_multi_link
from kernel.perfcall import (
    PERF_HARDWARE,
    PERF_SOFTWARE,
    PERF_TRACEPOINT,
    perf_attach,
    perf_event_open,
    perf_link,
)
from kernel.privilege import capabilities, not_permitted
from kernel.stacktrial import syscall_kernel_stack
from kernel.tracefs import find_tracefs
from lang import cachefile
from lang.machine import Support

_BTF = Path("/sys/kernel/btf/vmlinux")
_PMU = "/sys/bus/event_source/devices"
# Functions that are there to be probed, or at least hardly ever called.
_QUIET_FUNCTIONS = ("bpf_fentry_test1", "vfs_create", "do_sys_openat2")
_QUIET_TRACEPOINTS = ("sched/sched_process_exec", "sched/sched_switch")
_BOOT_NS, _TAI_NS, _READ_KERNEL, _PERCPU, _FOR_EACH, _LOOP, _FUNC_IP = 125, 208, 113, 195, 164, 181, 173
_NO_TRACEFS = "the tracing file system (tracefs) is not mounted"


class _Refused(Exception):
    """A trial failed for a reason that is known in words; `settled` says it stays so until the next boot."""

    def __init__(self, reason: str, settled: bool = True) -> None:
        super().__init__(reason)
        self.settled = settled


_NOTHING = instruction(0xB7) + instruction(0x95)  # r0 = 0; exit


class LiveFeatures:
    """Answers `supports`; remembers in memory, and on disk for this boot and these rights.

    `function_id` gives a kernel function's BTF id; without it the kernel's BTF is opened when needed.
    """

    def __init__(self, function_id: Callable[[str], int | None] | None = None) -> None:
        self._function_id = function_id or _function_id
        self._key = f"{_boot()} {os.geteuid()} {capabilities():x}"
        self._known = _stored(self._key)
        self._passing: dict[str, Support] = {}

    def supports(self, name: str) -> Support:
        """Whether the kernel lets this process do the thing, and in one line why not."""
        if name in self._known:
            works, reason = self._known[name]
            return Support(works, reason)
        if name not in self._passing:
            raise_limits()  # before 5.11 what is tried counts as locked memory, beside what others hold
            support, settled = self._try(name)
            if not settled:
                self._passing[name] = support
                return support
            self._known[name] = (support.works, support.reason)
            cachefile.store("features", self._key, json.dumps(self._known).encode())
            return support
        return self._passing[name]

    def record(self) -> dict[str, tuple[bool, str]]:
        """The answers to all questions, for a recorded kernel."""
        return {name: (found.works, found.reason) for name in _TRIALS for found in [self.supports(name)]}

    def _try(self, name: str) -> tuple[Support, bool]:
        trial = _TRIALS.get(name)
        if trial is None:
            return Support(False, f"ebt knows no feature called {name}"), False
        try:
            trial(self._function_id)
        except _Refused as refused:
            return Support(False, str(refused)), refused.settled
        except OSError as error:
            return Support(False, _worded(error.errno or errno.EIO)), True
        return Support(True), True


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return os.uname().version


def _stored(key: str) -> dict[str, tuple[bool, str]]:
    data = cachefile.load("features", key)
    if data is None:
        return {}
    try:
        known = json.loads(bytes(data))
        return {str(name): (bool(works), str(reason)) for name, (works, reason) in known.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _worded(number: int) -> str:
    if number in (errno.EPERM, errno.EACCES):
        return not_permitted()
    if number in (errno.EOPNOTSUPP, 524, errno.ENODEV):  # 524: ENOTSUPP, which the kernel should keep inside
        return "this kernel cannot do it"
    return f"the kernel answers: {os.strerror(number)}"


def _function_id(name: str) -> int | None:
    try:
        return next(Btf(read_blob(_BTF)).find("func", name), None)
    except (OSError, BtfError):
        return None


# --- trials: each ends quietly, or raises OSError or _Refused ---------------------------------------

_Find = Callable[[str], int | None]  # a function's BTF id by its name
_Trial = Callable[[_Find], None]


class _Fd:
    """A descriptor that a `closing` block closes."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        os.close(self.number)


def _program(kind: str, insns: bytes = _NOTHING, attach_type: int = 0, btf_id: int = 0) -> closing[_Fd]:
    fd = bpfcall.prog_load(
        kind, insns, "GPL", "ebt_try", expected_attach_type=attach_type, attach_btf_id=btf_id
    )
    return closing(_Fd(fd))


@contextmanager
def _refusing(reason: str, *numbers: int) -> Iterator[None]:
    """One of these errors says that the kernel lacks the thing."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
        raise _Refused(reason) from error


def _attach_event(program: _Fd, event: int) -> None:
    with closing(_Fd(event)):
        perf_attach(event, program.number)


def _tracepoint(_: object) -> None:
    root = find_tracefs()
    if root is None:
        raise _Refused(_NO_TRACEFS, settled=False)
    found = [root / "events" / name / "id" for name in _QUIET_TRACEPOINTS]
    present = [path for path in found if path.exists()]
    if not present:
        raise _Refused("this kernel has no tracepoints")
    with _program("tracepoint") as program:
        _attach_event(program, perf_event_open(PERF_TRACEPOINT, int(present[0].read_text()), cpu=_cpu()))


def _syscall_stacks(_: object) -> None:
    root = find_tracefs()
    if root is None:
        raise _Refused(_NO_TRACEFS, settled=False)
    if syscall_kernel_stack(root, _cpu()) is False:
        raise _Refused("this kernel gives tracepoints of system calls the process's registers")


def _raw_tracepoint(_: object) -> None:
    with _program("raw_tracepoint") as program:
        os.close(bpfcall.raw_tracepoint_open("sched_process_exec", program.number))


def _kprobe(_: object) -> None:
    number = _pmu("kprobe", "this kernel has no kprobes (CONFIG_KPROBE_EVENTS is off)")
    with _program("kprobe") as program:
        _first(lambda name: _attach_event(program, _probe(number, name, 0)))


def _uprobe(_: object) -> None:
    number = _pmu("uprobe", "this kernel has no uprobes (CONFIG_UPROBE_EVENTS is off)")
    with _program("kprobe") as program:  # the start of the file is no code: nothing is ever hit
        _attach_event(program, _probe(number, sys.executable or "/proc/self/exe", 0))


@contextmanager
def _for_many(attach_type: int, unable: str) -> Iterator[_Fd]:
    """A program that is attached to many places by one link."""
    with (
        _refusing(unable, errno.EINVAL, errno.EOPNOTSUPP),
        _program("kprobe", attach_type=attach_type) as program,
    ):
        yield program


def _kprobe_multi(_: object) -> None:
    def attach(name: str) -> None:
        os.close(kprobe_multi_link(program.number, [name]))

    unable = "this kernel cannot attach one program to many kprobes (CONFIG_FPROBE)"
    with _for_many(bpfcall.ATTACH_KPROBE_MULTI, unable) as program:
        _first(attach)


def _uprobe_multi(_: object) -> None:
    unable = "this kernel cannot attach one program to many uprobes (Linux 6.6)"
    with _for_many(bpfcall.ATTACH_UPROBE_MULTI, unable) as program:
        path = sys.executable or "/proc/self/exe"  # its start is no code: nothing is ever hit
        os.close(uprobe_multi_link(program.number, path, [(0, 0)]))


@contextmanager
def _trampoline(
    function_id: _Find, code: bytes = _NOTHING, names: tuple[str, ...] = _QUIET_FUNCTIONS
) -> Iterator[_Fd]:
    """A fentry program of the first of these functions that is there."""
    if not _BTF.exists():
        raise _Refused("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF is off)")
    number = next((found for found in map(function_id, names) if found), 0)
    if not number:
        raise _Refused("this kernel's BTF has no functions")
    try:
        with _program("tracing", code, attach_type=bpfcall.ATTACH_FENTRY, btf_id=number) as program:
            yield program
    except BpfError as error:
        if error.errno == errno.EPERM and os.geteuid() == 0:
            raise _Refused("the kernel refuses fentry (ftrace or the BPF trampoline is off)") from error
        raise


def _fentry(function_id: _Find) -> None:
    with _trampoline(function_id) as program:
        os.close(bpfcall.raw_tracepoint_open(None, program.number))


def _func_ip(function_id: _Find) -> None:
    try:
        with _trampoline(function_id, instruction(0x85, immediate=_FUNC_IP) + _NOTHING):
            return
    except BpfError as error:
        if "unknown func" in error.log or "invalid func" in error.log:
            raise _Refused("a fentry program cannot ask for its function's address (Linux 5.15)") from error
        raise


def _direct_loads(function_id: _Find) -> None:
    """Load the second word of the struct path that vfs_getattr() is given."""
    loads = instruction(0x79, 1, 1) + instruction(0x79, 1, 1, 8)
    with _trampoline(function_id, loads + _NOTHING, ("vfs_getattr",)):
        return


def _perf_event(_: object) -> None:
    with _program("perf_event") as program:
        _attach_event(program, perf_event_open(PERF_SOFTWARE, 0, frequency=1, cpu=_cpu()))


def _perf_link(_: object) -> None:
    with _program("perf_event") as program:
        event = perf_event_open(PERF_SOFTWARE, 0, frequency=1, cpu=_cpu())
        unable = "this kernel has no BPF links to perf events (Linux 5.15)"
        with closing(_Fd(event)), _refusing(unable, errno.EINVAL):
            os.close(perf_link(event, program.number))


def _map_batch(_: object) -> None:
    with closing(_Fd(bpfcall.map_create("hash", 4, 8, 1, 0, "ebt_try"))) as made:
        if bpfcall.read_batches(made.number, 4, 8, 1) is None:
            raise _Refused("this kernel reads maps one entry at a time (batches: Linux 5.6)")


def _hardware(_: object) -> None:
    with _refusing("this machine offers no hardware counters", errno.ENOENT, errno.EOPNOTSUPP):
        event = perf_event_open(PERF_HARDWARE, 0, period=1_000_000, cpu=_cpu())
    with _program("perf_event") as program:
        _attach_event(program, event)


def _ringbuf(_: object) -> None:
    os.close(bpfcall.map_create("ringbuf", 0, 0, os.sysconf("SC_PAGE_SIZE"), name="ebt_try"))


def _big_keys(_: object) -> None:
    with _refusing("this kernel's hash maps take keys of up to 512 bytes", errno.E2BIG):
        os.close(bpfcall.map_create("hash", 600, 8, 1, bpfcall.F_NO_PREALLOC, "ebt_try"))


def _btf(_: object) -> None:
    if not _BTF.exists():
        raise _Refused("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF is off)")
    with _BTF.open("rb") as file:
        file.read(4)


def _test_run(_: object) -> None:
    with _program("raw_tracepoint") as program:
        bpfcall.prog_test_run(program.number)


def _helper(number: int) -> _Trial:
    """The verifier tells a helper it does not know from one that is called with the wrong arguments."""

    def trial(_: object) -> None:
        try:
            with _program("tracepoint", instruction(0x85, immediate=number) + instruction(0x95)):
                return
        except BpfError as error:
            if not error.log.strip():
                raise
            if any(words in error.log for words in ("invalid func", "unknown func", "cannot use helper")):
                raise _Refused(f"this kernel has no BPF helper number {number}") from error

    return trial


def _pmu(name: str, missing: str) -> int:
    try:
        return int(Path(f"{_PMU}/{name}/type").read_text(encoding="ascii"))
    except FileNotFoundError as error:
        raise _Refused(missing) from error


def _probe(pmu: int, target: str, offset: int) -> int:
    text = ctypes.create_string_buffer(os.fsencode(target))
    event = perf_event_open(pmu, 0, config1=ctypes.addressof(text), config2=offset, cpu=_cpu())
    del text  # the kernel has copied it
    return event


def _first(attach: Callable[[str], None]) -> None:
    """Attach to the first of the quiet functions that can be probed."""
    for name in _QUIET_FUNCTIONS[:-1]:
        try:
            return attach(name)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL, errno.ESRCH, errno.EADDRNOTAVAIL):
                raise
    return attach(_QUIET_FUNCTIONS[-1])


def _cpu() -> int:
    return online_cpus()[0]


_TRIALS: dict[str, _Trial] = {
    "tracepoint": _tracepoint,
    "raw_tracepoint": _raw_tracepoint,
    "syscall_stacks": _syscall_stacks,
    "kprobe": _kprobe,
    "fentry": _fentry,
    "func_ip": _func_ip,
    "direct_loads": _direct_loads,
    "uprobe": _uprobe,
    "perf_event": _perf_event,
    "hardware": _hardware,
    "ringbuf": _ringbuf,
    "boot_clock": _helper(_BOOT_NS),
    "tai_clock": _helper(_TAI_NS),
    "probe_read_kernel": _helper(_READ_KERNEL),
    "percpu_lookup": _helper(_PERCPU),
    "for_each_map_elem": _helper(_FOR_EACH),
    "bpf_loop": _helper(_LOOP),
    "kprobe_multi": _kprobe_multi,
    "uprobe_multi": _uprobe_multi,
    "big_keys": _big_keys,
    "btf": _btf,
    "test_run": _test_run,
    "perf_link": _perf_link,
    "map_batch": _map_batch,
}
