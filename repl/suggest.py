"""Text, cursor and what is known → what may follow: pure, so that it is tested without a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from lang.builtins import BUILTINS
from lang.functions import FUNCTIONS
from lang.machine import Machine
from lang.probes import BY_NAME, KINDS
from lang.records import dataclass, field
from lang.types import Pointer, Struct, Type
from repl.catalogue import Catalogue
from repl.lines import is_command

KEYWORDS = (
    "if", "else", "while", "for", "let", "return", "break", "continue", "sizeof", "offsetof", "unroll",
)  # fmt: skip
_HEADER = re.compile(r"(?:^|[};,]|\|\|)\s*(?:([a-zA-Z_]+):)?([^\s{}/;,]*)\Z")
_CHAIN = re.compile(r"((?:[@$]?\w+)(?:(?:\.|->)\w+)*)(?:\.|->)(\w*)\Z")
_WORD = re.compile(r"[@$]?\w*\Z")
_POINT = re.compile(r"([a-zA-Z_]+):([^\s{}/,|?]+)")
_NAME = re.compile(r"[@$]\w+")
_MOST = 200


@dataclass(frozen=True)
class Suggestion:
    """`text` takes the place of the last `back` characters before the cursor; `about` says what it is."""

    text: str
    back: int
    about: str = ""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the prompt knows: the kernel's names and types, its own commands, its session."""

    catalogue: Catalogue
    machine: Machine
    commands: Mapping[str, str] = field(default_factory=dict)  # name → what it does
    maps: Sequence[str] = ()
    variables: Sequence[str] = ()  # of `set`, read as opt.NAME
    tools: Sequence[tuple[str, str]] = ()
    jobs: Sequence[tuple[int, str]] = ()
    flags: Callable[[str], Sequence[tuple[str, str]]] = lambda tool: ()
    files: Callable[[str], Sequence[str]] = lambda word: ()


def suggest(text: str, cursor: int, known: Knowledge) -> list[Suggestion]:
    """What may be typed at the cursor, the likeliest first."""
    before = text[:cursor]
    if "\n" not in before and is_command(before + "x" if before[-1:].isspace() else before, known.commands):
        return _of_command(before, known)
    if _depth(before) > 0 or _in_predicate(before):
        return _in_body(before, known)
    return _in_header(before, known)


# ---- commands

_ABOUT_JOBS = {"stop", "pause", "resume", "log", "edit", "show"}
_ABOUT_MAPS = {"print", "watch", "clear", "save"}
_ABOUT_TOOLS = {"run", "help", "list"}
_SHOWN = ("c", "plan", "ast", "explain")


def _of_command(before: str, known: Knowledge) -> list[Suggestion]:
    stripped = before.lstrip().removeprefix(":")
    name, space, rest = stripped.partition(" ")
    if not space:
        return _matching(name, [*_kinds(), *known.commands.items()])
    word = _last_word(rest)
    if name == "run" and word.startswith("-") and rest.split():
        return _matching(word, known.flags(rest.split()[0]))
    if name in _ABOUT_JOBS:
        found = [(str(number), title) for number, title in known.jobs]
        extra = [("all", "all jobs")] if name == "stop" else []
        shown = [(item, "") for item in _SHOWN] if name == "show" and rest == word else []
        return _matching(word, [*shown, *found, *extra])
    if name in _ABOUT_MAPS:
        return _matching(word, [(item, "map") for item in known.maps])
    found = list(known.tools) if name in _ABOUT_TOOLS else []
    if name == "help":
        found += _documented()
        found += list(known.commands.items())
    files = [(item, "file") for item in known.files(word)] if name in ("run", "save", "kernel") else []
    return [*_matching(word, found), *(Suggestion(item, len(word), about) for item, about in files)]


def _documented() -> list[tuple[str, str]]:
    return [
        *((item.name, item.doc) for item in BUILTINS.values()),
        *((item.name, item.doc) for item in FUNCTIONS.values()),
        *((item.name, item.doc) for item in KINDS),
    ]


# ---- attach points


def _in_header(before: str, known: Knowledge) -> list[Suggestion]:
    found = _HEADER.search(before)
    if found is None:
        return []
    kind, word = found[1], found[2]
    if kind is None:
        return _matching(word, _kinds())
    return _targets(kind.lower(), word, known)


def _kinds() -> list[tuple[str, str]]:
    return [(f"{item.name}{'' if item.special else ':'}", item.doc) for item in KINDS]


def _targets(written: str, word: str, known: Knowledge) -> list[Suggestion]:
    kind = BY_NAME.get(written)
    if kind is None:
        return []
    if kind.name in ("uprobe", "uretprobe", "usdt"):
        path, colon, name = word.rpartition(":")
        if not colon:
            return [Suggestion(item, len(word), "binary") for item in known.files(word)]
        functions = known.machine.user_functions(path, f"*{name}*") if path.startswith("/") else ()
        return [Suggestion(item.name, len(name), "function") for item in functions[:_MOST]]
    names = known.catalogue.targets(kind.name)
    if names is None:
        return []
    about = {"syscall": "system call", "sysret": "system call"}.get(kind.name, "")
    return [Suggestion(item, len(word), about) for item in names.search(word, _MOST)]


# ---- bodies


