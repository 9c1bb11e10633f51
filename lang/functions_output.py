"""The builtin functions that print, ask or end."""

from __future__ import annotations

from lang import ast
from lang.convert import as_int, castable, is_format, settle
from lang.printf import Conversion, conversions
from lang.signature import Function, Typing, expect_int, expect_text, fixed
from lang.types import BOOL, VOID, Aggregate, Bool, Buffer, Enum, Formatted, Int, Pointer, Tuple, Type, Void

_EXISTS_FORMS = 'exists("struct task_struct.__state"), exists("kprobe:vfs_read"), exists("helper:bpf_loop")'
ROW_ONLY = ("format() makes text of a row only", 'emit(NAME = format("…", …))')
MAX_PRINTF_ARGUMENTS = 127


def _printf(typing: Typing, call: ast.Call) -> Type | None:
    text = typing.constant(call.arguments[0])
    kinds = [typing.type(item) for item in call.arguments[1:]]
    if not isinstance(text, str) or not isinstance(call.arguments[0], ast.String):
        typing.error(call.arguments[0], f"{call.name}() expects a string literal as its format")
        return VOID
    wanted = conversions(text)
    given = len(kinds)
    if given > MAX_PRINTF_ARGUMENTS:
        typing.error(call, f"{call.name}() takes up to {MAX_PRINTF_ARGUMENTS} arguments ({given} provided)")
    elif given < len(wanted):
        typing.error(
            call, f"not enough arguments for format string ({given} supplied, {len(wanted)} expected)"
        )
    elif given > len(wanted):
        typing.error(call, f"too many arguments for format string ({given} supplied, {len(wanted)} expected)")
    for conversion, kind, node in zip(wanted, kinds, call.arguments[1:], strict=False):
        if kind is not None:
            _check_conversion(typing, conversion, kind, node)
    return VOID


def format_type(typing: Typing, call: ast.Call) -> Type | None:
    """The type of format(): the values, and the text that user space makes of them."""
    _printf(typing, call)
    text, kinds = typing.constant(call.arguments[0]), [typing.type(item) for item in call.arguments[1:]]
    known = tuple(settle(kind) for kind in kinds if kind is not None)
    if len(known) < len(kinds) or not isinstance(text, str):
        return None
    return Formatted("format", Tuple(known), (text,))


def _check_conversion(typing: Typing, conversion: Conversion, kind: Type, node: ast.Expression) -> None:
    if is_format(kind):
        typing.error(node, *ROW_ONLY)
        return
    if isinstance(kind, Void):
        typing.error(node, "this has no value to print")
        return
    fits = {
        "str": True,
        "buffer": isinstance(kind, Buffer),
        "unsupported": False,
    }.get(conversion.kind, isinstance(kind, Int | Bool | Enum | Pointer))
    if isinstance(kind, Aggregate):
        typing.error(node, f"the value of a {kind} cannot be read in a probe", "print(@map) prints it")
    elif conversion.kind == "unsupported":
        typing.error(node, f"unsupported format specifier: {conversion.letter}")
    elif not fits:
        typing.error(node, f"unsupported format specifier for type '{kind}': {conversion.letter}")


def _print(typing: Typing, call: ast.Call) -> Type | None:
    first, *rest = call.arguments
    info = typing.map(first)
    if info is None:
        kind = typing.type(first)
        if isinstance(kind, Void):
            typing.error(first, "this has no value to print")
        elif kind is not None and is_format(kind):
            typing.error(first, *ROW_ONLY)
        elif isinstance(kind, Aggregate):
            message = f"cannot print the value of individual keys of a {kind.kind}() map"
            hint = (
                f"@name = {kind.kind}(…)" if isinstance(first, ast.Call) else "print(@map) prints all of them"
            )
            typing.error(first, message, hint)
        if rest:
            typing.error(call, f"print() of a value takes one argument ({len(call.arguments)} provided)")
        return VOID
    for node, name in zip(rest, ("top", "div"), strict=False):
        value = typing.constant(node)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            typing.error(node, f"print(): the {name} argument must be a literal that is not negative")
    return VOID


def _of_stacks(typing: Typing, call: ast.Call) -> Type | None:
    """folded() and stacked(): a map of numbers, what stands between the stacks, and whether with offsets."""
    first, name = call.arguments[0], call.name
    info = typing.map(first)
    number = castable(info.value) if info is not None and info.value is not None else None
    if info is None:
        if typing.type(first) is not None:
            typing.error(first, f"{name}() expects a map", f"{name}(@map)")
    elif info.keyed is False or (info.value is not None and (number is None or as_int(number) is None)):
        typing.error(first, f"{name}() expects a map of numbers with a key", "@map[ustack, kstack] = count()")
    between, offsets = (*call.arguments[1:], None, None)[:2]
    if between is not None and not isinstance(typing.constant(between), str):
        typing.error(between, f"{name}() expects a constant string between the stacks", '"-"')
    if offsets is not None and not isinstance(typing.constant(offsets), bool):
        typing.error(offsets, f"{name}() expects true or false for the offsets in functions")
    return VOID


