"""A tool under a load → what it printed, kept in docs/tool-samples.json; that file → a page's section.

    scripts/tools-page --record opensnoop             here
    scripts/tools-page --record --lab 6.1 filelife    in the lab
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockit.loads import LOADS, Load

FILE = Path(__file__).resolve().parents[2] / "docs/tool-samples.json"
ROOT = FILE.parents[1]
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
MOST_LINES, MOST_COLUMNS = 24, 150
_NAMES = re.compile(r"/tmp/ebt-sample-\w+")


@dataclass(frozen=True)
class Sample:
    """A run: the words behind `ebt`, the load beside it, what was printed, on which kernel."""

    command: str
    load: str
    output: str
    kernel: str


class Samples:
    """What is in the file, by tool."""

    def __init__(self, path: Path = FILE) -> None:
        self.path = path
        kept: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        self.tools = {name: [Sample(**run) for run in runs] for name, runs in kept.items()}

    def save(self) -> None:
        """Write the file, in an order of its own."""
        plain = {name: [vars(run) for run in runs] for name, runs in sorted(self.tools.items())}
        self.path.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", "utf-8")


def output_section(samples: Samples, name: str) -> str:
    """What the tool printed; that there is nothing yet where no run was kept."""
    lines = ["## Output", ""]
    for run in samples.tools.get(name, []):
        beside = f" while this ran: `{run.load}`" if run.load not in ("", "true") else ""
        shown = [f"# {run.command}", *run.output.splitlines()]
        lines += [f"On Linux {run.kernel}{beside}", "", "```console", *shown, "```", ""]
    if len(lines) == 2:
        lines += ["No run is kept yet (`scripts/tools-page --record`).", ""]
    return "\n".join(lines)


# ---- Recording


def record(name: str, load: Load) -> Sample:
    """Run the tool under its load until either has ended; then Ctrl-C. Raises RuntimeError."""
    with tempfile.TemporaryDirectory(prefix="ebt-sample-") as folder:
        words = [word.replace("$DIR", folder) for word in load.words]
        shell = f"cd {folder}\n{load.prepare}\n"
        environment = {**os.environ, "DIR": folder, "SAMPLES_ROOT": str(ROOT), "LC_ALL": "C", NOTIFY: "1"}
        try:
            if load.prepare:
                subprocess.run(["sh", "-ec", shell], check=True, env=environment, stdout=subprocess.DEVNULL)
            text = _run([sys.executable, "-m", "ebt", name, *words], load, Path(folder), environment)
        finally:
            if load.undo:
                subprocess.run(["sh", "-c", f"cd /\n{load.undo}"], check=False, env=environment)
    command = shlex.join(["ebt", name, *load.words]).replace("'$DIR'", "DIR").replace("$DIR", "DIR")
    return Sample(command, load.told, _tidy(text, folder), ".".join(os.uname().release.split(".")[:2]))


def _run(command: Sequence[str], load: Load, folder: Path, environment: Mapping[str, str]) -> str:
    """What the command says, from its start to its end."""
    with open(folder / ".out", "w+b") as out:
        tool = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _wait_for(tool, out.name)
            (folder / ".load").write_text(f"cd {folder}\n{load.script}\n", "utf-8")
            work = subprocess.Popen(
                ["bash", f"{folder}/.load"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
            if load.ends:
                tool.wait(120)
                work.terminate()
            else:
                work.wait(120)
                time.sleep(load.settle)
                tool.send_signal(signal.SIGINT)
                tool.wait(60)
            work.wait(60)
        finally:
            tool.kill()
            tool.wait()
        out.seek(0)
        return out.read().decode("utf-8", "replace")


def _wait_for(tool: subprocess.Popen[bytes], path: str) -> None:
    end = time.monotonic() + 240
    while NOTIFY not in Path(path).read_text("utf-8", "replace"):
        if tool.poll() is not None or time.monotonic() > end:
            raise RuntimeError(Path(path).read_text("utf-8", "replace").strip() or "it did not attach")
        time.sleep(0.02)


def _tidy(text: str, folder: str) -> str:
    """Without what is for programs, and no longer or wider than a page."""
    lines = [
        line.rstrip().replace(folder, "DIR")
        for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).splitlines()
        if NOTIFY not in line and not re.match(r"Attached \d+ probe", line)
    ]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "…"]
    return "\n".join(line if len(line) <= MOST_COLUMNS else line[: MOST_COLUMNS - 1] + "…" for line in lines)


def record_all(names: Sequence[str], path: Path) -> dict[str, str]:
    """Record these into the file; of each that could not be recorded why."""
    samples, failed = Samples(path), {}
    for name in names:
        runs = []
        for load in LOADS.get(name, ()):
            try:
                runs.append(record(name, load))
            except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
                failed[name] = str(problem)
        if runs and name not in failed:
            samples.tools[name] = runs
            samples.save()
        told = failed.get(name) or (f"{len(runs[-1].output.splitlines())} lines" if runs else "no load")
        print(f"{name}: {told}", file=sys.stderr, flush=True)
    return failed
