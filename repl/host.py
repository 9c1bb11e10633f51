"""What the prompt needs of the command around it, which has the compiler and the tools: a Protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from codegen.pipeline import Compiled
from lang.machine import Machine
from lang.source import Source
from runtime.object import Object


class Prepared(Protocol):
    """A compiled program, ready to load; `command` and `pid` are those of -c and -p."""

    @property
    def title(self) -> str: ...
    @property
    def compiled(self) -> Compiled: ...
    @property
    def code(self) -> Object: ...
    @property
    def machine(self) -> Machine: ...
    @property
    def pid(self) -> int: ...
    @property
    def command(self) -> str | None: ...
    @property
    def otherwise(self) -> Callable[[], Prepared | None] | None:
        """Compile it without what the verifier may refuse of pointers; None where that is the same."""


class Host(Protocol):
    """Everything beyond the session itself. Raises what `describe` explains."""

    @property
    def machine(self) -> Machine:
        """The kernel that programs are compiled for."""

    def compile(self, text: str, before: Source | None) -> Compiled:
        """A program, compiled for `machine` without loading anything."""

    def prepare(self, text: str, before: Source | None) -> Prepared:
        """A program, compiled to instructions for this kernel."""

    def prepare_tool(self, words: Sequence[str]) -> Prepared:
        """A tool or a script with its options, as on the command line."""

    def choose_kernel(self, profile: str) -> None:
        """Compile for a recorded kernel from now on; for the running one with an empty name."""

    def about_kernel(self) -> str:
        """What this machine allows."""

    def tools(self, word: str) -> list[tuple[str, str]]:
        """(name, summary) of the tools that the word finds."""

    def tool_help(self, name: str) -> str | None:
        """A tool's page; None where there is no tool of that name."""

    def tool_flags(self, name: str) -> list[tuple[str, str]]:
        """(flag, description) of a tool's or script's options."""

    def explain(self, compiled: Compiled) -> str:
        """What each probe of a program resolves to."""

    def stage(self, compiled: Compiled, stage: str) -> str:
        """ast, plan or codegen of a compiled program."""

    def describe(self, problem: Exception) -> str | None:
        """The message of an expected failure; None for a bug."""
