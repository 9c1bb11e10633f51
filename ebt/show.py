"""One stage's value → text for -d: the tree, the types, the plan, the C."""

from __future__ import annotations

import sys

from codegen.pipeline import Compiled
from lang import ast
from lang.records import fields


def show_stage(compiled: Compiled, stage: str) -> None:
    """Print a stage of the compilation on standard output."""
    parts = {
        "ast": lambda: tree(compiled.script),
        "types": lambda: types(compiled),
        "plan": lambda: plan(compiled),
        "codegen": lambda: compiled.c,
    }
    wanted = list(parts) if stage == "all" else [stage]
    for name in wanted:
        head = f"--- {name}\n" if len(wanted) > 1 else ""
        sys.stdout.write(head + parts[name]().rstrip("\n") + "\n")
    sys.stdout.flush()


def tree(node: ast.Node, depth: int = 0) -> str:
    """The syntax tree, a node a line, with its position."""
    plain = []
    below = ""
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, ast.Node):
            below += tree(value, depth + 1)
        elif isinstance(value, tuple) and value and isinstance(value[0], ast.Node):
            below += "".join(tree(entry, depth + 1) for entry in value)
        elif item.name not in (
            "span",
            "name_span",
            "provider_span",
            "part_spans",
            "value_span",
        ) and value not in ((), None):
            plain.append(f"{item.name}={value!r}")
    line, column = node.span.source.position(node.span.start)
    return (
        f"{'  ' * depth}{type(node).__name__} {' '.join(plain)}".rstrip() + f"  [{line}:{column}]\n" + below
    )


def types(compiled: Compiled) -> str:
    """Each body's expressions with their types, then the maps."""
    lines = []
    for body in compiled.checked.bodies:
        lines.append(
            ", ".join(target.label for target in body.targets[:4]) + (" …" if len(body.targets) > 4 else "")
        )
        for node, kind in sorted(
            body.types.items(), key=lambda item: (item[0].span.start, -item[0].span.end)
        ):
            lines.append(f"  {node.span.text}: {kind}")
    for info in compiled.checked.maps.values():
        lines.append(f"{info.name}{f'[{info.key}]' if info.key else ''}: {info.value}")
    return "\n".join(lines) + "\n"


def plan(compiled: Compiled) -> str:
    """The plan, a program, map or event a line."""
    lines = []
    for program in compiled.plan.programs:
        lines.append(f"program {program.name} ({program.kind})")
        lines += [f"  attach {point.label}" for point in program.attach]
    lines += [
        f"map {item.name} {item.kind} key {item.real_key_size} value {item.value_size} "
        f"entries {item.max_entries}"
        for item in compiled.plan.maps
    ]
    lines += [
        f"event {item.site} {item.action} {item.size} bytes {item.text!r}" for item in compiled.plan.events
    ]
    return "\n".join(lines) + "\n"
