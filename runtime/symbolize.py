"""Addresses → names and printed stacks, through lookup functions that are passed in, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lang.types import Stack
from runtime.decode import Cache

# What the lookups give: name, bytes from its start, and the module or file it is in.
Found = tuple[str, int, str] | None
_CORE = ("", "kernel", "vmlinux")  # not modules
_LOST = "        <stack lost>"  # the map of stacks was full


class Symbolizer:
    """Kernel and user symbols by `kernel_symbol(address)` and `user_symbol(pid, address)`.

    `frames(id, count)` gives the addresses of a stack, None if it was not kept.
    """

    def __init__(
        self,
        kernel_symbol: Callable[[int], Found],
        user_symbol: Callable[[int, int], Found],
        frames: Callable[[int, int], Sequence[int] | None],
    ) -> None:
        self._kernel_symbol, self._user_symbol, self._frames = kernel_symbol, user_symbol, frames
        self._kernel_names = Cache(lambda address: _name(kernel_symbol(address), address))
        self._user_names = Cache(lambda key: _name(user_symbol(key[1], key[0]), key[0]))
        self._lines = Cache(lambda key: self._line(*key))
        self._stacks = Cache(lambda key: self._stack(*key), 1 << 13)

    def kernel(self, address: int) -> str:
        """The name of the kernel function at this address, without offset, or the address."""
        return self._kernel_names[address]

    def user(self, address: int, pid: int) -> str:
        """The name of the function at this address of the process, or the address."""
        return self._user_names[address, pid]

    def stack(self, kind: Stack, id: int, frames: int, pid: int) -> str:
        """A stack: a newline, then one line a frame in the stack's mode."""
        return self._stacks[kind.space, kind.mode, id, min(frames, kind.depth), pid]

    def _stack(self, space: str, mode: str, id: int, count: int, pid: int) -> str:
        if not count:
            return "\n"
        addresses = self._frames(id, count)
        if addresses is None:
            return f"\n{_LOST}\n"
        owner = pid if space == "user" else -1
        return "\n" + "".join([self._lines[mode, owner, address] for address in addresses])

    def _line(self, mode: str, pid: int, address: int) -> str:
        if mode == "raw":
            return f"{address:x}\n"
        found = self._kernel_symbol(address) if pid < 0 else self._user_symbol(pid, address)
        shown = f"{found[0]}+{found[1]}" if found else f"0x{address:x}"
        if mode == "perf":
            module = found[2] if found else "" if pid < 0 else "[unknown]"
            return f"\t{address:x} {shown}{f' ({module})' if module not in _CORE else ''}\n"
        return f"        {shown}\n"


def _name(found: Found, address: int) -> str:
    return found[0] if found else f"0x{address:x}"
