"""tracefs, kallsyms and BTF → names of the traceable kernel functions, and addresses of symbols."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path

from kernel.btf import FUNC
from kernel.match import is_pattern, matcher
from kernel.mounts import boot_key
from kernel.typetable import TypeTable
from lang import cachefile
from lang.patterns import REGEXP

SEVERAL = "?"  # no module's name
_KALLSYMS = Path("/proc/kallsyms")
_KPROBE_BLACKLIST = Path("/sys/kernel/debug/kprobes/blacklist")
_FUNCTION_LINE = re.compile(rb"^[0-9a-f]+ [tTwW] ([^\s\[]+)(?:\t\[(\w+)\])?$", re.MULTILINE)
# what kallsyms lists as modules, but is made at run time
_NOT_MODULES = frozenset({"bpf", "__builtin__ftrace", "__builtin__kprobes"})


class FunctionNames:
    """The traceable functions of a kernel, as one text that is searched: it is a megabyte long.

    The text has a line for each module: its name and those of its functions, sorted, a space after each. The
    line of SEVERAL has the names that more than one function of the core has.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text

    @classmethod
    def kept(cls, key: str, find: Callable[[], Mapping[str, Iterable[str]]]) -> FunctionNames:
        """The names from the cache, or found (module → names) and cached under this key."""
        stored = cachefile.load("functions", key)
        if stored is not None:
            return cls(bytes(stored))
        found = find()
        text = "".join(f"{module} {' '.join(sorted(names))} \n" for module, names in sorted(found.items()))
        if found:
            cachefile.store("functions", key, text.encode())
        return cls(text.encode())

    def modules(self) -> dict[str, list[str]]:
        """Module → names of its functions; `vmlinux` is the core."""
        lines = (line.split() for line in self._text.decode("utf-8", "replace").split("\n"))
        return {words[0]: words[1:] for words in lines if words and words[0] != SEVERAL}

    @cached_property
    def several(self) -> frozenset[str]:
        """Names that more than one function of the core has."""
        start = f"{SEVERAL} ".encode()
        found = next((line for line in self._text.split(b"\n") if line.startswith(start)), start)
        return frozenset(found.decode("utf-8", "replace").split()[1:])

    def match(self, name: str, module: str) -> tuple[tuple[str, str], ...]:
        """(module, name) of the functions that two `*` patterns match, sorted; no module means any."""
        matches_module = matcher(module or "*")

        def wanted(owner: str) -> bool:
            return owner != SEVERAL and bool(matches_module(owner))

        if not is_pattern(name):
            return tuple((owner, name) for owner in self._owners(name) if wanted(owner))
        if name.startswith(REGEXP):
            matches, modules = matcher(name), self.modules().items()
            found = [(owner, held) for owner, names in modules if wanted(owner) for held in names]
            return tuple(sorted(pair for pair in found if matches(pair[1])))
        if b" " + name.partition("*")[0].encode() not in self._text:
            return ()
        body = b"[^ ]*".join(re.escape(piece.encode()) for piece in name.split("*"))
        find = re.compile(b" (" + body + b")(?= )").findall  # the space lets it skip to where the name starts
        found = []
        for line in self._text.split(b"\n"):
            owner = line[: line.find(b" ")].decode()
            if line and wanted(owner):
                found += [(owner, held.decode()) for held in find(line, len(owner))]
        return tuple(sorted(found))

    def _owners(self, name: str) -> list[str]:
        """The modules that have a function of this very name."""
        found, needle = [], f" {name} ".encode()
        at = self._text.find(needle)
        while at >= 0 and name:
            start = self._text.rfind(b"\n", 0, at) + 1
            found.append(self._text[start : self._text.find(b" ", start)].decode())
            at = self._text.find(needle, at + 1)
        return sorted(found)


def traceable_functions(root: Path | None, types: TypeTable) -> FunctionNames:
    """The running kernel's functions, kept per boot and set of modules.

    From available_filter_functions where it can be read: those that ftrace may patch. Elsewhere the
    functions that kallsyms has and, for the core, BTF knows (BTF also lists what was freed or inlined).
    """
    find = lambda: _filter_functions(root) or _symbol_functions(types)  # noqa: E731
    return FunctionNames.kept(f"{boot_key()} {root} with {SEVERAL}", find)


def without_kprobes() -> frozenset[str]:
    """Names of the functions that may not have kprobes; lines are `begin-end name`."""
    try:
        text = _KPROBE_BLACKLIST.read_text()
    except OSError:
        return frozenset()
    return frozenset(line.rpartition("\t")[2] for line in text.splitlines())


def _filter_functions(root: Path | None) -> dict[str, set[str]]:
    """Lines are `name` or `name [module]`."""
    try:
        lines = (root / "available_filter_functions").read_text().split("\n") if root else []
    except OSError:  # EPERM under lockdown
        return {}
    found: dict[str, set[str]] = {}
    several = set()
    for line in lines:
        name, _, module = line.partition(" [")
        # a placeholder stands where kallsyms has no name any more (b39181f7c690)
        if name and not name.startswith("__ftrace_invalid_address__"):
            names = found.setdefault(module.rstrip("]") or "vmlinux", set())
            if name in names and not module:
                several.add(name)
            names.add(name)
    return {**found, SEVERAL: several} if found else {}


def _symbol_functions(types: TypeTable) -> dict[str, set[str]]:
    try:
        text = _KALLSYMS.read_bytes()
    except OSError:
        text = b""
    found: dict[str, set[str]] = {}
    for name, module in _FUNCTION_LINE.findall(text):
        found.setdefault(module.decode(), set()).add(name.decode("utf-8", "replace"))
    here = found.pop("", set())
    known = set(types.core.names_of(FUNC)) if types.core is not None else set()
    modules = {module: names for module, names in found.items() if module not in _NOT_MODULES}
    return {"vmlinux": (here & known) or known or here, **modules}


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
