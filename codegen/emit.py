"""Unit → C text, by the Jinja2 templates of codegen/templates."""

from __future__ import annotations

import sys
from functools import lru_cache

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from jinja2 import __version__ as jinja2_version
from jinja2.bccache import Bucket

from codegen.unit import Unit
from lang import cachefile


class _Compiled(BytecodeCache):
    """Templates as Jinja2 compiled them, in ebt's cache; each is kept under the checksum of its text."""

    def load_bytecode(self, bucket: Bucket) -> None:
        stored = cachefile.load("template", _key(bucket))
        if stored is not None:
            bucket.bytecode_from_string(bytes(stored))

    def dump_bytecode(self, bucket: Bucket) -> None:
        cachefile.store("template", _key(bucket), bucket.bytecode_to_string())


def _key(bucket: Bucket) -> str:
    return f"{jinja2_version} {sys.version} {bucket.key} {bucket.checksum}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("codegen"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False, bytecode_cache=_Compiled(),
    )  # fmt: skip


def emit(unit: Unit) -> str:
    """The whole C program; the same unit gives the same bytes."""
    return _environment().get_template("program.c.j2").render(unit=unit)
