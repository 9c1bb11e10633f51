"""BTF and a struct's name → (module, name) of the functions that take a pointer to such a struct.

Prototypes are compared by ids, in a few walks over each blob: to read all 60,000 by name would take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernel.btf import CONST, FUNC, FUNC_PROTO, PTR, Btf


def functions_taking(core: Btf, modules: Iterable[Btf], struct: str) -> Iterator[tuple[str, str]]:
    """Those of which any parameter is a `struct NAME *`, const or not; a superset of what can be traced."""
    pointers = _pointers(core, set(core.find("struct", struct)))
    prototypes = _prototypes(core, pointers)
    yield from _functions(core, prototypes)
    for module in modules:
        own = {number for number in module.find("struct", struct) if number >= module.first}
        reach = pointers | _pointers(module, own | set(core.find("struct", struct)))
        yield from _functions(module, prototypes | _prototypes(module, reach))


def _pointers(btf: Btf, structs: set[int]) -> set[int]:
    constant = {number for number, words in btf.walk(CONST) if words[2] in structs}
    reach = structs | constant
    return {number for number, words in btf.walk(PTR) if words[2] in reach}


def _prototypes(btf: Btf, pointers: set[int]) -> set[int]:
    return {number for number, words in btf.walk(FUNC_PROTO) if not pointers.isdisjoint(words[4::2])}


def _functions(btf: Btf, prototypes: set[int]) -> Iterator[tuple[str, str]]:
    return ((btf.name, btf.string(words[0])) for _, words in btf.walk(FUNC) if words[2] in prototypes)
