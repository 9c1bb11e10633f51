"""docs/bt-tools.json ↔ how each tool fared on each kernel; written by scripts/bt-tools, never by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/bt-tools.json"
CHECKED = ("5.10", "6.1", "6.12", "6.18", "7.2")  # recorded in tests/kernels


@dataclass(frozen=True)
class Fared:
    """`what`: rows, refused, no rows, failed; passes or refused for a check. `text`: a row, or the reason."""

    what: str
    text: str


class Results:
    """What is in the file: of each tool, `check KERNEL` and `run KERNEL`."""

    def __init__(self, path: Path = FILE) -> None:
        self.path = path
        self.tools: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def get(self, tool: str, how: str) -> Fared | None:
        """How a tool fared: `how` is `check 6.1` or `run 6.1`."""
        found = self.tools.get(tool, {}).get(how)
        return Fared(found["what"], found["text"]) if found else None

    def put(self, tool: str, how: str, fared: Fared) -> None:
        """Note it; save() writes."""
        self.tools.setdefault(tool, {})[how] = {"what": fared.what, "text": fared.text}

    def save(self) -> None:
        """Write the file, in an order of its own."""
        ordered = {tool: dict(sorted(found.items())) for tool, found in sorted(self.tools.items())}
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", "utf-8")
