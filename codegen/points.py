"""Targets of a body → C for the number of the one that is hit; maps that only count by `probe` → arrays.

A program that one link attaches to many points (kprobe_multi, uprobe_multi) asks the kernel for the number
that it was given with the point (bpf_get_attach_cookie, ca74823c6e16 in v5.18 and 0b779b61f651 in v6.6); one
that is loaded for each point has the number put in.
"""

from __future__ import annotations

from collections.abc import Iterator

from codegen.function import Function
from codegen.labels import POINT
from lang import ast
from lang.checked import Body, Checked, MapInfo
from lang.types import Aggregate, Str, size_of

_WHOLE = {"print", "clear", "table"}  # what may be done with a map as a whole: done by the reader


def by_one_link(f: Function) -> bool:
    """Whether one link can attach the program to all its functions, or to all its places of a file."""
    targets, supports = f.body.targets, f.program.machine.supports
    if len(targets) == 1:
        return False
    if f.mechanism in ("uprobe", "uretprobe"):
        # Kernels before 6.10 compare a thread's number with the process that a link is for.
        return not any(target.pid for target in targets) and supports("uprobe_multi").works
    if f.mechanism not in ("kprobe", "kretprobe") or any(target.offset for target in targets):
        return False
    return supports("kprobe_multi").works


def told_by_cookie(f: Function) -> bool:
    """Whether the program can ask for its point: it is one for all, and has no loop's body without a context.

    What the one link does not take is attached by links of its own, with cookies too.
    """
    told = f.program.told
    if f.root not in told:
        loops = (isinstance(node, ast.ForRange | ast.ForMap) for node in ast.walk(f.body.probe))
        told[f.root] = by_one_link(f) and f.program.machine.supports("perf_link").works and not any(loops)
    return told[f.root]


def number(f: Function) -> str:
    """C for the point's number among the body's targets, of which there are several."""
    if told_by_cookie(f):
        return f.shared("point", "point", "u64", "bpf_get_attach_cookie(ctx)")
    f.program.numbered.add(f.root)
    return f"(u64){f.program.refer(POINT)}"


def label(f: Function, texts: tuple[str, ...]) -> str:
    """C for the address of a text that differs from point to point."""
    if not told_by_cookie(f):
        return f.program.label(f.root, texts)
    point = number(f)
    last = len(texts) - 1
    if not f.code.known(("last point", point)):
        f.code.line(f"if ({point} > {last})  // the verifier does not know the kernel's promise")
        f.code.line(f"    {point} = {last};")
        f.code.learn(("last point", point), point)
    return f.program.label(f.root, texts, point)


# ---- Maps


def counted(checked: Checked) -> dict[str, tuple[str, ...]]:
    """The maps that nothing but `@map[probe] = count()` writes and no probe reads → their keys, in order.

    Such a map is an array of a counter for each point: no text is written and hashed for an event.
    """
    found: dict[str, list[str]] = {name: [] for name, info in checked.maps.items() if _could(info)}
    for body in checked.bodies:
        for name in set(_otherwise_used(body)) & found.keys():
            del found[name]
        for name in dict.fromkeys(_counts(body)):
            if name in found:
                found[name] += [target.label for target in body.targets]
    return {
        name: tuple(labels)
        for name, labels in found.items()
        if len(set(labels)) == len(labels) and _holds(checked, name, labels)
    }


def index(f: Function, keys: tuple[str, ...]) -> str:
    """C for the number of the counter in such a map: those of a body's targets are in a row."""
    first = keys.index(f.target.label)
    if len(f.body.targets) == 1:
        return str(first)
    return f"{first} + {number(f)}" if first else number(f)


def _could(info: MapInfo) -> bool:
    return not (info.kind or info.entries or info.read) and info.value == Aggregate("count")


def _holds(checked: Checked, name: str, labels: list[str]) -> bool:
    """Whether the labels are the keys, whole."""
    key = checked.maps[name].key
    whole = isinstance(key, Str) and all(len(label.encode()) < size_of(key) for label in labels)
    return whole and 0 < len(labels) <= checked.settings.max_map_keys


def _counts(body: Body) -> Iterator[str]:
    for node in ast.walk(body.probe):
        if isinstance(node, ast.Assign) and _is_counting(node):
            assert isinstance(node.target, ast.MapEntry)
            yield node.target.map.name


def _is_counting(node: ast.Assign) -> bool:
    target, value = node.target, node.value
    return (
        isinstance(target, ast.MapEntry)
        and len(target.keys) == 1
        and isinstance(target.keys[0], ast.Name)
        and target.keys[0].name == "probe"
        and isinstance(value, ast.Call)
        and value.name == "count"
    )


def _otherwise_used(body: Body) -> Iterator[str]:
    """Maps that something else is done with, by statements or as values."""
    fine: set[ast.Node] = set()
    for node in ast.walk(body.probe):
        if isinstance(node, ast.Assign) and _is_counting(node):
            assert isinstance(node.target, ast.MapEntry)
            fine.add(node.target.map)
        elif isinstance(node, ast.Evaluate) and isinstance(node.value, ast.Call):
            fine |= set(node.value.arguments[:1]) if node.value.name in _WHOLE else set()
        elif isinstance(node, ast.Map) and node not in fine:
            yield node.name
