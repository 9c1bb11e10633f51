"""The text of cat() and system() → what a file holds, what a command prints."""

from __future__ import annotations

import os


def read_file(path: str, limit: int) -> str:
    """The first `limit` bytes of a file; OSError or ValueError where it cannot be read."""
    with open(path, "rb") as file:
        return file.read(limit).decode("utf-8", "surrogateescape")


def run_command(text: str) -> str:
    """What `sh -c` prints, errors too, without the newline at its end."""
    import subprocess  # only for this: it takes 3 ms

    done = subprocess.run(
        ["/bin/sh", "-c", os.fsencode(text)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")
