"""What fentry and fexit programs load themselves, and what they leave to a helper."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from codegen.direct import takes_pointer, takes_scalar
from codegen.pipeline import compile_script
from ebt import run
from ebt.machines import WithoutFeatures
from kernel.recorded import RecordedMachine
from lang.machine import Machine
from lang.source import Source
from lang.types import UINT8, UINT32, UINT64, Pointer, Struct
from runtime.fitting import loads_refused
from runtime.load import LoadError
from tests.pure.resolve import KERNELS


@pytest.fixture(scope="module", params=["5.10", "6.1", "6.12", "7.2"])
def kernel(request: pytest.FixtureRequest) -> RecordedMachine:
    return RecordedMachine(KERNELS[request.param])


def c_of(text: str, machine: Machine) -> str:
    return compile_script(Source("x.ebt", text), machine, (), {}).c


def test_members_are_loaded(kernel: RecordedMachine) -> None:
    text = "@[args.file.f_path.dentry.d_name.len, args.file.f_inode.i_sb.s_dev] = count();"
    c = c_of(f"fentry:vfs_read {{ {text} }}", kernel)
    for line in ("= file->f_path.dentry;", "= dentry->d_name.len;", "= f_inode->i_sb;", "= i_sb->s_dev;"):
        assert line in c, c
    assert "bpf_probe_read" not in c.partition("int on_vfs_read")[2]


@pytest.mark.parametrize(
    "text",
    [
        "fentry:vfs_read { @ = (uint64)args.file.f_inode; }",  # a number
        "fentry:vfs_read { @ = ((struct inode *)args.pos).i_ino; }",  # the verifier does not know of the cast
        "fentry:vfs_read { $f = args.file; if (pid) { $f = args.file; } @ = $f.f_mode; }",
        "fentry:vfs_read { $d = args.file.f_inode; @ = $d.i_ino; @b = $d == 0; }",
        "kprobe:vfs_read { @ = args.file.f_mode; }",
        "fentry:tcp_sendmsg { @ = args.sk.__sk_common.skc_reuse; }",  # a bit field
    ],
)  # fmt: skip
def test_these_are_read_by_the_helper(kernel: RecordedMachine, text: str) -> None:
    assert "bpf_probe_read_kernel(" in c_of(text, kernel)


def test_a_feature_of_its_own(kernel: RecordedMachine) -> None:
    text = "fexit:vfs_read { $i = args.file.f_inode; @[$i.i_ino] = count(); }"
    c = c_of(text, WithoutFeatures(kernel, ("direct_loads",)))
    assert c.count("bpf_probe_read_kernel(") == 2
    assert "bpf_probe_read" not in c_of(text, kernel).partition("int on_")[2]


def place(machine: RecordedMachine, name: str, member: str) -> tuple[Struct, int]:
    struct = machine.struct("struct", name)
    assert struct is not None
    return struct, next(item.offset for item in machine.fields(struct) if item.name == member)


def test_what_the_kernel_agrees_to(kernel: RecordedMachine) -> None:
    """btf_struct_walk(): of a union the first member that lies there, a pointer whole and by itself."""
    inode = kernel.struct("struct", "inode")
    dentry = kernel.struct("struct", "dentry")
    assert inode is not None and dentry is not None
    assert takes_pointer(kernel, place(kernel, "file", "f_inode"), Pointer(inode))
    assert not takes_pointer(kernel, place(kernel, "file", "f_inode"), Pointer(dentry))
    assert not takes_scalar(kernel, place(kernel, "file", "f_inode"), UINT64)
    struct, offset = place(kernel, "file", "f_inode")
    assert not takes_pointer(kernel, (struct, offset + 4), Pointer(inode))
    # struct qstr { union { struct { u32 hash, len; }; u64 hash_len; }; const unsigned char *name; }
    assert takes_scalar(kernel, place(kernel, "qstr", "len"), UINT32)
    assert not takes_scalar(kernel, place(kernel, "qstr", "hash_len"), UINT64)
    assert takes_scalar(kernel, place(kernel, "qstr", "name"), Pointer(UINT8))
    # skb_shared_info and sockets: u8 bit fields beside each other
    assert not takes_scalar(kernel, place(kernel, "sock_common", "skc_reuse"), UINT8)


@pytest.mark.parametrize("loads", [True, False])
def test_compiled_again_where_the_verifier_disagrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loads: bool
) -> None:
    """A program that loads nothing by itself is refused for another reason: that one is told, and no more."""
    asked: list[tuple[str, ...]] = []

    def build(*words: Any) -> Any:
        asked.append(words[-1])
        c = str(asked[-1]) if loads else "the same C"
        ready = SimpleNamespace(plan=SimpleNamespace(programs=[SimpleNamespace(kind="fentry")]), object=None)
        return SimpleNamespace(ready=ready, compiled=SimpleNamespace(c=c), machine=None, lasting=False)

    def load(*_: object) -> str:
        if len(asked) == 1:
            raise LoadError("R1 invalid mem access", 13, "0: (79) r1 = *(u64 *)(r1 +0)")
        return "loaded"

    monkeypatch.setattr("ebt.compiling.build", build)
    monkeypatch.setattr("ebt.tracing.load", load)
    if not loads:
        with pytest.raises(LoadError, match="invalid mem access"):
            run._load_built(SimpleNamespace(), "", [])  # type: ignore[arg-type]
        assert capsys.readouterr().err == ""
        return
    found = run._load_built(SimpleNamespace(), "", [])  # type: ignore[arg-type]
    assert found is not None and str(found[1]) == "loaded"
    assert asked == [(), ("direct_loads",)]
    assert "compiled again without direct_loads" in capsys.readouterr().err


def test_other_refusals_are_told() -> None:
    typed = SimpleNamespace(programs=[SimpleNamespace(kind="fexit")])
    other = SimpleNamespace(programs=[SimpleNamespace(kind="kprobe")])
    verified = LoadError("refused", 13, "0: (79) r1 = *(u64 *)(r1 +0)")
    assert loads_refused(verified, typed)  # type: ignore[arg-type]
    assert not loads_refused(verified, other)  # type: ignore[arg-type]
    assert not loads_refused(LoadError("refused", 22, "arg#0 is unsupported"), typed)  # type: ignore[arg-type]
