"""Functions that few kernels outside the lab allow, by what they do there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Ebt

pytestmark = pytest.mark.lab

TASK = "(uint64)curtask + offsetof(struct task_struct, comm)"


def test_pointers_of_both_spaces(ebt: Ebt) -> None:
    """The same address read as the kernel's, and as the process's, which has nothing there."""
    script = f"""
        kprobe:vfs_read /comm == "cat"/ {{
            $own = str(kptr((uint8 *)({TASK})));
            if ($own == "cat" && str(uptr((uint8 *)({TASK}))) == "") {{ @right = count(); }}
            else {{ @wrong = count(); }}
        }}
    """
    out = ebt("-q", "-e", script, "-c", "cat /proc/self/status").stdout
    assert "@right: " in out and "@wrong" not in out


def test_each_cpu_has_its_own_run_queue(ebt: Ebt) -> None:
    script = """
        begin {
            $zero = (struct rq *)percpu_kaddr("runqueues", 0);
            $one = (struct rq *)percpu_kaddr("runqueues", 1);
            print(($zero.cpu, $one.cpu, percpu_kaddr("runqueues", 4096)));
            print($zero != $one);
            exit();
        }
    """
    assert ebt("-q", "-e", script).stdout.split("\n")[:2] == ["(0, 1, 0)", "true"]


def test_override(ebt: Ebt, tmp_path: Path) -> None:
    """mkdir(2) of one command is refused, and nothing is made."""
    place = tmp_path / "made"
    script = 'kprobe:__x64_sys_mkdir /comm == "mkdir"/ { override(-13); @ = count(); }'
    result = ebt("-q", "--unsafe", "-e", script, "-c", f"mkdir {place}")
    if "CONFIG_BPF_KPROBE_OVERRIDE" in result.stderr or "no helper bpf_override_return" in result.stderr:
        pytest.skip("this kernel was built without CONFIG_BPF_KPROBE_OVERRIDE")
    assert "@: 1" in result.stdout and "Permission denied" in result.stderr
    assert not place.exists()


def test_debugf_writes_to_the_trace(ebt: Ebt) -> None:
    trace = Path("/sys/kernel/tracing/trace")
    trace.write_text("")
    assert ebt("-q", "-e", 'begin { debugf("ebt has %d and %d", 42, 43); exit(); }').rc == 0
    assert "ebt has 42 and 43" in trace.read_text()


def test_hardware_address_of_a_device(ebt: Ebt) -> None:
    """A bridge with an address of ours, from the kernel's own struct."""
    make = ["ip", "link", "add", "ebt0", "address", "02:00:5e:10:20:3f", "type", "bridge"]
    script = """
        kprobe:netif_get_flags || kprobe:dev_get_flags /comm == "ip"/ {
            $device = (struct net_device *)arg0;
            if ($device.name == "ebt0") { @[macaddr(*(uint8[6] *)$device.dev_addr)] = count(); }
        }
    """
    if subprocess.run(make, check=False, capture_output=True).returncode:
        pytest.skip("no bridge can be made here")
    out = ebt("-q", "-e", script, "-c", "ip link show ebt0").stdout
    assert "\n@[02:00:5E:10:20:3F]: " in out, out


def test_kernel_stacks_of_system_calls(ebt: Ebt) -> None:
    """Where tracepoints of system calls have none, it is told, and raw_syscalls has them."""
    count = '/comm == "cat"/ { @[probe, len(kstack) > 0] = count(); }'
    script = f"tracepoint:syscalls:sys_enter_openat {count} tracepoint:raw_syscalls:sys_enter {count}"
    result = ebt("-q", "-e", script, "-c", "cat /proc/self/status")
    empty = "@[tracepoint:syscalls:sys_enter_openat, false]: " in result.stdout
    assert empty == ("warning: kstack is empty here" in result.stderr)
    assert ("@[tracepoint:syscalls:sys_enter_openat, true]: " in result.stdout) != empty
    assert "@[tracepoint:raw_syscalls:sys_enter, true]: " in result.stdout
    assert "@[tracepoint:raw_syscalls:sys_enter, false]: " not in result.stdout
