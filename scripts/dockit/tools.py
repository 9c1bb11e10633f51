"""stdlib/, the recorded kernels, the runs and costs kept in docs/ → docs/tools.md, docs/tools/."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codegen.pipeline import compile_script
from dockit.costs import costs_section
from dockit.omitted import omitted_section
from dockit.samples import Samples, output_section
from ebt.imports import Imports
from ebt.tools import Tool, all_tools
from kernel.recorded import RecordedMachine
from lang.ast import Script
from lang.check import resolutions
from lang.command_line import help_text, read_words
from lang.diagnostics import ScriptError
from lang.options import Given
from lang.page import read_page
from lang.parser import parse
from lang.resolution import Candidate, Resolution
from lang.source import Source

ROOT = Path(__file__).resolve().parents[2]
TABLE, FOLDER = ROOT / "docs/tools.md", ROOT / "docs/tools"
KERNELS = ("5.10", "6.1", "6.12", "6.18", "7.2")
MADE = "<!-- written by scripts/tools-page: do not edit -->\n"
# what a tool must be given to run at all
WORDS = {
    "dirtop": ("-d", "1 /"), "fsdist": ("-t", "ext4"), "fsslower": ("-t", "ext4"),
    "funclatency": ("vfs_read",), "funccount": ("t:sched:sched_switch",),
    "stackcount": ("t:sched:sched_switch",),
}  # fmt: skip
_HEAD = f"""\
{MADE}
# The standard tools

`ebt NAME` runs a tool, `ebt NAME --help` shows its options, `ebt list` lists all. *works on*: the recorded
kernels that it compiles for; each tool's page says by which mechanism. 6.18 is the kernel of the development
machine, which has neither kprobes nor fentry. [matrix.md](matrix.md) tells what was run on which kernel.

"""
_WAYS = """\
## On which kernel by what

What `ebt explain --kernel` finds for each attach point on the five recorded kernels{given}. *–*: an optional
probe that is left out there; *no*: this kernel cannot serve it.

"""
_NO_PLACE = ("begin", "end", "BEGIN", "END", "interval", "self")
_SHORT = {
    "the kernel refuses fentry (ftrace or the BPF trampoline is off); "
    "this kernel has no kprobes (CONFIG_KPROBE_EVENTS is off)": "no fentry, no kprobes",
}


@dataclass(frozen=True)
class Read:
    """A tool's script, parsed, with what it is given for its table."""

    tool: Tool
    script: Script
    given: Given

    @property
    def works_on(self) -> tuple[str, ...]:
        """The recorded kernels that it compiles for."""
        return tuple(kernel for kernel in KERNELS if self._compiles(kernel))

    def _compiles(self, kernel: str) -> bool:
        try:
            compile_script(
                self.script, machine(kernel), self.given.parameters, {}, options=self.given.options
            )
        except ScriptError:
            return False
        return True

    def resolved(self, kernel: str) -> tuple[Resolution, ...]:
        """What its attach points come to on a recorded kernel."""
        return resolutions(
            self.script, machine(kernel), self.given.parameters, {}, options=self.given.options
        )


@functools.cache
def machine(kernel: str) -> RecordedMachine:
    """A recorded kernel."""
    return RecordedMachine(ROOT / f"tests/kernels/{kernel}.ebtk")


def resolve(kind: str, text: str) -> int | str:
    """What options name is looked up on no system here."""
    return text if kind in ("directories", "filesystem") else 1


def read(tool: Tool) -> Read:
    """A tool, read."""
    source = Source(tool.path, Path(tool.path).read_text("utf-8"))
    script = parse(source, Imports([source]))
    given, _ = read_words(script, WORDS.get(tool.name, ()), {}, resolve)
    return Read(tool, script, given)


def pages(samples: Samples | None = None) -> dict[Path, str]:
    """Every page, by its file."""
    kept = samples or Samples()
    tools = all_tools()
    scripts = {tool.path: read(tool) for tool in tools if not tool.words}
    found = {TABLE: _table(tools, scripts)}
    for item in scripts.values():
        found[FOLDER / f"{item.tool.name}.md"] = _page(item, kept)
    return found


# ---- The table of all tools


def _table(tools: Sequence[Tool], scripts: dict[str, Read]) -> str:
    works = {path: item.works_on for path, item in scripts.items()}
    lines = ["| tool | what | subject | works on |", "|---|---|---|---|"]
    for tool in tools:
        link = f"[{tool.name}](tools/{scripts[tool.path].tool.name}.md)"
        lines.append(f"| {link} | {_plain(tool.summary)} | {tool.subject} | {_kernels(works[tool.path])} |")
    return _HEAD + "\n".join(lines) + "\n\n" + omitted_section() + costs_section()


