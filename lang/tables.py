"""grammar.lark → LALR(1) tables and scanners as plain data, made by Lark once; and Lark itself for mistakes.

Lark reads its own tables in 50 ms, and is imported in 20 more. What a parse needs of them is here in a form
that loads in one: for each state its actions by terminal, for each set of terminals its regular expression.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lang import cachefile
from lang.checksum import blake2b
from lang.records import dataclass
from lang.scanners import Frozen, freeze

if TYPE_CHECKING:
    from lark import Lark

_GRAMMAR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grammar.lark")
_STARTS = ("script", "value")
END = "$END"
# a regular expression, as it is compiled, and for a terminal the words that are another one
Scanner = tuple[str, Frozen | None, dict[str, dict[str, str]]]
Kept = tuple[tuple[int, bool], ...]  # of a rule's parts: which, and whether what is in it takes its place


@dataclass(frozen=True)
class Tables:
    """What `lang.reading` needs.

    `actions[state][name]` for a terminal or a rule: n ≥ 0 goes on in state n, n < 0 reduces by rule -1 - n.
    A rule is (what it makes, its tree's name, number of parts, parts that are kept); one without a name
    leaves its only part as it is. `scanners[scanner_of[state]]` has a regular expression whose groups are
    terminals.
    """

    starts: dict[str, tuple[int, int]]  # first and last state
    actions: list[dict[str, int]]
    rules: list[tuple[str, str, int, Kept]]
    scanner_of: list[int]
    scanners: list[Scanner]
    ignored: tuple[str, ...]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The tables of grammar.lark; made by Lark when the cache has none."""
    return Tables(*cachefile.remembered("tables", f"{_version()} {_checksum()}", lambda: _made(lark())))


@lru_cache(maxsize=1)
def lark() -> Lark:
    """Lark's own parser of the grammar: it knows what is wrong with a script."""
    parser: Lark = import_module("lark").Lark(
        _text(), parser="lalr", start=list(_STARTS), propagate_positions=True, maybe_placeholders=False
    )
    return parser


@lru_cache(maxsize=1)
def _text() -> str:
    with open(_GRAMMAR, encoding="utf-8") as file:
        return file.read()


def _checksum() -> str:
    return blake2b(_text().encode()).hexdigest()


def _version() -> str:
    """Changes with Python and with this module: tables of one grammar are the same from any Lark."""
    return f"{sys.version} {os.stat(__file__).st_mtime_ns}"


def _made(parser: Any) -> tuple[Any, ...]:
    """Lark's analysis in plain data: the fields of Tables."""
    table = parser.parser.parser._parse_table
    numbers = {rule: index for index, rule in enumerate(parser.rules)}
    states = {state: index for index, state in enumerate(table.states)}
    actions = [
        {
            str(name): states[target] if kind.name == "Shift" else -1 - numbers[target]
            for name, (kind, target) in entries.items()
        }
        for entries in table.states.values()
    ]
    distinct: dict[int, int] = {}
    scanners: list[Scanner] = []
    scanner_of = []
    for state in table.states:
        lexer = parser.parser.lexer.lexers[state] if hasattr(parser.parser.lexer, "lexers") else None
        number = distinct.get(id(lexer))
        if number is None:
            number = distinct[id(lexer)] = len(scanners)
            scanners.append(_scanner(lexer))
        scanner_of.append(number)
    starts = {name: (states[table.start_states[name]], states[table.end_states[name]]) for name in _STARTS}
    rules = [_rule(rule) for rule in parser.rules]
    return starts, actions, rules, scanner_of, scanners, tuple(parser.ignore_tokens)


def _rule(rule: Any) -> tuple[str, str, int, Kept]:
    """Rules whose name begins with a line give their parts to the rule around them, as Lark has it."""
    kept = tuple(
        (index, not part.is_term and part.name.startswith("_"))
        for index, part in enumerate(rule.expansion)
        if rule.options.keep_all_tokens or not (part.is_term and part.filter_out)
    )
    name = rule.alias or rule.options.template_source or rule.origin.name
    if rule.alias is None and name.startswith("_") and len(rule.expansion) == 1 and kept == ((0, True),):
        name = ""  # a level of precedence: its tree would be dissolved in the next one
    return str(rule.origin.name), str(name), len(rule.expansion), kept


def _scanner(lexer: Any) -> Scanner:
    found = lexer.scanner
    pattern = "|".join(f"(?P<{item.name}>{item.pattern.to_regexp()})" for item in found.terminals)
    words = {
        name: {item.pattern.value: item.name for item in callback.scanner.terminals}
        for name, callback in lexer.callback.items()
    }
    return pattern, freeze(pattern), words