def _exists(typing: Typing, call: ast.Call) -> Type | None:
    if not isinstance(call.arguments[0], ast.String):
        typing.error(call.arguments[0], "exists() expects a string literal", _EXISTS_FORMS)
    return BOOL


def _debugf(typing: Typing, call: ast.Call) -> Type | None:
    _printf(typing, call)
    for node in call.arguments[1:]:
        expect_int(typing, node, "debugf(): what is printed")
    return VOID


def _join(typing: Typing, call: ast.Call) -> Type | None:
    kind = typing.type(call.arguments[0])
    if kind is not None and as_int(kind) is None and not isinstance(kind, Pointer):
        typing.error(call.arguments[0], f"join() expects an array of char pointers, not {kind}")
    if len(call.arguments) == 2:
        expect_text(typing, call, 1, "its separator")
    return VOID


def _assert(call: ast.Call) -> ast.Expression:
    """`if (!condition) { errorf("%s", message); exit(1) }`."""
    span = call.span
    failed = ast.Call(span, "errorf", (ast.String(span, "assertion failed: %s"), call.arguments[1]))
    ends = ast.Call(span, "exit", (ast.Integer(span, 1),))
    then = ast.Block(span, (ast.Evaluate(span, failed), ast.Evaluate(span, ends)), False)
    wrong = ast.Unary(span, "!", ast.Group(span, call.arguments[0]))
    return ast.Block(span, (ast.IfStatement(span, wrong, then, None),), False)


def _static_assert(typing: Typing, call: ast.Call) -> Type | None:
    condition, message = typing.constant(call.arguments[0]), typing.constant(call.arguments[1])
    typing.type(call.arguments[0])
    if condition is None:
        typing.error(call.arguments[0], "static_assert() expects a condition that is known at compile time")
    elif not condition:
        typing.error(call, str(message))
    return VOID


def _fail(typing: Typing, call: ast.Call) -> Type | None:
    text = expect_text(typing, call, 0, "its message")
    values = [typing.constant(node) for node in call.arguments[1:]]
    if text is not None:
        wanted = conversions(text)
        for conversion, value in zip(wanted, values, strict=False):
            text = text.replace(conversion.text, str(value), 1)
        typing.error(call, text)
    return VOID


def _time(typing: Typing, call: ast.Call) -> Type | None:
    if call.arguments and not isinstance(typing.constant(call.arguments[0]), str):
        typing.error(call.arguments[0], "time() expects a string literal as its format")
    return VOID


def _exit(typing: Typing, call: ast.Call) -> Type | None:
    for node in call.arguments:
        kind = typing.type(node)
        if kind is not None and as_int(kind) is None:
            typing.error(node, f"exit() expects an integer, not {kind}")
    return VOID


OUTPUT = (
    Function("errorf", 1, None, _printf, "errorf(format, value, …)", "an error, on standard error"),
    Function("warnf", 1, None, _printf, "warnf(format, value, …)", "a warning, on standard error"),
    Function("debugf", 1, 4, _debugf, "debugf(format, value, …)", "a line in the kernel's trace_pipe"),
    Function("join", 1, 2, _join, "join(array[, separator])", "the strings of an array like argv"),
    Function("cat", 1, None, _printf, "cat(format, value, …)", "what a file holds"),
    Function(
        "system",
        1,
        None,
        _printf,
        "system(format, value, …)",
        "run a command and print what it says",
        unsafe=True,
    ),
    Function(
        "assert",
        2,
        2,
        fixed(VOID),
        "assert(condition, message)",
        "end with an error unless it is so",
        meaning=_assert,
    ),
    Function(
        "static_assert",
        2,
        2,
        _static_assert,
        "static_assert(condition, message)",
        "refuse to compile unless it is so",
    ),
    Function("fail", 1, None, _fail, "fail(format, literal, …)", "refuse to compile"),
    Function("printf", 1, None, _printf, "printf(format, value, …)", "print formatted text"),
    Function("print", 1, 3, _print, "print(value) or print(@map[, top[, div]])", "print a value or a map"),
    Function(
        "folded", 1, 2, _of_stacks, "folded(@map[, between])", "a line for each stack, for flame graphs"
    ),
    Function(
        "stacked",
        1,
        3,
        _of_stacks,
        "stacked(@map[, between[, offsets]])",
        "each stack a function a line, whose it is and the number below",
    ),
    Function("clear_screen", 0, 0, fixed(VOID), "clear_screen()", "clear the terminal, or an empty line"),
    Function("time", 0, 1, _time, "time([format])", "print the time of day, by strftime"),
    Function("exit", 0, 1, _exit, "exit([code])", "end the script"),
    Function(
        "exists",
        1,
        1,
        _exists,
        'exists("kind:name")',
        "whether such a probe can be attached here, by any mechanism, or a struct has the field",
        value=lambda typing, call: typing.exists(call),
    ),
)
