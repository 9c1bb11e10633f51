"""`import "file"` in a script → the file's text: relative to that script, or from ebt's standard library."""

from __future__ import annotations

import os
import stat

from ebt.tools import library
from lang import ast
from lang.diagnostics import Diagnostic, ScriptError
from lang.source import Source

MAX_BYTES = 1 << 20
SCRIPTS = (".ebt", ".bt", ".h")
STDLIB = "stdlib/"


class Imports:
    """Reads each file once. `sources` collects what was read, for messages."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._seen = {os.path.realpath(source.name) for source in sources}

    def __call__(self, node: ast.Import) -> tuple[Source, ...]:
        """The texts of a file, or of all scripts in a folder, without those that were read before.

        Raises ScriptError at the import.
        """
        if "\0" in node.path:
            raise _error(node, "cannot import a file whose name holds a NUL")
        path = self._path(node)
        found = [self._read(node, name) for name in self._files(node, path)]
        return tuple(source for source in found if source is not None)

    def _files(self, node: ast.Import, path: str) -> list[str]:
        if not os.path.isdir(path):
            return [path]
        found = sorted(name for name in os.listdir(path) if name.endswith(SCRIPTS))
        if not found:
            raise _error(node, f"cannot import '{node.path}': the folder has no scripts", " ".join(SCRIPTS))
        return [os.path.join(path, name) for name in found]

    def _read(self, node: ast.Import, path: str) -> Source | None:
        if path.endswith(".c"):
            hint = "write it as fn or macro; struct, union, enum and #define may stand in a .h file"
            raise _error(node, f"cannot import '{node.path}': ebt takes no C functions", hint)
        real = os.path.realpath(path)
        if real in self._seen:
            return None
        self._seen.add(real)
        try:
            self._refuse_writable(node, real)
            with open(real, "rb") as file:
                data = file.read(MAX_BYTES)
        except OSError as problem:
            message = f"cannot import '{node.path}': {problem.strerror}"
            raise _error(node, message, f"looked for {path}") from None
        source = Source(path, data.decode("utf-8", "surrogateescape"))
        self._sources.append(source)
        return source

    def _path(self, node: ast.Import) -> str:
        if node.path.startswith(STDLIB):
            folder = os.path.realpath(library())
            path = os.path.realpath(os.path.join(folder, node.path[len(STDLIB) :]))
            if not path.startswith(folder + os.sep):
                raise _error(node, f"'{node.path}' is not in the standard library")
            return path
        folder = os.path.dirname(node.span.source.name)
        return os.path.normpath(os.path.join(folder, node.path))

    def _refuse_writable(self, node: ast.Import, path: str) -> None:
        """A file that anybody can change, or put in the place of another, is not run as root."""
        for name in (path, os.path.dirname(path)):
            if os.stat(name).st_mode & stat.S_IWOTH:
                message = f"cannot import '{node.path}': everybody can write to {name}"
                raise _error(node, message, f"chmod o-w {name}")


def _error(node: ast.Import, message: str, *hints: str) -> ScriptError:
    return ScriptError([Diagnostic("error", node.span, message, hints)])
