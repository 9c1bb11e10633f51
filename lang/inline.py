"""A function's body with returns anywhere → a block whose value is what it returns, to be expanded in place.

A function is expanded where it is called, as a macro is, but its parameters are values of their own, and
its result has a type. What follows an `if` that may return becomes part of both of its branches.
"""

from __future__ import annotations

from collections.abc import Sequence

from lang import ast
from lang.diagnostics import Diagnostic, ScriptError
from lang.source import Span

MAX_BRANCHES = 500


def inline_body(function: ast.Function) -> ast.Block:
    """The body as a block without returns. Raises ScriptError for a return in a loop, or a missing one."""
    return _Inliner(function).block(function.body.span, function.body.statements)


def _returns(node: ast.Node) -> ast.Return | None:
    """A return at or below the node."""
    return next((item for item in ast.walk(node) if isinstance(item, ast.Return)), None)


class _Inliner:
    def __init__(self, function: ast.Function) -> None:
        self._function = function
        self._wanted = function.result is not None
        self._branches = 0

    def fail(self, span: Span, message: str, *hints: str) -> ScriptError:
        return ScriptError([Diagnostic("error", span, message, hints)])

    def block(self, span: Span, statements: Sequence[ast.Statement]) -> ast.Block:
        """The statements up to the first return, whose value becomes the block's."""
        done: list[ast.Statement] = []
        for at, item in enumerate(statements):
            found = _returns(item)
            if found is None:
                done.append(item)
                continue
            done += self._last(item, found, statements[at + 1 :])
            return ast.Block(span, tuple(done), self._wanted)
        if self._wanted:
            message = f"not every way through '{self._function.name}' returns a value"
            raise self.fail(span, message, "end it with return VALUE;")
        return ast.Block(span, tuple(done))

    def _last(
        self, item: ast.Statement, found: ast.Return, rest: Sequence[ast.Statement]
    ) -> tuple[ast.Statement, ...]:
        """The statement that returns, now the last one, with all that may come after it inside."""
        match item:
            case ast.Return(span, value):
                return self._return(span, value)
            case ast.Block(_, statements):
                return self.block(item.span, [*statements, *rest]).statements
            case ast.IfStatement():
                return (self._if(item, rest),)
        message = f"this return stands in a loop, and cannot leave the function '{self._function.name}'"
        raise self.fail(found.span, message, "set a $variable, break, and return it after the loop")

    def _return(self, span: Span, value: ast.Expression | None) -> tuple[ast.Statement, ...]:
        if self._wanted and value is None:
            raise self.fail(span, f"'{self._function.name}' returns a value", "return VALUE;")
        if not self._wanted and value is not None:
            hint = f"give it the type of its result: fn {self._function.name}(…) : uint64"
            raise self.fail(value.span, f"'{self._function.name}' returns no value", hint)
        return (ast.Evaluate(span, value),) if value is not None else ()

    def _if(self, item: ast.IfStatement, rest: Sequence[ast.Statement]) -> ast.Statement:
        self._branches += 1
        if self._branches > MAX_BRANCHES:
            raise self.fail(item.span, f"there are more than {MAX_BRANCHES} ways through this function")
        other = item.otherwise
        before: Sequence[ast.Statement] = ()
        if other is not None:
            before = other.statements if isinstance(other, ast.Block) else (other,)
        then = self.block(item.then.span, [*item.then.statements, *rest])
        otherwise = self.block(item.span, [*before, *rest])
        if self._wanted:
            return ast.Evaluate(item.span, ast.IfValue(item.span, item.condition, then, otherwise))
        return ast.IfStatement(item.span, item.condition, then, otherwise)
