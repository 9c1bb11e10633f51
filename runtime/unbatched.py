"""The bpf(2) calls on maps without the batch commands, which came with Linux 5.6: entry by entry."""

from __future__ import annotations

from collections.abc import Sequence

from kernel import bpfcall


class Unbatched:
    """`runtime.maps.Access` for a kernel that has no batches."""

    map_lookup = staticmethod(bpfcall.map_lookup)
    map_update = staticmethod(bpfcall.map_update)
    map_entries = staticmethod(bpfcall.single_entries)

    @staticmethod
    def map_delete_all(fd: int, keys: Sequence[bytes]) -> None:
        """Remove these keys; those already gone are no error."""
        for key in keys:
            bpfcall.map_delete(fd, key)
