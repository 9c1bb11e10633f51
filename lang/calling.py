"""A prototype → where each argument of a call lies: which argument register, which word of a trampoline.

A value of up to 8 bytes takes one register, a struct of up to 16 takes two (System V ABI for x86-64, 3.2.3;
AAPCS64, 6.8.2). A trampoline stores the registers in order, so the numbers are those of its words too
(get_ctx_arg_idx in kernel/bpf/btf.c).
"""

from __future__ import annotations

from collections.abc import Sequence

from lang.machine import Parameter
from lang.types import size_of

REGISTER_ARGUMENTS = 6  # that pt_regs can be asked for everywhere: PT_REGS_PARM1 … PARM6
ARGUMENT_REGISTERS = {"x86_64": 6, "aarch64": 8}
_WORD, _LARGEST = 8, 16


def words(parameters: Sequence[Parameter]) -> tuple[int, ...]:
    """How many registers each argument takes; 0 for what is too large to be passed in any."""
    return tuple(_words(size_of(item.type)) for item in parameters)


def _words(size: int) -> int:
    return 0 if size > _LARGEST else 2 if size > _WORD else 1


def places(parameters: Sequence[Parameter], registers: int) -> tuple[int | None, ...]:
    """The number of the first register that holds each argument, from 0; None for those on the stack."""
    found: list[int | None] = []
    taken = 0
    for count in words(parameters):
        fits = count > 0 and taken + count <= registers
        found.append(taken if fits else None)
        taken += count if fits else 0
    return tuple(found)


def context_words(parameters: Sequence[Parameter]) -> int:
    """How many words a trampoline has before the result."""
    return sum(words(parameters))
