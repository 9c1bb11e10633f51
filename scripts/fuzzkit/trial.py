"""One program's text and a machine → its Outcome: a diagnostic, C that clang takes, a load, or a fault."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from codegen.pipeline import Compiled, compile_script
from ebt.imports import Imports
from lang.diagnostics import CompilerBug, ScriptError
from lang.machine import Machine
from lang.parser import parse
from lang.source import Source
from runtime.bpf import CompileError, Compiler
from runtime.fitting import compile_fitting
from runtime.load import LoadError, load
from runtime.object import Object
from runtime.refusal import is_limit

# Seconds of processor time that the front end may take.
LIMIT = 2.0
_GIVE_UP = 300.0  # seconds by the clock, for a program that does not end at all
PARAMETERS = ("7", "some text")

Kind = Literal["refused", "compiled", "loaded", "limited", "traceback", "slow", "clang", "verifier"]
FAULTS: tuple[Kind, ...] = ("traceback", "slow", "clang", "verifier")


@dataclass(frozen=True)
class Outcome:
    """What became of a program. `refused`: a diagnostic; `limited`: refused by the kernel, and told why."""

    kind: Kind
    message: str = ""
    seconds: float = 0.0  # of the front end


class _TooLong(BaseException):
    """The program was given up."""


def attempt(text: str, machine: Machine, *, c: bool = True, loads: bool = False) -> Outcome:
    """Compile a program; with `c` by clang too, and with `loads` into this kernel (as root)."""
    start = time.process_time()
    script = partial(_compile, Source("fuzz", text), machine)
    try:
        with _given_up():
            compiled = script({})
    except ScriptError as wrong:
        outcome = _diagnosed(wrong, time.process_time() - start)
    except CompilerBug as bug:
        outcome = Outcome("traceback", str(bug))
    except _TooLong:
        outcome = Outcome("slow", f"given up after {_GIVE_UP:g} s", _GIVE_UP)
    except Exception:
        outcome = Outcome("traceback", traceback.format_exc())
    else:
        outcome = Outcome("compiled", seconds=time.process_time() - start)
    if outcome.seconds > LIMIT:
        return Outcome("slow", outcome.message, outcome.seconds)
    if outcome.kind != "compiled" or not (c or loads):
        return outcome
    return _beyond(compiled, script, machine, loads, outcome.seconds)


def _compile(source: Source, machine: Machine, environment: Mapping[str, str]) -> Compiled:
    script = parse(source, Imports([source]))
    return compile_script(script, machine, PARAMETERS, environment, unsafe=True)


def _diagnosed(wrong: ScriptError, seconds: float) -> Outcome:
    if not all(item.render() for item in wrong.diagnostics):
        return Outcome("traceback", "a diagnostic without text")
    return Outcome("refused", wrong.diagnostics[0].message, seconds)


def _beyond(
    compiled: Compiled, script: Callable[[Mapping[str, str]], Compiled], machine: Machine, loads: bool,
    seconds: float,
) -> Outcome:  # fmt: skip
    try:
        with _given_up():
            with Compiler() as compiler:
                compiled, obj = compile_fitting(compiled, script, compiler, "fuzz")
            return _loaded(compiled, obj, machine, seconds) if loads else Outcome("compiled", seconds=seconds)
    except ScriptError as wrong:
        return _diagnosed(wrong, seconds)
    except CompileError as error:
        return Outcome("clang", f"{error}\n{error.output[-2000:]}", seconds)
    except _TooLong:
        return Outcome("slow", f"clang or the verifier was given up after {_GIVE_UP:g} s", _GIVE_UP)
    except Exception:
        return Outcome("traceback", traceback.format_exc(), seconds)


def _loaded(compiled: Compiled, obj: Object, machine: Machine, seconds: float) -> Outcome:
    if any(program.kind in ("fentry", "fexit") for program in compiled.plan.programs):
        return Outcome("compiled", seconds=seconds)  # bound to a function of the kernel that runs
    try:
        with load(compiled.plan, obj, machine, compiled.c):  # type: ignore[arg-type]
            return Outcome("loaded", seconds=seconds)
    except LoadError as error:
        told = is_limit(error.errno, error.log) and error.place is not None
        return Outcome("limited" if told else "verifier", f"{error}\n{error.log[-1500:]}", seconds)


@contextmanager
def _given_up() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _GIVE_UP)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