def _in_body(before: str, known: Knowledge) -> list[Suggestion]:
    chain = _CHAIN.search(before)
    if chain is not None and not chain[1][:1].isdigit():
        base, word = chain[1], chain[2]
        if base == "opt":
            return _matching(word, [(name, "set") for name in known.variables])
        return _matching(word, _members(base, before, known))
    found = _WORD.search(before)
    word = found[0] if found else ""
    if word.startswith("@"):
        return _matching(word, [(name, "map") for name in _named(before, word, "@", known.maps)])
    if word.startswith("$"):
        return _matching(word, [(name, "variable") for name in _named(before, word, "$", ())])
    if not word:
        return []
    everything = [
        *((item.name, item.doc) for item in BUILTINS.values()),
        ("args", "the probe's arguments"),
        *((f"{item.name}(", f"{item.usage}: {item.doc}") for item in FUNCTIONS.values()),
        *((name, "") for name in KEYWORDS),
        *((("opt.", "variables of set"),) if known.variables else ()),
    ]
    return _matching(word, everything)


def _named(before: str, word: str, mark: str, more: Sequence[str]) -> list[str]:
    earlier = before[: len(before) - len(word)]
    return sorted({name for name in [*_NAME.findall(earlier), *more] if name.startswith(mark)})


def _members(chain: str, before: str, known: Knowledge) -> list[tuple[str, str]]:
    """(name, type) of what may follow the dot."""
    names = re.split(r"\.|->", chain)
    if names == ["args"]:
        return [(name, str(kind)) for name, kind in arguments(before, known.machine).items()]
    kind = _type_of(names, before, known.machine, 0)
    struct = kind.to if isinstance(kind, Pointer) else kind
    if not isinstance(struct, Struct):
        return []
    return [(item.name, str(item.type)) for item in known.machine.fields(struct)]


def _type_of(names: list[str], before: str, machine: Machine, depth: int) -> Type | None:
    """The type of a chain such as `curtask.real_parent` or `$x.y`, as far as it can be told from the text."""
    kind: Type | None
    if names[0] == "args" and len(names) > 1:
        kind, names = arguments(before, machine).get(names[1]), names[1:]
    elif names[0] == "curtask":
        kind = machine.struct("struct", "task_struct")
    elif names[0].startswith("$") and depth < 8:
        kind = _variable(names[0], before, machine, depth)
    else:
        return None
    for name in names[1:]:
        struct = kind.to if isinstance(kind, Pointer) else kind
        if not isinstance(struct, Struct):
            return None
        kind = next((item.type for item in machine.fields(struct) if item.name == name), None)
    return kind


def _variable(name: str, before: str, machine: Machine, depth: int) -> Type | None:
    assigned = re.findall(rf"{re.escape(name)}\s*=\s*([@$]?\w+(?:(?:\.|->)\w+)*)\s*;", before)
    cast = re.findall(rf"{re.escape(name)}\s*=\s*\(\s*struct\s+(\w+)\s*\*\s*\)", before)
    if cast:
        return machine.struct("struct", cast[-1])
    return _type_of(re.split(r"\.|->", assigned[-1]), before, machine, depth + 1) if assigned else None


def arguments(before: str, machine: Machine) -> dict[str, Type]:
    """Name → type of `args` in the body that the text ends in."""
    header = _header_of(before)
    for written, target in reversed(_POINT.findall(header)):
        kind = BY_NAME.get(written.lower())
        name = target.rpartition(":")[2]
        match kind.name if kind else "":
            case "tracepoint":
                point = machine.tracepoint(*target.partition(":")[::2])
                return {item.name: item.type for item in point.fields} if point else {}
            case "rawtracepoint":
                return {item.name: item.type for item in machine.raw_tracepoint(name) or ()}
            case "kprobe" | "kretprobe" | "fentry" | "fexit":
                function = machine.function(name)
                return {item.name: item.type for item in function.parameters} if function else {}
            case "syscall" | "sysret":
                point = machine.tracepoint("syscalls", f"sys_enter_{name}")
                return {item.name: item.type for item in point.fields[1:]} if point else {}
    return {}


def _header_of(before: str) -> str:
    """What stands in front of the open body: its attach points."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        char = before[at]
        if char == "}":
            depth += 1
        elif char == "{":
            if depth == 0 and _depth(before[:at]) == 0:
                return before[max(before.rfind("}", 0, at), before.rfind(";", 0, at)) + 1 : at]
            depth -= 1
    return before[max(before.rfind("}"), before.rfind(";")) + 1 :]  # a predicate: no brace yet


# ---- text


def _depth(text: str) -> int:
    """How many braces are open at the end of the text; those in strings and comments do not count."""
    plain = re.sub(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', "", text, flags=re.DOTALL)
    return max(plain.count("{") - plain.count("}"), 0)


def _in_predicate(before: str) -> bool:
    """Whether a predicate is open: `kprobe:f /pid == `. A slash inside a path belongs to the attach point."""
    header = _header_of(before)
    return re.search(r"\S\s+/[^/{}]*\Z", header) is not None and header.count(" /") % 2 == 1


def _last_word(rest: str) -> str:
    return "" if rest[-1:].isspace() or not rest else rest.split()[-1]


def _matching(word: str, found: Iterable[tuple[str, str]]) -> list[Suggestion]:
    """What begins with the word, then what holds it, each once."""
    pairs = dict.fromkeys(found)
    lower = word.lower()
    first = [pair for pair in pairs if pair[0].lower().startswith(lower)]
    later = [pair for pair in pairs if lower in pair[0].lower()[1:] and pair not in first]
    return [Suggestion(text, len(word), about) for text, about in [*first, *later][:_MOST]]
