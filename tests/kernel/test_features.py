"""What the running kernel can do, and the system call layer against the real thing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kernel import bpfcall, cpus
from kernel.features import LiveFeatures
from kernel.mounts import private_tracefs

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.kernel


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


# --- features ---------------------------------------------------------------------------------------


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_features_are_tried_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private_tracefs()
    before = descriptors()
    first = LiveFeatures().record()
    assert all(works or reason for works, reason in first.values())
    assert first["tracepoint"] == first["perf_event"] == first["test_run"] == (True, "")
    assert descriptors() == before
    with monkeypatch.context() as patch:
        for name in ("prog_load", "map_create"):
            patch.setattr(bpfcall, name, lambda *_, **__: pytest.fail("tried again"))
        assert LiveFeatures().record() == first
    for entry in own_cache.rglob("features-*"):
        entry.write_bytes(entry.read_bytes()[:-3])
    assert LiveFeatures().supports("ringbuf").works == first["ringbuf"][0]


def test_an_unknown_feature_is_not_supported(own_cache: Path) -> None:
    assert not LiveFeatures().supports("time_travel").works


def test_without_rights_nothing_is_supported() -> None:
    script = (
        "import os; os.setgid(65534); os.setuid(65534)\n"
        "from kernel.features import LiveFeatures\n"
        "for name in ('ringbuf', 'raw_tracepoint', 'perf_event'):\n"
        "    print(LiveFeatures().supports(name))\n"
    )
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, env={"HOME": "/"})
    assert told.stdout.count("works=False") == told.stdout.count("root") == 3


# --- the system call layer --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hash", "percpu_hash", "lru_hash", "array", "percpu_array"])
@pytest.mark.parametrize("count", [0, 1, 5000])
def test_all_entries_are_read(kind: str, count: int) -> None:
    per_cpu = 8 * (cpus.possible_cpus() if kind.startswith("percpu") else 1)
    fd = bpfcall.map_create(kind, 4, 8, max(count, 1) * (4 if kind == "lru_hash" else 1))
    try:
        for number in range(count):
            value = number.to_bytes(8, "little") * (per_cpu // 8)
            bpfcall.map_update(fd, number.to_bytes(4, "little"), value)
        size = bpfcall.map_info(fd)[3]
        found = bpfcall.map_entries(fd, 4, per_cpu, size)
        slow = bpfcall._read_one_by_one(fd, 4, per_cpu, size)
        assert sorted(found) == sorted(slow)
        assert len(found) == len(dict(found)) == (size if "array" in kind else count)
        values = {int.from_bytes(key, "little"): int.from_bytes(value[:8], "little") for key, value in found}
        assert all(values[number] == number for number in range(count))
        if "array" not in kind:
            assert sorted(bpfcall.map_take(fd, 4, per_cpu, size)) == sorted(found)
            assert bpfcall.map_entries(fd, 4, per_cpu, size) == []
    finally:
        os.close(fd)


def test_a_map_that_changes_while_it_is_read() -> None:
    """What stays is found, each once, though another thread adds and removes all the time."""
    fd = bpfcall.map_create("hash", 4, 8, 20000)
    stays = {number.to_bytes(4, "little") for number in range(5000)}
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(10000, 10300):
                bpfcall.map_update(fd, number.to_bytes(4, "little"), bytes(8))
            for number in range(10000, 10300):
                bpfcall.map_delete(fd, number.to_bytes(4, "little"))

    for key in stays:
        bpfcall.map_update(fd, key, bytes(8))
    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for _ in range(20):
            keys = [key for key, _ in bpfcall.map_entries(fd, 4, 8, 20000)]
            assert len(keys) == len(set(keys))
            assert stays <= set(keys)
    finally:
        stop.set()
        worker.join()
        os.close(fd)


def test_refused_program_has_a_log() -> None:
    with pytest.raises(bpfcall.BpfError) as refused:
        bpfcall.prog_load("raw_tracepoint", bytes([0x95, *bytes(7)]), "GPL", "bad")
    assert refused.value.errno == errno.EACCES
    assert "R0 !read_ok" in refused.value.log


def test_kernel_btf_object() -> None:
    fd = bpfcall.btf_object("vmlinux")
    assert fd is not None
    os.close(fd)
    assert bpfcall.btf_object("no_such_module") is None
