"""Texts and a script → an SVG document that needs nothing else; a file written whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from tempfile import mkstemp
from xml.sax import saxutils

from runtime.text import OutputError

WIDTH = 1200  # of the picture as long as no script fits it to its window
FONT = 12
LETTER = 0.61  # a letter's width over its height: of the monospace fonts the wide ones
_RESOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "resources")
# what XML 1.0 cannot hold, and halves of characters that were no UTF-8
_FORBIDDEN = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), 127, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF],
    "\N{REPLACEMENT CHARACTER}",
)


def plain(text: str) -> str:
    """The text with a mark in place of what XML cannot hold."""
    return text.translate(_FORBIDDEN)


def escape(text: str) -> str:
    """A text as it may stand between tags."""
    return saxutils.escape(plain(text))


def attribute(text: str) -> str:
    """A text as an attribute's value, in its quotes."""
    return saxutils.quoteattr(plain(text))


def shortened(text: str, width: float) -> str:
    """As much of a text as fits into so many pixels; nothing if that is too little to tell anything."""
    most = int(width / (FONT * LETTER))
    if len(text) <= most:
        return text
    return text[: most - 1] + "…" if most >= 4 else ""


def document(title: str, subtitle: str, script: str, legend: str, body: str, height: int) -> str:
    """The whole file. `script` names a resource; legend and body are SVG."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">
<title>{escape(title)}</title>
<style><![CDATA[
{_resource("picture.css")}]]></style>
<rect id="paper" width="100%" height="100%"/>
{body}
<g id="head">
<rect id="head-paper" width="100%" height="58"/>
<text id="title" x="16" y="25">{escape(title)}</text>
<text id="subtitle" x="16" y="45">{escape(subtitle)}</text>
{legend}
</g>
<script><![CDATA[
{_resource("common.js")}{_resource(script)}]]></script>
</svg>
"""


def _resource(name: str) -> str:
    with open(os.path.join(_RESOURCES, name), encoding="utf-8") as file:
        return file.read()


class Target:
    """A file that will be written at the end of a run. Raises OutputError at once if it cannot be.

    `flag` is how it was asked for.
    """

    def __init__(self, flag: str, path: str) -> None:
        self._flag, self.path = flag, path
        self._real = path
        try:
            self._whole = _replaceable(path)
            if self._whole:
                self._real = os.path.realpath(path)
                fd, name = self._beside()
                os.close(fd)
                os.unlink(name)
            else:
                os.close(os.open(self._real, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as problem:
            raise self._error(problem) from None

    def write(self, text: str) -> None:
        """Put the text in the file's place: nobody sees a part of it. Raises OutputError."""
        data = text.encode("utf-8")
        try:
            if self._whole:
                self._replace(data)
            else:
                with open(self._real, "wb") as file:
                    file.write(data)
        except OSError as problem:
            raise self._error(problem) from None

    def _replace(self, data: bytes) -> None:
        fd, name = self._beside()
        try:
            with open(fd, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), self._mode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._real)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise

    def _beside(self) -> tuple[int, str]:
        folder, name = os.path.split(self._real)
        return mkstemp(prefix=f".{name[:100]}.", dir=folder)

    def _mode(self) -> int:
        """That of the file which is replaced, or of any new one."""
        with suppress(FileNotFoundError):
            return stat.S_IMODE(os.stat(self._real).st_mode)
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask

    def _error(self, problem: OSError) -> OutputError:
        return OutputError(f"{self._flag}: cannot write '{self.path}': {problem.strerror}")


def _replaceable(path: str) -> bool:
    """Whether the path is a file's, or nothing's: a terminal or a pipe cannot be replaced. Raises OSError."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISREG(mode) and not os.access(path, os.W_OK):
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))  # for its reason
    return stat.S_ISREG(mode)
