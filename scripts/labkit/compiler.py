"""Requests in a directory → answers there: compiles for a guest, whose own clang is twenty times slower.

    python scripts/labkit/compiler.py DIRECTORY

The other side is runtime/elsewhere.py. What compiles is ebt's own compiling child, with the libbcc that
is the guest's too; loading, verifying and running stay the guest's.
"""

import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT)]

from runtime import libbcc  # noqa: E402
from runtime.bpf import lost_answer, serve  # noqa: E402
from runtime.elsewhere import ANSWER, REQUEST  # noqa: E402
from runtime.kerneltree import write_tree  # noqa: E402

_PAUSE = 0.01


@dataclass(frozen=True)
class Child:
    """A compiling process: the request's name, the files in memory that it answers and prints to."""

    name: str
    answer: int
    printed: int


class Server:
    """Answers the requests of one directory."""

    def __init__(self, folder: Path, trees: Path) -> None:
        self._folder, self._trees = folder, trees
        self._children: dict[int, Child] = {}

    def step(self) -> None:
        """Start what was asked, answer what has ended."""
        for path in self._folder.glob(f"*{REQUEST}"):
            self._start(path.name.removesuffix(REQUEST), path.read_text())
            path.unlink()
        for pid in [*self._children]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._answer(self._children.pop(pid), status)

    def _start(self, name: str, text: str) -> None:
        files, request = json.loads(text)
        tree = self._tree(files)
        asked, answer, printed = (os.memfd_create(f"ebt-{what}") for what in ("request", "answer", "printed"))
        os.write(asked, request.encode())
        os.lseek(asked, 0, os.SEEK_SET)
        pid = os.fork()
        if pid == 0:
            serve(asked, answer, str(tree), printed)
        os.close(asked)
        self._children[pid] = Child(name, answer, printed)

    def _answer(self, child: Child, status: int) -> None:
        body = _whole(child.answer) or lost_answer(_whole(child.printed), os.waitstatus_to_exitcode(status))
        os.close(child.answer)
        os.close(child.printed)
        aside = self._folder / f".{child.name}.answer"
        aside.write_bytes(body)
        aside.rename(self._folder / (child.name + ANSWER))

    def _tree(self, files: dict[str, str]) -> Path:
        """The tiny kernel tree that the guest compiles against; the same one is written once."""
        name = blake2b(repr(sorted(files.items())).encode(), digest_size=8).hexdigest()
        tree = self._trees / name
        if not tree.exists():
            write_tree(tree, files)
        return tree


def _whole(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def main(folder: Path) -> None:
    """Answer until the process is ended, or the directory is gone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the lab ends it, after its guest
    with suppress(libbcc.LibbccMissing):  # each answer will say so
        libbcc.library()
    with tempfile.TemporaryDirectory(prefix="ebt-lab-trees-") as trees:
        os.chmod(trees, 0o755)  # BCC reads it as another user
        server = Server(folder, Path(trees))
        while folder.is_dir():
            server.step()
            time.sleep(_PAUSE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
