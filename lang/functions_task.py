"""The builtin functions on tasks: the current one, its kin, and others by their id."""

from __future__ import annotations

from collections.abc import Callable

from lang import ast
from lang.signature import Function, Typing, expect_int, fixed
from lang.types import BOOL, UINT32, Formatted, Str, Type


def _member(*path: str, cast: str = "") -> Callable[[ast.Call], ast.Expression]:
    """`(cast)task.a.b`, of the current task where none is given."""

    def meaning(call: ast.Call) -> ast.Expression:
        span = call.span
        node = call.arguments[0] if call.arguments else ast.Name(span, "curtask")
        for name in path:
            node = ast.Member(span, node, name, span)
        return ast.Cast(span, ast.Type(span, "", cast, ()), node) if cast else node

    return meaning


def _has_child(call: ast.Call) -> ast.Expression:
    return ast.Binary(call.span, ast.Name(call.span, "cpid"), "!=", ast.Integer(call.span, 0))


def _comm(typing: Typing, call: ast.Call) -> Type | None:
    """A probe knows the name of its own task alone; /proc knows the others', when the name is printed."""
    expect_int(typing, call.arguments[0], "comm(): the process id")
    return Formatted("comm", UINT32)


TASK = (
    Function(
        "ppid", 0, 1, fixed(UINT32), "ppid or ppid(task)", "process id of the parent", bare=True,
        meaning=_member("real_parent", "tgid", cast="uint32"),
    ),
    Function(
        "pcomm", 0, 1, fixed(Str(16)), "pcomm or pcomm(task)", "name of the parent", bare=True,
        meaning=_member("real_parent", "comm"),
    ),
    Function(
        "leader_comm", 0, 1, fixed(Str(16)), "leader_comm or leader_comm(task)", "name of the main thread",
        bare=True, meaning=_member("group_leader", "comm"),
    ),
    Function(
        "leader_tid", 0, 1, fixed(UINT32), "leader_tid or leader_tid(task)", "thread id of the main thread",
        bare=True, meaning=_member("group_leader", "pid", cast="uint32"),
    ),
    Function(
        "has_cpid", 0, 0, fixed(BOOL), "has_cpid", "whether -c gave a command", bare=True, meaning=_has_child
    ),
    Function("comm", 1, 1, _comm, "comm(pid)", "a process's name, looked up when it is printed"),
)  # fmt: skip
