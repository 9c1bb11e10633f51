"""path(x) → C: a bounded walk over dentries and mounts, at the offsets of this kernel's BTF."""

from __future__ import annotations

from codegen.access import place_of
from codegen.function import Function
from codegen.program import Program
from lang import ast
from lang.diagnostics import CompilerBug
from lang.types import Pointer, Struct, Type, size_of

_ROOM = "path_room"
# C's name → the struct and the members on the way to what it is the offset of
_OFFSETS = {
    "EBT_DENTRY_PARENT": ("dentry", "d_parent"),
    "EBT_DENTRY_NAME": ("dentry", "d_name", "name"),
    "EBT_DENTRY_NAME_LENGTH": ("dentry", "d_name", "len"),
    "EBT_VFSMOUNT_ROOT": ("vfsmount", "mnt_root"),
    "EBT_MOUNT_PARENT": ("mount", "mnt_parent"),
    "EBT_MOUNT_POINT": ("mount", "mnt_mountpoint"),
    "EBT_MOUNT_VFSMOUNT": ("mount", "mnt"),
}


def write_path(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    """The path of a struct path, file or dentry, to an lvalue."""
    dentry, mount = _start(f, node.arguments[0])
    program = f.program
    size = min(size_of(f.body.type(node)), size_of(kind))
    longest = program.checked.settings.longest_string
    for name, way in _OFFSETS.items():
        program.defines[name] = _offset(program, *way)
    program.defines["EBT_PATH_BYTES"] = longest
    program.types.composite("ebt_path_room", ["u64 at;", "char text[EBT_PATH_BYTES + 256];"])
    program.helper("path")
    if not any(f" {_ROOM} " in line for line in f.scratch):
        f.in_scratch(_ROOM, f"struct ebt_path_room {_ROOM}", longest + 264)
    f.code.line(f"ebt_path((char *)&{place}, {size}, &scratch->{_ROOM}, {dentry}, {mount});")


def _start(f: Function, node: ast.Expression) -> tuple[str, str]:
    """C for the dentry and the vfsmount to begin at."""
    kind = f.body.type(node)
    if isinstance(kind, Pointer):
        address, struct = f.evaluate(node).text, kind.to
    else:
        where = place_of(f, node)
        if where is None:
            raise f.bug(node, "a struct that is nowhere")
        address, struct = f"&{where.text}", kind
    assert isinstance(struct, Struct)
    base = f.temporary("base", "void *", f"(void *){address}")
    if struct.name == "dentry":
        return base, "(void *)0"
    inside = _offset(f.program, "file", "f_path") if struct.name == "file" else 0
    dentry, mount = (inside + _offset(f.program, "path", name) for name in ("dentry", "mnt"))
    return (
        f.temporary("dentry", "void *", f"ebt_pointer_at({base}, {dentry})"),
        f.temporary("mount", "void *", f"ebt_pointer_at({base}, {mount})"),
    )


def _offset(program: Program, name: str, *way: str) -> int:
    """Bytes from the start of a struct to a member, or to a member of that."""
    kind: Type | None = program.machine.struct("struct", name)
    total = 0
    for step in way:
        fields = program.machine.fields(kind) if isinstance(kind, Struct) else ()
        found = next((item for item in fields if item.name == step), None)
        if found is None:
            raise CompilerBug(f"struct {name} has no member {'.'.join(way)}")
        kind, total = found.type, total + found.offset
    return total
