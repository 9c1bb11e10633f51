"""The text of cat() and system() → what a file holds, what a command prints."""

from __future__ import annotations

import os


def read_file(path: str, limit: int) -> str:
    """The first `limit` bytes of a file; for one that cannot be read, why."""
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("utf-8", "surrogateescape")
    except OSError as error:
        return f"failed to open file '{path}': {error.strerror}\n"


def run_command(text: str) -> str:
    """What `sh -c` prints, errors too, without the newline at its end."""
    import subprocess  # only for this: it takes 3 ms

    done = subprocess.run(
        ["/bin/sh", "-c", os.fsencode(text)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")
