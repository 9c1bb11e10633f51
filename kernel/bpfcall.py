"""Typed arguments → bpf(2): maps, programs and links, without libbcc.

Every failure is a `BpfError`, an OSError with the kernel's errno and, for programs, the verifier's log.
File descriptors are plain integers, close-on-exec; the caller closes them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from collections.abc import Callable
from itertools import chain

_SYS_BPF = 280 if os.uname().machine == "aarch64" else 321

(_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT, _PROG_LOAD) = range(6)
_TEST_RUN, _OBJ_INFO, _RAW_TRACEPOINT, _BTF_LOAD, _BTF_FD_BY_ID = 10, 15, 17, 18, 19
_BTF_NEXT_ID, _LOOKUP_BATCH, _TAKE_BATCH, _LINK_CREATE = 23, 24, 25, 28
_ITER_CREATE = 33

MAP_KINDS = {
    "hash": 1, "array": 2, "prog_array": 3, "perf_array": 4, "percpu_hash": 5, "percpu_array": 6,
    "stack_trace": 7, "cgroup_array": 8, "lru_hash": 9, "lru_percpu_hash": 10, "lpm_trie": 11,
    "ringbuf": 27, "task_storage": 29,
}  # fmt: skip
PROGRAM_KINDS = {
    "socket_filter": 1, "kprobe": 2, "tracepoint": 5, "perf_event": 7, "raw_tracepoint": 17, "tracing": 26,
}  # fmt: skip
ATTACH_FENTRY, ATTACH_FEXIT, ATTACH_ITER, ATTACH_PERF_EVENT, ATTACH_KPROBE_MULTI = 24, 25, 28, 41, 42
ATTACH_UPROBE_MULTI = 48

F_NO_PREALLOC = 1
TEST_RUN_ON_CPU = 1

_FIRST_LOG, _LAST_LOG = 1 << 20, 1 << 26
_BATCH_BYTES = 2 << 20
# What a kernel without the batch command for this map type answers: EINVAL before 5.6, ENOTSUPP (524) after.
_NO_BATCH = frozenset((errno.EINVAL, errno.EOPNOTSUPP, 524))
_ARRAYS = frozenset((MAP_KINDS["array"], MAP_KINDS["percpu_array"]))


Entries = list[tuple[bytes, bytes]]


class BpfError(OSError):
    """A refused call: `errno`, what was tried, and the verifier's log where there is one."""

    def __init__(self, number: int, doing: str, log: str = "") -> None:
        super().__init__(number, f"{doing}: {os.strerror(number)}")
        self.log = log


_syscall: Callable[..., int] = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long  # type: ignore[attr-defined]


def call(number: int, *arguments: object) -> int:
    """The system call's result, or minus errno; interrupted calls are made again."""
    while True:
        result = _syscall(ctypes.c_long(number), *arguments)
        if result >= 0:
            return result
        failed = ctypes.get_errno()
        if failed != errno.EINTR:
            return -failed


def _bpf(command: int, attributes: ctypes.Array[ctypes.c_char]) -> int:
    return call(_SYS_BPF, ctypes.c_long(command), attributes, ctypes.c_ulong(len(attributes)))


def pack(layout: str, *values: object) -> ctypes.Array[ctypes.c_char]:
    """An attribute record in native byte order without padding."""
    data = struct.pack("=" + layout, *values)
    return ctypes.create_string_buffer(data, len(data))


def instruction(
    opcode: int, target: int = 0, source: int = 0, offset: int = 0, immediate: int = 0
) -> bytes:
    """A BPF instruction: struct bpf_insn, include/uapi/linux/bpf.h."""
    return struct.pack("=BBhi", opcode, source << 4 | target, offset, immediate)


def _buffer(data: bytes | int) -> tuple[ctypes.Array[ctypes.c_char], int]:
    """A C buffer holding these bytes (or this many zeros) and its address; the caller keeps it alive."""
    if isinstance(data, int):
        held = ctypes.create_string_buffer(max(data, 1))
    else:
        held = ctypes.create_string_buffer(data, max(len(data), 1))
    return held, ctypes.addressof(held)


def _name(text: str) -> bytes:
    """An object name as the kernel takes it: 15 bytes of letters, digits, `_` and `.`."""
    return re.sub(rb"[^A-Za-z0-9_.]", b"_", text.encode("ascii", "replace"))[:15]


