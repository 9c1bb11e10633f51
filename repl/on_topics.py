"""Commands that tell: help, tools, what a job was compiled to, the kernel, what is defined."""

from __future__ import annotations

from collections.abc import Sequence

from lang.builtins import BUILTINS
from lang.diagnostics import nearest
from lang.functions import FUNCTIONS
from lang.probes import BY_NAME
from repl.commands import COMMANDS, help_text
from repl.definitions import variable
from repl.state import Refused, State

_STAGES = {"c": "codegen", "plan": "plan", "ast": "ast"}
_IDENTIFIER_HINT = "a name is letters, digits and _"


def show_help(state: State, words: Sequence[str]) -> None:
    """help [TOPIC]"""
    if not words:
        state.say(help_text())
        return
    topic = words[0].rstrip(":()")
    found = [text for text in _topics(state, topic) if text]
    if not found:
        known = [*COMMANDS, *BUILTINS, *FUNCTIONS, *BY_NAME, *(name for name, _ in state.host.tools(""))]
        raise Refused(f"no help on '{topic}'" + "".join(f"; {hint}" for hint in nearest(topic, known)))
    state.say("\n".join(found))


def _topics(state: State, topic: str) -> list[str | None]:
    command, builtin = COMMANDS.get(topic), BUILTINS.get(topic)
    function, kind = FUNCTIONS.get(topic), BY_NAME.get(topic)
    return [
        f"command   {command.usage}\n          {command.about}" if command else None,
        f"builtin   {builtin.name}: {builtin.doc}" if builtin else None,
        f"function  {function.usage}\n          {function.doc}" if function else None,
        f"probe     {kind.syntax}\n          {kind.doc}" if kind else None,
        state.host.tool_help(topic),
    ]


def list_tools(state: State, words: Sequence[str]) -> None:
    """list [WORD]"""
    found = state.host.tools(" ".join(words))
    if not found:
        raise Refused(f"no tool's name or summary holds '{' '.join(words)}'")
    width = max(len(name) for name, _ in found)
    state.say("\n".join(f"{name:<{width}}  {summary}" for name, summary in found))


def show_stage(state: State, words: Sequence[str]) -> None:
    """show c|plan|ast|explain [N]"""
    if state.recorded and state.not_run and len(words) == 1:
        compiled = state.not_run
    else:
        compiled = state.job(words[1:]).prepared.compiled
    if words[0] == "explain":
        state.say(state.host.explain(compiled))
    elif words[0] in _STAGES:
        shown = state.host.stage(compiled, _STAGES[words[0]]).rstrip("\n")
        state.say(state.paint(shown, words[0]))
    else:
        raise Refused(f"show c, plan, ast or explain, not '{words[0]}'")


def show_kernel(state: State, words: Sequence[str]) -> None:
    """kernel [FILE|live]"""
    if not words:
        state.say(state.host.about_kernel().rstrip("\n"))
        return
    name = "" if words[0] == "live" else words[0]
    state.host.choose_kernel(name)
    state.recorded, state.not_run = state.host.machine.title if name else "", None
    state.say(f"programs are compiled for {state.host.machine.title}" + (" and not run" if name else ""))


def set_variable(state: State, words: Sequence[str]) -> None:
    """set [NAME [VALUE]]"""
    variables = state.definitions.variables()
    if len(words) == 2:
        name, value = words
        if not (name.isascii() and name.isidentifier()):
            raise Refused(f"'{name}' is no name: {_IDENTIFIER_HINT}")
        wanted = state.definitions.with_text(f"set {name}", variable(name, value))
        state.host.compile("begin { }", wanted.source)
        state.definitions = wanted
        return
    shown = {name: value for name, value in variables.items() if not words or name == words[0]}
    if words and not shown:
        raise Refused(f"'{words[0]}' is not set")
    state.say("\n".join(f"opt.{name} = {value}" for name, value in shown.items()) or "nothing is set")


def unset_variable(state: State, words: Sequence[str]) -> None:
    """unset NAME"""
    keys = [key for key, _ in state.definitions.texts if key.partition(" ")[2] == words[0]]
    if not keys:
        raise Refused(f"'{words[0]}' is neither set nor defined")
    for key in keys:
        state.definitions = state.definitions.without(key)


def show_definitions(state: State, words: Sequence[str]) -> None:
    """defs"""
    state.say("\n".join(text for _, text in state.definitions.texts) or "nothing is defined")
