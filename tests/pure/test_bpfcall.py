"""The system call layer where no privilege is needed: names, records, processor lists, refusals."""

from __future__ import annotations

import ctypes
import errno

import pytest

from kernel import bpfcall, cpus


def test_cpu_lists() -> None:
    assert cpus.parse_cpus("0\n") == (0,)
    assert cpus.parse_cpus("0-2,7\n") == (0, 1, 2, 7)
    assert cpus.parse_cpus("0,2-3,8-9") == (0, 2, 3, 8, 9)
    assert cpus.possible_cpus() >= len(cpus.online_cpus()) >= 1


def test_object_names_are_what_the_kernel_takes() -> None:
    assert bpfcall._name("@io[tid]") == b"_io_tid_"
    assert bpfcall._name("a_rather_long_program_name") == b"a_rather_long_p"
    assert bpfcall._name("größe") == b"gr__e"


def test_records_have_no_padding() -> None:
    assert bytes(bpfcall.pack("IQ", 1, 2)) == b"\1\0\0\0\2\0\0\0\0\0\0\0"


def test_buffers_hold_their_bytes() -> None:
    held, address = bpfcall._buffer(b"ab\0c")
    assert ctypes.string_at(address, 4) == b"ab\0c"
    assert len(held) == 4
    assert len(bpfcall._buffer(0)[0]) == 1


def test_a_refusal_keeps_the_errno() -> None:
    with pytest.raises(bpfcall.BpfError) as refused:
        bpfcall.map_lookup(-1, b"\0" * 4, 8)
    assert refused.value.errno in (errno.EBADF, errno.EPERM)
    assert "reading a map" in str(refused.value)


def _scripted(monkeypatch: pytest.MonkeyPatch, answers: list[int]) -> list[int]:
    """Replace the system call: each answer is a result, or minus an errno."""
    asked: list[int] = []

    def fake(*arguments: object) -> int:
        asked.append(len(arguments))
        answer = answers.pop(0)
        if answer >= 0:
            return answer
        ctypes.set_errno(-answer)
        return -1

    monkeypatch.setattr(bpfcall, "_syscall", fake)
    return asked


def test_interrupted_calls_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _scripted(monkeypatch, [-errno.EINTR, -errno.EINTR, 5])
    assert bpfcall.map_create("hash", 4, 4, 1) == 5
    assert len(asked) == 3


def test_the_log_is_made_only_on_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _scripted(monkeypatch, [7])
    assert bpfcall.prog_load("tracepoint", b"\0" * 8, "GPL", "p") == 7
    assert len(asked) == 1


def test_the_log_buffer_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _scripted(monkeypatch, [-errno.EACCES, -errno.ENOSPC, -errno.ENOSPC, -errno.EACCES])
    with pytest.raises(bpfcall.BpfError) as refused:
        bpfcall.prog_load("tracepoint", b"\0" * 8, "GPL", "p")
    assert refused.value.errno == errno.EACCES
    assert len(asked) == 4


def test_a_signal_during_verification_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, [-errno.EAGAIN, -errno.EAGAIN, 9])
    assert bpfcall.prog_load("tracepoint", b"\0" * 8, "GPL", "p") == 9
