"""A script with `for ($d : opt.directories)` and the options' values → the script with a block for each.

The loop is unrolled: in each block `$d` stands for one item: the tuple (inode, path) of a directory, the
number of a port or a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lang import ast
from lang.diagnostics import Diagnostics, nearest
from lang.fold import Constant
from lang.records import fields, replace

Item = int | tuple[int, str]


def unroll_lists(script: ast.Script, values: Mapping[str, Constant], found: Diagnostics) -> ast.Script:
    """Unroll the loops over options; reports one over an option that is no list."""
    lists = {
        option.name: _LISTS[option.kind](str(values[option.name]))
        for option in script.options
        if option.kind in _LISTS
    }
    unroller = _Unroller(lists, found)
    probes = tuple(_unrolled(probe, unroller) for probe in script.probes)
    return replace(script, probes=probes) if probes != script.probes else script


def _directories(value: str) -> list[Item]:
    """`INODE PATH` lines, as kernel.resolve makes them."""
    pairs = (line.split(" ", 1) for line in value.splitlines())
    return [(int(inode), path) for inode, path in pairs]


def _numbers(value: str) -> list[Item]:
    """Ports or processes with commas between, as lang.options and kernel.resolve make them."""
    return [int(number) for number in value.split(",")] if value else []


_LISTS: dict[str, Callable[[str], list[Item]]] = {
    "directories": _directories, "ports": _numbers, "pids": _numbers,
}  # fmt: skip


def _unrolled(probe: ast.Probe, unroller: _Unroller) -> ast.Probe:
    if not any(isinstance(node, ast.ForOption) for node in ast.walk(probe)):
        return probe
    return unroller.node(probe)  # type: ignore[no-any-return]


class _Unroller:
    def __init__(self, lists: Mapping[str, list[Item]], found: Diagnostics) -> None:
        self._lists, self._found = lists, found
        self._values: dict[str, Item] = {}

    def node(self, node: Any) -> Any:
        """The node with all loops below it unrolled; new nodes throughout, as types are kept by node."""
        if isinstance(node, ast.ForOption):
            return self._loop(node)
        if isinstance(node, ast.Variable) and node.name in self._values:
            item = self._values[node.name]
            if isinstance(item, int):
                return ast.Integer(node.span, item)
            return ast.Tuple(node.span, (ast.Integer(node.span, item[0]), ast.String(node.span, item[1])))
        values = []
        for field in fields(node):
            value = getattr(node, field.name)
            if isinstance(value, ast.Node):
                value = self.node(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], ast.Node):
                value = tuple(self.node(entry) for entry in value)
            values.append(value)
        return type(node)(*values)

    def _loop(self, node: ast.ForOption) -> ast.Block:
        items = self._lists.get(node.option)
        if items is None:
            hints = nearest(node.option, self._lists) or ("option NAME: directories", "option NAME: ports")
            self._found.error(node.span, f"there is no list 'opt.{node.option}' to go through", *hints)
            return ast.Block(node.span, ())
        blocks = []
        for item in items:
            self._values[node.variable.name] = item
            blocks.append(self.node(node.body))
        self._values.pop(node.variable.name, None)
        return ast.Block(node.span, tuple(blocks))
