"""A terminal → a session: prompt_toolkit reads, the shell carries out, jobs print above the prompt."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style
from pygments import highlight
from pygments.formatters import TerminalFormatter
from pygments.lexers import get_lexer_by_name

from lang.diagnostics import ScriptError
from repl.commands import COMMANDS
from repl.complete import is_complete
from repl.completer import SuggestCompleter
from repl.display import Display
from repl.editor import edit
from repl.history import open_history
from repl.host import Host
from repl.jobs import Jobs
from repl.keys import key_bindings
from repl.lexer import EbtLexer
from repl.lines import is_command
from repl.marks import MarkRefused
from repl.names import Names
from repl.on_maps import map_text
from repl.shell import Shell
from repl.state import Refused, State
from repl.status import Resolver, Status
from repl.tty import Keys, as_usual, typing_ahead
from repl.validator import ProgramValidator
from repl.words import counted

STYLE = Style.from_dict(
    {
        "prompt": "bold ansigreen", "watch": "ansicyan", "refused": "underline ansired",
        "bottom-toolbar": "noreverse bg:ansibrightblack ansiwhite", "toolbar.bad": "ansibrightred",
        "pygments.comment": "italic ansibrightblack", "pygments.keyword": "bold ansiblue",
        "pygments.name.namespace": "ansicyan", "pygments.name.function": "ansiyellow",
        "pygments.name.builtin": "ansimagenta", "pygments.literal.string": "ansigreen",
        "pygments.literal.number": "ansibrightcyan", "pygments.name.variable": "ansibrightmagenta",
    }
)  # fmt: skip
_VI = "EBT_EDITING_MODE"  # vi, or anything else for Emacs keys
_LEXERS = {"c": "c"}
_PAUSE = 0.06  # seconds without a key before attach points are asked about


def paint(text: str, language: str) -> str:
    """C or ebt text with colours for a terminal."""
    if language not in _LEXERS:
        return text
    return highlight(text, get_lexer_by_name(_LEXERS[language]), TerminalFormatter()).rstrip("\n")


class Terminal:
    """The reading half: what is typed, completed, underlined and watched. `names` is asked at each key."""

    def __init__(self, shell: Shell, names: Names, resolver: Resolver) -> None:
        self._shell, self._state, self._names, self._resolver = shell, shell.state, names, resolver
        self._statuses: list[Status] = []
        self._asking = threading.Event()
        self._view: list[str] = []
        self._session: PromptSession[str] = PromptSession(
            input=Keys(sys.stdin), message=self._message, multiline=True, style=STYLE,
            lexer=PygmentsLexer(EbtLexer),
            completer=ThreadedCompleter(SuggestCompleter(names.known)), complete_while_typing=True,
            validator=ProgramValidator(self._check, self._is_program), validate_while_typing=False,
            history=open_history(), auto_suggest=AutoSuggestFromHistory(), enable_history_search=False,
            key_bindings=key_bindings(self._is_complete), bottom_toolbar=self._toolbar,
            prompt_continuation=lambda width, number, wrapped: "...> ".rjust(width),
            input_processors=[MarkRefused(lambda: self._statuses)], vi_mode=os.environ.get(_VI) == "vi",
            reserve_space_for_menu=6, complete_in_thread=False, search_ignore_case=True,
        )  # fmt: skip
        self._session.default_buffer.on_text_changed += lambda _: self._asking.set()
        self._session.app.after_render += self._drawn

    def run(self) -> int:
        """Read and carry out until the user leaves; 0."""
        for target, name in ((self._resolve, "resolve"), (self._redraw, "watch")):
            threading.Thread(target=target, name=name, daemon=True).start()
        while not self._state.leaving:
            try:
                text = self._session.prompt()
            except KeyboardInterrupt:
                self._state.watched = None
                continue
            except EOFError:
                self._leave()
                continue
            self._statuses = []
            self._shell.execute(text)
        return 0

    def _drawn(self, app: Application[str]) -> None:
        """The prompt is there: now the kernel's names may take their time, and the processor."""
        app.after_render -= self._drawn
        self._names.read()

    def _leave(self) -> None:
        running = len(self._state.jobs.alive)
        if not running or self._confirmed(f"{counted(running, 'job')} still running: stop and leave? [y/N] "):
            self._state.leaving = True

    def _confirmed(self, question: str) -> bool:
        session: PromptSession[str] = PromptSession()
        try:
            return session.prompt(question).strip().lower() in ("y", "yes")
        except EOFError:
            return True
        except KeyboardInterrupt:
            return False

    # --- what is typed ---

    def _is_program(self, text: str) -> bool:
        return not is_command(text, COMMANDS)

    def _is_complete(self, text: str) -> bool:
        return not self._is_program(text) or is_complete(text)

    def _check(self, text: str) -> None:
        """Raise ScriptError for a wrong program, and underline what is wrong until the text changes."""
        try:
            self._shell.check(text)
        except ScriptError as wrong:
            first = wrong.diagnostics[0]
            if first.span.source.text == text:
                place = Status(first.span.start, first.span.end, False, first.message)
                self._statuses = [*self._statuses, place]
            raise

    def _resolve(self) -> None:
        """On a thread: what the attach points of the text resolve to, once typing has paused for a moment."""
        machine = self._state.host.machine
        while True:
            self._asking.wait()
            self._asking.clear()
            pause = threading.Event()
            while not pause.wait(_PAUSE) and self._asking.is_set():
                self._asking.clear()
            if self._state.host.machine is not machine:
                machine = self._state.host.machine
                self._resolver.forget()
            document = self._session.default_buffer.document
            if is_command(document.text, COMMANDS):
                self._statuses = []
            else:
                self._statuses = self._resolver.statuses(document.text, document.cursor_position)
            self._session.app.invalidate()

    # --- what is shown ---

    def _message(self) -> StyleAndTextTuples:
        shown: StyleAndTextTuples = [("class:watch", line + "\n") for line in self._view]
        return [*shown, ("class:prompt", "ebt> ")]

    def _redraw(self) -> None:
        """On a thread: the watched map, as often as was asked."""
        pause = threading.Event()
        while True:
            watched = self._state.watched
            if watched is None:
                if self._view:
                    self._view = []
                    self._session.app.invalidate()
                pause.wait(0.1)
                continue
            query, seconds = watched
            try:
                lines = map_text(self._state, query).split("\n")
            except Refused as refused:
                self._state.watched = None
                self._state.say(f"watch: {refused}")
                continue
            room = max(self._session.app.output.get_size().rows // 2 - 2, 3)  # jobs go on printing above it
            left_out = [f"… {len(lines) - room:,} lines above"] if len(lines) > room else []
            self._view = [*left_out, *lines[-room:]]
            self._session.app.invalidate()
            ends = threading.Event()
            for _ in range(max(int(seconds / 0.1), 1)):
                ends.wait(0.1)
                if self._state.watched != watched:
                    break

    def _toolbar(self) -> StyleAndTextTuples:
        cursor = self._session.default_buffer.cursor_position
        shown = [item for item in self._statuses if item.start <= cursor <= item.end] or [
            *(item for item in self._statuses if not item.works), *self._statuses
        ]  # fmt: skip
        running = len(self._state.jobs.alive)
        left = f" {counted(running, 'job')} " if running else " no jobs "
        if self._state.recorded:
            left += f"· compiling for {self._state.recorded} "
        if not shown:
            return [("", f"{left}· Tab completes · Ctrl-R searches · Ctrl-D leaves · help")]
        return [("", f"{left}· "), ("" if shown[0].works else "class:toolbar.bad", shown[0].words)]



def session(host: Host, resolver: Resolver, files: Callable[[str], Sequence[str]]) -> int:
    """A whole session at a terminal, from the greeting to the end of the last job."""
    with patch_stdout(raw=True), typing_ahead():
        display = Display(_print)
        jobs = Jobs(display.show)
        state = State(host, jobs, lambda text: _print(text + "\n"), edit, paint, as_usual, display.flush)
        names = Names(state, files)
        terminal = Terminal(Shell(state), names, resolver)
        display.start(lambda: len(jobs.all) > 1)
        _print(f"ebt on {host.machine.title}: a program runs as you enter it, help shows the commands\n")
        try:
            return terminal.run()
        finally:
            jobs.stop_all()
            display.close()


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
