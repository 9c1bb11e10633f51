"""`uprobe:BINARY:…` → Targets: functions of programs and libraries by name, by address, by line of source."""

from __future__ import annotations

import re
from collections.abc import Callable

from lang.checked import Target
from lang.diagnostics import nearest
from lang.expand import Expansion
from lang.literals import parse_integer
from lang.machine import UserFunction
from lang.patterns import REGEXP

_Ask = Callable[[str, str], tuple[UserFunction, ...] | None]

# What glibc 2.34 has moved into libc: files of these names are there still, without functions.
_PART_OF_LIBC = re.compile(r"/lib(pthread|dl|rt|util|anl)[.-][^/]*$")


def user(kind: str) -> Callable[[Expansion], list[Target]]:
    """The expander of one of the two kinds."""

    def expand(expansion: Expansion) -> list[Target]:
        parts = expansion.parts
        if len(parts) == 1 and expansion.process:
            parts = (f"/proc/{expansion.process}/exe", *parts)
        source = _of_source(expansion, parts)
        cpp = len(parts) == 3 and parts[1] == "cpp"
        if not (len(parts) == 2 or cpp or source) or not all(parts):
            return expansion.malformed(kind)
        if expansion.unsupported("uprobe", f"{kind} probes"):
            return []
        if source:
            return _lines(expansion, kind, *source)
        find = _cpp if cpp or _is_cpp(parts[1]) else _plain
        paths = files(expansion, parts[0])
        targets = [target for path in paths for target in find(expansion, kind, path, parts[-1])]
        if not targets and paths and "*" in parts[0]:
            where = f"process {expansion.process}"
            return expansion.missing(f"no function of {where} in '{parts[0]}' matches '{parts[-1]}'")
        return targets

    return expand


def files(expansion: Expansion, name: str) -> tuple[str, ...]:
    """The program or library of this name, or those of the process that match it; reports where none is."""
    if "*" in name:
        if not expansion.process:
            expansion.error("a wildcard in the program's place needs a process", "give its id: -p PID")
            return ()
        found = expansion.machine.mapped_files(expansion.process, name)
        if not found:
            expansion.missing(f"process {expansion.process} has no program or library '{name}'")
        return found
    path = expansion.machine.binary(name, expansion.process)
    if path is None:
        expansion.missing(f"no program or library '{name}' is found", "give its full path")
    return (path,) if path is not None else ()


def _plain(expansion: Expansion, kind: str, path: str, text: str) -> list[Target]:
    span, machine, process = expansion.point.span, expansion.machine, expansion.process
    try:
        name, offset = _name_and_offset(text)
        if re.match(r"0[xX]|\d", name):
            label, place = f"{kind}:{path}:{text}", parse_integer(name)
            return [Target(kind, label, span, path=path, name=name, offset=place, pid=process)]
    except ValueError as wrong:
        return expansion.error(str(wrong))
    if offset and kind == "uretprobe":
        return expansion.error("a uretprobe takes no offset into the function")
    found = machine.user_functions(path, name)
    if not found and _PART_OF_LIBC.search(path):
        libc = machine.binary("libc", process)
        if libc is not None and (moved := machine.user_functions(libc, name)):
            path, found = libc, moved
    if not found:
        return _nothing(expansion, path, name, machine.user_functions)
    targets = []
    for item in found:
        label = f"{kind}:{path}:{item.name}" + (f"+{offset}" if offset else "")
        place = item.offset + offset
        targets.append(Target(kind, label, span, path=path, name=item.name, offset=place, pid=process))
    return targets


def _name_and_offset(text: str) -> tuple[str, int]:
    """Raises ValueError for an offset that is no number."""
    if text.startswith(REGEXP):
        return text, 0
    name, plus, offset = text.partition("+")
    return name, parse_integer(offset) if plus else 0


def _nothing(expansion: Expansion, path: str, name: str, ask: _Ask) -> list[Target]:
    """One file has none; of several files that is told when no other has one either."""
    if "*" in expansion.parts[0]:
        return []
    known = [] if "*" in name else [item.name for item in ask(path, "*") or ()]
    return expansion.missing(f"no function of {path} matches '{name}'", *nearest(name, known))


# ---- C++


def _is_cpp(name: str) -> bool:
    return ("::" in name or "(" in name) and not name.startswith(REGEXP)


def _cpp(expansion: Expansion, kind: str, path: str, name: str) -> list[Target]:
    """`cpp:"a::f(int)"`, and without brackets all functions of the name."""
    found = expansion.machine.cpp_functions(path, name)
    if found is None:
        return expansion.error("names of C++ need its library to be read: libstdc++.so.6 is not installed")
    if not found:
        return _nothing(expansion, path, name, expansion.machine.cpp_functions)
    return [
        Target(
            kind, f"{kind}:{path}:cpp:{item.name}", expansion.point.span, path=path, name=item.name,
            offset=item.offset, pid=expansion.process,
        )
        for item in found
    ]  # fmt: skip


# ---- Lines of source


def _of_source(expansion: Expansion, parts: tuple[str, ...]) -> tuple[str, str, int, int] | None:
    """(binary, source, line, column) of `BINARY@FILE:LINE[:COLUMN]`; a file may have an @ in its own name."""
    if not 2 <= len(parts) <= 3 or "@" not in parts[0]:
        return None
    if not all(re.fullmatch(r"\d{1,9}", part) for part in parts[1:]):
        return None
    if expansion.machine.binary(parts[0], expansion.process) is not None:
        return None
    binary, _, source = parts[0].rpartition("@")
    return binary, source, int(parts[1]), int(parts[2]) if len(parts) == 3 else 0


def _lines(
    expansion: Expansion, kind: str, binary: str, source: str, line: int, column: int
) -> list[Target]:
    if kind == "uretprobe":
        return expansion.error("a uretprobe is of a function: a line of source has no return")
    targets = []
    for path in files(expansion, binary):
        found = expansion.machine.source_line(path, source, line, column)
        if not found.offsets:
            expansion.missing(found.reason)
        label = f"{kind}:{path}@{source}:{line}" + (f":{column}" if column else "")
        targets += [
            Target(
                kind, label, expansion.point.span, path=path, name=f"{source}:{line}", offset=offset,
                pid=expansion.process,
            )
            for offset in found.offsets
        ]  # fmt: skip
    return targets
