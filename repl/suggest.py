"""Text, cursor and what is known → what may follow: pure, so that it is tested without a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from lang.builtins import BUILTINS
from lang.functions import FUNCTIONS
from lang.machine import Machine
from lang.probes import BY_NAME, KINDS
from lang.records import dataclass, field
from repl.catalogue import Catalogue
from repl.chains import arguments, as_written, fields, follow, header_of, open_braces, type_of
from repl.lines import is_command
from repl.search import Names

KEYWORDS = (
    "if", "else", "while", "for", "let", "return", "break", "continue", "sizeof", "offsetof", "unroll",
)  # fmt: skip
_HEADER = re.compile(r"(?:^|[};,]|\|\|)\s*(?:([a-zA-Z_]+):)?([^\s{};,]*)\Z")
_CHAIN = re.compile(r"((?:[@$]?\w+)(?:(?:\.|->)\w+)*)(?:\.|->)(\w*)\Z")
_CAST = re.compile(
    r"\(\s*\(\s*(struct|union)\s+(\w+)\s*\*\s*\)[^(){};]*\)((?:(?:\.|->)\w+)*)(?:\.|->)(\w*)\Z"
)
_OPEN = re.compile(r'"(?:\\.|[^"\\\n])*\Z|//[^\n]*\Z|/\*(?:(?!\*/).)*\Z', re.DOTALL)
_CLOSED = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*\n|/\*.*?\*/', re.DOTALL)
_WORD = re.compile(r"[@$]?\w*\Z")
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
    defined: Sequence[tuple[str, str]] = ()  # fn and macro typed earlier, with how they begin
    tools: Sequence[tuple[str, str]] = ()
    jobs: Sequence[tuple[int, str]] = ()
    flags: Callable[[str], Sequence[tuple[str, str]]] = lambda tool: ()
    files: Callable[[str], Sequence[str]] = lambda word: ()
    asked: bool = False  # by a key, not only while typing: then all is shown that may follow


def suggest(text: str, cursor: int, known: Knowledge) -> list[Suggestion]:
    """What may be typed at the cursor, the likeliest first."""
    before = text[:cursor]
    if "\n" not in before and is_command(before + "x" if before[-1:].isspace() else before, known.commands):
        return _of_command(before, known)
    if _OPEN.search(_CLOSED.sub("", before)):
        return []  # a string or a comment
    if open_braces(before) > 0 or _in_predicate(before):
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
    if not name and not known.asked:
        return []
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
        return _matching(word, _kinds()) if word or known.asked else []
    return _targets(kind.lower(), word, known)


def _kinds() -> list[tuple[str, str]]:
    return [(f"{item.name}{'' if item.special else ':'}", item.doc) for item in KINDS]


def _targets(written: str, word: str, known: Knowledge) -> list[Suggestion]:
    kind = BY_NAME.get(written)
    if kind is None:
        return []
    if kind.name in ("uprobe", "uretprobe", "usdt"):
        return _in_binary(kind.name, word, known)
    names = known.catalogue.targets(kind.name)
    module, colon, name = word.partition(":")
    if colon and names is known.catalogue.functions:
        word, names = name, Names.of(item for _, item in known.machine.functions("*", module))
    if names is None:
        return []
    about = {"syscall": "system call", "sysret": "system call"}.get(kind.name, "")
    return [Suggestion(item, len(word), about) for item in names.search(word, _MOST)]


def _in_binary(kind: str, word: str, known: Knowledge) -> list[Suggestion]:
    """A path, or behind it and a colon the functions or static probes of the binary."""
    written, colon, name = word.partition(":")
    if not colon:
        return [Suggestion(item, len(word), "binary") for item in known.files(word)]
    path = known.machine.binary(written)
    if path is None:
        return []
    if kind == "usdt":
        probes = {(item.provider, item.name): "" for item in known.machine.user_probes(path, "*", "*")}
        return _matching(name, [(f"{provider}:{probe}", "static probe") for provider, probe in probes])
    functions = known.machine.user_functions(path, f"*{name}*")
    return _matching(name, [(item.name, "function") for item in functions])


# ---- bodies


def _in_body(before: str, known: Knowledge) -> list[Suggestion]:
    cast = _CAST.search(before)
    if cast is not None:
        struct = known.machine.struct("struct" if cast[1] == "struct" else "union", cast[2])
        names = re.findall(r"\w+", cast[3])
        return _matching(cast[4], fields(follow(struct, names, known.machine), known.machine))
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
    if not word and not known.asked:
        return []
    everything = [
        *((item.name, item.doc) for item in BUILTINS.values()),
        ("args", "the probe's arguments"),
        *((f"{item.name}(", f"{item.usage}: {item.doc}") for item in FUNCTIONS.values()),
        *known.defined,
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
        return [(name, as_written(kind)) for name, kind in arguments(before, known.machine).items()]
    return fields(type_of(names, before, known.machine), known.machine)


# ---- text


def _in_predicate(before: str) -> bool:
    """Whether a predicate is open: `kprobe:f /pid == `. A slash inside a path belongs to the attach point."""
    header = header_of(before)
    return re.search(r"\S\s+/[^/{}]*\Z", header) is not None and header.count(" /") % 2 == 1


def _last_word(rest: str) -> str:
    return "" if rest[-1:].isspace() or not rest else rest.split()[-1]


def _matching(word: str, found: Iterable[tuple[str, str]]) -> list[Suggestion]:
    """What begins with the word, then what holds it, each once."""
    pairs = dict.fromkeys(found)
    lower = word.lower()
    first = dict.fromkeys(pair for pair in pairs if pair[0].lower().startswith(lower))
    first |= dict.fromkeys(pair for pair in pairs if lower in pair[0].lower())
    return [Suggestion(text, len(word), about) for text, about in islice(first, _MOST)]
