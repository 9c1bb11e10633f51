"""A piece of input → what it does: programs become jobs, commands are carried out; no terminal is needed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from lang.diagnostics import ScriptError, nearest
from repl import on_jobs, on_maps, on_topics
from repl.commands import COMMANDS
from repl.definitions import definitions_of
from repl.host import Prepared
from repl.lines import Command, Nothing, Query, Text, Wrong, read_line
from repl.lines import Shell as ShellCommand
from repl.state import Refused, State
from repl.words import counted

ATTACH_PATIENCE = 30.0  # seconds: a wildcard may take that long


class Shell:
    """Carries out what is typed. Holds nothing itself: all of a session is in its State."""

    def __init__(self, state: State) -> None:
        self.state = state

    def execute(self, text: str) -> bool:
        """Do what one piece of input asks for; False, and told why, if it could not be done. Never raises."""
        try:
            self._execute(text)
            return True
        except Refused as refused:
            self.state.say(f"error: {refused}")
        except KeyboardInterrupt:
            self.state.say("interrupted")
        except Exception as problem:  # whatever it is, the session and its jobs go on
            told = self.state.host.describe(problem)
            self.state.say(told if told is not None else f"ebt: this is a fault of ebt: {problem!r}")
        return False

    def _execute(self, text: str) -> None:
        line = read_line(text, COMMANDS)
        match line:
            case Nothing():
                return
            case Wrong(message):
                raise Refused(message)
            case Query():
                self.state.say(on_maps.map_text(self.state, line))
            case ShellCommand(command):
                with self.state.outside():
                    status = subprocess.run(command, shell=True, check=False).returncode
                if status:
                    self.state.say(f"exit status {status}")
            case Command(name, words):
                _run_command(self, name, words)
            case Text():
                self._program(text)

    # --- programs ---

    def check(self, text: str) -> None:
        """Raise ScriptError if the program, or the definitions, would be refused."""
        found = None
        with suppress(ScriptError):
            found = definitions_of(text)
        definitions = self.state.definitions
        for key, item in found or ():
            definitions = definitions.with_text(key, item)
        self.state.host.compile(text if found is None else "begin { }", definitions.source)

    def _program(self, text: str) -> None:
        state = self.state
        try:
            found = definitions_of(text)
        except ScriptError:
            found = None  # compiling it gives the message, with all that is defined
        if found is not None:
            self._define(found)
        elif state.recorded:
            compiled = state.host.compile(text, state.definitions.source)
            state.not_run = compiled
            state.say(f"compiles for {state.recorded}: {counted(compiled.plan.points, 'probe')} (not run)")
        else:
            self._start(text, state.host.prepare(text, state.definitions.source))

    def _define(self, found: list[tuple[str, str]]) -> None:
        wanted = self.state.definitions
        for key, text in found:
            wanted = wanted.with_text(key, text)
        self.state.host.compile("begin { }", wanted.source)  # what is wrong in them is told now
        self.state.definitions = wanted
        self.state.say("defined " + ", ".join(key for key, _ in found))

    def _start(self, text: str, prepared: Prepared) -> None:
        for warning in prepared.compiled.warnings:
            self.state.say(warning.render())
        job = self.state.jobs.start(text, prepared, self.state.host)
        job.control.attached.wait(ATTACH_PATIENCE)
        self.state.flush()

    def run_script(self, words: Sequence[str]) -> None:
        """run TOOL|FILE [options]"""
        if self.state.recorded:
            raise Refused(f"programs are compiled for {self.state.recorded}: 'kernel live' ends that")
        self._start("run " + " ".join(words), self.state.host.prepare_tool(words))

    def edit_program(self, words: Sequence[str]) -> None:
        """edit [N]"""
        with self.state.outside():
            text = self.state.edit(self.state.job(words).text if words else "")
        if text is None or not text.strip():
            raise Refused("nothing was written")
        self._execute(text)

    def leave(self, words: Sequence[str]) -> None:
        """quit"""
        self.state.leaving = True


Handler = Callable[[Shell, Sequence[str]], None]


def _on_state(handler: Callable[[State, Sequence[str]], None]) -> Handler:
    return lambda shell, words: handler(shell.state, words)


HANDLERS: dict[str, Handler] = {
    "jobs": _on_state(on_jobs.show_jobs),
    "stop": _on_state(on_jobs.stop_job),
    "pause": _on_state(on_jobs.pause_job),
    "resume": _on_state(on_jobs.resume_job),
    "log": _on_state(on_jobs.show_log),
    "print": _on_state(on_maps.print_map),
    "watch": _on_state(on_maps.watch_map),
    "clear": _on_state(on_maps.clear_map),
    "save": _on_state(on_maps.save_map),
    "set": _on_state(on_topics.set_variable),
    "unset": _on_state(on_topics.unset_variable),
    "defs": _on_state(on_topics.show_definitions),
    "list": _on_state(on_topics.list_tools),
    "help": _on_state(on_topics.show_help),
    "show": _on_state(on_topics.show_stage),
    "kernel": _on_state(on_topics.show_kernel),
    "run": Shell.run_script,
    "edit": Shell.edit_program,
    "quit": Shell.leave,
    "exit": Shell.leave,
}


def _run_command(shell: Shell, name: str, words: Sequence[str]) -> None:
    command = COMMANDS.get(name)
    if command is None:
        hint = "".join(nearest(name, COMMANDS)) or "help shows the commands"
        raise Refused(f"there is no command '{name}'; {hint}")
    if len(words) < command.least or (command.most is not None and len(words) > command.most):
        raise Refused(f"usage: {command.usage}")
    HANDLERS[name](shell, words)
