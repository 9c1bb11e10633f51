"""Compilation request → the answer of a compiler on another machine, by files in a directory that both see.

An emulated guest compiles C twenty times slower than the machine it runs on, which has the very same libbcc.
The environment variable EBT_COMPILER names the directory: `ID.request` goes in, `ID.answer` comes out, each
by a rename. scripts/labkit/compiler.py is the other side.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

ENVIRONMENT = "EBT_COMPILER"
REQUEST, ANSWER = ".request", ".answer"
_PATIENCE = 300  # seconds
_PAUSE = 0.01


def place() -> Path | None:
    """The directory that requests go to, or None: this process compiles for itself."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else None


def ask(folder: Path, request: bytes, tree: str) -> bytes:
    """The answer to a request, as the compiling child gives it; the tiny kernel tree goes along as text.

    Raises OSError where the directory cannot be used or nobody answers.
    """
    top = Path(tree)
    files = {str(path.relative_to(top)): path.read_text() for path in top.rglob("*.h")}
    name = f"{os.getpid()}-{os.urandom(8).hex()}"
    aside, asked, answer = folder / f".{name}", folder / (name + REQUEST), folder / (name + ANSWER)
    aside.write_text(json.dumps([files, request.decode()]))
    aside.rename(asked)
    patience = time.monotonic() + _PATIENCE
    while time.monotonic() < patience:
        try:
            body = answer.read_bytes()
        except FileNotFoundError:
            time.sleep(_PAUSE)
            continue
        answer.unlink()
        return body
    raise TimeoutError(f"no answer from the compiler behind {folder} ({ENVIRONMENT}) within {_PATIENCE} s")
