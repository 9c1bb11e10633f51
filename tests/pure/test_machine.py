"""The machine's answers without a kernel: tracepoint formats, name lists, patterns, recorded profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.btf import Btf
from kernel.functions import FunctionNames, traceable_functions
from kernel.match import is_pattern, matching
from kernel.recorded import ProfileError, RecordedMachine, default_machine, write_profile
from kernel.reduce import Selection, Writer
from kernel.tracefs import match_pairs, parse_format, read_format
from kernel.typetable import TypeTable
from kernel.unseen import UnseenTracepoints
from lang.machine import Machine, Parameter
from lang.types import (
    BOOL,
    CHAR,
    INT32,
    INT64,
    UINT8,
    UINT32,
    UINT64,
    VOID,
    Array,
    Enum,
    Int,
    Pointer,
    Struct,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


FORMAT = """name: thing
ID: 782
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int __syscall_nr;	offset:8;	size:4;	signed:1;
	field:int dfd;	offset:16;	size:8;	signed:0;
	field:const char * filename;	offset:24;	size:8;	signed:0;
	field:umode_t mode;	offset:40;	size:8;	signed:0;
	field:long ret;	offset:48;	size:8;	signed:1;
	field:char comm[16];	offset:56;	size:16;	signed:0;
	field:__data_loc char[] name;	offset:72;	size:4;	signed:0;
	field:unsigned long args[6];	offset:80;	size:48;	signed:0;
	field:__u8 saddr_v6[sizeof(struct in6_addr)];	offset:128;	size:16;	signed:0;
	field:struct page * page;	offset:144;	size:8;	signed:0;
	field:bool flag;	offset:152;	size:1;	signed:0;
	field:void (*func)(void *) callback;	offset:160;	size:8;	signed:0;
	field:weird_t odd;	offset:168;	size:12;	signed:0;
	field:char ** argv;	offset:184;	size:8;	signed:0;
	field:s8 tiny;	offset:192;	size:1;	signed:1;

