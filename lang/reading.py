"""Text and tables → the Tree that Lark would make of it, or None where it is no sentence of the grammar."""

from __future__ import annotations

from typing import Any

from lang.scanners import Frozen, thaw
from lang.tables import END, Tables, tables
from lang.trees import Meta, Token, Tree

_matchers: dict[str, Any] = {}  # pattern → its match()


def _matcher(pattern: str, frozen: Frozen | None) -> Any:
    match = _matchers[pattern] = thaw(pattern, frozen).match
    return match


def read(text: str, start: str) -> Tree | None:
    """Parse from the rule `start`. LALR(1), each token by the scanner of the state that it is read in."""
    found = tables()
    actions, rules = found.actions, found.rules
    state, last = found.starts[start]
    states: list[int] = [state]
    values: list[Any] = []
    passed: dict[tuple[int, int, str], int] = {}
    at = 0
    while True:
        token = _next(found, states[-1], text, at)
        if token is None:
            return None
        at, kind = token.end_pos, token.type
        while True:
            action = actions[states[-1]].get(kind)
            if action is None:
                return None
            if action >= 0:
                states.append(action)
                values.append(token)
                break
            if rules[-1 - action][1]:
                _reduce(found, -1 - action, states, values)
            else:
                top = states[-2], states[-1], kind
                states[-1] = passed.get(top) or passed.setdefault(top, _pass(found, *top))
            if states[-1] == last and kind == END:
                tree: Tree = values[-1]
                return tree


def _next(found: Tables, state: int, text: str, at: int) -> Token | None:
    """The next token that the state's scanner finds; None where there is none."""
    pattern, frozen, words = found.scanners[found.scanner_of[state]]
    match = _matchers.get(pattern) or _matcher(pattern, frozen)
    ignored, size = found.ignored, len(text)
    while at < size:
        hit = match(text, at)
        if hit is None:
            return None
        kind, end = hit.lastgroup, hit.end()
        if kind not in ignored:
            token = Token(hit[0])
            token.type = words[kind].get(token, kind) if kind in words else kind
            token.start_pos, token.end_pos = at, end
            return token
        at = end
    token = Token("")
    token.type, token.start_pos, token.end_pos = END, at, at
    return token


def _pass(found: Tables, below: int, state: int, kind: str) -> int:
    """The state after all rules that leave the part on top as it is: an expression is a dozen of them."""
    while True:
        action = found.actions[state].get(kind, 0)
        if action >= 0 or found.rules[-1 - action][1]:
            return state
        state = found.actions[below][found.rules[-1 - action][0]]


def _reduce(found: Tables, number: int, states: list[int], values: list[Any]) -> None:
    """Replace a rule's parts, on top of the stacks, by its tree."""
    origin, name, size, kept = found.rules[number]
    parts = values[len(values) - size :]
    if size:
        del values[-size:], states[-size:]
    children: list[Any] = []
    for index, inline in kept:
        if not inline:
            children.append(parts[index])
        elif children:
            children += parts[index].children
        else:  # nobody else has it: a list of n parts grows n times
            children = parts[index].children
    values.append(Tree(name, children, _place(parts)))
    states.append(found.actions[states[-1]][origin])


def _place(parts: list[Any]) -> Meta:
    """From the first to the last part that is somewhere."""
    start = end = -1
    for part in parts:
        place = part if isinstance(part, Token) else part.meta
        if isinstance(place, Token) or not place.empty:
            if start < 0:
                start = place.start_pos
            end = place.end_pos
    return Meta(start, end, False) if start >= 0 else Meta()
