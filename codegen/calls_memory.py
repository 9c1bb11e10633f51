"""Functions that read memory, or whose value lives in memory → C."""

from __future__ import annotations

from collections.abc import Callable

from codegen import builtins
from codegen.access import default_space
from codegen.access import place_of as where_is
from codegen.function import Function, Place, reader
from codegen.pieces import store_text
from lang import ast
from lang.convert import as_int
from lang.literals import packed_address
from lang.types import Array, Buffer, Pointer, Space, Stack, Str, Type, size_of

_INET, _INET6 = 2, 10  # AF_INET, AF_INET6 of include/linux/socket.h


def _str(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    source = node.arguments[0]
    source_kind = f.body.types.get(source)
    value = f.constant(source)
    if isinstance(source, ast.Parameter | ast.Binary) and value is not None:
        # of one byte: a parameter that was not given
        store_text(f, place, str(value) if size_of(f.body.type(node)) > 1 else "")
        return
    if isinstance(source_kind, Str):
        f.store(place, kind, source)
        return
    own = f.body.type(node)
    limit = min(size_of(own), size_of(kind))
    if isinstance(source_kind, Array):
        array = f.evaluate(source)
        f.read_string(place, str(limit), array.text, "kernel")
        return
    pointer = f.evaluate(source)
    space: Space = source_kind.space if isinstance(source_kind, Pointer) else default_space(f)
    f.read_string(place, _length(f, node, limit), pointer.text, space)


def _length(f: Function, node: ast.Call, limit: int) -> str:
    """The second argument of str(), bounded for the verifier; a literal is in the type already."""
    if len(node.arguments) < 2 or isinstance(f.constant(node.arguments[1]), int):
        return str(limit)
    wanted = f.temporary("length", "u64", f.evaluate(node.arguments[1]).text)
    return f"{wanted} < {limit} ? (u32){wanted} : {limit}"


def _usym(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    builtins.write_user_symbol(f, place, f"(u64){f.evaluate(node.arguments[0]).text}")


def _stack(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    own = f.body.type(node)
    assert isinstance(own, Stack)
    builtins.write_stack(f, place, own)


def _where_array(f: Function, node: ast.Expression) -> Place | None:
    """Where an array lies, if it can be read from there; not one that a tracepoint's offset leads to."""
    where = where_is(f, node) if isinstance(f.body.type(node), Array | Str) else None
    return where if where is None or where.item is None or not where.item.data_loc else None


def _ntop(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    """{family, address[16]} from an IPv4 address in network order, or an array of 4 or 16 bytes."""
    address = node.arguments[-1]
    source = f.body.type(address)
    where = _where_array(f, address)
    if as_int(source) is not None:
        value = f.temporary("address", "u32", f.evaluate(address).text)
        size, family, text = 4, _INET, f"&{value}"
    else:
        size = source.length * size_of(source.of) if isinstance(source, Array) else size_of(source)
        family, text = (_INET if size == 4 else _INET6), "" if where else f.evaluate(address).text
    given = f.evaluate(node.arguments[0]).text if len(node.arguments) == 2 else str(family)
    f.code.line(f"{place}.family = {given};")
    if size < 16:
        f.code.line(f"__builtin_memset({place}.address, 0, 16);")
    if where is not None:
        f.code.line(f"{reader(where.space)}({place}.address, {min(size, 16)}, &{where.text});")
    else:
        f.code.line(f"__builtin_memcpy({place}.address, {text}, {min(size, 16)});")


def _buf(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    """{u32 length; char data[N]}: an array whole, or so many bytes behind an address."""
    own = f.body.type(node)
    assert isinstance(own, Buffer)
    source, limit = node.arguments[0], min(own.size, kind.size if isinstance(kind, Buffer) else own.size)
    source_kind = f.body.type(source)
    length = str(limit)
    if len(node.arguments) == 2 and not isinstance(f.constant(node.arguments[1]), int):
        wanted = f.temporary("length", "u64", f.evaluate(node.arguments[1]).text)
        length = f.temporary("bytes", "u32", f"{wanted} < {limit} ? (u32){wanted} : {limit}")
    f.code.line(f"{place}.length = {length};")
    if isinstance(source_kind, Array | Str):
        where = _where_array(f, source)
        if where is not None:
            f.code.line(f"{reader(where.space)}(&{place}.data, {length}, &{where.text});")
        else:
            f.code.line(f"bpf_probe_read_kernel(&{place}.data, {length}, {f.evaluate(source).text});")
        return
    address = f.evaluate(source)
    space: Space = source_kind.space if isinstance(source_kind, Pointer) else default_space(f)
    f.code.line(f"{reader(space)}(&{place}.data, {length}, (void *){address.text});")


def _macaddr(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    source = node.arguments[0]
    where = where_is(f, source)
    if where is not None:
        f.code.line(f"{reader(where.space)}(&{place}, 6, &{where.text});")
    else:
        f.code.line(f"__builtin_memcpy(&{place}, {f.evaluate(source).text}, 6);")


def _pton(f: Function, place: str, kind: Type, node: ast.Call) -> None:
    text = f.constant(node.arguments[0])
    assert isinstance(text, str)
    raw = packed_address(text) or b""
    for at, byte in enumerate(raw):
        f.code.line(f"{place}[{at}] = {byte};")


WRITERS: dict[str, Callable[[Function, str, Type, ast.Call], None]] = {
    "str": _str,
    "buf": _buf,
    "words": _buf,
    "usym": _usym,
    "kstack": _stack,
    "ustack": _stack,
    "ntop": _ntop,
    "macaddr": _macaddr,
    "pton": _pton,
}
