"""What the writers write: JSON lines, text, messages; in blocks, and to a reader that went away."""

import json
import os
from collections.abc import Callable

import pytest

from runtime.jsonl import JsonWriter, quote
from runtime.text import Buffering, Dump, Output, OutputError, TextWriter, Warn, Writer, warning_text


class Kept(Output):
    """An output that keeps what is written."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.parts: list[str] = []

    def write(self, text: str) -> None:
        self.parts.append(text)


class Pipe:
    """A pipe's writing end as an Output, and what came through."""

    def __init__(self, buffering: Buffering = "auto") -> None:
        self.read, write = os.pipe()
        os.set_blocking(self.read, False)
        self.output = Output(write, buffering)

    def got(self) -> str:
        try:
            return os.read(self.read, 1 << 20).decode("utf-8", "surrogateescape")
        except BlockingIOError:
            return ""

    def close(self) -> None:
        os.close(self.output.fd)
        if self.read >= 0:
            os.close(self.read)


def written(
    kind: Callable[..., Writer], *actions: Callable[[Writer], None], quiet: bool = False
) -> tuple[str, str]:
    """What the writer writes to its output and as messages."""
    out, messages = Pipe(), Pipe()
    writer = kind(out.output, messages.output, quiet=quiet)
    for action in actions:
        action(writer)
    writer.flush()
    result = out.got(), messages.got()
    out.close()
    messages.close()
    return result


COUNTS = Dump("@x", "map", False, [("a", "1"), ("b,2", "2")])
SCALAR = Dump("@", "map", True, [("", "42")])
HIST = Dump("@h", "hist", True, [("", '[{"min": 0, "max": 0, "count": 1}]')])


@pytest.mark.parametrize(
    "action, line",
    [
        (
            lambda w: w.printf(["a\n", 'b"']),
            '{"type": "printf", "data": "a\\n"}\n{"type": "printf", "data": "b\\""}\n',
        ),
        (
            lambda w: w.values(["[1,2]", "3"]),
            '{"type": "value", "data": [1,2]}\n{"type": "value", "data": 3}\n',
        ),
        (lambda w: w.text("time", "12:00\n"), '{"type": "time", "data": "12:00\\n"}\n'),
        (lambda w: w.map(COUNTS), '{"type": "map", "data": {"@x": {"a": 1, "b,2": 2}}}\n'),
        (lambda w: w.map(SCALAR), '{"type": "map", "data": {"@": 42}}\n'),
        (lambda w: w.map(HIST), '{"type": "hist", "data": {"@h": [{"min": 0, "max": 0, "count": 1}]}}\n'),
        (lambda w: w.map(Dump("@e", "map", False, [])), ""),
        (lambda w: w.attached(2), '{"type": "attached_probes", "count": 2, "data": {"probes": 2}}\n'),
        (lambda w: w.lost(3), '{"type": "lost_events", "count": 3, "data": {"events": 3}}\n'),
        (lambda w: w.line("READY"), "READY\n"),
        (lambda w: w.end(True), ""),
    ],
)
def test_json_lines(action: Callable[[Writer], None], line: str) -> None:
    out, messages = written(JsonWriter, action)
    assert (out, messages) == (line, "")
    for part in out.splitlines():
        assert part == "READY" or json.loads(part)


def test_json_warning() -> None:
    warn = Warn("x.ebt", 1, 9, "the map is full", "begin { @x[pid] = 1; }", 7)
    out, _ = written(JsonWriter, lambda w: w.warning(warn))
    assert json.loads(out) == {
        "type": "runtime_error", "msg": "the map is full", "count": 1,
        "filename": "x.ebt", "line": 1, "col": 9,
    }  # fmt: skip


def test_a_big_map_is_one_line() -> None:
    entries = [(str(key), "1") for key in range(40_000)]
    out = Kept()
    JsonWriter(out, out).map(Dump("@x", "map", False, entries))
    text = "".join(out.parts)
    assert text.count("\n") == 1 and len(json.loads(text)["data"]["@x"]) == 40_000


@pytest.mark.parametrize(
    "text, quoted",
    [
        ("plain", '"plain"'),
        ('"\\/', '"\\"\\\\/"'),
        ("\n\r\t\x01\x1f\x7f", '"\\n\\r\\t\\u0001\\u001f\x7f"'),
        ("a\bb\fc\b", '"a\\u0008b\\u000cc\\u0008"'),
        ("é\udcff", '"é\udcff"'),
    ],
)
def test_quote(text: str, quoted: str) -> None:
    assert quote(text) == quoted
    assert json.loads(quote(text)) == text


