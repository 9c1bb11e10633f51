"""Random programs that are right by construction, of every construct of the language."""

# ruff: noqa: E501 (pieces of scripts, a line each)
from __future__ import annotations

import random
from collections.abc import Iterator

from fuzzkit.scenes import SCENES
from fuzzkit.statements import Writer

_DEFINITIONS = (
    "#define LIMIT 100\n", "#define SHIFTED (1 << 4)\n",
    "struct pair { int first; char name[8]; unsigned bits : 3; };\n",
    "enum colour { RED, GREEN = 5, BLUE };\n",
)  # fmt: skip
_CONFIGS = (
    "max_strlen = 64", "max_strlen = 200", "max_map_keys = 100", "stack_mode = perf", "print_maps_on_exit = false",
    'str_trunc_trailer = "~"', "on_stack_limit = 32", 'missing_probes = "warn"', "perf_rb_pages = 64",
)  # fmt: skip
_OPTIONS = (
    'option only: uint32 = 0 "-p" "of this process only";', 'option all: bool "-a" "--all";',
    'option kind: enum("us", "ms") = "ms" "-u";', 'option wait: duration = 10ms "-i";',
    'option name: string = "cat" "-n";', 'option most: size = 4k "--most";',
)  # fmt: skip
_OPTION_VALUES = {
    "only": ("integer", "opt.only"), "all": ("boolean", "opt.all"), "kind": ("text", "opt.kind"),
    "wait": ("integer", "opt.wait"), "name": ("text", "opt.name"), "most": ("integer", "opt.most"),
}  # fmt: skip


def programs(count: int, seed: int) -> Iterator[str]:
    """Programs of one to three probes, with the definitions, options, macros and functions that they use."""
    for number in range(count):
        yield program(random.Random(f"{seed}.{number}"))


def program(chance: random.Random) -> str:
    """One program."""
    writer = Writer(chance)
    parts = [text for text in _DEFINITIONS if chance.random() < 0.08]
    for text in parts:
        writer.known_definition(text)
    if chance.random() < 0.2:
        chosen = chance.sample(_CONFIGS, chance.choice((1, 1, 2)))
        parts.append("config = { " + "; ".join(chosen) + " }\n")
    for text in _OPTIONS:
        if chance.random() < 0.06:
            kind, value = _OPTION_VALUES[text.split()[1].rstrip(":")]
            writer.constants.setdefault(kind, []).append(value)
            parts.append(text + "\n")
    if chance.random() < 0.15:
        parts.append(writer.declaration() + "\n")
    parts += [writer.macro() + "\n" for _ in range(2) if chance.random() < 0.12]
    parts += [writer.function() + "\n" for _ in range(2) if chance.random() < 0.1]
    scenes = chance.choices(SCENES, k=chance.choice((1, 1, 1, 2, 2, 3)))
    probes = [writer.probe(scene) for scene in scenes]
    # the maps that were read must be written somewhere
    return "".join(parts) + "\n".join([*probes, writer.filling()]).rstrip() + "\n"
