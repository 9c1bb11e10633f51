"""A script's options → their values: `option` declarations and getopt() calls, checked, read, explained.

A value is text on the command line and as a default; here it becomes a constant of the option's type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lang import ast
from lang.constants import well_known
from lang.diagnostics import Diagnostics, nearest
from lang.fold import Constant, fold
from lang.literals import DURATIONS, packed_address, parse_integer
from lang.patterns import as_part
from lang.records import dataclass, field
from lang.types import BOOL, INT64, UINT64, Int, Str, Type

_INTEGERS = {f"{sign}int{bits}": Int(bits, not sign) for sign in ("", "u") for bits in (8, 16, 32, 64)}
# what the running system knows by name → the number that means none
SYSTEM_KINDS: dict[str, int | str] = {
    "pid": 0, "user": -1, "disk": 0, "cgroup": 0, "signal": 0, "signals": 0, "errno": 0,
    "syscall": -1, "symbol": 0, "directory": 0, "directories": "", "filesystem": "", "pids": "",
}  # fmt: skip
_ALWAYS_GIVEN = ("directories", "filesystem")
KINDS = (
    *_INTEGERS, "bool", "string", "enum", "duration", "milliseconds", "size", "flags", "command", "events",
    "calls", "ports", "address", *SYSTEM_KINDS,
)  # fmt: skip
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_FLAG = re.compile(r"-[A-Za-z0-9]|--[A-Za-z0-9][\w-]*")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
MAX_TEXT = 4000
_MAX_PORTS = 32
_NOTHING = {
    "flags": "", "bool": "false", "string": "", "command": "", "ports": "", "address": "",
    "duration": "0", "milliseconds": "0", "size": "0",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """What the command line gives a script: `$1` …, and options by name; those of getopt() as `--name`."""

    parameters: tuple[str, ...] = ()
    options: Mapping[str, Constant] = field(default_factory=dict)


def option_type(option: ast.Option, value: Constant) -> Type:
    """The type of `opt.name`."""
    if isinstance(value, str):
        return Str(len(value.encode("utf-8", "surrogateescape")) + 1)
    if option.kind == "bool":
        return BOOL
    if option.kind in SYSTEM_KINDS:
        return INT64
    return _INTEGERS.get(option.kind, UINT64)


Resolve = Callable[[str, str], int | str]


def no_system(kind: str, text: str) -> int | str:
    """Resolve nothing: where no system can be asked."""
    raise ValueError(f"no {kind} can be looked up here")


def option_value(option: ast.Option, text: str, resolve: Resolve = no_system) -> Constant:
    """The value that a text has for an option. Raises ValueError with what was expected.

    `resolve(kind, text)` finds the number of a process, user, disk, cgroup, signal or directory (its inode),
    `INODE PATH` lines of several directories, the name of a mounted file system; or raises ValueError.
    """
    if option.kind in SYSTEM_KINDS:
        return resolve(option.kind, text)
    value = _READERS[option.kind](option, text)
    if option.bounds is not None and isinstance(value, int):
        _check_bounds(text, value, *option.bounds)
    return value


def _check_bounds(text: str, value: int, low: int, high: int | None) -> None:
    if value < low:
        raise ValueError(f"{text} is too small: at least {low}")
    if high is not None and value > high:
        raise ValueError(f"{text} is too large: at most {high}")


def default_value(option: ast.Option) -> Constant:
    """The value of an option that was not given; without a default 0, false, "" or an enum's first.

    It may lie outside the option's bounds: then it is what nobody can give.
    """
    if option.kind in SYSTEM_KINDS:
        return SYSTEM_KINDS[option.kind]
    if option.default is not None:
        return _READERS[option.kind](option, option.default)
    if option.kind == "enum":
        return option.choices[0]
    return _READERS[option.kind](option, _NOTHING.get(option.kind, "0"))


def required(option: ast.Option) -> bool:
    """Whether the option must be given: a positional one, or one of a kind that has no value for none."""
    return (bool(option.place) or option.kind in _ALWAYS_GIVEN) and option.default is None


def values_for(options: tuple[ast.Option, ...], given: Mapping[str, Constant]) -> dict[str, Constant]:
    """All options' values: the given, else the defaults."""
    values = {item.name: default_value(item) for item in options if item.name not in given}
    return {**values, **given}


# ---- Reading


def _integer(option: ast.Option, text: str) -> int:
    kind = _INTEGERS[option.kind]
    low = -(1 << (kind.bits - 1)) if kind.signed else 0
    high = low + (1 << kind.bits) - 1
    try:
        value = -parse_integer(text[1:]) if text.startswith("-") else parse_integer(text)
    except ValueError:
        raise ValueError(f"'{text}' is no integer") from None
    if not low <= value <= high:
        raise ValueError(f"{text} is out of range: {option.kind} is {low} to {high}")
    return value


