"""Unit → C text, by the Jinja2 templates of codegen/templates."""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from codegen.unit import Unit


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("codegen"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip


def emit(unit: Unit) -> str:
    """The whole C program; the same unit gives the same bytes."""
    return _environment().get_template("program.c.j2").render(unit=unit)
