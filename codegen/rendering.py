"""Templates as Jinja2 compiled them → text, without Jinja2: what their code asks of it stands here.

Jinja2 takes 15 ms to import and ebt's templates need little of it: attributes, loops, includes, one filter.
Whatever is missing here raises `Unknown`, and the caller lets Jinja2 do it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

from lang.diagnostics import CompilerBug

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
Codes = Mapping[str, CodeType]


class Unknown(Exception):
    """The template needs something that only Jinja2 has."""


class _Missing:
    def __repr__(self) -> str:
        return "missing"


_MISSING = _Missing()


def _undefined(name: str) -> Any:
    raise CompilerBug(f"a template uses {name}, which is not defined")


def _no_else(_reason: str) -> str:
    """An `x if y` without else is an empty text."""
    return ""


class _Context:
    """The values of a template and of those that it includes."""

    eval_ctx = None

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def resolve_or_missing(self, name: str) -> Any:
        return self._values.get(name, _MISSING)

    def get_all(self) -> Mapping[str, Any]:
        return self._values


class _Template:
    """One template's function."""

    def __init__(self, root: Callable[[_Context], Iterator[str]]) -> None:
        self.root_render_func = root

    def new_context(self, values: Mapping[str, Any], _shared: bool, names: Mapping[str, Any]) -> _Context:
        return _Context({**values, **names})


class Templates:
    """Templates by name, and what their code calls the environment."""

    concat = "".join

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self.undefined = _undefined
        self.filters = {"replace": lambda _context, text, old, new: str(text).replace(old, new)}
        self.get_or_select_template = lru_cache(maxsize=None)(self._template)

    def getattr(self, value: Any, name: str) -> Any:
        """An attribute; unlike Jinja2's this looks for no item of that name."""
        try:
            return getattr(value, name)
        except AttributeError:
            raise CompilerBug(f"a template asks {type(value).__name__} for {name}") from None

    def _template(self, name: str, _parent: str | None = None) -> _Template:
        code = self._codes.get(name)
        if code is None:
            raise Unknown(name)
        space: dict[str, Any] = {
            "environment": self, "missing": _MISSING, "Undefined": _no_else, "TemplateRuntimeError": Unknown,
            "internalcode": lambda function: function, "str_join": lambda parts: "".join(map(str, parts)),
        }  # fmt: skip
        exec(code, space)  # compiled from our own templates by Jinja2
        return _Template(space["root"])

    def render(self, name: str, **values: Any) -> str:
        """The text of a template. Raises Unknown."""
        try:
            return "".join(self._template(name).root_render_func(_Context(values)))
        except NameError as missing:
            raise Unknown(str(missing)) from missing