def _bool(option: ast.Option, text: str) -> bool:
    if text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    raise ValueError(f"'{text}' is not true or false")


def _text(option: ast.Option, text: str) -> str:
    if "\0" in text or len(text.encode("utf-8", "surrogateescape")) > MAX_TEXT:
        raise ValueError("this text is too long")
    return text


def _choice(option: ast.Option, text: str) -> str:
    if text in option.choices:
        return text
    raise ValueError(f"'{text}' is none of {', '.join(option.choices)}")


def _duration(option: ast.Option, text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None and text != "0":
        raise ValueError(f"'{text}' is no duration, such as 10ms or 1.5s")
    return _whole(text, found[1], DURATIONS[found[2]]) if found else 0


def _named_bits(option: ast.Option, text: str) -> int:
    """`O_WRONLY,O_RDWR`: names of the C headers' bits, all together."""
    bits = 0
    for name in re.split(r"[,|]", text) if text else ():
        number = well_known(name.strip())
        if number is None:
            raise ValueError(f"'{name.strip()}' is no flag, such as O_CREAT")
        bits |= number
    return bits


def _milliseconds(option: ast.Option, text: str) -> int:
    """`10`, `0.1`, and whatever a duration can be: nanoseconds."""
    try:
        return _duration(option, f"{text}ms" if text[-1:].isdigit() else text)
    except ValueError as wrong:
        raise ValueError(str(wrong).replace("duration, such as 10ms", "time in ms, such as 10")) from None


def _ports(option: ast.Option, text: str) -> str:
    """`80, 443` → `80,443`; nothing for none."""
    ports = [word.strip() for word in text.split(",")] if text else []
    for port in ports:
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 1 << 16):
            raise ValueError(f"'{port}' is no port")
    if len(ports) > _MAX_PORTS:
        raise ValueError(f"{len(ports)} ports: at most {_MAX_PORTS}")
    return ",".join(str(int(port)) for port in ports)


def _address(option: ast.Option, text: str) -> str:
    if text and packed_address(text) is None:
        raise ValueError(f"'{text}' is no IP address")
    return text


