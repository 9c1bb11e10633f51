"""Command line of scripts/tools-page: write the pages, or record what tools print first."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from dockit import samples, tools
from dockit.loads import LOADS


def main(words: list[str]) -> int:
    """0 if every tool that was to be recorded was."""
    failed: dict[str, str] = {}
    if words[:1] == ["--record"]:
        path = samples.FILE
        if os.environ.get("EBT_LAB"):
            path = Path(os.environ["EBT_LAB_OUT"], samples.FILE.name)
            if samples.FILE.is_file():
                shutil.copy(samples.FILE, path)
        failed = samples.record_all(words[1:] or [*LOADS], path)
        if os.environ.get("EBT_LAB"):
            return 1 if failed else 0
    for changed in tools.write(tools.pages()):
        print(changed.relative_to(tools.ROOT))
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