print fmt: "field:int fake;	offset:1;	size:1;	signed:0;"
"""
NO_TYPES = TypeTable(lambda: None, dict)


def test_tracepoint_format() -> None:
    point = parse_format("syscalls", "thing", FORMAT, NO_TYPES)
    kinds = {item.name: item.type for item in point.fields}
    assert (point.category, point.name, point.id) == ("syscalls", "thing", 782)
    assert "common_pid" not in kinds and "fake" not in kinds
    assert kinds["__syscall_nr"] == INT32 and kinds["ret"] == INT64
    assert kinds["dfd"] == UINT64 and kinds["mode"] == UINT64  # size and sign are the record's
    text = Pointer(CHAR, "user")
    assert kinds["filename"] == text and kinds["argv"] == Pointer(text, "user")
    assert kinds["comm"] == Array(CHAR, 16) and kinds["args"] == Array(UINT64, 6)
    assert kinds["saddr_v6"] == Array(UINT8, 16) and kinds["flag"] == BOOL
    assert kinds["page"] == Pointer(VOID, "user") and kinds["callback"] == Pointer(VOID, "user")
    assert kinds["odd"] == Array(UINT8, 12) and kinds["tiny"] == Int(8, True)
    name = next(item for item in point.fields if item.name == "name")
    assert name.data_loc and name.type == Array(CHAR, 0) and name.offset == 72
    kernel = parse_format("sched", "thing", FORMAT, NO_TYPES)
    assert next(item.type for item in kernel.fields if item.name == "filename") == Pointer(CHAR, "kernel")


def test_tracepoint_names_leave_no_directory(tmp_path: Path) -> None:
    event = tmp_path / "events" / "sched" / "switch"
    event.mkdir(parents=True)
    (event / "format").write_text(FORMAT)
    assert read_format(tmp_path, "sched", "switch") == FORMAT
    for category, name in (("..", "events"), ("sched", "../sched/switch"), ("sched", ""), ("", "")):
        assert read_format(tmp_path, category, name) is None
    assert read_format(None, "sched", "switch") is None


def test_patterns() -> None:
    assert matching("vfs_*", ["vfs_read", "xvfs_read", "vfs_", "VFS_x"]) == ["vfs_", "vfs_read"]
    assert matching("a.b", ["a.b", "axb"]) == ["a.b"]
    assert is_pattern("a*") and not is_pattern("a?[b]")
    pairs = [("sched", "a"), ("sched", "b"), ("net", "a")]
    assert match_pairs(pairs, "*", "a") == (("net", "a"), ("sched", "a"))
    assert match_pairs(pairs, "sched", "*") == (("sched", "a"), ("sched", "b"))


def test_function_names() -> None:
    core = {"vfs_read", "lookup_fast.constprop.0", "vfs_write"}
    found = {"vmlinux": core, "ext4": {"ext4_read", "vfs_read"}}
    for _ in range(2):  # made, then from the cache
        names = FunctionNames.kept("some kernel", lambda: found)
        assert names.match("vfs_read", "") == (("ext4", "vfs_read"), ("vmlinux", "vfs_read"))
        assert names.match("vfs_read", "vmlinux") == (("vmlinux", "vfs_read"),)
        assert names.match("vfs_*", "vm*") == (("vmlinux", "vfs_read"), ("vmlinux", "vfs_write"))
        assert names.match("lookup_fast*", "") == (("vmlinux", "lookup_fast.constprop.0"),)
        assert names.match("read", "") == names.match("", "") == names.match("vmlinux", "") == ()
        assert names.modules() == {module: sorted(held) for module, held in found.items()}
        assert names.several == frozenset()


def test_names_that_several_functions_have(tmp_path: Path) -> None:
    listed = "vfs_read\nbitfill\nbitfill\next4_read [ext4]\nvfs_read [ext4]\n__ftrace_invalid_address___8\n"
    (tmp_path / "available_filter_functions").write_text(listed)
    names = traceable_functions(tmp_path, TypeTable(lambda: None, dict))
    assert names.several == {"bitfill"}
    assert names.modules() == {"ext4": ["ext4_read", "vfs_read"], "vmlinux": ["bitfill", "vfs_read"]}
    assert names.match("bitfill", "") == (("vmlinux", "bitfill"),) and names.match("*", "?") == ()


@pytest.fixture(scope="module")
def recorded() -> RecordedMachine:
    return default_machine()


def test_the_default_kernel_answers(recorded: RecordedMachine) -> None:
    machine: Machine = recorded
    assert machine.title.startswith("Linux ") and machine.arch == "x86_64"
    assert machine.supports("tracepoint").works
    assert not machine.supports("time_travel").works and machine.supports("time_travel").reason
    task = machine.struct("struct", "task_struct")
    assert task is not None
    members = {item.name: item for item in machine.fields(task)}
    assert members["real_parent"].type == Pointer(task) and members["comm"].type == Array(CHAR, 16)
    assert isinstance(members["mm"].type, Pointer)
    read = machine.function("vfs_read")
    assert read is not None and [item.name for item in read.parameters] == ["file", "buf", "count", "pos"]
    assert machine.functions("vfs_read") == (("vmlinux", "vfs_read"),)
    assert ("vmlinux", "vfs_write") in machine.functions("vfs_*")
    assert machine.typedef("umode_t") == Int(16, False)
    assert machine.symbol("vfs_read") is None and machine.pid_namespace() is None


def test_the_default_kernel_has_tracepoints(recorded: RecordedMachine) -> None:
    switch = recorded.tracepoint("sched", "sched_switch")
    assert switch is not None
    assert [item.name for item in switch.fields][:3] == ["prev_comm", "prev_pid", "prev_prio"]
    assert recorded.tracepoint("sched", "nothing") is None
    openat = recorded.tracepoint("syscalls", "sys_enter_openat")
    assert openat is not None
    assert {item.name: item.type for item in openat.fields}["filename"] == Pointer(CHAR, "user")
    assert ("sched", "sched_switch") in recorded.tracepoints("sched", "*")
    assert "sched_switch" in recorded.raw_tracepoints("sched_*")
    raw = recorded.raw_tracepoint("sched_switch")
    assert raw is not None and [item.name for item in raw][:3] == ["preempt", "prev", "next"]
    assert raw[0] == Parameter("preempt", BOOL)
    assert recorded.raw_tracepoint("nothing") is None and recorded.raw_tracepoints("nothing") == ()


KERNELS = Path(__file__).parents[1] / "kernels"


@pytest.fixture(scope="module", params=["5.10", "6.1", "6.12", "7.2"])
def debian(request: pytest.FixtureRequest) -> RecordedMachine:
    """The kernels of the lab, recorded there with ext4, xfs, btrfs and nfs loaded."""
    machine = RecordedMachine(KERNELS / f"{request.param}.ebtk")
    assert machine.title.startswith(f"Linux {request.param}.")
    return machine


def test_the_kernel_without_kprobes() -> None:
    machine = RecordedMachine(KERNELS / "6.18.ebtk")
    assert machine.title.startswith("Linux 6.18.") and machine.supports("tracepoint").works
    assert not machine.supports("kprobe").works and not machine.supports("fentry").works
    assert machine.function("vfs_read") is not None
    assert machine.tracepoint("block", "block_io_start") is not None


@pytest.mark.parametrize("path", sorted(KERNELS.glob("*.ebtk")), ids=lambda path: path.stem)
def test_a_profile_stays_small(path: Path) -> None:
    assert path.stat().st_size <= 2_000_000


def members(machine: RecordedMachine, name: str) -> set[str]:
    found = machine.struct("struct", name)
    return {item.name for item in machine.fields(found)} if found else set()


def test_what_differs_between_kernels(debian: RecordedMachine) -> None:
    old = debian.title.startswith("Linux 5.10.")
    task = members(debian, "task_struct")
    assert ("state" in task) is old and ("__state" in task) is not old
    assert ("rq_disk" in members(debian, "request")) is old and bool(members(debian, "folio")) is not old
    create = debian.function("vfs_create")
    assert create is not None
    first = {"5": "dir", "6.1.": "mnt_userns", "6.12": "idmap", "7": "idmap"}
    assert create.parameters[0].name == next(
        name for start, name in first.items() if debian.title.startswith(f"Linux {start}")
    )
    assert debian.supports("kprobe").works and debian.supports("bpf_loop").works is not old


def test_functions_of_modules(debian: RecordedMachine) -> None:
    assert debian.functions("ext4_file_read_iter") == (("ext4", "ext4_file_read_iter"),)
    assert ("xfs", "xfs_file_read_iter") in debian.functions("xfs_file_*", "xfs")
    read = debian.function("ext4_file_read_iter")
    if debian.title.startswith("Linux 5.10."):  # modules have no BTF there
        assert read is None and debian.struct("struct", "ext4_inode_info") is None
        return
    kiocb = debian.struct("struct", "kiocb")
    assert read is not None and kiocb is not None
    assert read.module == "ext4" and read.parameters[0] == Parameter("iocb", Pointer(kiocb))
    assert debian.function("ext4_file_read_iter", "xfs") is None
    assert "vfs_inode" in members(debian, "ext4_inode_info") and "i_vnode" in members(debian, "xfs_inode")


def test_every_prototype_and_tracepoint_converts(debian: RecordedMachine) -> None:
    for module, name in debian.functions("vfs_*") + debian.functions("*", "ext4"):
        function = debian.function(name, module)
        assert function is None or function.name == name
    for category, name in debian.tracepoints("*", "*")[::5]:
        point = debian.tracepoint(category, name)
        assert point is not None
        assert all(item.offset >= 8 for item in point.fields)
    for name in debian.raw_tracepoints("*")[::5]:
        assert debian.raw_tracepoint(name) is not None


def test_system_calls_without_tracefs_or_btf() -> None:
    unseen = UnseenTracepoints(NO_TYPES)
    enter = unseen.tracepoint("syscalls", "sys_enter_openat")
    assert enter is not None
    assert [(item.name, item.offset) for item in enter.fields][1:3] == [("dfd", 16), ("filename", 24)]
    assert ("syscalls", "sys_exit_read") in unseen.match("syscalls", "sys_exit_*")
    assert unseen.tracepoint("sched", "sched_switch") is None and unseen.match("sched", "*") == ()


def test_a_bad_profile_is_told(tmp_path: Path) -> None:
    good = (Path(__file__).parents[2] / "kernel" / "recorded" / "default.ebtk").read_bytes()
    path = tmp_path / "bad.ebtk"
    cases = {
        b"": "not a kernel profile", b"\x7fELF" * 100: "not a kernel profile", good[:2000]: "cut short",
        good[:-1]: "cut short", good[:5000] + b"x" + good[5001:]: "damaged",
        b"EBTKERN2" + good[8:]: "another version",
    }
    for data, message in cases.items():
        path.write_bytes(data)
        with pytest.raises(ProfileError, match=message):
            RecordedMachine(path)
    with pytest.raises(ProfileError, match="No such file"):
        RecordedMachine(tmp_path / "none")
    with pytest.raises(ProfileError, match="Is a directory"):
        RecordedMachine(tmp_path)


def test_a_profile_with_a_senseless_header(tmp_path: Path) -> None:
    path = tmp_path / "odd.ebtk"
    headers: list[dict[str, object]] = [{}, {"features": []}, {"features": {}, "arch": "x86_64"}]
    for header in headers:
        write_profile(path, header, {"tracepoints": b""})
        with pytest.raises(ProfileError, match="makes no sense"):
            RecordedMachine(path)


def test_a_kernel_without_btf(tmp_path: Path) -> None:
    path = tmp_path / "plain.ebtk"
    header = {"title": "Linux 1", "arch": "x86_64", "features": {"kprobe": [True, ""]}}
    body = b"sched:wake\npid_t pid;8;4;1\n\nsched:none"
    write_profile(path, header, {"tracepoints": body, "functions": b'{"vmlinux": [["f", "g"], []]}'})
    machine = RecordedMachine(path)
    assert machine.functions("*") == (("vmlinux", "f"), ("vmlinux", "g"))
    assert machine.struct("struct", "file") is None and machine.function("f") is None
    point = machine.tracepoint("sched", "wake")
    assert point is not None and point.fields[0].type == INT32
    assert machine.tracepoints("*", "*") == (("sched", "none"), ("sched", "wake"))


def test_reduced_btf_keeps_what_is_asked(recorded: RecordedMachine) -> None:
    core = recorded.types.core
    assert core is not None
    selection = Selection(core)
    (task,) = core.find("struct", "task_struct")
    selection.add(task, 0)
    (read,) = core.find("func", "vfs_read")
    selection.add_function(read, -1)
    (pid_type,) = core.find("enum", "pid_type")
    selection.add(pid_type, 0)
    small = Writer(selection).write()
    types = TypeTable(lambda: Btf(small, "small"), dict)
    before, after = recorded.struct("struct", "task_struct"), types.struct("struct", "task_struct")
    assert before is not None and after is not None
    shape = [(item.name, str(item.type), item.offset, item.bits, item.shift) for item in types.fields(after)]
    assert shape == [
        (item.name, str(item.type), item.offset, item.bits, item.shift) for item in recorded.fields(before)
    ]
    file = next(item.type for item in types.fields(after) if item.name == "files")
    assert isinstance(file, Pointer) and isinstance(file.to, Struct) and file.to.size == 0
    function = types.function("vfs_read")
    assert function is not None and str(function.parameters[0].type) == "struct file *"
    assert types.enum_values("pid_type") == recorded.enum_values("pid_type") != {}
    assert types.enum("pid_type") == Enum("pid_type") and types.typedef("unsigned int") == UINT32
    assert len(small) < 200_000
