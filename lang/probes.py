"""Attach points as written → Targets of this machine: the table of probe kinds."""

from __future__ import annotations

import re
from collections.abc import Callable

from lang import ast
from lang.checked import Target
from lang.diagnostics import Diagnostics, nearest
from lang.expand import (
    HARDWARE_EVENTS,
    PERF_HARDWARE,
    PERF_SOFTWARE,
    SOFTWARE_EVENTS,
    Expansion,
    perf_event,
    raw_tracepoint,
    special,
    timer,
    tracepoint,
)  # fmt: skip
from lang.expand_events import REFUSED, iterator, self_signal, watchpoint
from lang.expand_function import function
from lang.expand_syscall import syscall
from lang.expand_usdt import usdt
from lang.expand_user import user
from lang.patterns import shown
from lang.records import dataclass, replace
from lang.resolution import Candidate, Choice, Resolution


@dataclass(frozen=True)
class Kind:
    """A probe kind: its names, its program type, and which contextual builtins its bodies may use."""

    name: str
    aliases: tuple[str, ...]
    syntax: str
    program: str
    expand: Callable[[Expansion], list[Target]]
    doc: str
    args: bool = False
    numbered: bool = False  # arg0 … argN
    retval: bool = False
    entry: str = ""  # the kind that sees the call begin: gives `duration`, and the arguments at entry
    registers: bool = False  # ctx is struct pt_regs, or holds one
    func: bool = False
    named: bool = False  # func is the target's name, as known when the script is compiled
    special: bool = False


def expand_attach_point(point: ast.AttachPoint, expansion: Expansion) -> list[Target]:
    """The targets of one attach point, in the kernel's order; reports and returns [] where there is none.

    Of `A || B` the first that this machine can attach is taken; an optional one that it cannot is told and
    left out. What was tried is added to `expansion.resolutions`.
    """
    if point.alternatives or point.optional:
        return _choose(point, expansion)
    before = len(expansion.found.found)
    expansion.tried, expansion.choosing, expansion.partly = [], False, True
    targets = _expand_one(point, expansion)
    told = [item.message for item in expansion.found.found[before:] if not targets]
    choice = _choice(point, expansion, targets, told[-1] if told else "nothing matches")
    _record(point, expansion, [choice], 0 if targets else None)
    return targets


def _choose(point: ast.AttachPoint, expansion: Expansion) -> list[Target]:
    """Of several alternatives the first; one that stands for a part of a function only if no other does."""
    for partly in (False, True):
        choices, waits, hints = [], False, []
        everything = (point, *point.alternatives)
        for at, item in enumerate(everything):
            trial = replace(
                expansion, found=Diagnostics(), tried=[], choosing=True, partly=partly, parts_wait=False,
                settings=replace(expansion.settings, missing_probes="error"),
            )  # fmt: skip
            targets = _expand_one(item, trial)
            wrong = [found.message for found in trial.found.errors]
            choices.append(_choice(item, trial, targets, wrong[0] if wrong else "nothing matches"))
            waits |= trial.parts_wait
            hints += [hint for found in trial.found.errors for hint in found.hints]
            if targets and not wrong:
                for told in trial.found.warnings:
                    expansion.found.warn(told.span, told.message, *told.hints)
                later = [
                    Choice(_text(other), (), "not needed: an earlier alternative serves")
                    for other in everything[at + 1 :]
                ]
                _record(point, expansion, [*choices, *later], at)
                return targets
        if not waits:
            break
    _record(point, expansion, choices, None)
    expansion.point = point
    if point.optional:
        expansion.found.warn(point.span, f"skipped: {choices[-1].reason}", lack=True)
        return []
    near = [hint for hint in hints if hint.startswith("try ")][:1]
    if len({choice.reason for choice in choices}) == 1:
        return expansion.missing(f"none of these can be attached here: {choices[0].reason}", *near)
    reasons = [f"{choice.text}: {choice.reason}" for choice in choices]
    return expansion.missing("none of these can be attached here", *reasons, *near)


