"""Command line → each tool checked or run, and docs/bt-tools.json brought up to date."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from btkit.results import CHECKED, ROOT, Fared, Results
from btkit.run import attempt
from btkit.tools import BY_NAME, TOOLS, Tool
from codegen.pipeline import compile_script
from kernel.recorded import RecordedMachine
from lang.diagnostics import ScriptError
from lang.source import Source

EBT = (sys.executable, "-c",
       f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from ebt.cli import main; sys.exit(main())")  # fmt: skip
_PATIENCE = 8  # all is that much slower in the lab


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    result = argparse.ArgumentParser(prog="scripts/bt-tools", description="how bpftrace's own tools fare")
    result.add_argument("--tools", nargs="+", default=[tool.name for tool in TOOLS], metavar="NAME")
    result.add_argument("--check", action="store_true", help="check them for the recorded kernels")
    result.add_argument("--here", action="store_true", help="run them on this machine (as root)")
    result.add_argument(
        "--lab", nargs="+", default=[], metavar="KERNEL", help="run them in the lab, one boot a kernel"
    )
    result.add_argument("--lab-command", default="scripts/lab", help=argparse.SUPPRESS)
    result.add_argument(
        "--write", type=Path, metavar="FILE", help="results file (default docs/bt-tools.json)"
    )
    return result


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for; 1 if a tool failed in a way that is no reason."""
    options = parser().parse_args(arguments)
    results = Results(options.write) if options.write else Results()
    tools = [BY_NAME[name] for name in options.tools]
    if options.check:
        for tool in tools:
            for kernel in CHECKED:
                results.put(tool.name, f"check {kernel}", check(tool, kernel))
    if options.here:
        run_here(tools, results)
    for kernel in options.lab:
        run_lab(kernel, tools, results, options.lab_command)
    results.save()
    failed = [
        name
        for name in options.tools
        if any(item["what"] == "failed" for item in results.tools.get(name, {}).values())
    ]
    for name in failed:
        print(f"failed: {name}")
    return 1 if failed else 0


def check(tool: Tool, kernel: str) -> Fared:
    """Compile the tool for a recorded kernel."""
    machine = RecordedMachine(ROOT / f"tests/kernels/{kernel}.ebtk")
    try:
        compiled = compile_script(Source(tool.path.name, tool.path.read_text("utf-8")), machine)
    except ScriptError as wrong:
        return Fared("refused", wrong.diagnostics[0].message)
    if all(program.kind == "special" for program in compiled.plan.programs):
        return Fared("refused", "none of its probes can be attached")
    told = [item.message for item in compiled.warnings]
    return Fared("passes", told[0] if told else "")


def kernel_name() -> str:
    """6.18 of this machine's 6.18.3-amd64."""
    found = re.match(r"\d+\.\d+", os.uname().release)
    return found[0] if found else os.uname().release


def run_here(tools: Sequence[Tool], results: Results) -> None:
    """Run them on the kernel that runs, this machine's or a guest's."""
    guest = os.environ.get("EBT_LAB") == "1"
    for tool in tools:
        if tool.lab_only and not guest:
            continue
        if guest and tool.modules:
            subprocess.run(["modprobe", "-a", *tool.modules], check=False)
        verdict = attempt(EBT, tool, _PATIENCE if guest else 1)
        print(f"{tool.name:15} {verdict.what:8} {verdict.text!r}", flush=True)
        results.put(tool.name, f"run {kernel_name()}", Fared(verdict.what, verdict.text))


def run_lab(kernel: str, tools: Sequence[Tool], results: Results, lab: str) -> None:
    """Run them in one guest; its results come back in a file."""
    with tempfile.TemporaryDirectory() as folder:
        inside = [
            "sh", "-c", 'cd "$1"; shift; exec scripts/bt-tools --here --write "$EBT_LAB_OUT/bt.json" "$@"',
            "sh", str(ROOT), "--tools", *(tool.name for tool in tools),
        ]  # fmt: skip
        subprocess.run(
            [lab, "run", kernel, "--timeout", "3000", "--out", folder, "--", *inside], cwd=ROOT, check=False
        )
        found = next(iter(Path(folder).rglob("bt.json")), None)
        if found is None:
            print(f"{kernel}: the guest left no results", file=sys.stderr)
            return
        theirs = Results(found)
        for tool, how in theirs.tools.items():
            for name, fared in how.items():
                results.put(tool, name, Fared(fared["what"], fared["text"]))
