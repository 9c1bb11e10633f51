"""Command-line choices → the machine to compile for: this one, with features off, or a recorded one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebt.options import Options, UsageError
from kernel.live import LiveMachine
from lang.diagnostics import nearest
from lang.later import later
from lang.machine import Machine, Support

if TYPE_CHECKING:
    from kernel import recorded
else:  # for --kernel
    recorded = later("kernel.recorded")

FEATURES = (
    "tracepoint", "raw_tracepoint", "kprobe", "fentry", "uprobe", "perf_event", "hardware", "ringbuf",
    "boot_clock", "probe_read_kernel", "percpu_lookup", "for_each_map_elem", "bpf_loop", "kprobe_multi",
    "uprobe_multi", "big_keys", "btf", "test_run", "tai_clock", "perf_link", "map_batch",
    "func_ip", "syscall_stacks", "direct_loads",
)  # fmt: skip


class WithoutFeatures:
    """A machine of which some features are switched off, so that what replaces them can be tried."""

    def __init__(self, machine: Machine, without: tuple[str, ...]) -> None:
        self._machine = machine
        self._without = without

    def supports(self, feature: str) -> Support:
        if feature in self._without:
            return Support(False, "switched off by --no-feature")
        return self._machine.supports(feature)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)


class CompileOnly:
    """This machine as a compiler sees it that loads nothing: what only privilege forbids is taken to work."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def supports(self, feature: str) -> Support:
        return Support(True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)


def choose_machine(options: Options, *, loads: bool, privileged: bool) -> Machine:
    """The machine to compile for. Raises ProfileError or UsageError."""
    if options.kernel:
        machine: Machine = recorded.RecordedMachine(Path(options.kernel))
    else:
        if options.btf and not Path(options.btf).exists():
            raise UsageError(f"--btf: there is no file '{options.btf}'")
        machine = LiveMachine(Path(options.btf)) if options.btf else LiveMachine()
        if not loads and not privileged:
            machine = CompileOnly(machine)
    unknown = [name for name in options.without if name not in FEATURES]
    if unknown:
        hints = "".join(f"; {hint}" for hint in nearest(unknown[0], FEATURES))
        known = " ".join(FEATURES)
        raise UsageError(f"--no-feature: unknown feature '{unknown[0]}'{hints}; there are: {known}")
    return WithoutFeatures(machine, options.without) if options.without else machine
