"""A script's options and the words behind its name → Given; `--help` made from the declarations."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from lang import ast
from lang.diagnostics import nearest
from lang.fold import Constant, parameter_value
from lang.options import (
    Given,
    Resolve,
    by_regexp,
    default_value,
    getopt_calls,
    no_system,
    option_value,
    required,
)
from lang.page import Alias, read_page

HELP = ("-h", "--help")
_WIDTH, _INDENT = 100, 24
_NO_OTHERS: Mapping[str, bool] = {}


class CommandLineError(Exception):
    """What the script was given is wrong: one line for the user."""


class HelpWanted(Exception):
    """The words ask for the script's help."""


def read_words(
    script: ast.Script,
    words: Sequence[str],
    others: Mapping[str, bool] = _NO_OTHERS,
    resolve: Resolve = no_system,
) -> tuple[Given, list[str]]:
    """The values of the options that the words give, and the words that belong to others.

    `others` are flags, true where a value follows, that the script need not declare to be given, `resolve`
    finds what the system knows by name (lang.options).
    Raises CommandLineError and HelpWanted.
    """
    reader = _Words(script, others, resolve)
    reader.read(list(words))
    return Given(tuple(reader.parameters), reader.values), reader.for_others


class _Words:
    """The words in order: flags anywhere, `--` ends them, positional options first, then `$1` …"""

    def __init__(self, script: ast.Script, others: Mapping[str, bool], resolve: Resolve) -> None:
        self._resolve = resolve
        self._exclusions = script.exclusions
        self._names = {
            option.name: option.place or next(iter(option.flags), option.name) for option in script.options
        }
        self._flags = {flag: option for option in script.options for flag in option.flags}
        self._places = [option for option in script.options if option.place]
        self._waiting = list(self._places)
        self._takes_more = any(
            isinstance(node, ast.Parameter | ast.ParameterCount)
            for probe in script.probes
            for node in ast.walk(probe)
        )
        declared = self._flags.keys() | set(HELP)
        self._others = {flag: valued for flag, valued in others.items() if flag not in declared}
        self.values: dict[str, Constant] = {}
        self._patterns: list[tuple[ast.Option, str, str]] = []
        self.parameters: list[str] = []
        self.for_others: list[str] = []

    def read(self, words: list[str]) -> None:
        while words:
            word = words.pop(0)
            if word == "--":
                for item in words:
                    self._place(item)
                break
            if word.startswith("--"):
                self._long(word, words)
            elif word.startswith("-") and word != "-" and not self._is_negative(word):
                self._short(word, words)
            else:
                self._place(word)
        for option, what, text in self._patterns:
            self._set_pattern(option, what, text)
        missing = next((option for option in self._waiting if required(option)), None)
        if missing is not None:
            raise CommandLineError(f"missing argument {missing.place}: {missing.description}".rstrip(": "))
        for option in self._flags.values():
            if required(option) and option.name not in self.values:
                raise CommandLineError(f"missing option {option.flags[0]}: {option.description}")
        for exclusion in self._exclusions:
            given = [self._names[name] for name in exclusion.names if name in self.values]
            if len(given) > 1:
                raise CommandLineError(f"{' and '.join(given)} cannot be used together")

    def _is_negative(self, word: str) -> bool:
        return word[1:2].isdigit() and word[:2] not in self._flags

    def _place(self, word: str) -> None:
        if self._waiting:
            option = self._waiting.pop(0)
            self._set(option, option.place, word)
        elif self._takes_more:
            self.parameters.append(word)
        else:
            raise CommandLineError(f"unexpected argument '{word}'")

    def _long(self, word: str, rest: list[str]) -> None:
        flag, equals, value = word.partition("=")
        if flag in self._others:
            self.for_others += [word, self._next(flag, rest)] if self._others[flag] and not equals else [word]
            return
        option = self._option(flag)
        if equals:
            self._set(option, flag, value)
        elif option.kind == "bool":
            self._switch(option)
        else:
            self._set(option, flag, self._next(flag, rest))

    def _short(self, word: str, rest: list[str]) -> None:
        """`-p 42`, `-p42`, and flags without values in one word: `-av`."""
        flag, more = word[:2], word[2:]
        if flag in self._others:
            valued = self._others[flag]
            self.for_others += [flag, more or self._next(flag, rest)] if valued else [flag]
            if more and not valued:
                self._short(f"-{more}", rest)
            return
        option = self._option(flag)
        if option.kind != "bool":
            self._set(option, flag, more.removeprefix("=") if more else self._next(flag, rest))
            return
        self._switch(option)
        if more:
            self._short(f"-{more}", rest)

    def _option(self, flag: str) -> ast.Option:
        option = self._flags.get(flag)
        if option is None and flag in HELP:
            raise HelpWanted
        if option is None:
            near = "".join(f"; {hint}" for hint in nearest(flag, [*self._flags, *self._others, "--help"]))
            more = near or "; --help lists the script's options"
            raise CommandLineError(f"unknown option '{flag}'{more}")
        return option

    def _next(self, flag: str, rest: list[str]) -> str:
        if not rest:
            raise CommandLineError(f"{flag} needs a value")
        return rest.pop(0)

    def _switch(self, option: ast.Option) -> None:
        """A flag alone turns its default round: `--no-header` of an option that is true."""
        self.values[option.name] = not default_value(option)

    def _set(self, option: ast.Option, what: str, text: str) -> None:
        if option.kind in ("events", "calls"):  # what they mean, a later word may say
            self._patterns.append((option, what, text))
            return
        try:
            value = option_value(option, text, self._resolve)
        except ValueError as wrong:
            raise CommandLineError(f"{what}: {wrong}") from None
        before = self.values.get(option.name)
        if option.kind == "flags" and isinstance(before, int) and isinstance(value, int):
            value |= before  # given several times, they add up
        self.values[option.name] = value

    def _set_pattern(self, option: ast.Option, what: str, text: str) -> None:
        """With the script's option `regexp` the last part is a regular expression."""
        try:
            by = by_regexp if self.values.get("regexp") is True else option_value
            self.values[option.name] = by(option, text)
        except ValueError as wrong:
            raise CommandLineError(f"{what}: {wrong}") from None


