"""A script with macros and #define names → the script without: each use is replaced by its expansion.

A macro's call becomes a block whose variables are renamed, so that they cannot meet the caller's. Its
parameters are the caller's own: `$v` a variable, `@m` a map, a bare name any expression, evaluated at each
use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lang import ast
from lang.diagnostics import Diagnostic, ScriptError
from lang.inline import inline_body
from lang.records import fields, replace
from lang.source import Span

MAX_EXPANSIONS = 10_000
_Parameter = ast.Variable | ast.Map | ast.Name


def expand_macros(script: ast.Script, defines: Mapping[str, ast.Expression | None]) -> ast.Script:
    """Expand all uses. Raises ScriptError for a wrong call, recursion, or a map that was not passed."""
    if not script.macros and not script.functions and not defines:
        return script
    expander = _Expander(script.macros, defines, script.functions)
    probes = tuple(expander.node(probe, _Frame()) for probe in script.probes)
    return replace(script, probes=probes)


def merge(first: ast.Script, second: ast.Script) -> ast.Script:
    """Two files as one script; the second is the one that is run."""
    return replace(
        second,
        declarations=first.declarations + second.declarations,
        probes=first.probes + second.probes,
        definitions=first.definitions + second.definitions,
        macros=first.macros + second.macros,
        options=_merged_options(first.options, second.options),
        exclusions=first.exclusions + second.exclusions,
        functions=first.functions + second.functions,
    )


def _merged_options(imported: tuple[ast.Option, ...], own: tuple[ast.Option, ...]) -> tuple[ast.Option, ...]:
    """The options of an imported file, and those of the file that imports it, which has its way.

    An option that it declares again stands in the place of the imported one. A flag that it has of its own
    is taken from an imported option that has others too: a shared filter's `-t` gives way, its `--tid` stays.
    """
    again = {option.name: option for option in own}
    taken = {flag for option in own for flag in option.flags}
    kept = []
    for option in imported:
        flags = tuple(flag for flag in option.flags if flag not in taken)
        plain = replace(option, flags=flags) if flags else option
        kept.append(again.pop(option.name, plain))
    return (*kept, *again.values())


class _Frame:
    """What names mean inside one expansion: nothing special outside of macros."""

    def __init__(
        self, suffix: str = "", open_macros: tuple[str, ...] = (), function: bool = False
    ) -> None:
        self.function = function  # may use any map, and has loops of its own
        self.loops = 0  # around what is expanded, inside the macro
        self.suffix = suffix  # of the macro's own variables
        self.open = open_macros
        self.variables: dict[str, str] = {}
        self.maps: dict[str, ast.Map] = {}
        self.values: dict[str, tuple[ast.Expression, _Frame]] = {}


class _Expander:
    def __init__(
        self,
        macros: tuple[ast.Macro, ...],
        defines: Mapping[str, ast.Expression | None],
        functions: tuple[ast.Function, ...] = (),
    ) -> None:
        self._functions: dict[str, tuple[ast.Function, ast.Block]] = {}
        for function in functions:
            if function.name in self._functions:
                raise self.fail(function.span, f"the function '{function.name}' is defined twice")
            self._functions[function.name] = (function, inline_body(function))
        self._macros: dict[str, list[ast.Macro]] = {}
        for macro in macros:
            self._macros.setdefault(macro.name, []).append(macro)
        self._defines = defines
        self._count = 0

    def fail(self, span: Span, message: str, *hints: str) -> ScriptError:
        return ScriptError([Diagnostic("error", span, message, hints)])

    def node(self, node: Any, frame: _Frame) -> Any:
        """The node with everything below it expanded; new nodes throughout, as types are kept by node."""
        match node:
            case ast.Variable(span, name):
                return ast.Variable(span, frame.variables.get(name, name + frame.suffix))
            case ast.Map(span, name):
                return self._map(node, frame)
            case ast.Name(span, name):
                return self._name(node, frame)
            case ast.Type(_, "", name) if name in frame.values:
                return self._type(node, *frame.values[name])
            case ast.OffsetOf(span, kind, path):
                named = [self._step(name, frame) for name in path]
                return ast.OffsetOf(span, _as_type(self.node(kind, frame)), tuple(named))
            case ast.SizeOf(span, operand):
                return ast.SizeOf(span, _as_type(self.node(operand, frame)))
            case ast.Call(_, name, arguments) if name in self._macros:
                return self._call(node, name, arguments, frame)
            case ast.Call(_, name, arguments) if name in self._functions:
                return self._call_function(node, *self._functions[name], frame)
            case ast.Return() | ast.Break() | ast.Continue() if frame.open and not frame.function:
                if frame.loops == 0 or isinstance(node, ast.Return):
                    word = type(node).__name__.lower()
                    raise self.fail(node.span, f"'{word}' cannot leave a macro")
            case ast.While() | ast.ForRange() | ast.ForMap():
                frame.loops += 1
                loop = self._rebuilt(node, frame)
                frame.loops -= 1
                return loop
        return self._rebuilt(node, frame)

    def _rebuilt(self, node: Any, frame: _Frame) -> Any:
        values = []
        for item in fields(node):
            value = getattr(node, item.name)
            if isinstance(value, ast.Node):
                value = self.node(value, frame)
            elif isinstance(value, tuple) and value and isinstance(value[0], ast.Node):
                value = tuple(self.node(entry, frame) for entry in value)
            values.append(value)
        return type(node)(*values)

    def _map(self, node: ast.Map, frame: _Frame) -> ast.Map:
        if node.name in frame.maps:
            return ast.Map(node.span, frame.maps[node.name].name)
        if frame.open and not frame.function:
            hint = f"pass it: macro {frame.open[-1]}({node.name}, …)"
            raise self.fail(node.span, f"unhygienic access to map {node.name}", hint)
        return ast.Map(node.span, node.name)

    def _name(self, node: ast.Name, frame: _Frame) -> Any:
        if node.name in frame.values:
            value, outer = frame.values[node.name]
            return self.node(value, outer)
        value_or_none = self._defines.get(node.name)
        if value_or_none is not None:
            self._spend(node.span)
            return ast.Group(node.span, self.node(value_or_none, _Frame()))
        if node.name in self._macros:
            return self._call(node, node.name, (), frame)
        return ast.Name(node.span, node.name)

    def _type(self, node: ast.Type, given: ast.Expression, outer: _Frame) -> ast.Type | ast.TypeOf:
        """A type that a macro got as its argument: `typeof(T)`, `struct T` or a bare name."""
        value = self.node(given, outer)
        if isinstance(value, ast.TypeOf) and isinstance(value.operand, ast.Type):
            of = value.operand
            return ast.Type(node.span, of.tag, of.name, (*of.suffixes, *node.suffixes))
        if isinstance(value, ast.TypeOf) and not node.suffixes:
            return value
        if isinstance(value, ast.Name):
            return ast.Type(node.span, "", value.name, node.suffixes)
        raise self.fail(given.span, f"the macro uses '{node.name}' as a type", "give it typeof(TYPE)")

    def _step(self, name: str, frame: _Frame) -> str:
        """A member's name, which may be the macro's parameter."""
        given = frame.values.get(name)
        return given[0].name if given is not None and isinstance(given[0], ast.Name) else name

    def _spend(self, span: Span) -> None:
        self._count += 1
        if self._count > MAX_EXPANSIONS:
            raise self.fail(span, f"more than {MAX_EXPANSIONS} macro expansions")

    def _call(
        self, node: ast.Call | ast.Name, name: str, arguments: tuple[ast.Expression, ...], frame: _Frame
    ) -> ast.Block | ast.Group:
        macro = self._choose(node, name, arguments)
        if name in frame.open:
            chain = " → ".join((*frame.open, name))
            raise self.fail(node.span, f"macro '{name}' expands itself: {chain}")
        self._spend(node.span)
        inner = _Frame(f"·{self._count}", (*frame.open, name))
        for parameter, given in zip(macro.parameters, arguments, strict=True):
            self._bind(inner, parameter, given, frame)
        body = self._rebuilt(macro.body, inner)
        only = body.statements[0] if body.has_value and len(body.statements) == 1 else None
        if isinstance(only, ast.Evaluate):
            return ast.Group(node.span, only.value)
        return ast.Block(node.span, body.statements, body.has_value)

    def _call_function(
        self, node: ast.Call, function: ast.Function, body: ast.Block, frame: _Frame
    ) -> ast.Block:
        """Parameters become variables with the arguments' values, the result one with its type."""
        if len(node.arguments) != len(function.parameters):
            usage = ", ".join(item.span.text for item in function.parameters)
            wanted, given_count = len(function.parameters), len(node.arguments)
            message = f"{function.name}() takes {wanted} arguments, not {given_count}"
            raise self.fail(node.span, message, f"fn {function.name}({usage})")
        if function.name in frame.open:
            chain = " → ".join((*frame.open, function.name))
            raise self.fail(node.span, f"the function '{function.name}' calls itself: {chain}")
        self._spend(node.span)
        inner = _Frame(f"·{self._count}", (*frame.open, function.name), function=True)
        statements: list[ast.Statement] = []
        for parameter, given in zip(function.parameters, node.arguments, strict=True):
            variable, kind = self.node(parameter.variable, inner), self.node(parameter.type, inner)
            statements.append(ast.Let(given.span, variable, kind, self.node(given, frame), True))
        block = self._rebuilt(body, inner)
        if function.result is None:
            return ast.Block(node.span, (*statements, *block.statements))
        name, kind = "$result" + inner.suffix, self.node(function.result, inner)
        statements.append(ast.Let(block.span, ast.Variable(node.span, name), kind, block, True))
        statements.append(ast.Evaluate(node.span, ast.Variable(node.span, name)))
        return ast.Block(node.span, tuple(statements), True)

    def _choose(self, node: ast.Node, name: str, arguments: tuple[ast.Expression, ...]) -> ast.Macro:
        """The macro of this name whose parameters the arguments fit; of several, the most particular."""
        found = [macro for macro in self._macros[name] if _fits(macro, arguments)]
        if found:
            return max(found, key=lambda macro: sum(not isinstance(p, ast.Name) for p in macro.parameters))
        forms = [
            f"{name}({', '.join(parameter.name for parameter in macro.parameters)})"
            for macro in self._macros[name]
        ]
        raise self.fail(
            node.span, f"call to macro '{name}' has the wrong arguments", "write " + " or ".join(forms)
        )

    def _bind(
        self,
        inner: _Frame,
        parameter: ast.Variable | ast.Map | ast.Name,
        given: ast.Expression,
        outer: _Frame,
    ) -> None:
        if isinstance(parameter, ast.Variable):
            bound = self.node(given, outer)
            inner.variables[parameter.name] = bound.name
        elif isinstance(parameter, ast.Map):
            inner.maps[parameter.name] = self._map(given, outer)  # type: ignore[arg-type]
        else:
            inner.values[parameter.name] = (given, outer)


def _fits(macro: ast.Macro, arguments: tuple[ast.Expression, ...]) -> bool:
    if len(macro.parameters) != len(arguments):
        return False
    pairs = zip(macro.parameters, arguments, strict=True)
    return all(
        isinstance(parameter, ast.Name) or type(parameter) is type(given) for parameter, given in pairs
    )


def _as_type(node: Any) -> Any:
    """The type behind `typeof(T)`, where a type may stand as it is."""
    return node.operand if isinstance(node, ast.TypeOf) else node
