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
    user,
)  # fmt: skip
from lang.expand_events import REFUSED, self_signal, watchpoint
from lang.expand_function import function
from lang.expand_syscall import syscall
from lang.expand_usdt import usdt
from lang.records import dataclass, replace


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
    special: bool = False


def expand_attach_point(point: ast.AttachPoint, expansion: Expansion) -> list[Target]:
    """The targets of one attach point, in the kernel's order; reports and returns [] where there is none.

    Of `A || B` the first that this machine can attach is taken; an optional one that it cannot is told and
    left out.
    """
    if not point.alternatives and not point.optional:
        return _expand_one(point, expansion)
    refused: list[tuple[ast.AttachPoint, str]] = []
    for choice in (point, *point.alternatives):
        trial = replace(
            expansion, found=Diagnostics(), settings=replace(expansion.settings, missing_probes="error")
        )
        targets = _expand_one(choice, trial)
        if targets and not trial.found.errors:
            return targets
        refused.append((choice, trial.found.errors[0].message if trial.found.errors else "nothing matches"))
    expansion.point = point
    if point.optional:
        expansion.found.warn(point.span, f"skipped: {refused[-1][1]}")
        return []
    reasons = [f"{choice.provider}:{':'.join(choice.parts)}: {reason}" for choice, reason in refused]
    return expansion.missing("none of these can be attached here", *reasons)


def _expand_one(point: ast.AttachPoint, expansion: Expansion) -> list[Target]:
    expansion.point = point
    # A probe may have a label of its own: `name=kprobe:f`.
    provider = _substitute(point.provider, expansion).rpartition("=")[2]
    expansion.parts = tuple(_substitute(part, expansion) for part in point.parts)
    if ":" in provider:
        provider, *more = provider.split(":")
        expansion.parts = (*more, *expansion.parts)
    kind = BY_NAME.get(provider.lower())
    if kind is None and provider.lower() in REFUSED:
        reason = REFUSED[provider.lower()]
        return expansion.error(f"'{provider}' probes cannot be had: {reason}", span=point.provider_span)
    if kind is None:
        known = [name for name in BY_NAME if len(name) > 2]
        hints = nearest(provider.lower(), known) or ("kinds: " + " ".join(item.name for item in KINDS),)
        return expansion.error(f"unknown probe kind '{provider}'", *hints, span=point.provider_span)
    expansion.syntax = kind.syntax
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
        "kprobe", ("k",), "kprobe:[MODULE:]FUNCTION[+OFFSET]", "kprobe", function("kprobe"),
        "entry of a kernel function", args=True, numbered=True, registers=True, func=True,
    ),
    Kind(
        "kretprobe", ("kr",), "kretprobe:[MODULE:]FUNCTION", "kretprobe", function("kretprobe"),
        "return of a kernel function", args=True, numbered=True, retval=True, registers=True, entry="kprobe",
    ),
    Kind(
        "fentry", ("f", "kfunc"), "fentry:[MODULE:]FUNCTION", "fentry", function("fentry"),
        "entry of a kernel function, by trampoline", args=True,
    ),
    Kind(
        "fexit", ("fr", "kretfunc"), "fexit:[MODULE:]FUNCTION", "fexit", function("fexit"),
        "return of a kernel function, by trampoline", args=True, retval=True, entry="fentry",
    ),
    Kind(
        "uprobe", ("u",), "uprobe:BINARY:FUNCTION[+OFFSET]", "uprobe", user("uprobe"),
        "entry of a user function", numbered=True, registers=True, func=True,
    ),
    Kind(
        "uretprobe", ("ur",), "uretprobe:BINARY:FUNCTION", "uretprobe", user("uretprobe"),
        "return of a user function", numbered=True, retval=True, registers=True, entry="uprobe",
    ),
    Kind(
        "syscall", ("sc",), "syscall:NAME", "tracepoint", syscall("syscall"),
        "entry of a system call", args=True,
    ),
    Kind(
        "sysret", ("sr",), "sysret:NAME", "tracepoint", syscall("sysret"),
        "return of a system call", args=True, retval=True, entry="syscall",
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
        "watchpoint", ("w",), "watchpoint:ADDRESS:LENGTH:MODE", "perf_event", watchpoint,
        "memory that is written, read or executed",
    ),
)  # fmt: skip


def mechanism(target: Target) -> str:
    """The kind of program that serves a target: its kind's own, or what the resolution chose."""
    return target.mechanism or BY_NAME[target.kind].program


BY_NAME = {name: kind for kind in KINDS for name in (kind.name, *kind.aliases)}
