"""The limits that BPF needs → raised for this process, as far as it may."""

from __future__ import annotations

import resource


def raise_limits() -> None:
    """Locked memory (maps count into it before 5.11) and open files, as far as we may."""
    for which in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_NOFILE):
        soft, hard = resource.getrlimit(which)
        unlimited = which == resource.RLIMIT_MEMLOCK and soft != resource.RLIM_INFINITY
        wishes = [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)] if unlimited else []
        for wish in [*wishes, (hard, hard)]:
            try:
                resource.setrlimit(which, wish)
                break
            except (OSError, ValueError):
                continue
