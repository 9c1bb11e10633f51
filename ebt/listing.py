"""A search pattern → the probes of this machine that match, for -l; with their arguments for -lv."""

from __future__ import annotations

from collections.abc import Iterator

from ebt.messages import WRONG, tell
from lang.expand import HARDWARE_EVENTS, SOFTWARE_EVENTS
from lang.expand_syscall import ENTER, syscall_fields, syscall_names
from lang.machine import Machine, Operand
from lang.probes import BY_NAME, KINDS
from lang.types import Int, Void

_ALL = (
    "tracepoint", "rawtracepoint", "syscall", "sysret", "kprobe", "fentry", "software", "hardware", "profile",
    "interval",
)  # fmt: skip
_RATES = {"profile": ("hz:99", "ms:100", "s:1", "us:1000"), "interval": ("s:1", "ms:100", "hz:10", "us:1000")}


def list_probes(machine: Machine, pattern: str, verbose: bool) -> int:
    """Print the matching probes, one a line."""
    if pattern.startswith(("struct ", "union ", "enum ")):
        return _list_struct(machine, pattern)
    kind, *parts = pattern.split(":") if pattern else ["*"]
    names = _kinds(kind)
    if not names:
        hints = " ".join(item.name for item in KINDS)
        tell(f"ebt: error: unknown probe kind '{kind}'; there are: {hints}")
        return WRONG
    found = False
    for name in names:
        for label, arguments in _matches(machine, name, parts):
            found = True
            print(label)
            if verbose:
                for text in arguments():
                    print(f"    {text}")
    if not found:
        tell(f"ebt: error: no probe matches '{pattern}'")
    return 0 if found else WRONG


def _kinds(text: str) -> tuple[str, ...]:
    if text in ("*", ""):
        return _ALL
    kind = BY_NAME.get(text.lower())
    return (kind.name,) if kind else ()


class _Arguments:
    """The argument lines of one probe, looked up only when they are printed."""

    def __init__(
        self, machine: Machine, kind: str, name: tuple[str, ...], operands: tuple[Operand, ...] = ()
    ) -> None:
        self._machine, self._kind, self._name, self._operands = machine, kind, name, operands

    def __call__(self) -> list[str]:
        machine, name = self._machine, self._name
        if self._kind == "tracepoint":
            event = machine.tracepoint(*name)
            return [f"{_spelled(item.type)} {item.name}" for item in (event.fields if event else ())]
        if self._kind in ("syscall", "sysret"):
            fields = [f"{_spelled(item.type)} {item.name}" for item in syscall_fields(machine, name[0]) or ()]
            return fields + (["int64 retval"] if self._kind == "sysret" else [])
        if self._kind == "usdt":
            return [f"{Int(item.size * 8, item.signed)} arg{n}" for n, item in enumerate(self._operands)]
        if self._kind == "rawtracepoint":
            return [f"{_spelled(item.type)} {item.name}" for item in machine.raw_tracepoint(name[0]) or ()]
        if self._kind in ("kprobe", "kretprobe", "fentry", "fexit"):
            function = machine.function(name[1], name[0])
            if function is None:
                return []
            lines = [f"{_spelled(item.type)} {item.name}" for item in function.parameters]
            if self._kind == "kretprobe":
                return [*lines, "uint64 retval"]
            result = [] if isinstance(function.result, Void) else [f"{_spelled(function.result)} retval"]
            return lines + (result if self._kind == "fexit" else [])
        return []


def _spelled(kind: object) -> str:
    return getattr(kind, "spelling", "") or str(kind).replace("int8 *", "char *")


def _matches(machine: Machine, kind: str, parts: list[str]) -> Iterator[tuple[str, _Arguments]]:
    last = parts[-1] if parts else "*"
    first = parts[0] if len(parts) > 1 else ("*" if kind == "tracepoint" else "")
    if kind == "tracepoint":
        for category, name in machine.tracepoints(first, last):
            yield f"tracepoint:{category}:{name}", _Arguments(machine, kind, (category, name))
    elif kind == "rawtracepoint":
        for name in machine.raw_tracepoints(last):
            yield f"rawtracepoint:{name}", _Arguments(machine, kind, (name,))
    elif kind in ("kprobe", "kretprobe", "fentry", "fexit"):
        if machine.supports("kprobe").works or machine.supports("fentry").works:
            for module, name in machine.functions(last, first):
                label = f"{kind}:{module}:{name}" if kind.startswith("f") else f"{kind}:{name}"
                yield label, _Arguments(machine, kind, (module, name))
    elif kind in ("uprobe", "uretprobe"):
        path = machine.binary(parts[0]) if parts else None
        for item in machine.user_functions(path, last if len(parts) > 1 else "*") if path else ():
            yield f"{kind}:{path}:{item.name}", _Arguments(machine, kind, ())
    elif kind == "usdt":
        yield from _static_probes(machine, parts)
    elif kind in ("syscall", "sysret"):
        for name in syscall_names(machine, last.removeprefix(ENTER)):
            yield f"{kind}:{name}", _Arguments(machine, kind, (name,))
    elif kind in ("software", "hardware"):
        if kind == "software" or machine.supports("hardware").works:
            for name, (_, period) in (SOFTWARE_EVENTS if kind == "software" else HARDWARE_EVENTS).items():
                if last in ("*", name):
                    yield f"{kind}:{name}:{period}", _Arguments(machine, kind, ())
    elif kind in _RATES:
        yield from ((f"{kind}:{rate}", _Arguments(machine, kind, ())) for rate in _RATES[kind])
    else:
        yield BY_NAME[kind].syntax, _Arguments(machine, kind, ())


def _static_probes(machine: Machine, parts: list[str]) -> Iterator[tuple[str, _Arguments]]:
    path = machine.binary(parts[0]) if parts else None
    provider, name = parts[1] if len(parts) > 2 else "*", parts[-1] if len(parts) > 1 else "*"
    seen = set()
    for item in machine.user_probes(path, provider, name) if path else ():
        label = f"usdt:{path}:{item.provider}:{item.name}"
        if label not in seen:
            seen.add(label)
            yield label, _Arguments(machine, "usdt", (), item.arguments)


def _list_struct(machine: Machine, pattern: str) -> int:
    tag, _, name = pattern.partition(" ")
    if tag == "enum":
        values = machine.enum_values(name)
        for constant, value in values.items():
            print(f"    {constant} = {value}")
        return 0 if values else _no_type(pattern)
    struct = machine.struct(tag, name)
    if struct is None:
        return _no_type(pattern)
    print(f"{struct} {{  // {struct.size} bytes")
    for item in machine.fields(struct):
        bits = f" : {item.bits}" if item.bits else ""
        print(f"    {_spelled(item.type)} {item.name}{bits};  // {item.offset}")
    print("}")
    return 0


def _no_type(pattern: str) -> int:
    tell(f"ebt: error: this kernel's BTF has no '{pattern}'")
    return WRONG
