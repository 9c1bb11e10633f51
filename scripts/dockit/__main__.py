"""Command line of scripts/tools-page: write the pages, or record what tools print first."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from dockit import samples, tools
from dockit.loads import LOADS


def main(words: list[str]) -> int:
    """0 if every tool that was to be recorded was."""
    parser = argparse.ArgumentParser(
        prog="scripts/tools-page", description="write docs/tools.md and docs/tools/ from the tools' scripts"
    )
    parser.add_argument("--record", action="store_true", help="run the tools under their loads first")
    parser.add_argument("--lab", metavar="KERNEL", help="behind --record: run them there, not here")
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="with --record: these only")
    asked = parser.parse_args(words)
    if asked.lab or (asked.tools and not asked.record):
        parser.error("the order is --record --lab KERNEL TOOL…")
    failed: dict[str, str] = {}
    if asked.record:
        path = samples.FILE
        if os.environ.get("EBT_LAB"):
            path = Path(os.environ["EBT_LAB_OUT"], samples.FILE.name)
            if samples.FILE.is_file():
                shutil.copy(samples.FILE, path)
        failed = samples.record_all(asked.tools or [*LOADS], path)
        if os.environ.get("EBT_LAB"):
            return 1 if failed else 0
    for changed in tools.write(tools.pages()):
        print(changed.relative_to(tools.ROOT))
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
