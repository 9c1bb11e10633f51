"""A module's name → a stand-in that imports it when something of it is first used.

For modules that few scripts need. Type checkers are given the real import:

    if TYPE_CHECKING:
        from kernel import elf
    else:
        elf = later("kernel.elf")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class later:  # noqa: N801, as a function it would be spelled so
    """Stands for a module until one of its names is asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self._module), name)
        setattr(self, name, found)
        return found
