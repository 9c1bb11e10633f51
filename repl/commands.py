"""The prompt's commands: one table, of which `help` is made, and by which input is told from programs."""

from __future__ import annotations

from lang.records import dataclass


@dataclass(frozen=True)
class Command:
    """`least` and `most` are how many words it takes; `most` is None for any number."""

    name: str
    usage: str
    about: str
    most: int | None
    least: int = 0


_ALL = (
    Command("jobs", "jobs", "the programs that run, and those that ended", 0),
    Command("stop", "stop N|all", "detach a job and show its maps", 1),
    Command("pause", "pause N", "keep a job's output in its log only", 1),
    Command("resume", "resume N", "show a paused job's output again", 1),
    Command("log", "log [N] [LINES]", "the last lines that a job printed", 2),
    Command("print", "print @map [TOP]", "a map of the newest job (N:@map: of job N), as @map alone", 2, 1),
    Command("watch", "watch @map [SECONDS]", "show a map anew each second until Ctrl-C or 'watch off'", 2, 1),
    Command("clear", "clear @map", "empty a map", 1, 1),
    Command("save", "save @map FILE.json|csv", "write a map to a file", 2, 2),
    Command("set", "set [NAME [VALUE]]", "a variable: later programs read it as opt.NAME", 2),
    Command("unset", "unset NAME", "forget a variable, or a definition by its name", 1, 1),
    Command("defs", "defs", "what is defined: fn, macro, struct, import, variables", 0),
    Command("run", "run TOOL|FILE [options]", "a standard tool or a script, as a job", None, 1),
    Command("list", "list [WORD]", "the standard tools", None),
    Command("help", "help [TOPIC]", "these commands; a tool, builtin, function or probe kind", 1),
    Command("edit", "edit [N]", "write a program in $EDITOR, beginning with job N's", 1),
    Command("show", "show c|plan|ast|explain [N]", "what a job was compiled to", 2, 1),
    Command("kernel", "kernel [FILE|live]", "what this machine allows; compile for a recorded one", 1),
    Command("quit", "quit", "stop all jobs and leave (as Ctrl-D)", 0),
    Command("exit", "exit", "the same as quit", 0),
)  # fmt: skip
COMMANDS = {item.name: item for item in _ALL}


def help_text() -> str:
    """All commands, a line each, and the rules of the prompt."""
    width = max(len(item.usage) for item in _ALL)
    lines = [f"  {item.usage:<{width}}  {item.about}" for item in _ALL]
    return "\n".join([_HEAD, *lines, _TAIL])


_HEAD = """\
Type a program: it is attached at once and runs as a job, its output appears above the prompt.
    tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }
fn, macro, struct and import stay defined for later programs. Commands:
"""
_TAIL = """
  @map, N:@map                 show a map
  !COMMAND                     run a shell command, to make load
A word of this table is a command unless ':' follows it; so is what begins with ':'.
Tab completes, Ctrl-R searches the history, Ctrl-C stops what is shown, Ctrl-D leaves."""