@pytest.mark.parametrize(
    "action, text",
    [
        (lambda w: w.printf(["a ", "b\n"]), "a b\n"),
        (lambda w: w.values(["(1, a)", "3"]), "(1, a)\n3\n"),
        (lambda w: w.text("time", "12:00"), "12:00"),
        (lambda w: w.text("join", "a b"), "a b\n"),
        (lambda w: w.map(COUNTS), "@x[a]: 1\n@x[b,2]: 2\n"),
        (lambda w: w.map(SCALAR), "@: 42\n"),
        (lambda w: w.map(Dump("@h", "hist", True, [("", "row\n")])), "@h:\nrow\n\n"),
        (lambda w: w.map(Dump("@h", "hist", False, [("k", "row\n")])), "@h[k]:\nrow\n\n"),
        (lambda w: w.end(True), "\n\n"),
        (lambda w: w.end(False), ""),
        (lambda w: w.line("READY"), "READY\n"),
        (lambda w: w.printf(["\udcff\udcfe\n"]), "\udcff\udcfe\n"),
    ],
)
def test_text(action: Callable[[Writer], None], text: str) -> None:
    assert written(TextWriter, action) == (text, "")


def test_messages_go_to_the_other_descriptor() -> None:
    assert written(TextWriter, lambda w: w.attached(1))[1] == "Attached 1 probe\n"
    assert written(TextWriter, lambda w: w.attached(0), lambda w: w.attached(12))[1] == (
        "Attached 0 probes\nAttached 12 probes\n"
    )
    assert written(TextWriter, lambda w: w.attached(1), quiet=True) == ("", "")
    assert written(JsonWriter, lambda w: w.attached(1), quiet=True) == ("", "")
    assert written(TextWriter, lambda w: w.lost(7), lambda w: w.lost_in_all(7)) == (
        "", "Lost 7 events\nWARNING: Total lost event count: 7\n",
    )  # fmt: skip


def test_warnings_show_the_source() -> None:
    warn = Warn("x.ebt", 2, 5, "the map @x is full", "    @x[pid] = 1", 11, 3)
    assert warning_text(warn) == (
        "x.ebt:2:5: warning: the map @x is full (3 times)\n    @x[pid] = 1\n    ^~~~~~~~~~~"
    )
    assert warning_text(Warn("x.ebt", 2, 5, "gone")) == "x.ebt:2:5: warning: gone"


def test_output_is_held_until_idle_or_a_block_is_full() -> None:
    pipe = Pipe()
    pipe.output.write("a")
    assert pipe.got() == ""
    pipe.output.idle()
    assert pipe.got() == "a"
    pipe.output.write("b" * 65536)
    assert len(pipe.got()) == 65536
    pipe.close()


def test_other_bufferings() -> None:
    full, none = Pipe("full"), Pipe("none")
    for pipe in (full, none):
        pipe.output.write("a")
        pipe.output.idle()
    assert (full.got(), none.got()) == ("", "a")
    full.output.flush()
    assert full.got() == "a"
    full.close()
    none.close()


def test_a_slow_reader_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short and refused writes are made again."""
    pipe = Pipe()
    really, sizes = os.write, iter((3, 0, 2))

    def reluctant(fd: int, data: bytes) -> int:
        size = next(sizes, len(data))
        if not size:
            raise BlockingIOError
        return really(fd, bytes(data[:size]))

    monkeypatch.setattr(os, "write", reluctant)
    pipe.output.write("0123456789")
    pipe.output.flush()
    monkeypatch.undo()
    assert pipe.got() == "0123456789"
    pipe.close()


def test_a_reader_that_went_away() -> None:
    pipe = Pipe()
    os.close(pipe.read)
    pipe.read = -1
    pipe.output.write("a")
    with pytest.raises(BrokenPipeError):
        pipe.output.flush()
    pipe.output.tell("nobody hears this")
    pipe.close()


def test_a_full_disk() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    output = Output(fd)
    output.write("a")
    with pytest.raises(OutputError, match="cannot write the output: No space left on device"):
        output.flush()
    output.flush()  # what could not be written is gone
    os.close(fd)
