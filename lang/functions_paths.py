"""The builtin function that gives a file's whole path."""

from __future__ import annotations

from lang import ast
from lang.signature import Function, Typing, expect_literal
from lang.types import Pointer, Str, Struct, Type

_HOLDERS = ("path", "file", "dentry")
_NEEDED = ("dentry", "qstr", "path", "vfsmount", "mount")


def _path(typing: Typing, call: ast.Call) -> Type | None:
    node = call.arguments[0]
    kind = typing.type(node)
    if kind is None:
        return None
    struct = kind.to if isinstance(kind, Pointer) and kind.space != "user" else kind
    if not isinstance(struct, Struct) or struct.name not in _HOLDERS:
        message = f"path() expects a struct path, file or dentry of the kernel, not {kind}"
        typing.error(node, message, "path(curtask.fs.pwd), path(args.file)")
        return None
    missing = [name for name in _NEEDED if typing.scene.machine.struct("struct", name) is None]
    if missing:
        typing.error(call, f"path() cannot be had here: this kernel's BTF has no struct {missing[0]}")
    limit = typing.scene.settings.max_strlen
    if len(call.arguments) == 2:
        return Str(expect_literal(typing, call, 1, 2, typing.scene.settings.longest_string) or limit)
    return Str(limit)


PATHS = (
    Function("path", 1, 2, _path, "path(file[, bytes])", "the whole path of a struct path, file or dentry"),
)  # fmt: skip