def _text(point: ast.AttachPoint) -> str:
    return ":".join((point.provider, *point.parts))


def _choice(point: ast.AttachPoint, expansion: Expansion, targets: list[Target], reason: str) -> Choice:
    """What became of one alternative; most kinds have one way to be attached, which says no more."""
    tried = tuple(expansion.tried)
    if not tried:
        kind = BY_NAME.get(point.provider.lower().rpartition("=")[2])
        way = kind.program if kind else point.provider
        place = targets[0].label.partition(":")[2] if len(targets) == 1 else f"{len(targets)} probes"
        named = _text(point).partition(":")[2]
        tried = (Candidate(way, place) if targets else Candidate(way, named, reason),)
    for head in (" on this kernel: ", ": "):  # the text of the alternative says already which one it is
        reason = reason.removeprefix(f"'{_text(point)}' cannot be attached{head}")
    return Choice(_text(point), tried, "" if targets else reason, len(targets))


def _record(
    point: ast.AttachPoint, expansion: Expansion, choices: list[Choice], chosen: int | None
) -> None:
    text = " || ".join(choice.text for choice in choices) + ("?" if point.optional else "")
    expansion.resolutions.append(Resolution(point.span, text, tuple(choices), chosen, point.optional))


def _expand_one(point: ast.AttachPoint, expansion: Expansion) -> list[Target]:
    expansion.point = point
    # A probe may have a label of its own: `name=kprobe:f`.
    provider = _substitute(point.provider, expansion).rpartition("=")[2]
    expansion.parts = tuple(_substitute(part, expansion) for part in point.parts)
    if ":" in provider:
        provider, *more = provider.split(":")
        expansion.parts = (*map(shown, more), *expansion.parts)
    kind = BY_NAME.get(provider.lower())
    if kind is None and provider.lower() in REFUSED:
        reason = REFUSED[provider.lower()]
        return expansion.error(f"'{provider}' probes cannot be had: {reason}", span=point.provider_span)
    if kind is None:
        known = [name for name in BY_NAME if len(name) > 2]
        hints = nearest(provider.lower(), known) or ("kinds: " + " ".join(item.name for item in KINDS),)
        return expansion.error(f"unknown probe kind '{provider}'", *hints, span=point.provider_span)
    expansion.syntax = kind.syntax
    if point.prototype is not None and kind.program not in ("kprobe", "kretprobe", "fentry", "fexit"):
        return expansion.error(f"a {kind.name} probe takes no prototype", span=point.prototype.span)
    targets = kind.expand(expansion)
    return [] if expansion.too_many(len(targets)) else targets


def _substitute(text: str, expansion: Expansion) -> str:
    def value(found: re.Match[str]) -> str:
        number = int(found[1])
        if 1 <= number <= len(expansion.parameters):
            given = expansion.parameters[number - 1]
            if given.isascii() or given.encode("utf-8", "replace").decode() == given:
                return given
            expansion.error(f"positional parameter ${number} is not UTF-8")
            return ""
        expansion.error(f"positional parameter ${number} was not given")
        return ""

    def option(found: re.Match[str]) -> str:
        if found[1] in expansion.options:
            return str(expansion.options[found[1]])
        expansion.error(f"the script has no option '{found[1]}'", *nearest(found[1], expansion.options))
        return ""

    text = re.sub(r"\$\{opt\.(\w+)\}", option, text)
    if text.startswith("opt."):
        return re.sub(r"opt\.(\w+)", option, text, count=1)
    return re.sub(r"\$(\d+)", value, text)


