"""Each way to attach to a kernel function, on kernels that have them: attached, called, counted, detached."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from codegen.plan import Attach, Map, Place, Plan, Program, ProgramKind, Settings
from kernel import bpfcall, cpus
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from lang.records import replace
from lang.types import UINT64
from runtime.attach import AttachError
from runtime.bpf import compile_c
from runtime.load import Loaded, LoadError, load
from runtime.object import Object

pytestmark = pytest.mark.lab

COUNTS = Map("counts", "@", "percpu_array", None, UINT64, 4, 8, 1)
TEXT = f"""
BPF_TABLE("percpu_array", u32, u64, counts, 1);
int p(void *ctx) {{
  u32 slot = 0;
  u64 *value = counts.lookup(&slot);
  if (value && bpf_get_current_pid_tgid() >> 32 == {os.getpid()}) *value += 1;
  return 0;
}}
"""
KINDS: tuple[ProgramKind, ...] = ("kprobe", "kretprobe", "fentry", "fexit")


@pytest.fixture(scope="module")
def compiled() -> Object:
    private_tracefs()
    return compile_c(TEXT, "count")


@pytest.fixture(scope="module")
def machine() -> LiveMachine:
    machine = LiveMachine()
    assert machine.types.core is not None  # opened now: a mapped file keeps a descriptor
    return machine


def plan(kind: ProgramKind, *names: str, module: str = "") -> Plan:
    points = tuple(Attach(f"{kind}:{name}", Place("x.ebt", 1, 1), name=name, module=module) for name in names)
    return Plan("x.ebt", (Program("p", kind, points),), (COUNTS,), ())


def total(loaded: Loaded) -> int:
    size = 8 * cpus.possible_cpus()
    value = bpfcall.map_lookup(loaded.map_fd("counts"), bytes(4), size)
    assert value is not None
    return sum(int.from_bytes(value[at : at + 8], "little") for at in range(0, size, 8))


def make_and_remove(times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            file = Path(folder) / str(number)
            file.touch()
            file.unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_function(kind: ProgramKind, compiled: Object, machine: LiveMachine) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with load(plan(kind, "vfs_unlink", "vfs_mkdir"), compiled, machine) as loaded:
        assert loaded.attach_all() == 2
        make_and_remove(50)
        seen = total(loaded)
        assert seen >= 51  # an overlay calls vfs_unlink twice
        loaded.detach()
        make_and_remove(5)
        assert total(loaded) == seen
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("kind", KINDS)
def test_function_of_a_module(kind: ProgramKind, compiled: Object, machine: LiveMachine) -> None:
    if kind in ("fentry", "fexit") and not Path("/sys/kernel/btf/overlay").exists():
        pytest.skip("modules have no BTF before 5.11")
    with load(plan(kind, "ovl_unlink", module="overlay"), compiled, machine) as loaded:
        assert loaded.attach_all() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_such_function(kind: ProgramKind, compiled: Object, machine: LiveMachine) -> None:
    wanted = plan(kind, "no_such_function")
    with (
        pytest.raises((LoadError, AttachError), match="no_such_function"),
        load(wanted, compiled, machine) as loaded,
    ):
        loaded.attach_all()


def test_the_first_refusal_takes_all_back(compiled: Object, machine: LiveMachine) -> None:
    with load(plan("kprobe", "vfs_unlink", "no_such_function"), compiled, machine) as loaded:
        with pytest.raises(AttachError):
            loaded.attach_all()
        make_and_remove(5)
        assert total(loaded) == 0
        heard: list[AttachError] = []
        assert loaded.attach_all(heard.append) == 1
        assert [error.label for error in heard] == ["kprobe:no_such_function"]


@pytest.mark.parametrize("kind", ["fentry", "fexit"])
def test_what_cannot_be_loaded_is_left_out_where_the_script_bears_it(
    kind: ProgramKind, compiled: Object, machine: LiveMachine
) -> None:
    wanted = replace(plan(kind, "vfs_unlink", "no_such_function"), settings=Settings(missing_probes="warn"))
    before = sorted(os.listdir("/proc/self/fd"))
    with load(wanted, compiled, machine) as loaded:
        heard: list[AttachError] = []
        assert loaded.attach_all(heard.append) == 1
        assert [error.label for error in heard] == [f"{kind}:no_such_function"]
        make_and_remove(5)
        assert total(loaded) >= 5
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_these_kernels_have_functions(machine: LiveMachine) -> None:
    for name in ("kprobe", "fentry", "uprobe", "tracepoint", "ringbuf", "test_run"):
        support = machine.supports(name)
        assert support.works, f"{name}: {support.reason}"
