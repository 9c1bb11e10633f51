"""tracefs, kallsyms and BTF → names of the traceable kernel functions, and addresses of symbols."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kernel.btf import FUNC
from kernel.match import is_pattern, matcher
from kernel.tracefs import boot_key
from kernel.typetable import TypeTable
from lang import cachefile

_KALLSYMS = Path("/proc/kallsyms")


def function_list(root: Path | None, types: TypeTable) -> dict[str, list[str]]:
    """Module → names of its traceable functions, sorted; `vmlinux` is the core.

    From available_filter_functions where it can be read: those that ftrace may patch. Elsewhere the
    functions that BTF knows and kallsyms still has (BTF also lists what was inlined everywhere or freed).
    Kept per boot and set of modules.
    """
    key = f"{boot_key()} {root}"
    stored = cachefile.load("functions", key)
    if stored is None:
        made = _filter_functions(root) or _btf_functions(types)
        lines = (f"{module} {' '.join(names)}" for module, names in sorted(made.items()))
        stored = memoryview("\n".join(lines).encode())
        if made:
            cachefile.store("functions", key, bytes(stored))
    rows = (line.split(" ") for line in str(stored, "utf-8", "replace").split("\n"))
    return {row[0]: row[1:] for row in rows if row[0]}


def _filter_functions(root: Path | None) -> dict[str, list[str]]:
    """Lines are `name` or `name [module]`."""
    try:
        lines = (root / "available_filter_functions").read_text().split("\n") if root else []
    except OSError:  # EPERM under lockdown
        return {}
    found: dict[str, set[str]] = {}
    for line in lines:
        name, _, module = line.partition(" [")
        # a placeholder stands where kallsyms has no name any more (b39181f7c690)
        if name and not name.startswith("__ftrace_invalid_address__"):
            found.setdefault(module.rstrip("]") or "vmlinux", set()).add(name.strip())
    return {module: sorted(names) for module, names in found.items()}


def _btf_functions(types: TypeTable) -> dict[str, list[str]]:
    core = types.core
    if core is None:
        return {}
    names = {core.record(number).name for number in core.ids(FUNC)}
    present: dict[str, set[str]] = {}
    for _, name, module in _symbols():
        if module or name in names:
            present.setdefault(module or "vmlinux", set()).add(name)
    if "vmlinux" not in present:
        present["vmlinux"] = names
    return {module: sorted(held) for module, held in present.items()}


def _symbols() -> Iterator[tuple[int, str, str]]:
    """(address, name, module) of the functions in kallsyms; the address is 0 where it is hidden."""
    try:
        text = _KALLSYMS.read_text("utf-8", "replace")
    except OSError:
        return
    for line in text.split("\n"):
        words = line.split()
        if len(words) > 2 and words[1] in "tTwW":
            module = words[3].strip("[]") if len(words) > 3 else ""
            if module not in ("bpf", "__builtin__ftrace", "__builtin__kprobes"):
                yield int(words[0], 16), words[2], module


def match_functions(listed: dict[str, list[str]], name: str, module: str) -> tuple[tuple[str, str], ...]:
    """(module, name) of the functions that two `*` patterns match; an empty module means all. Sorted."""
    wanted = matcher(module or "*")
    found = []
    for owner, names in listed.items():
        if not wanted(owner):
            continue
        if is_pattern(name):
            found += [(owner, held) for held in filter(matcher(name), names)]
        elif name in names:
            found.append((owner, name))
    return tuple(sorted(found))


def symbol_address(name: str) -> int | None:
    """The address of a kernel symbol; None if there is none or kptr_restrict hides it (all zero).

    Reads /proc/kallsyms up to the name: tens of milliseconds.
    """
    wanted = name.encode()
    try:
        with _KALLSYMS.open("rb") as file:
            for line in file:
                if wanted in line:
                    words = line.split()
                    if words[2] == wanted:
                        return int(words[0], 16) or None
    except (OSError, IndexError, ValueError):
        return None
    return None


def has_kallsyms() -> bool:
    """Whether kernel addresses are to be seen at all."""
    return os.access(_KALLSYMS, os.R_OK)