# ---- Help

_VALUES = {
    "string": "TEXT", "command": "COMMAND", "ports": "PORT,…", "address": "ADDRESS", "milliseconds": "MS",
    "duration": "TIME", "size": "SIZE",
    "pid": "PID", "pids": "PID,…", "user": "USER", "disk": "DISK", "cgroup": "PATH", "signal": "SIGNAL",
    "signals": "SIGNAL,…", "errno": "ERRNO", "syscall": "SYSCALL", "symbol": "SYMBOL",
}  # fmt: skip


def help_text(script: ast.Script, name: str) -> str:
    """The usage of a script: its page, its arguments and options."""
    places = [option for option in script.options if option.place]
    named = [option for option in script.options if option.flags]
    shown = [option.place if required(option) else f"[{option.place}]" for option in places]
    page = read_page(script.span.source.text)
    parts = [" ".join(["usage: ebt", name, "[options]", *shown])]
    parts += ["", page.text] if page.text else []
    if places:
        parts += ["", "arguments:", *(_line(option, option.place) for option in places)]
    parts += ["", "options:", *(_line(option, _forms(option)) for option in named)]
    if not any(flag in HELP for option in named for flag in option.flags):
        parts.append(_columns("-h, --help", "this text"))
    if page.aliases:
        parts += ["", "also:", *(_columns(item.name, _stands_for(item, name)) for item in page.aliases)]
    if page.examples:
        parts += ["", "examples:", textwrap.indent(textwrap.dedent(page.examples), "  ")]
    return "\n".join(parts) + "\n"


def _stands_for(alias: Alias, name: str) -> str:
    meant = f"ebt {name} {' '.join(alias.words)}"
    return f"{alias.summary} ({meant})" if alias.summary else meant


def _forms(option: ast.Option) -> str:
    """`-p, --pid N`."""
    text = ", ".join(option.flags)
    if option.flags[0].startswith("--"):
        text = f"    {text}"
    if option.kind == "bool":
        return text
    value = "|".join(option.choices) if option.kind == "enum" else _VALUES.get(option.kind, "N")
    return f"{text} {value}"


def _line(option: ast.Option, forms: str) -> str:
    about = option.description
    if option.place and option.choices:
        about = f"{about} ({'|'.join(option.choices)})".strip()
    if option.default not in (None, "", "0") and option.kind != "bool":
        about = f"{about} (default {option.default})".strip()
    return _columns(forms, about)


def _columns(left: str, right: str) -> str:
    head = f"  {left}"
    first = f"{head:{_INDENT}}" if len(head) < _INDENT - 1 else f"{head}\n{' ' * _INDENT}"
    lines = textwrap.wrap(right, _WIDTH - _INDENT) or [""]
    return (first + f"\n{' ' * _INDENT}".join(lines)).rstrip()


# ---- getopt()


def read_getopts(script: ast.Script, words: Sequence[str]) -> Given:
    """bpftrace's getopt(): `--name=value` behind `--`; what is no option is a positional parameter.

    Raises CommandLineError with bpftrace's words, also for --help.
    """
    known, values = getopt_calls(script), dict[str, Constant]()
    parameters, unknown = [], []
    for word in words:
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            parameters.append(word)
        elif name not in known:
            unknown.append(f"--{name}")
        else:
            values[f"--{name}"] = _getopt_value(name, known[name][0], text if equals else None)
    if unknown:
        raise CommandLineError(_getopt_complaint(known, unknown))
    return Given(tuple(parameters), values)


def _getopt_complaint(known: dict[str, tuple[Constant, str]], unknown: list[str]) -> str:
    if not known:
        hint = "no custom program options defined."
    elif "--help" in unknown:
        return "\n".join(["HINT: expected program options:", *(f"--{n}: {d}" for n, (_, d) in known.items())])
    else:
        hint = "expected program options: " + " ".join(f"--{name}:" for name in known)
    return f"unexpected program command line options: {', '.join(unknown)}\nHINT: {hint}"


def _getopt_value(name: str, default: Constant, text: str | None) -> Constant:
    if isinstance(default, bool):
        return text is None or text.lower() in ("true", "1", "yes", "on")
    if text is None:
        raise CommandLineError(f"program command line option --{name} needs a value")
    if isinstance(default, str):
        return text
    value = parameter_value(text)
    if not isinstance(value, int):
        raise CommandLineError(f"program command line option --{name} invalid integer (value: {text})")
    return value
