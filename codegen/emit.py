"""Unit → C text, by the Jinja2 templates of codegen/templates."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib import import_module
from types import CodeType
from typing import TYPE_CHECKING

from codegen.rendering import FOLDER, Templates, Unknown
from codegen.unit import Unit
from lang import cachefile

if TYPE_CHECKING:
    from jinja2 import Environment

_PROGRAM = "program.c.j2"
# what stands at the head of each compiled template: its names are given to it by codegen.rendering
_IMPORT = "from jinja2.runtime import"


def emit(unit: Unit) -> str:
    """The whole C program; the same unit gives the same bytes."""
    templates = _templates()
    if templates is not None:
        try:
            return templates.render(_PROGRAM, unit=unit)
        except Unknown:
            _templates.cache_clear()
    return emit_by_jinja2(unit)


def emit_by_jinja2(unit: Unit) -> str:
    """The same by Jinja2 itself, which costs 20 ms more for the first program."""
    return environment().get_template(_PROGRAM).render(unit=unit)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja2, set up for the templates."""
    jinja2 = import_module("jinja2")  # not needed where its work is kept
    made: Environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    return made


@lru_cache(maxsize=1)
def _templates() -> Templates | None:
    """The compiled templates; made by Jinja2 when the cache has none."""
    names = sorted(_names())
    stamps = [(name, os.stat(f"{FOLDER}/{name}").st_mtime_ns) for name in names]
    key = f"{sys.version} {FOLDER} {stamps}"
    return Templates(
        cachefile.remembered("templates", key, lambda: {name: _compiled(name) for name in names})
    )


def _names() -> list[str]:
    found = []
    for folder in ("", "helpers/"):
        with os.scandir(f"{FOLDER}/{folder}") as entries:
            found += [folder + entry.name for entry in entries if entry.name.endswith(".j2")]
    return found


def _compiled(name: str) -> CodeType:
    made = environment()
    assert made.loader is not None
    text = made.loader.get_source(made, name)[0]
    source: str = made.compile(text, name, raw=True)
    plain = "\n".join(line for line in source.split("\n") if not line.startswith(_IMPORT))
    return compile(plain, name, "exec")
