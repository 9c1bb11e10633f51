"""A program and the callbacks that it names → one run of instructions, with the BTF that the kernel wants.

The helpers that loop (bpf_loop, bpf_for_each_map_elem) call a BPF function. BCC compiles functions one by one
and cannot refer from one to another, so they are put together here: behind the program stand, for each
callback, a stub of a few instructions and the callback's body. The stub keeps the helper's arguments in its
stack frame and hands the body their address, as BCC's functions have one argument.

Callbacks need function BTF: kernel/bpf/verifier.c, "missing btf func_info" (69c087ba6225, in v5.13).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Literal

from codegen.labels import LABELS, POINT
from codegen.plan import LOST, SETTINGS
from kernel.bpfcall import instruction
from lang.records import dataclass
from runtime.object import Code, Object

CallbackKind = Literal["each", "loop"]
_PSEUDO_CALL, _PSEUDO_MAP_VALUE, _PSEUDO_FUNC = 1, 2, 4  # src_reg, of a call and of ld_imm64
_STORE, _MOVE, _ADD, _CALL, _EXIT = 0x7B, 0xBF, 0x07, 0x85, 0x95
_FRAME = 10


@dataclass(frozen=True)
class Linked:
    """Instructions, and (instruction index, name) of each function in them; one alone needs no BTF."""

    insns: bytes
    functions: tuple[tuple[int, str], ...]


def link_program(
    code: Code, obj: Object, descriptors: Mapping[str, int], kinds: Mapping[str, CallbackKind],
    label: int = 0, point: int = 0,
) -> Linked:  # fmt: skip
    """Put a program and its callbacks together. `kinds` says which referred names are callbacks.

    What refers to the map of labels gets the address of the text at `label` in it, what refers to another
    map of one entry that of its value, and what refers to the point's number gets `point`.
    Raises KeyError with the name of a map or function that is missing.
    """
    placed: dict[str, int] = {}
    insns = bytearray(code.insns)
    functions = [(0, code.name)]
    waiting = [(code, 0)]
    while waiting:
        current, start = waiting.pop()
        for index, name in current.references:
            at = start + index
            if name == POINT:
                insns[at * 8 + 1] &= 0x0F
                struct.pack_into("<I", insns, at * 8 + 4, point)
                continue
            if name not in kinds:
                struct.pack_into("<I", insns, at * 8 + 4, descriptors[name])
                if name in (LABELS, LOST, SETTINGS):
                    insns[at * 8 + 1] = (insns[at * 8 + 1] & 0x0F) | _PSEUDO_MAP_VALUE << 4
                    struct.pack_into("<I", insns, at * 8 + 12, label if name == LABELS else 0)
                continue
            if name not in placed:
                body = obj.program(name)
                if body is None:
                    raise KeyError(name)
                placed[name] = len(insns) // 8
                stub = _stub(kinds[name])
                functions += [(placed[name], f"{name}_stub"), (placed[name] + len(stub) // 8, name)]
                insns += stub + body.insns
                waiting.append((body, placed[name] + len(stub) // 8))
            insns[at * 8 + 1] = (insns[at * 8 + 1] & 0x0F) | _PSEUDO_FUNC << 4
            struct.pack_into("<i", insns, at * 8 + 4, placed[name] - at - 1)
    return Linked(bytes(insns), tuple(sorted(functions)))


def _stub(kind: CallbackKind) -> bytes:
    """`each`: {key, value, context} of (map, key, value, context). `loop`: {index, context}."""
    kept = (4, 3, 2) if kind == "each" else (2, 1)
    code = [instruction(_STORE, _FRAME, register, -8 * (place + 1)) for place, register in enumerate(kept)]
    code += [instruction(_MOVE, 1, _FRAME), instruction(_ADD, 1, immediate=-8 * len(kept))]
    code += [instruction(_CALL, 0, _PSEUDO_CALL, immediate=1), instruction(_EXIT)]
    return b"".join(code)


def function_btf(linked: Linked) -> tuple[bytes, bytes]:
    """(BTF, func_info) of the linked functions: the first global, the others static.

    Format: Documentation/bpf/btf.rst. All get the prototype `int (void)`, which the kernel takes for any.
    """
    names = [name.encode() for _, name in linked.functions]
    strings = b"\0int\0" + b"\0".join(names) + b"\0"
    types = struct.pack("<4I", 1, 1 << 24, 4, 1 << 24 | 32)  # int: signed, 32 bits
    types += struct.pack("<3I", 0, 13 << 24, 1)  # int (void)
    at, info = 5, b""
    for number, ((start, _), name) in enumerate(zip(linked.functions, names, strict=True)):
        types += struct.pack("<3I", at, 12 << 24 | (1 if number == 0 else 0), 2)
        info += struct.pack("<2I", start, 3 + number)
        at += len(name) + 1
    head = struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return head + types + strings, info
