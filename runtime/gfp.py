"""Flags of a memory allocation → their names, as the kernel's tracepoints write them.

Bits and groups are include/linux/gfp_types.h's, in the order of include/trace/events/mmflags.h; both have
stood since 4.20 but for __GFP_ATOMIC (bit 9), which went with 6.3, and GFP_NOWAIT, which has __GFP_NOWARN
since 6.17.
"""

from __future__ import annotations

_BITS = {
    "__GFP_DMA": 0, "__GFP_HIGHMEM": 1, "__GFP_DMA32": 2, "__GFP_MOVABLE": 3, "__GFP_RECLAIMABLE": 4,
    "__GFP_HIGH": 5, "__GFP_IO": 6, "__GFP_FS": 7, "__GFP_ZERO": 8, "__GFP_ATOMIC": 9,
    "__GFP_DIRECT_RECLAIM": 10, "__GFP_KSWAPD_RECLAIM": 11, "__GFP_WRITE": 12, "__GFP_NOWARN": 13,
    "__GFP_RETRY_MAYFAIL": 14, "__GFP_NOFAIL": 15, "__GFP_NORETRY": 16, "__GFP_MEMALLOC": 17,
    "__GFP_COMP": 18, "__GFP_NOMEMALLOC": 19, "__GFP_HARDWALL": 20, "__GFP_THISNODE": 21, "__GFP_ACCOUNT": 22,
    "__GFP_ZEROTAGS": 23, "__GFP_NO_OBJ_EXT": 24,
}  # fmt: skip
_KERNEL = 0xCC0
_USER = _KERNEL | 1 << 20
_MOVABLE = _USER | 0b1010
_HUGE = _MOVABLE | 1 << 18 | 1 << 19 | 1 << 13
_GROUPS = (
    (_HUGE & ~0x800, "GFP_TRANSHUGE"), (_HUGE & ~0xC00, "GFP_TRANSHUGE_LIGHT"),
    (_MOVABLE, "GFP_HIGHUSER_MOVABLE"), (_USER | 2, "GFP_HIGHUSER"), (_USER, "GFP_USER"),
    (_KERNEL | 1 << 22, "GFP_KERNEL_ACCOUNT"), (_KERNEL, "GFP_KERNEL"), (0xC40, "GFP_NOFS"),
    (0xA20, "GFP_ATOMIC"), (0x820, "GFP_ATOMIC"), (0xC00, "GFP_NOIO"), (0x2800, "GFP_NOWAIT"),
    (0x800, "GFP_NOWAIT"), (1, "GFP_DMA"), (4, "GFP_DMA32"),
)  # fmt: skip
_NAMES = (*_GROUPS, *((1 << bit, name) for name, bit in _BITS.items()))


def gfp_names(flags: int) -> str:
    """`GFP_KERNEL|__GFP_ZERO`; bits without a name in hexadecimal, `none` for 0."""
    found: list[str] = []
    for mask, name in _NAMES:
        if flags & mask == mask:
            found.append(name)
            flags &= ~mask
    return "|".join([*found, *([f"0x{flags:x}"] if flags else [])]) or "none"
