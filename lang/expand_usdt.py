"""`usdt:BINARY:[PROVIDER:]NAME` → Targets: the static probes of programs and libraries."""

from __future__ import annotations

from lang.checked import Target
from lang.diagnostics import nearest
from lang.expand import Expansion
from lang.expand_user import files
from lang.machine import UserProbe

_EVERY = 200  # names that a hint looks through


def usdt(expansion: Expansion) -> list[Target]:
    """The targets of one attach point; a probe that the compiler copied has several."""
    parts = expansion.parts
    process = expansion.process
    if len(parts) == 2 and process and "/" not in parts[0] and not expansion.machine.binary(parts[0]):
        parts = (f"/proc/{process}/exe", *parts)  # provider and name suffice for a process
    if not 2 <= len(parts) <= 3 or not parts[0] or not parts[-1]:
        return expansion.malformed("usdt")
    if expansion.unsupported("uprobe", "usdt probes"):
        return []
    found_in = files(expansion, parts[0])
    found = [
        probe
        for path in found_in
        for probe in expansion.machine.user_probes(path, parts[1] if len(parts) == 3 else "*", parts[-1])
    ]
    if not found and found_in:
        return _missing(expansion, found_in, parts)
    return [_target(expansion, probe) for probe in found]


def _missing(expansion: Expansion, paths: tuple[str, ...], parts: tuple[str, ...]) -> list[Target]:
    known = {probe.name for path in paths for probe in expansion.machine.user_probes(path, "*", "*")}
    where = paths[0] if len(paths) == 1 else f"process {expansion.process}"
    if not known:
        return expansion.missing(f"{where} has no static probes")
    message = f"no static probe of {where} matches '{':'.join(parts[1:])}'"
    hints = nearest(parts[-1], sorted(known)[:_EVERY]) or ("there are: " + " ".join(sorted(known)[:20]),)
    return expansion.missing(message, *hints)


def _target(expansion: Expansion, probe: UserProbe) -> Target:
    return Target(
        "usdt", f"usdt:{probe.path}:{probe.provider}:{probe.name}", expansion.point.span, name=probe.name,
        path=probe.path, offset=probe.offset, pid=expansion.process, semaphore=probe.semaphore,
        operands=probe.arguments,
    )  # fmt: skip
