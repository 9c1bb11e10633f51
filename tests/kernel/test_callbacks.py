"""Callbacks of looping helpers: compiled apart by BCC, put together by us, run by the kernel."""

from __future__ import annotations

import os
import struct

import pytest

from kernel import bpfcall
from kernel.features import LiveFeatures
from runtime.bpf import compile_c
from runtime.callbacks import function_btf, link_program

pytestmark = pytest.mark.kernel

TEXT = """
#define NAMED(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + number))
struct locals { u64 sum; u64 rounds; };
struct each_call { u32 *key; u64 *value; struct locals *locals; };
struct loop_call { u64 index; struct locals *locals; };
BPF_TABLE("hash", u32, u64, table, 16);

int add_entry(u64 address)
{
    struct each_call *call = (struct each_call *)address;
    call->locals->sum += *call->value * *call->key;
    return 0;
}

int add_round(u64 address)
{
    struct loop_call *call = (struct loop_call *)address;
    call->locals->rounds += call->index;
    return 0;
}

int on_begin(void *ctx)
{
    struct locals all = {};
    bpf_for_each_map_elem(NAMED(0), NAMED(1), &all, 0);
    bpf_loop(23, NAMED(2), &all, 0);
    u32 key = 100;
    table.update(&key, &all.sum);
    key = 101;
    table.update(&key, &all.rounds);
    return 0;
}
"""
KINDS = {"add_entry": "each", "add_round": "loop"}


def test_callbacks_run_for_each_entry_and_each_round() -> None:
    features = LiveFeatures()
    for name in ("for_each_map_elem", "bpf_loop"):
        if not features.supports(name).works:
            pytest.skip(f"{name}: {features.supports(name).reason}")
    obj = compile_c(TEXT, "callbacks", map_names=("table", "add_entry", "add_round"))
    table = bpfcall.map_create("hash", 4, 8, 16)
    for number in (2, 3, 5, 7):
        bpfcall.map_update(table, struct.pack("<I", number), struct.pack("<Q", number))
    code = obj.program("on_begin")
    assert code is not None
    linked = link_program(code, obj, {"table": table}, KINDS)  # type: ignore[arg-type]
    btf, info = function_btf(linked)
    program = bpfcall.prog_load(
        "raw_tracepoint", linked.insns, "GPL", "on_begin", btf=btf, function_info=info
    )  # fmt: skip
    try:
        bpfcall.prog_test_run(program)
        found = {struct.unpack("<I", key)[0]: value for key, value in bpfcall.map_entries(table, 4, 8, 16)}
        assert struct.unpack("<Q", found[100]) == (4 + 9 + 25 + 49,)
        assert struct.unpack("<Q", found[101]) == (sum(range(23)),)
    finally:
        os.close(program)
        os.close(table)
