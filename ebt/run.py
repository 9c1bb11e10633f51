"""A script that was asked for → a whole run: compile it or take what was kept, load, attach, print, end."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from ebt import interrupts, kept
from ebt.asked import Asked
from ebt.kept import Ready
from ebt.messages import tell
from ebt.options import UsageError
from kernel.mounts import private_tracefs
from lang.source import Source

if TYPE_CHECKING:
    from types import ModuleType

    from codegen.plan import Plan
    from ebt.compiling import Built
    from kernel.live import LiveMachine
    from kernel.typetable import TypeTable
    from runtime.bpf import Compiler
    from runtime.load import Loaded

_Found = tuple[Ready, "Loaded", Callable[[], object] | None]  # and what to do once all is attached
NEEDS_ROOT = "tracing needs root (or CAP_BPF and CAP_PERFMON); 'ebt compile' works without"


def run_asked(asked: Asked, sources: list[Source]) -> int:
    """Run the script until it ends. Raises what ebt.failures describes, and About."""
    key = kept.key_of(asked)
    found = _load_kept(asked, key, sources) or _load_built(asked, key, sources)
    if found is None:
        return 0
    ready, loaded, begun = found
    with loaded:
        code: int = _tracing().run(loaded, ready, begun)
        return code


def _load_kept(asked: Asked, key: str, sources: list[Source]) -> _Found | None:
    """Load what was compiled before; None where it must be compiled (again)."""
    if os.geteuid() != 0 or asked.front.verbose or asked.front.stage:
        return None
    ready = kept.find(key)
    if ready is None:
        return None
    sources.append(asked.source)
    require_process(ready.options.pid)
    with interrupts.fatal():
        private_tracefs()
        tracing = _tracing()
        try:
            loaded: Loaded = tracing.load(ready.plan, ready.object, _TypesOnDemand())
        except tracing.LoadError:  # compiled anew it may do; if not, the message knows the C
            kept.forget(key)
            sources.clear()
            return None
    if ready.options.warnings:
        for text in ready.warnings:
            tell(text)
    return ready, loaded, None


def _load_built(asked: Asked, key: str, sources: list[Source]) -> _Found | None:
    """Compile and load; a second time where the verifier does not agree to what the program loads itself."""
    early = _Early()
    built = _build(asked, sources, early)
    if built is None:
        return None
    try:
        loaded = _load(built, early)
    except _tracing().LoadError as refused:
        if not import_module("runtime.fitting").loads_refused(refused, built.ready.plan):
            raise
        sources.clear()
        early = _Early()
        other = _build(asked, sources, early, ("direct_loads",))
        if other is None or other.compiled.c == built.compiled.c:  # there was no such load to blame
            raise
        built, loaded = other, _load(other, early)
        tell(f"warning: {refused}; compiled again without direct_loads")
    # kept when all is attached: nobody waits for it then
    return built.ready, loaded, partial(kept.keep, key, built.ready) if built.lasting else None


def _build(
    asked: Asked, sources: list[Source], early: _Early, without: tuple[str, ...] = ()
) -> Built | None:
    """The compiler's process starts first: it opens clang while we import the front end."""
    with interrupts.fatal():
        compiler_class: type[Compiler] = import_module("runtime.bpf").Compiler
        with compiler_class() as compiler:
            built: Built | None = import_module("ebt.compiling").build(
                asked, compiler, sources, early, without
            )
            return built


def _load(built: Built, early: _Early) -> Loaded:
    ready = built.ready
    loaded: Loaded = _tracing().load(ready.plan, ready.object, built.machine, built.compiled.c, early.loaded)
    return loaded


def _tracing() -> ModuleType:
    """What runs a program: 20 ms of imports."""
    return import_module("ebt.tracing")


class _Early:
    """What can be done while clang compiles: those imports, and the maps."""

    def __init__(self) -> None:
        self.loaded: Loaded | None = None

    def __call__(self, plan: Plan) -> None:
        self.loaded = _tracing().create_maps(plan)


class _TypesOnDemand:
    """This kernel's types, for programs that are bound to a function: opened when the first one asks."""

    @property
    def types(self) -> TypeTable:
        machine: LiveMachine = import_module("kernel.live").LiveMachine()
        return machine.types


def require_process(pid: int) -> None:
    """The process of -p lives. Raises UsageError."""
    if pid and not os.path.isdir(f"/proc/{pid}"):
        raise UsageError(f"-p: there is no process {pid}")
