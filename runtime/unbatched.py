"""The bpf(2) calls on maps without the batch commands, which came with Linux 5.6: entry by entry."""

from __future__ import annotations

from kernel import bpfcall


class Unbatched:
    """`runtime.maps.Access` for a kernel that has no batches."""

    map_lookup = staticmethod(bpfcall.map_lookup)
    map_update = staticmethod(bpfcall.map_update)
    map_entries = staticmethod(bpfcall.single_entries)
    map_take = staticmethod(bpfcall.single_take)
