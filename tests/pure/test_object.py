"""Compiled objects as bytes, the tiny kernel tree, and what the verifier's words are turned into."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from codegen.plan import Place
from runtime.bpf import _listed_lines, parse_complaints
from runtime.callbacks import link_program
from runtime.kerneltree import NoRegisters, kernel_tree, tree_files
from runtime.object import Code, MapSpec, Object, map_references, unlink
from runtime.refusal import explain, failing_instruction, script_place


def insn(opcode: int, registers: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("<BBhI", opcode, registers, 0, immediate)


LOAD_MAP = insn(0x18, 0x11, 7) + insn(0)
LOAD_NUMBER = insn(0x18, 0x01, 7) + insn(0, 0, 0x18)
INSNS = LOAD_NUMBER + LOAD_MAP + insn(0x95)
OBJECT = Object(
    (unlink("p", INSNS, {7: "counts"}), Code("q", insn(0x95))),
    (MapSpec("counts", 6, 4, 8),),
    ("ring", "counts"),
)


def test_only_loads_of_maps_are_references() -> None:
    assert map_references(INSNS) == [(2, 7)]
    assert OBJECT.programs[0].references == ((2, "counts"),)


def test_linking_puts_descriptors_in_place() -> None:
    code = OBJECT.program("p")
    assert code is not None
    assert map_references(link_program(code, Object((code,)), {"counts": 33}, {}).insns) == [(2, 33)]
    assert link_program(code, Object((code,)), {"counts": 7}, {}).insns == INSNS
    with pytest.raises(KeyError):
        link_program(code, Object((code,)), {}, {})
    with pytest.raises(KeyError):
        unlink("p", INSNS, {8: "other"})


def test_objects_survive_the_way_to_bytes() -> None:
    assert Object.from_bytes(OBJECT.to_bytes()) == OBJECT
    assert Object.from_bytes(memoryview(OBJECT.to_bytes())) == OBJECT
    assert Object.from_bytes(Object(()).to_bytes()) == Object(())


def test_damaged_objects_are_refused() -> None:
    data = OBJECT.to_bytes()
    for cut in range(len(data)):
        with pytest.raises(ValueError):
            Object.from_bytes(data[:cut])
    with pytest.raises(ValueError):
        Object.from_bytes(data.replace(b"[[2,", b"[[9,"))


def test_complaints_of_clang() -> None:
    text = (
        "In file included from x:1:\n"
        "a b.ebt:13:11: error: use of undeclared identifier 'x: y'\n  int x;\n  ^\n"
        "/virtual/main.c:1:2: fatal error: 'no.h' file not found\n2 errors generated.\n"
    )
    first, second = parse_complaints(text)
    assert (first.file, first.line, first.column) == ("a b.ebt", 13, 11)
    assert (first.severity, first.message) == ("error", "use of undeclared identifier 'x: y'")
    assert (second.severity, second.line) == ("fatal error", 1)


LISTING = """\
Disassembly of function p
; u64 key = 1; // Line   4
   0:\t85 00 00 00 0e 00 00 00\tcall 14
   1:\t77 00 00 00 20 00 00 00\tr0 >>= 32
; *v = 3; // Line  21
   9:\t7b 10 00 00 00 00 00 00\t*(u64 *)(r0 + 0) = r1

Disassembly of function q
; x // Line  99
   0:\t95 00 00 00 00 00 00 00\texit
"""


def test_listing_gives_lines() -> None:
    assert _listed_lines(LISTING, "p") == {0: 4, 1: 4, 9: 21}


def test_script_place_is_what_the_directive_says() -> None:
    text = 'int x;\n#line 7 "a.ebt"\none;\ntwo;\n#line 3 "b.ebt"\nthree;\n'
    assert script_place(text, 1) is None
    assert script_place(text, 3) == Place("a.ebt", 7, 1)
    assert script_place(text, 4) == Place("a.ebt", 7, 1)
    assert script_place(text, 6) == Place("b.ebt", 3, 1)


LOG = """\
0: R1=ctx() R10=fp0
0: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1)
; *v = 3;
5: (7b) *(u64 *)(r0 +0) = r1
R0 invalid mem access 'map_value_or_null'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


@pytest.mark.parametrize(
    ("number", "log", "words"),
    [
        (errno.EACCES, LOG, "R0 invalid mem access 'map_value_or_null'"),
        (errno.EINVAL, "0: (85) call unknown#9\ninvalid func unknown#9\n", "no BPF helper number 9"),
        (errno.EINVAL, "unknown func bpf_loop#181\n", "have no helper bpf_loop"),
        (errno.E2BIG, "", "more instructions"),
        (errno.E2BIG, "BPF program is too large. Processed 1000001 insn\n", "too complex"),
        (errno.EINVAL, "", "Invalid argument"),
        (errno.E2BIG, "The sequence of 8193 jumps is too complex.\nprocessed 9 insns\n", "too complex"),
        (
            errno.EINVAL,
            "28: (15) if r0 == 0x0 goto pc-4 infinite loop detected at insn 25\nold state: R0=0\n",
            "cannot see that this loop ends",
        ),
        (errno.EINVAL, "back-edge from insn 9 to 3\n", "takes no loops"),
    ],
)
def test_refusals_in_words(number: int, log: str, words: str) -> None:
    assert words in explain(number, log)


def test_failing_instruction() -> None:
    assert failing_instruction(LOG) == 5
    assert failing_instruction("") is None


def test_kernel_tree_is_made_once_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tree = kernel_tree("x86_64")
    assert kernel_tree("x86_64") == tree
    types = tree / "include/linux/types.h"
    whole = types.read_text()
    types.write_text("damaged")
    assert kernel_tree("x86_64") == tree
    assert types.read_text() == whole
    assert [path.name for path in tree.parent.iterdir()] == [tree.name]


def test_kernel_tree_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "ebt").mkdir()
    (tmp_path / "ebt").chmod(0o777)
    tree = kernel_tree("x86_64")
    assert tmp_path not in tree.parents
    assert (tree / "include/linux/types.h").exists()


def test_kernel_tree_by_architecture() -> None:
    assert "regs[31]" in tree_files("aarch64")["include/linux/types.h"]
    mine = "struct pt_regs { int mine; };"
    assert mine in tree_files("m68k", mine)["include/linux/types.h"]
    with pytest.raises(NoRegisters):
        tree_files("m68k")