def _kernels(works: Sequence[str]) -> str:
    lacking = [kernel for kernel in KERNELS if kernel not in works]
    return "all" if not lacking else "all but " + ", ".join(lacking) if works else "none"


# ---- A tool's own page


def _page(item: Read, samples: Samples) -> str:
    name = item.tool.name
    page = read_page(item.script.span.source.text)
    text = page.text.partition("\n")[2].strip()
    help_ = help_text(item.script, name).replace(page.text + "\n\n", "", 1)
    parts = [
        MADE,
        f"# {name}",
        "",
        f"{page.summary[:1].upper()}{page.summary[1:]}.",
        "",
        *([text, ""] if text else []),
        "## Options and examples",
        "",
        "```text",
        help_.rstrip(),
        "```",
        "",
        output_section(samples, name),
        _ways(item),
        f"The script: [{item.tool.subject}/{name}.ebt](../../stdlib/{item.tool.subject}/{name}.ebt).",
    ]
    return "\n".join(parts).rstrip() + "\n"


def _ways(item: Read) -> str:
    words = WORDS.get(item.tool.name)
    given = f", for `ebt {item.tool.name} {' '.join(words)}`" if words else ""
    notes: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for kernel in KERNELS:
        for found in item.resolved(kernel):
            if found.text.startswith(_NO_PLACE):
                continue
            cells = rows.setdefault(" ".join(found.text.split()), {})
            cells[kernel] = _cell(found, notes)
    lines = ["| probe | " + " | ".join(KERNELS) + " |", "|---" * (len(KERNELS) + 1) + "|"]
    alike: dict[tuple[str, ...], list[str]] = {}
    for text, cells in rows.items():
        shown = tuple(cells.get(kernel, "not wanted") for kernel in KERNELS)
        alike.setdefault(shown, []).append(f"`{_plain(text)}`")
    lines += [f"| {'<br>'.join(texts)} | " + " | ".join(shown) + " |" for shown, texts in alike.items()]
    meant = "*not wanted*: its condition is false there, as another probe serves."
    notes_of_wanted = ["", meant] if any("not wanted" in shown for shown in alike) else []
    told = [f"{number}. {text}" for number, text in enumerate(notes, 1)]
    return "\n".join([_WAYS.format(given=given) + lines[0], *lines[1:], *notes_of_wanted, "", *told, ""])


def _cell(found: Resolution, notes: list[str]) -> str:
    if found.chosen is None:
        reason = _reason(found)
        if not reason:
            return "–" if found.optional else "no"
        if reason not in notes:
            notes.append(reason)
        return f"{'–' if found.optional else 'no'} ({notes.index(reason) + 1})"
    choice = found.choices[found.chosen]
    taken = [item for item in choice.candidates if not item.reason]
    ways = list(dict.fromkeys(_way(item, found.text, len(found.choices) > 1) for item in taken))
    several = f" × {choice.points}" if choice.points > 1 else ""
    if len(ways) > 3:
        ways = [*dict.fromkeys(item.mechanism for item in taken)]
    return (", ".join(ways) or "yes") + several


def _way(item: Candidate, text: str, alternatives: bool) -> str:
    """The mechanism; the place too where the probe's text leaves it open."""
    name = item.place.removeprefix("sys_enter_").removeprefix("sys_exit_")
    told = name and (alternatives or name not in text) and not name.startswith("/")
    if item.mechanism == "perf_event":
        return "timer" if text.startswith("profile") else "perf event"
    return f"{item.mechanism} `{_plain(item.place)}`" if told else item.mechanism


def _reason(found: Resolution) -> str:
    """Why nothing serves: each alternative's reason, once."""
    reasons: list[str] = []
    for choice in found.choices:
        told = choice.reason or "; ".join(item.reason for item in choice.candidates if item.reason)
        for long, short in _SHORT.items():
            told = told.replace(long, short)
        if told and told not in reasons:
            reasons.append(told)
    return _plain("; ".join(reasons))


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ---- Files


def stale(found: dict[Path, str]) -> Iterator[Path]:
    """Files that say something else than they should, are not there, or are of no tool any more."""
    for path, text in found.items():
        if not path.is_file() or path.read_text("utf-8") != text:
            yield path
    yield from (path for path in FOLDER.glob("*.md") if path not in found)


def write(found: dict[Path, str]) -> list[Path]:
    """Write what is not as it should be; the files that were written or removed."""
    FOLDER.mkdir(exist_ok=True)
    changed = list(stale(found))
    for path in changed:
        if path in found:
            path.write_text(found[path], "utf-8")
        else:
            path.unlink()
    return changed
