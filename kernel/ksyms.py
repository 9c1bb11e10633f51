"""Kernel addresses → symbols, by /proc/kallsyms, read once when the first address is asked for."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

_KALLSYMS = "/proc/kallsyms"
_CODE = b"tTwW"


@lru_cache(maxsize=1)
def _table() -> tuple[list[int], list[bytes]]:
    """Addresses of the code symbols, ascending, and beside them `name` or `name\\t[module]`."""
    try:
        with open(_KALLSYMS, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return [], []
    # A line is `ffffffff81000000 T name` with a tab and [module] behind it for modules.
    code = (line for line in lines if line[17:18] in _CODE and line[19:20])
    pairs = sorted((int(line[:16], 16), line[19:]) for line in code)
    if not pairs or pairs[-1][0] == 0:  # kptr_restrict hides them
        return [], []
    return [address for address, _ in pairs], [name for _, name in pairs]


def kernel_symbol(address: int) -> tuple[str, int, str] | None:
    """(name, bytes into it, module or `vmlinux`) of a kernel address; None where kallsyms does not say."""
    addresses, names = _table()
    at = bisect_right(addresses, address) - 1
    if at < 0:
        return None
    # Of aliases at one address the first listed is taken, as the kernel itself prints them.
    while at > 0 and addresses[at - 1] == addresses[at]:
        at -= 1
    name, _, module = names[at].partition(b"\t")
    return name.decode("utf-8", "replace"), address - addresses[at], module.strip(b"[]").decode() or "vmlinux"
