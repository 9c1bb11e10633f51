"""Statements in order → indented C lines, with #line where the script's line changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from codegen.names import c_string
from lang.source import Span

INDENT = "    "
# Lines that change nothing in memory: a value that was read from a map before them is still good.
_HARMLESS = re.compile(
    r"(?:[us]\d+|void|bool|struct \w+) \*?\w+(?:;| = (?!.*(?:bpf_loop|bpf_for_each|__sync|xadd)))"
    r"|if \(|return\b|break\b|[{}]|//|#|ebt_opaque\(\w+\);|bpf_probe_read_(?:kernel|user)\(&\w+, "
)
ENTRY = "entry"  # the first word of what is known of a map's entry: (ENTRY, map, key)


class Code:
    """The body of one C function while it is written.

    Each open block also holds the values that are known in it (`known`): what was read once in a block or in
    one around it is not read again.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._known: list[dict[object, str]] = [{}]
        self._fresh: set[int] = set()  # depths at which a loop begins
        self.learned = 0  # how many values were ever learnt
        self._place: tuple[str, int] | None = None
        self._entries = 0  # how many entries of maps may be known

    @property
    def depth(self) -> int:
        return len(self._known)

    def line(self, text: str) -> None:
        if self._entries:
            self._forget_entries(text)
        self.lines.append(INDENT * self.depth + text)

    def at(self, span: Span) -> None:
        """What follows belongs to this line of the script."""
        place = (span.source.name, span.line)
        if place != self._place:
            self.lines.append(f"#line {place[1]} {c_string(place[0])}")
            self._place = place

    @contextmanager
    def block(self, head: str, fresh: bool = False) -> Iterator[None]:
        """`head {` … `}`; values read inside are forgotten after it.

        With `fresh` nothing from outside is known inside: a loop's body reads anew each time.
        """
        self.line(f"{head} {{".lstrip())
        self._known.append({})
        if fresh:
            self._fresh.add(len(self._known))
        yield
        self._fresh.discard(len(self._known))
        self._known.pop()
        self.line("}")

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        """`} else {` … `}` after a block."""
        self.lines.pop()
        with self.block("} else"):
            yield

    def known(self, key: object) -> str | None:
        inside = self._known[max(self._fresh, default=1) - 1 :]
        return next((known[key] for known in reversed(inside) if key in known), None)

    def learn(self, key: object, text: str) -> None:
        self._known[-1][key] = text
        self.learned += 1
        self._entries += isinstance(key, tuple) and key[0] == ENTRY

    def _forget_entries(self, text: str) -> None:
        """Forget what was read from maps that this line may change."""
        harmless = _HARMLESS.match(text.lstrip())
        left = 0
        for known in self._known:
            for key in [key for key in known if isinstance(key, tuple) and key[0] == ENTRY]:
                if harmless and not re.search(rf"\b{key[1]}\b", text):
                    left += 1
                else:
                    del known[key]
        self._entries = left

    def enclose(self, start: int) -> None:
        """Put the lines from `start` on into a block of their own, so that their memory is given back."""
        inner = [line if line.startswith("#") else INDENT + line for line in self.lines[start:]]
        pad = INDENT * self.depth
        self.lines[start:] = [pad + "{", *inner, pad + "}"]

    def forget(self, name: str) -> None:
        """Forget every value that was read through the C variable: it has changed."""
        word = re.compile(rf"\b{re.escape(name)}\b")
        for known in self._known:
            for key in [key for key in known if word.search(str(key))]:
                del known[key]