def _fd(result: int, doing: str) -> int:
    if result < 0:
        raise BpfError(-result, doing)
    return result


# --- maps -----------------------------------------------------------------------------------------


def map_create(
    kind: str | int, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = ""
) -> int:
    """A new map's descriptor. `kind` is a name of MAP_KINDS or the kernel's number."""
    number = MAP_KINDS[kind] if isinstance(kind, str) else kind
    attributes = pack(
        "7I16s", number, key_size, value_size, max_entries, flags, 0, 0, _name(name)
    )  # fmt: skip
    return _fd(_bpf(_MAP_CREATE, attributes), f"creating the map {name or kind}")


def _element(command: int, fd: int, key: bytes | None, other: int, flags: int = 0) -> int:
    held, address = _buffer(key) if key is not None else (None, 0)
    result = _bpf(command, pack("iIQQQ", fd, 0, address, other, flags))
    del held
    return result


def map_lookup(fd: int, key: bytes, value_size: int) -> bytes | None:
    """One value, or None where the key is absent; `value_size` counts all CPUs of a per-CPU map."""
    value, address = _buffer(value_size)
    result = _element(_MAP_LOOKUP, fd, key, address)
    if result == -errno.ENOENT:
        return None
    _fd(result, "reading a map")
    return value.raw[:value_size]


def map_update(fd: int, key: bytes, value: bytes, flags: int = 0) -> None:
    """Put the value under the key. `flags`: 0 any, 1 only if absent, 2 only if present."""
    held, address = _buffer(value)
    _fd(_element(_MAP_UPDATE, fd, key, address, flags), "writing a map")
    del held


def map_delete(fd: int, key: bytes) -> bool:
    """Remove the key; False where it was absent."""
    result = _element(_MAP_DELETE, fd, key, 0)
    if result == -errno.ENOENT:
        return False
    _fd(result, "deleting from a map")
    return True


def map_entries(fd: int, key_size: int, value_size: int, max_entries: int) -> Entries:
    """All entries of a map, each key once.

    An entry that is there from start to end is in the answer, whatever others come and go meanwhile.
    """
    entries = read_batches(fd, key_size, value_size, max_entries)
    if entries is not None:
        return entries
    return single_entries(fd, key_size, value_size, max_entries)


def map_take(fd: int, key_size: int, value_size: int, max_entries: int) -> Entries:
    """All entries of a hash, which are gone from it then: what comes meanwhile is in the answer or stays."""
    entries = read_batches(fd, key_size, value_size, max_entries, _TAKE_BATCH)
    return entries if entries is not None else single_take(fd, key_size, value_size, max_entries)


def single_take(fd: int, key_size: int, value_size: int, max_entries: int) -> Entries:
    """The same, entry by entry: what is added to one between its reading and its end is lost."""
    entries = single_entries(fd, key_size, value_size, max_entries)
    for key, _ in entries:
        map_delete(fd, key)
    return entries


def single_entries(fd: int, key_size: int, value_size: int, max_entries: int) -> Entries:
    """The same, with one call or two for each entry."""
    if map_info(fd)[0] in _ARRAYS:
        return _read_array(fd, value_size, max_entries)
    return _read_one_by_one(fd, key_size, value_size, max_entries)


