"""The BTF reader over fabricated blobs: every kind, layouts, split blobs, damage."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from kernel import btf
from kernel.btf import Btf, BtfError
from kernel.typetable import TypeTable, place_bits
from lang.machine import Parameter
from lang.types import BOOL, INT32, UINT8, UINT32, UINT64, VOID, Array, Enum, Int, Pointer, Struct


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


class Blob:
    """A small BTF writer: each method adds a type and returns its id."""

    def __init__(self, first: int = 1, strings_at: int = 0) -> None:
        self.types = b""
        self.strings = b"" if strings_at else b"\0"
        self.next, self.strings_at = first, strings_at

    def text(self, name: str) -> int:
        if not name:
            return 0
        at = self.strings_at + len(self.strings)
        self.strings += name.encode() + b"\0"
        return at

    def add(self, kind: int, name: str, size: int, *rest: int, count: int = 0, flag: int = 0) -> int:
        words = (self.text(name), flag << 31 | kind << 24 | count, size, *rest)
        self.types += struct.pack(f"={len(words)}I", *words)
        self.next += 1
        return self.next - 1

    def integer(self, name: str, size: int, encoding: int = 0, bits: int | None = None, skip: int = 0) -> int:
        width = size * 8 if bits is None else bits
        return self.add(btf.INT, name, size, encoding << 24 | skip << 16 | width)

    def struct(self, name: str, size: int, *members: tuple[str, int, int], kind: int = btf.STRUCT) -> int:
        """Members are (name, type, bit offset)."""
        flat = [word for member, of, at in members for word in (self.text(member), of, at)]
        return self.add(kind, name, size, *flat, count=len(members))

    def bit_struct(self, name: str, size: int, *members: tuple[str, int, int, int]) -> int:
        """Members are (name, type, bit offset, bits)."""
        flat = [word for member, of, at, bits in members for word in (self.text(member), of, bits << 24 | at)]
        return self.add(btf.STRUCT, name, size, *flat, count=len(members), flag=1)

    def enum(self, name: str, *values: tuple[str, int], flag: int = 0, wide: bool = False) -> int:
        flat = []
        for label, value in values:
            flat += [self.text(label), value & 0xFFFFFFFF]
            if wide:
                flat.append(value >> 32 & 0xFFFFFFFF)
        kind, size = (btf.ENUM64, 8) if wide else (btf.ENUM, 4)
        return self.add(kind, name, size, *flat, count=len(values), flag=flag)

    def proto(self, result: int, *parameters: tuple[str, int]) -> int:
        flat = [word for name, of in parameters for word in (self.text(name), of)]
        return self.add(btf.FUNC_PROTO, "", result, *flat, count=len(parameters))

    def bytes(self) -> bytes:
        strings = self.strings or b"\0"
        head = (btf.MAGIC, 1, 0, 24, 0, len(self.types), len(self.types), len(strings))
        return struct.pack("=HBBIIIII", *head) + self.types + strings


def table(blob: Blob, modules: dict[str, Blob] | None = None) -> TypeTable:
    readers = {name: item.bytes for name, item in (modules or {}).items()}
    return TypeTable(lambda: Btf(blob.bytes()), lambda: readers)


def named(types: TypeTable, tag: str, kind: str = "struct") -> Struct:
    found = types.struct(kind, tag)
    assert found is not None
    return found


def test_base_types_and_typedefs() -> None:
    blob = Blob()
    number = blob.integer("unsigned int", 4)
    blob.integer("int", 4, 1)
    blob.integer("_Bool", 1, 4)
    blob.integer("char", 1)  # -funsigned-char: still char
    blob.integer("__int128 unsigned", 16)
    blob.integer("long unsigned int", 8)
    blob.add(btf.FLOAT, "double", 8)
    blob.add(btf.TYPEDEF, "uid_t", blob.add(btf.CONST, "", blob.add(btf.VOLATILE, "", number)))
    blob.add(btf.TYPEDEF, "raw_t", blob.add(btf.RESTRICT, "", blob.add(btf.PTR, "", 0)))
    types = table(blob)
    assert types.typedef("uid_t") == UINT32 and types.typedef("int") == INT32
    assert types.typedef("unsigned long") == types.typedef("long unsigned int") == UINT64
    assert types.typedef("bool") == BOOL
    assert types.typedef("__int128 unsigned") == Array(UINT64, 2)
    assert types.typedef("double") == Array(UINT8, 8)
    assert types.typedef("raw_t") == Pointer(VOID)
    char = types.typedef("char")
    assert isinstance(char, Int) and char.spelling == "char" and char.signed
    assert types.typedef("nothing") is None and types.struct("struct", "uid_t") is None


def test_struct_with_anonymous_members_and_pointers() -> None:
    blob = Blob()
    number = blob.integer("int", 4, 1)
    inner = blob.struct("", 8, ("low", number, 0), ("high", number, 32))
    either = blob.struct("", 8, ("", inner, 0), ("both", number, 0), kind=btf.UNION)
    self_pointer = blob.add(btf.PTR, "", blob.next + 2)
    flexible = blob.add(btf.ARRAY, "", 0, number, number, 0)
    node = blob.struct("node", 24, ("id", number, 0), ("", either, 64), ("next", self_pointer, 128),
                       ("rest", flexible, 192))
    types = table(blob)
    found = named(types, "node")
    assert found == Struct("struct", "node", 24, node)
    assert [(item.name, item.offset) for item in types.fields(found)] == [
        ("id", 0), ("low", 8), ("high", 12), ("both", 8), ("next", 16), ("rest", 24),
    ]
    assert types.fields(found)[4].type == Pointer(found, "kernel")
    assert types.fields(found)[5].type == Array(INT32, 0)


def test_bit_fields_old_and_new() -> None:
    blob = Blob()
    number = blob.integer("unsigned int", 4)
    byte = blob.integer("unsigned char", 1)
    old = blob.integer("unsigned int", 4, bits=3, skip=5)
    blob.bit_struct("new", 12, ("a", number, 0, 1), ("b", number, 31, 1), ("c", number, 40, 20),
                    ("d", byte, 67, 2), ("plain", byte, 72, 0))
    blob.struct("old", 8, ("plain", number, 0), ("x", old, 32))
    types = table(blob)
    fields = {item.name: (item.offset, item.bits, item.shift) for item in types.fields(named(types, "new"))}
    assert fields == {"a": (0, 1, 0), "b": (0, 1, 31), "c": (4, 20, 8), "d": (8, 2, 3), "plain": (9, 0, 0)}
    last = types.fields(named(types, "old"))[1]
    assert (last.offset, last.bits, last.shift) == (4, 3, 5)


@pytest.mark.parametrize("unit", [8, 16, 32, 64])
def test_bit_words_hold_the_field(unit: int) -> None:
    for place in range(200):
        for bits in range(1, min(unit, 57) + 1):
            offset, width, shift = place_bits(place, bits, unit)
            assert offset * 8 + shift == place and width == bits and shift + bits <= 64


def test_forward_declarations_functions_and_user_pointers() -> None:
    blob = Blob()
    forward = blob.add(btf.FWD, "file", 0)
    missing = blob.add(btf.FWD, "secret", 0, flag=1)
    full = blob.struct("file", 64)
    prototype = blob.proto(0, ("ctx", blob.add(btf.PTR, "", 0)))
    user = blob.add(btf.PTR, "", blob.add(btf.TYPE_TAG, "user", full))
    first, second, third = (blob.add(btf.PTR, "", to) for to in (forward, missing, prototype))
    blob.struct("holder", 32, ("f", first, 0), ("s", second, 64), ("call", third, 128), ("u", user, 192))
    types = table(blob)
    file = named(types, "file")
    kinds = [item.type for item in types.fields(named(types, "holder"))]
    assert kinds[0] == Pointer(file) and kinds[2] == Pointer(VOID) and kinds[3] == Pointer(file, "user")
    secret = kinds[1]
    assert isinstance(secret, Pointer) and isinstance(secret.to, Struct)
    assert (secret.to.kind, secret.to.name, secret.to.size) == ("union", "secret", 0)
    assert types.fields(secret.to) == ()


def test_enums_and_constants() -> None:
    blob = Blob()
    blob.enum("color", ("RED", 0), ("BLUE", 7))
    blob.enum("", ("LOOSE", 3))
    blob.enum("wide", ("TOP", 1 << 40), ("MINUS", -1), flag=1, wide=True)
    blob.enum("mask", ("ALL", 0xFFFFFFFF))
    blob.struct("uses", 4, ("kind", 1, 0), ("loose", 2, 32))
    types = table(blob)
    assert types.enum("color") == Enum("color", 32, False)
    assert types.enum_values("color") == {"RED": 0, "BLUE": 7}
    assert types.constant("BLUE") == (7, Enum("color"))
    assert types.constant("LOOSE") == (3, Enum(""))
    assert types.enum_values("wide") == {"TOP": 1 << 40, "MINUS": -1}
    assert types.enum("wide") == Enum("wide", 64, True)
    # a kernel that flags signed enums means the others to be unsigned
    assert types.enum_values("mask") == {"ALL": 0xFFFFFFFF}
    assert [item.type for item in types.fields(named(types, "uses"))] == [Enum("color"), UINT32]
    assert types.constant("GREEN") is None and types.enum("none") is None and types.enum_values("none") == {}


def test_enums_of_kernels_without_the_sign_flag() -> None:
    blob = Blob()
    blob.enum("errors", ("FAILED", -1), ("FINE", 0))
    types = table(blob)
    assert types.enum_values("errors") == {"FAILED": -1, "FINE": 0}
    assert types.enum("errors") == Enum("errors", 32, True)


def test_prototypes_and_raw_tracepoints() -> None:
    blob = Blob()
    number = blob.integer("int", 4, 1)
    pointer = blob.add(btf.PTR, "", 0)
    blob.add(btf.FUNC, "printk", blob.proto(number, ("fmt", pointer), ("", 0)), count=1)
    nameless = blob.proto(0, ("", pointer), ("", number))
    blob.add(btf.TYPEDEF, "btf_trace_tick", blob.add(btf.PTR, "", nameless))
    blob.add(btf.TYPEDEF, "btf_trace_tock", blob.add(btf.PTR, "", nameless))
    blob.add(btf.FUNC, "__bpf_trace_tick", blob.proto(0, ("__data", pointer), ("cpu", number)))
    types = table(blob)
    printk = types.function("printk")
    assert printk is not None and printk.parameters == (Parameter("fmt", Pointer(VOID)),)
    assert printk.result == INT32 and printk.module == "vmlinux"
    assert types.function("missing") is None
    assert types.raw_tracepoints() == ("tick", "tock")
    assert types.raw_tracepoint("tick") == (Parameter("cpu", INT32),)
    assert types.raw_tracepoint("tock") == (Parameter("arg0", INT32),)
    assert types.raw_tracepoint("none") is None


def test_module_blobs_continue_the_core() -> None:
    core = Blob()
    number = core.integer("int", 4, 1)
    core.struct("inode", 8, ("i", number, 0))
    module = Blob(core.next, len(core.strings))
    own = module.struct("ext4_inode", 16, ("base", number, 0), ("core", 2, 32))
    pointer = module.add(btf.PTR, "", own)
    module.add(btf.FUNC, "ext4_read", module.proto(number, ("inode", pointer)))
    module.add(btf.TYPEDEF, "btf_trace_ext4", module.add(btf.PTR, "", module.proto(0, ("", pointer))))
    other = Blob(core.next, len(core.strings))
    xfs = other.struct("xfs_inode", 32, ("far", number, 64))
    types = table(core, {"ext4": module, "xfs": other})
    found = named(types, "ext4_inode")
    assert [item.type for item in types.fields(found)] == [INT32, named(types, "inode")]
    far = named(types, "xfs_inode")
    assert own == xfs and far.id != found.id
    assert [item.offset for item in types.fields(far)] == [8]
    read = types.function("ext4_read")
    assert read is not None and read.module == "ext4" and read.parameters[0].type == Pointer(found)
    assert types.function("ext4_read", "ext4") == read
    assert types.function("ext4_read", "vmlinux") is None and types.function("ext4_read", "gone") is None
    assert types.raw_tracepoints() == ("ext4",)
    again = table(core, {"xfs": other, "ext4": module})
    assert [item.offset for item in again.fields(far)] == [8]  # an id means the same in another process
    with pytest.raises(BtfError, match="not of this kernel"):
        table(core).fields(far)


def test_no_btf_at_all() -> None:
    types = TypeTable(lambda: None, dict)
    assert types.struct("struct", "file") is None and types.function("f") is None
    assert types.constant("A") is None and types.typedef("int") is None and types.raw_tracepoints() == ()


def whole() -> bytes:
    blob = Blob()
    number = blob.integer("int", 4, 1)
    blob.struct("file", 64, *((f"member{at}", number, at * 32) for at in range(16)))
    blob.enum("color", ("RED", 0), ("BLUE", 7))
    blob.add(btf.TYPEDEF, "loop_t", blob.next)
    blob.add(btf.FUNC, "f", blob.proto(number, ("a", number)))
    return blob.bytes()


@pytest.mark.parametrize(("bytes_", "message"), [
    (b"", "too short"),
    (b"\0" * 100, "not BTF"),
    (b"\x7fELF" + b"\0" * 100, "an ELF file of another word size"),
    (whole()[:-1], "cut short"),
    (whole()[:60], "cut short"),
    (b"\xeb\x9f" + whole()[2:], "other byte order"),
    (whole()[:2] + b"\7" + whole()[3:], "version 7"),
    (whole()[:-1] + b"x", "damaged"),
])  # fmt: skip
def test_a_bad_file_is_told(bytes_: bytes, message: str) -> None:
    with pytest.raises(BtfError, match=message):
        Btf(bytes_, "bad.btf")


def test_references_that_loop_or_leave_the_file() -> None:
    types = TypeTable(lambda: Btf(whole()), dict)
    with pytest.raises(BtfError, match="refers to itself"):
        types.typedef("loop_t")
    blob = Blob()
    blob.add(btf.TYPEDEF, "far_t", 99)
    with pytest.raises(BtfError, match="no type 99"):
        table(blob).typedef("far_t")
    blob = Blob()
    blob.struct("self", 8, ("", 1, 0))
    with pytest.raises(BtfError, match="holds itself"):
        types = table(blob)
        types.fields(named(types, "self"))


def test_any_flipped_byte_is_an_answer_or_a_btf_error() -> None:
    good, dice = whole(), random.Random(7)
    for _ in range(1500):
        bad = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        try:
            types = TypeTable(lambda: Btf(bytes(bad), key=str(hash(bytes(bad)))), dict)  # noqa: B023
            file = types.struct("struct", "file")
            assert file is None or isinstance(types.fields(file), tuple)
            types.function("f")
            types.enum_values("color")
            types.constant("BLUE")
            types.typedef("int")
        except BtfError:
            pass


def test_the_index_is_cached_and_survives_damage(tmp_path: Path) -> None:
    Btf(whole())
    (stored,) = (tmp_path / "ebt").iterdir()
    before = stored.read_bytes()
    stored.write_bytes(before[:-8])
    assert list(Btf(whole()).find("struct", "file")) == [2]
    assert stored.read_bytes() == before
    stored.unlink()
    stored.mkdir()  # nothing can be stored here: only the cache is lost
    assert list(Btf(whole()).find("struct", "file")) == [2]