KINDS = (
    Kind(
        "begin", (), "begin", "special", special("begin"),
        "once, before the other probes are attached", special=True,
    ),
    Kind(
        "end", (), "end", "special", special("end"),
        "once, after the other probes are detached", special=True,
    ),
    Kind(
        "self", (), "self:signal:SIGUSR1", "special", self_signal,
        "a signal to ebt itself", special=True,
    ),
    Kind(
        "tracepoint", ("t",), "tracepoint:CATEGORY:NAME", "tracepoint", tracepoint,
        "a static event of the kernel", args=True,
    ),
    Kind(
        "rawtracepoint", ("rt",), "rawtracepoint:NAME", "raw_tracepoint", raw_tracepoint,
        "a static event with its raw arguments", args=True, numbered=True,
    ),
    Kind(
        "kprobe", ("k",), "kprobe:[MODULE:]FUNCTION[+OFFSET] or kprobe:ADDRESS", "kprobe", function("kprobe"),
        "entry of a kernel function", args=True, numbered=True, registers=True, func=True,
    ),
    Kind(
        "kretprobe", ("kr",), "kretprobe:[MODULE:]FUNCTION", "kretprobe", function("kretprobe"),
        "return of a kernel function", args=True, numbered=True, retval=True, registers=True, entry="kprobe",
        func=True, named=True,
    ),
    Kind(
        "fentry", ("f", "kfunc"), "fentry:[MODULE:]FUNCTION", "fentry", function("fentry"),
        "entry of a kernel function, by trampoline", args=True, numbered=True, func=True, named=True,
    ),
    Kind(
        "fexit", ("fr", "kretfunc"), "fexit:[MODULE:]FUNCTION", "fexit", function("fexit"),
        "return of a kernel function, by trampoline", args=True, numbered=True, retval=True, entry="fentry",
        func=True, named=True,
    ),
    Kind(
        "uprobe", ("u",), "uprobe:BINARY:[cpp:]FUNCTION[+OFFSET] or uprobe:BINARY@FILE:LINE", "uprobe",
        user("uprobe"),
        "entry of a user function", numbered=True, registers=True, func=True,
    ),
    Kind(
        "uretprobe", ("ur",), "uretprobe:BINARY:[cpp:]FUNCTION", "uretprobe", user("uretprobe"),
        "return of a user function", numbered=True, retval=True, registers=True, entry="uprobe",
    ),
    Kind(
        "syscall", ("sc",), "syscall:NAME", "tracepoint", syscall("syscall"),
        "entry of a system call", args=True, func=True, named=True,
    ),
    Kind(
        "sysret", ("sr",), "sysret:NAME", "tracepoint", syscall("sysret"),
        "return of a system call", args=True, retval=True, entry="syscall",
        func=True, named=True,
    ),
    Kind(
        "usdt", (), "usdt:BINARY:[PROVIDER:]NAME", "uprobe", usdt,
        "a static probe of a program or library", numbered=True, registers=True,
    ),
    Kind("profile", ("p",), "profile:UNIT:RATE", "perf_event", timer("profile"), "a timer on every CPU"),
    Kind("interval", ("i",), "interval:UNIT:RATE", "perf_event", timer("interval"), "a timer on one CPU"),
    Kind(
        "software", ("s",), "software:EVENT[:PERIOD]", "perf_event",
        perf_event("software", PERF_SOFTWARE, SOFTWARE_EVENTS),
        "a software event of the kernel, sampled",
    ),
    Kind(
        "hardware", ("h",), "hardware:EVENT[:PERIOD]", "perf_event",
        perf_event("hardware", PERF_HARDWARE, HARDWARE_EVENTS),
        "a counter of the processor, sampled",
    ),
    Kind(
        "iter", ("it",), "iter:KIND", "iter", iterator,
        "each object of a kind, such as task, task_file or task_vma; then the script ends",
    ),
    Kind(
        "watchpoint", ("w",), "watchpoint:ADDRESS:LENGTH:MODE", "perf_event", watchpoint,
        "memory that is written, read or executed",
    ),
)  # fmt: skip


def mechanism(target: Target) -> str:
    """The kind of program that serves a target: its kind's own, or what the resolution chose."""
    return target.mechanism or BY_NAME[target.kind].program


BY_NAME = {name: kind for kind in KINDS for name in (kind.name, *kind.aliases)}
