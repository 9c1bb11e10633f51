"""C text → Object by BCC: what is extracted, what is refused, and what is left of it in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.bpf import CompileError, Compiler, compile_c
from runtime.object import Object

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.kernel

SIMPLE = """
BPF_TABLE("percpu_array", u32, u64, counts, 4);
int p(void *ctx) {
  u32 slot = 0;
  u64 *value = counts.lookup(&slot);
  if (value) *value += 1;
  return 0;
}
"""


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def test_compile_finds_programs_maps_and_references() -> None:
    counter = compile_c(SIMPLE, "counter")
    code = counter.program("p")
    assert code is not None
    assert [name for _, name in code.references] == ["counts"]
    (spec,) = counter.maps
    assert (spec.name, spec.kind, spec.key_size, spec.value_size) == ("counts", 6, 4, 8)
    assert Object.from_bytes(counter.to_bytes()) == counter


def test_compile_leaves_this_process_as_it_was() -> None:
    folder, before, environment = os.getcwd(), descriptors(), dict(os.environ)
    compile_c(SIMPLE, "counter")
    assert (os.getcwd(), descriptors(), dict(os.environ)) == (folder, before, environment)


WIDE = """
BPF_TABLE("hash", u64, u64, seen, 4096);
BPF_RINGBUF_OUTPUT(events, 16);
int p(struct pt_regs *ctx) {
  u64 key = PT_REGS_PARM1(ctx), one = 1;
  u64 *value = seen.lookup(&key);
  if (value) *value += PT_REGS_RC(ctx); else seen.update(&key, &one);
  if (key == 7) seen.delete(&key);
  u64 *event = events.ringbuf_reserve(8);
  if (event) { *event = bpf_ktime_get_boot_ns(); events.ringbuf_submit(event, 0); }
  return 0;
}
"""


@pytest.mark.parametrize("text", [SIMPLE, WIDE], ids=["simple", "wide"])
def test_our_headers_and_bccs_give_the_same(text: str) -> None:
    own, bcc = compile_c(text, "own", headers="own"), compile_c(text, "bcc", headers="bcc")
    assert own == bcc == compile_c(text, "auto")
    assert [spec.name for spec in own.maps] == sorted(spec.name for spec in own.maps)


def test_what_our_headers_lack_comes_from_bccs() -> None:
    text = "int p(struct __sk_buff *skb) { return bpf_get_hash_recalc(skb); }"
    with pytest.raises(CompileError, match="bpf_get_hash_recalc"):
        compile_c(text, "own", headers="own")
    assert compile_c(text, "auto").program("p") is not None


def test_explicit_reads_are_left_alone() -> None:
    reads = "bpf_probe_read_kernel(&x, 8, ctx); bpf_probe_read_user(&x, 8, ctx);"
    text = "int p(void *ctx) { u64 x = 0; " + reads + " return x; }"
    code = compile_c(text, "reads").program("p")
    assert code is not None
    calls = [code.insns[at + 4] for at in range(0, len(code.insns), 8) if code.insns[at] == 0x85]
    assert calls == [113, 112]


def test_maps_by_number() -> None:
    lookup = "bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, 0xEB700001), &k)"
    text = "int p(void *ctx) { u64 k = 0; u64 *v = " + lookup + "; return v ? *v : 0; }"
    code = compile_c(text, "numbered", map_names=("one", "two")).program("p")
    assert code is not None
    assert [name for _, name in code.references] == ["two"]


def test_compile_errors_have_the_scripts_lines() -> None:
    with pytest.raises(CompileError) as refused:
        compile_c('int p(void *ctx) {\n#line 7 "a.ebt"\n  return nope;\n}\n', "bad")
    (complaint,) = refused.value.complaints
    assert (complaint.file, complaint.line, complaint.column) == ("a.ebt", 7, 10)
    assert "nope" in complaint.message == str(refused.value)


DEEP = "int p(void *ctx) { return " + "(" * 9999 + "1;}"


@pytest.mark.parametrize("text", ["(((((", DEEP, "\0", "#include <no.h>"], ids=range(4))
def test_bad_c_is_one_error(text: str) -> None:
    with pytest.raises(CompileError):
        compile_c(text, "bad")


def test_a_compiler_may_be_closed_unused() -> None:
    before = descriptors()
    with Compiler():
        pass
    assert descriptors() == before


def test_compile_with_standard_descriptors_closed(tmp_path: Path) -> None:
    script = (
        "import os\nfrom runtime.bpf import compile_c\n"
        "os.close(0); os.close(1); os.close(2)\n"
        f"made = compile_c({SIMPLE!r}, 'x')\n"
        f"open({str(tmp_path / 'out')!r}, 'w').write(made.programs[0].name)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    assert (tmp_path / "out").read_text() == "p"