def read_batches(
    fd: int, key_size: int, value_size: int, max_entries: int, command: int = _LOOKUP_BATCH
) -> Entries | None:
    """The entries by BPF_MAP_LOOKUP_BATCH, or None where this kernel has none for this map type.

    With _TAKE_BATCH (BPF_MAP_LOOKUP_AND_DELETE_BATCH) they are deleted too.
    A hash is walked bucket by bucket under the bucket's lock, so no key is met twice. The position is
    opaque: a u32 for a hash, a key for an array.
    """
    count = max(64, min(max_entries, _BATCH_BYTES // (key_size + value_size), 65536))
    token = ctypes.create_string_buffer(max(key_size, 8))
    where, started, found = ctypes.addressof(token), False, []
    keys, values, room = _buffer(0), _buffer(0), 0
    while True:
        if room != count:
            keys, values, room = _buffer(count * key_size), _buffer(count * value_size), count
        given = where if started else 0
        attributes = pack("QQQQIiQQ", given, where, keys[1], values[1], count, fd, 0, 0)
        result = _bpf(command, attributes)
        if result == -errno.ENOSPC:  # one bucket holds more than `count`
            count *= 2
            continue
        if result < 0 and result != -errno.ENOENT:
            if -result in _NO_BATCH and not started:
                return None
            raise BpfError(-result, "reading a map")
        (got,) = struct.unpack_from("=I", attributes, 32)
        found.append(zip(_cut(keys[0], key_size, got), _cut(values[0], value_size, got), strict=True))
        if result == -errno.ENOENT:
            return list(chain.from_iterable(found))
        started = True


def _cut(held: ctypes.Array[ctypes.c_char], size: int, count: int) -> list[bytes]:
    data = ctypes.string_at(held, size * count)
    return [data[at : at + size] for at in range(0, size * count, size)]


def _read_array(fd: int, value_size: int, max_entries: int) -> Entries:
    """A per-CPU array before 5.13 has no batch read; its keys are known."""
    keys = [struct.pack("=I", index) for index in range(max_entries)]
    read = ((key, map_lookup(fd, key, value_size)) for key in keys)
    return [(key, value) for key, value in read if value is not None]


def _read_one_by_one(fd: int, key_size: int, value_size: int, max_entries: int) -> Entries:
    """By next key. The kernel starts over when the current key is deleted, so steps are bounded."""
    found: dict[bytes, bytes] = {}
    key = map_next_key(fd, None, key_size)
    steps = 8 * max_entries + 1024
    while key is not None and steps > 0:
        value = map_lookup(fd, key, value_size)
        if value is not None:
            found[key] = value
        key = map_next_key(fd, key, key_size)
        steps -= 1
    return list(found.items())


def map_next_key(fd: int, key: bytes | None, key_size: int) -> bytes | None:
    """The key after this one (None: the first), or None at the end."""
    following, address = _buffer(key_size)
    result = _element(_MAP_NEXT, fd, key, address)
    if result == -errno.ENOENT:
        return None
    _fd(result, "walking a map")
    return following.raw[:key_size]


def map_info(fd: int) -> tuple[int, int, int, int, int]:
    """(type, key size, value size, max entries, flags) of a map."""
    kind, _, key_size, value_size, entries, flags = struct.unpack_from("=6I", _info(fd, 24))
    return kind, key_size, value_size, entries, flags


def _info(fd: int, size: int) -> bytes:
    held, address = _buffer(size)
    _fd(_bpf(_OBJ_INFO, pack("IIQ", fd, size, address)), "asking about a BPF object")
    return held.raw


# --- programs -------------------------------------------------------------------------------------


def prog_load(
    kind: str | int, insns: bytes, license: str, name: str, *, expected_attach_type: int = 0,
    attach_btf_id: int = 0, attach_btf_obj_fd: int = 0, log_level: int = 0, kern_version: int = 0,
    btf: bytes = b"", function_info: bytes = b"",
) -> int:  # fmt: skip
    """A loaded program's descriptor. The verifier's log is made only when the kernel refuses.

    `btf` and `function_info` (struct bpf_func_info, 8 bytes each) describe the program's own functions.

    `log_level` is the detail of that log: 0 and 1 the usual, 2 with the state at each instruction.
    """
    number = PROGRAM_KINDS[kind] if isinstance(kind, str) else kind
    code, code_at = _buffer(insns)
    words, words_at = _buffer(license.encode() + b"\0")
    count = len(insns) // 8
    info, info_at = _buffer(function_info) if function_info else (None, 0)
    own = btf_load(btf) if btf else 0

    def attempt(level: int, log_size: int, log_at: int) -> int:
        attributes = pack(
            "2I2Q2IQ2I16s4IQ2IQ4I",
            number, count, code_at, words_at, level, log_size, log_at, kern_version, 0, _name(name),
            0, expected_attach_type, own, 8 if info_at else 0, info_at, len(function_info) // 8, 0, 0, 0,
            attach_btf_id, attach_btf_obj_fd, 0,
        )  # fmt: skip
        return _bpf(_PROG_LOAD, attributes)

    try:
        return _attempt_load(attempt, name, log_level)
    finally:
        if own:
            os.close(own)  # the program holds it now
        del code, words, info  # alive until here: the kernel reads them by address


def _attempt_load(attempt: Callable[[int, int, int], int], name: str, log_level: int) -> int:
    result = -errno.EAGAIN
    for _ in range(8):  # EAGAIN: a signal came while the verifier ran
        result = attempt(0, 0, 0)
        if result != -errno.EAGAIN:
            break
    if result >= 0:
        return result
    log = _verifier_log(attempt, max(log_level, 1))
    raise BpfError(-result, f"loading the program {name}", log)


def btf_load(data: bytes) -> int:
    """The descriptor of a program's own BTF. Raises BpfError."""
    blob, address = _buffer(data)
    result = _bpf(_BTF_LOAD, pack("2Q3I", address, 0, len(data), 0, 0))
    del blob
    if result < 0:
        raise BpfError(-result, "loading the program's BTF")
    return result


def _verifier_log(attempt: Callable[[int, int, int], int], level: int) -> str:
    """The log of one more attempt; the buffer grows while the kernel says ENOSPC."""
    size = _FIRST_LOG
    while True:
        held, address = _buffer(size)
        result = attempt(level, size, address)
        if result >= 0:
            os.close(result)
        if result != -errno.ENOSPC or size >= _LAST_LOG:
            return held.value.decode("utf-8", "replace")
        size *= 4


def prog_test_run(fd: int, ctx: bytes = b"", flags: int = 0, cpu: int = 0) -> int:
    """Run a raw tracepoint program once, here (or on `cpu` with TEST_RUN_ON_CPU); its return value."""
    held, address = _buffer(ctx)
    attributes = pack(
        "IIIIQQIIIIQQIIII", fd, 0, 0, 0, 0, 0, 0, 0, len(ctx), 0, address if ctx else 0, 0, flags, cpu, 0, 0
    )
    _fd(_bpf(_TEST_RUN, attributes), "running a program")
    del held
    (returned,) = struct.unpack_from("=I", attributes, 4)
    return int(returned)


def prog_id(fd: int) -> int:
    """The kernel's id of a loaded program, as bpftool shows it."""
    return int(struct.unpack_from("=II", _info(fd, 8))[1])


def raw_tracepoint_open(name: str | None, prog_fd: int) -> int:
    """Attach to a raw tracepoint, or (None) a tracing program to the function it was loaded for."""
    held, address = _buffer((name or "").encode() + b"\0")
    result = _bpf(_RAW_TRACEPOINT, pack("QII", address if name else 0, prog_fd, 0))
    del held
    return _fd(result, f"attaching to {name or 'a function'}")


def link_create(prog_fd: int, target_fd: int, attach_type: int, flags: int = 0, tail: bytes = b"") -> int:
    """A BPF link; `tail` is the part of the attributes that the attach type defines."""
    head = struct.pack("=4I", prog_fd, target_fd, attach_type, flags)
    return _fd(_bpf(_LINK_CREATE, pack(f"{max(48, len(head + tail))}s", head + tail)), "creating a link")


def iter_create(link_fd: int) -> int:
    """A descriptor of one run of an iterator's link: reading it runs the program for each object."""
    return _fd(_bpf(_ITER_CREATE, pack("2I", link_fd, 0)), "running an iterator")


def btf_object(name: str) -> int | None:
    """A descriptor of the kernel's BTF of this name (`vmlinux` or a module), or None."""
    current = 0
    while True:
        attributes = pack("III", current, 0, 0)
        if _bpf(_BTF_NEXT_ID, attributes) < 0:
            return None
        (current,) = struct.unpack_from("=I", attributes, 4)
        fd = _bpf(_BTF_FD_BY_ID, pack("III", current, 0, 0))
        if fd < 0:
            continue
        held, address = _buffer(64)
        info, at = _buffer(struct.pack("=QIIQII", 0, 0, 0, address, 64, 0))
        asked = _bpf(_OBJ_INFO, pack("IIQ", fd, len(info), at))
        kernel = struct.unpack_from("=I", info, 28)[0]
        if asked >= 0 and kernel and held.value.decode("utf-8", "replace") == name:
            return fd
        os.close(fd)
