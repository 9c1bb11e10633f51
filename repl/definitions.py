"""What was defined at the prompt (fn, macro, struct, import, set) → the text before each program."""

from __future__ import annotations

from lang import ast
from lang.parser import parse_file
from lang.records import dataclass
from lang.source import Source

NAME = "session"
_FIRST = ("struct", "union", "enum", "typedef", "import")  # the grammar wants them before all else


@dataclass(frozen=True)
class Definitions:
    """Texts by what they define, in the order of their first definition; a later one replaces it."""

    texts: tuple[tuple[str, str], ...] = ()

    def with_text(self, key: str, text: str) -> Definitions:
        """Define, or define anew."""
        found = dict(self.texts)
        found[key] = text
        return Definitions(tuple(found.items()))

    def without(self, key: str) -> Definitions:
        """Forget one; KeyError if there is none."""
        found = dict(self.texts)
        del found[key]
        return Definitions(tuple(found.items()))

    @property
    def source(self) -> Source | None:
        """The text to put before a program; None while nothing is defined."""
        ordered = sorted(self.texts, key=lambda item: item[0].partition(" ")[0] not in _FIRST)
        return Source(NAME, "\n".join(text for _, text in ordered)) if ordered else None

    def variables(self) -> dict[str, str]:
        """The variables of `set`: name → value as written."""
        return {
            key[4:]: text.partition("= ")[2].rpartition(" ")[0]
            for key, text in self.texts
            if key.startswith("set ")
        }

    def callables(self) -> list[tuple[str, str]]:
        """(name and bracket, first line) of each function and macro."""
        return [
            (f"{key.partition(' ')[2]}(", text.partition("{")[0].strip())
            for key, text in self.texts
            if key.startswith(("fn ", "macro "))
        ]


def definitions_of(text: str) -> list[tuple[str, str]] | None:
    """(what, text) of each definition where the text holds nothing else; None for a program.

    Raises ScriptError for what is neither.
    """
    script = parse_file(Source("input", text))[0]
    if script.probes or script.config is not None or script.declarations:
        return None
    found: list[tuple[int, str, ast.Node]] = []
    for node in (*script.functions, *script.macros, *script.definitions, *script.imports, *script.options):
        found.append((node.span.start, _key(node), node))
    return [(key, _text(node)) for _, key, node in sorted(found, key=lambda item: item[0])]


def _key(node: ast.Node) -> str:
    if isinstance(node, ast.Import):
        return f"import {node.path}"
    word = type(node).__name__.lower().removeprefix("c")
    word = {"function": "fn", "option": "set"}.get(word, word)
    return f"{word} {getattr(node, 'name', '')}"


def _text(node: ast.Node) -> str:
    text = node.span.text.rstrip()
    return text if text.endswith(("}", ";")) and not isinstance(node, ast.CStruct | ast.CEnum) else text + ";"


def variable(name: str, value: str) -> str:
    """The option that `set NAME VALUE` stands for: read as `opt.NAME` by every later program."""
    try:
        number = int(value, 0)
    except ValueError:
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'option {name}: string = "{quoted}" "--{name}";'
    return f'option {name}: int64 = {number} "--{name}";'
