"""Which kernels the lab has: name → the Debian suite that carries it.

The package is found through the suite's meta package at the time: a new point release needs no edit here.
"""

from dataclasses import dataclass

from labkit.host import LabError

META_PACKAGE = "linux-image-amd64"
DEFAULT = "6.1"


@dataclass(frozen=True)
class Kernel:
    name: str
    suite: str


KERNELS = (
    Kernel("5.10", "bullseye"),
    Kernel("6.1", "bookworm"),
    Kernel("6.12", "trixie"),
    Kernel("7.2", "sid"),
)


def kernel(name: str) -> Kernel:
    """Find a kernel by its name."""
    for candidate in KERNELS:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in KERNELS)
    raise LabError(f"unknown kernel '{name}'; the lab has {names}")
