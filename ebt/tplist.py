"""`ebt tplist`: words → the tracepoints of this kernel, or the static probes of a binary or a process.

BCC's tplist, with its options and its lines; sorted. `ebt -lv` shows the same in the form of attach points.
"""

from __future__ import annotations

import getopt
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from ebt.messages import WRONG, tell
from ebt.options import UsageError
from kernel.live import LiveMachine
from kernel.mounts import private_tracefs
from kernel.resolve import resolve
from kernel.tracefs import declarations, find_tracefs, read_format
from kernel.usdt import addresses
from lang.machine import Operand, UserProbe

HELP = """\
usage: ebt tplist [-p PID] [-l LIB] [-v] [FILTER]

The tracepoints of this kernel and what they tell, or the static probes (USDT) of a program, library or
process.

arguments:
  FILTER                only these: a pattern over CATEGORY:NAME or PROVIDER:NAME; * stands for any text

options:
  -p, --pid PID         the static probes of this process and its libraries
  -l, --lib LIB         the static probes of a program or library: a path, or a name such as c
  -v                    fields of tracepoints; of static probes how many places and arguments; -vv: each one
  -h, --help            this text

examples:
  ebt tplist 'sched:*'              tracepoints of the scheduler
  ebt tplist -v syscalls:sys_enter_openat
  ebt tplist -l c '*pthread*'       of the C library
  ebt tplist -p 4211 -vv            where, and where their arguments lie
"""


def tplist(words: list[str]) -> int:
    """Print what the words ask for; 1 if there is nothing. Raises UsageError."""
    try:
        found, rest = getopt.gnu_getopt(words, "hp:l:v", ["help", "pid=", "lib="])
    except getopt.GetoptError as wrong:
        raise UsageError(f"tplist: {wrong.msg}; see ebt tplist --help") from None
    given = {flag.lstrip("-")[:1]: value for flag, value in found}
    if "h" in given:
        print(HELP, end="")
        return 0
    if len(rest) > 1:
        raise UsageError(f"tplist: one filter can be given, not '{rest[1]}' too")
    pattern, verbose = (rest or ["*"])[0], sum(flag == "-v" for flag, _ in found)
    machine = LiveMachine()
    if "p" in given or "l" in given:
        lines = _static(machine, pattern, verbose, _pid(given.get("p")), given.get("l", ""))
    else:
        if os.geteuid() == 0:
            private_tracefs()
        lines = _tracepoints(machine, pattern, verbose)
    empty = True
    for line in lines:
        empty = False
        print(line)
    if empty:
        reason = f"no probe matches '{pattern}'" if rest else "there are no probes"
        tell(f"ebt: error: tplist: {reason}")
    return WRONG if empty else 0


def _pid(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return int(resolve("pid", text))
    except ValueError:
        raise UsageError(f"tplist: -p: there is no process {text}") from None


def _tracepoints(machine: LiveMachine, pattern: str, verbose: int) -> Iterator[str]:
    """`category:event`, and with -v the fields that are its own."""
    root = find_tracefs()
    for category, name in machine.tracepoints("*", "*"):
        if not fnmatchcase(f"{category}:{name}", pattern):
            continue
        yield f"{category}:{name}"
        if verbose:
            text = read_format(root, category, name)
            if text is None:
                raise UsageError("tplist: the fields are in tracefs, which cannot be read: run it as root")
            yield from (f"    {kind} {field};" for kind, field in declarations(text))


def _static(machine: LiveMachine, pattern: str, verbose: int, pid: int, name: str) -> Iterator[str]:
    """`path provider:name`, or with -v its places and arguments; each name once."""
    paths: Iterable[str] = machine.mapped_files(pid, "*")
    if name:
        path = machine.binary(name, pid)
        if path is None:
            raise UsageError(f"tplist: -l: there is no program or library '{name}'")
        paths = [path]
    seen: set[str] = set()
    for path in paths:
        probes: dict[str, list[UserProbe]] = {}
        for item in machine.user_probes(path, "*", "*"):
            probes.setdefault(f"{item.provider}:{item.name}", []).append(item)
        for label, places in probes.items():
            if label not in seen and fnmatchcase(label, pattern):
                seen.add(label)
                yield from _described(label, places, verbose) if verbose else [f"{path} {label}"]


def _described(label: str, places: list[UserProbe], verbose: int) -> Iterator[str]:
    first = places[0]
    where = addresses(first.path, [first.semaphore, *(item.offset for item in places)])
    yield f"{label} [sema 0x{where[0] if first.semaphore else 0:x}]"
    if verbose == 1:
        yield f"  {len(places)} location(s)"
        yield f"  {len(first.arguments)} argument(s)"
        return
    for number, (item, address) in enumerate(zip(places, where[1:], strict=True), 1):
        yield f"  location #{number} {item.path} 0x{address:x}"
        for place, operand in enumerate(item.arguments, 1):
            signed = "signed  " if operand.signed else "unsigned"
            yield f"    argument #{place} {operand.size} {signed} bytes @ {_place(operand)}"


def _place(operand: Operand) -> str:
    """Where an argument is, as BCC writes it; what is not understood as the binary has it."""
    if operand.kind == "constant":
        return str(operand.value)
    if operand.kind == "register":
        return operand.register
    if operand.kind != "memory":
        return operand.text.partition("@")[2] or operand.text
    index = f" + {operand.index}" if operand.index else ""
    scale = f" * {operand.scale}" if operand.index and operand.scale != 1 else ""
    return f"*({operand.register} {'+' if operand.value >= 0 else '-'} {abs(operand.value)}{index}{scale})"