def _size(option: ast.Option, text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no size, such as 4096, 64k or 1.5M")
    return _whole(text, found[1], _UNITS[found[2].lower()])


def by_regexp(option: ast.Option, text: str) -> str:
    """The same for a pattern whose last part is a regular expression. Raises ValueError."""
    if text.startswith("t:"):
        category, _, name = text[2:].rpartition(":")
        plain = re.fullmatch(r"\w*", category) is not None
        first = category if plain else as_part(f"(?:{category})$")
        return _events(option, ":".join(filter(None, ["t", first, as_part(name)])))
    head = re.match(r"(?:[up]?:)?(?:[\w./+-]*:)?", text, re.ASCII)
    end = head.end() if head else 0
    return _events(option, text[:end] + as_part(text[end:]))


def _events(option: ast.Option, text: str) -> str:
    """A pattern as BCC's tools take it → an attach point; of the kind `calls` the returns of functions.

    FUNCTION is the kernel's, LIBRARY:FUNCTION a program's, t:CATEGORY:NAME a tracepoint, u:LIBRARY:NAME
    a static probe; p: may stand in front of functions.
    """
    letter, *parts = text.split(":")
    returns = "ret" if option.kind == "calls" else ""
    if letter in ("t", "u") and parts and not returns:
        point = [{"t": "tracepoint", "u": "usdt"}[letter], *parts]
    else:
        names = parts if letter == "p" and parts else [letter, *parts]
        names = names[1:] if names[0] == "" else names
        point = [f"u{returns}probe" if len(names) > 1 else f"k{returns}probe", *names]
    if not all(point) or len(point) < 2 or (point[0] not in ("tracepoint", "usdt") and len(point) > 3):
        raise ValueError(f"'{text}' is no pattern, such as vfs_* or c:malloc")
    return ":".join(point)


def _whole(text: str, number: str, unit: int) -> int:
    whole, _, part = number.partition(".")
    part = (part or "0")[:18]
    value: int = int(whole[:30]) * unit + int(part) * unit // int(10 ** len(part))
    if value >= 1 << 64 or len(whole) > 30:
        raise ValueError(f"'{text}' is too large")
    return value


_READERS: dict[str, Callable[[ast.Option, str], Constant]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    "bool": _bool,
    "string": _text,
    "events": _events,
    "calls": _events,
    "command": _text,
    "enum": _choice,
    "duration": _duration,
    "milliseconds": _milliseconds,
    "size": _size,
    "flags": _named_bits,
    "ports": _ports,
    "address": _address,
}


# ---- Checking


def check_options(
    options: tuple[ast.Option, ...], exclusions: tuple[ast.Exclusion, ...], found: Diagnostics
) -> None:
    """Report what is wrong with the declarations."""
    names: set[str] = set()
    flags: set[str] = set()
    for option in options:
        if option.kind not in KINDS:
            hints = nearest(option.kind, KINDS) or ("types of options: " + " ".join(KINDS),)
            found.error(option.span, f"unknown type of an option: '{option.kind}'", *hints)
        elif option.kind == "enum" and not option.choices:
            found.error(option.span, "an enum lists its strings", 'enum("us", "ms")')
        elif option.kind in SYSTEM_KINDS and option.default is not None:
            hint = f"without one it is {SYSTEM_KINDS[option.kind]}"
            found.error(option.default_span, f"an option of the type {option.kind} has no default", hint)
        elif option.bounds is not None and option.kind not in _INTEGERS:
            found.error(option.span, "only an integer option has bounds", "option n: uint32(1..100)")
        else:
            _check_default(option, found)
        if option.name in names:
            found.error(option.span, f"the option '{option.name}' is declared twice")
        _check_flags(option, flags, found)
        names.add(option.name)
        flags.update(option.flags)
    for exclusion in exclusions:
        for name in exclusion.names:
            if name not in names:
                found.error(exclusion.span, f"the script has no option '{name}'", *nearest(name, names))


def _check_default(option: ast.Option, found: Diagnostics) -> None:
    try:
        default_value(option)
    except ValueError as wrong:
        found.error(option.default_span, f"the default of '{option.name}': {wrong}")


def _check_flags(option: ast.Option, taken: set[str], found: Diagnostics) -> None:
    if not option.flags and not option.place:
        hint = f'"--{option.name}", or an upper-case name for a positional argument'
        found.error(option.span, f"the option '{option.name}' has no flag", hint)
    if option.place and option.kind == "bool":
        found.error(option.span, "a bool is given by a flag, not by its position")
    for flag in option.flags:
        if not _FLAG.fullmatch(flag):
            found.error(option.span, f"'{flag}' is no flag", 'a flag is "-x" or "--name"')
        elif flag in taken:
            found.error(option.span, f"the flag '{flag}' is declared twice")


# ---- getopt() and opt.name as constants


def option_constant(node: ast.Expression, values: Mapping[str, Constant]) -> Constant | None:
    """The value of `opt.name` or getopt(); None for what is neither, or not known."""
    if isinstance(node, ast.Member):
        return values.get(node.name)
    if isinstance(node, ast.Call) and node.name == "getopt":
        name = _plain(node.arguments[0]) if node.arguments else None
        if f"--{name}" in values:
            return values[f"--{name}"]
        return getopt_default(node)
    return None


def getopt_default(call: ast.Call) -> Constant | None:
    """The default of a getopt() call: false without one; None where it is no literal."""
    return _plain(call.arguments[1]) if len(call.arguments) > 1 else False


def _plain(node: ast.Expression) -> Constant | None:
    return fold(node, (), lambda _: None)


def getopt_calls(script: ast.Script) -> dict[str, tuple[Constant, str]]:
    """Name → (default, description) of the getopt() calls. Those that are wrong are left to the checker."""
    found: dict[str, tuple[Constant, str]] = {}
    for probe in script.probes:
        for node in ast.walk(probe):
            if not isinstance(node, ast.Call) or node.name != "getopt" or not node.arguments:
                continue
            name, default = _plain(node.arguments[0]), getopt_default(node)
            if isinstance(name, str) and default is not None and len(node.arguments) < 4:
                about = _plain(node.arguments[2]) if len(node.arguments) == 3 else ""
                found.setdefault(name, (default, str(about or "")))
    return found


Exists = Callable[[ast.Call], bool | None]


def wanted(script: ast.Script, given: Given, exists: Exists = lambda call: None) -> list[ast.Probe]:
    """The probes that no option and no exists() switches off; `given` has the values of all options."""
    return [probe for probe in script.probes if not _drops(probe, given, exists)]


def _drops(probe: ast.Probe, given: Given, exists: Exists) -> bool:
    """Whether the probe's predicate is false by options and by what is here, not by a plain literal."""
    if probe.predicate is None:
        return False
    condition = probe.predicate.condition
    if not any(_asks(node) for node in ast.walk(condition)):
        return False

    def special(node: ast.Expression) -> Constant | None:
        if isinstance(node, ast.Call) and node.name == "exists":
            return exists(node)
        return option_constant(node, given.options)

    value = fold(condition, given.parameters, special)
    return isinstance(value, int) and not value


def _asks(node: ast.Node) -> bool:
    if isinstance(node, ast.Member):
        return isinstance(node.base, ast.Name) and node.base.name == "opt"
    return isinstance(node, ast.Call) and node.name in ("getopt", "exists")
