"""Pictures: what a flame graph is of, columns of a heat map, XML that any text may stand in, files."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from codegen.plan import Map, Plan
from lang.types import UINT64, Aggregate, Record, Stack, Str, Tuple, Type
from runtime import pictures
from runtime.flame import flame_graph
from runtime.folded import Part
from runtime.heatmap import Clock, Panel, heat_map
from runtime.maps import additive
from runtime.pictures import HeatPicture
from runtime.svg import Target
from runtime.text import OutputError

SVG = "{http://www.w3.org/2000/svg}"
HIST = Aggregate("hist")


def boxes(text: str) -> list[tuple[str, int, int, int]]:
    """(name, start, amount, depth) of each frame."""
    return [
        (node.get("data-name", ""), number(node, "start"), number(node, "amount"), number(node, "depth"))
        for node in ElementTree.fromstring(text.encode()).iter(f"{SVG}g")
        if node.get("data-name")
    ]


def number(node: ElementTree.Element, key: str) -> int:
    return int(node.get(f"data-{key}", ""))


def test_frames_of_one_name_are_joined_under_their_caller_only() -> None:
    main, read, write = Part("main", "user"), Part("vfs_read", "kernel"), Part("vfs_write", "kernel")
    other = Part("main", "kernel")  # another function of the same name
    stacks = {(main, read): 5, (main, write): 3, (main,): 2, (other, read): 7, (write,): 0, (read,): -4}
    assert boxes(flame_graph(stacks, "t", "s")) == [
        ("all", 0, 17, 0),
        ("main", 0, 7, 1),
        ("vfs_read", 0, 7, 2),
        ("main", 7, 10, 1),
        ("vfs_read", 7, 5, 2),
        ("vfs_write", 12, 3, 2),
    ]


def test_what_is_too_thin_is_left_away_and_stays_in_its_callers() -> None:
    stacks: dict[tuple[Part, ...], int] = {(Part("wide", "user"),): 1_000_000, (Part("thin", "user"),): 1}
    assert boxes(flame_graph(stacks, "t", "s")) == [("all", 0, 1_000_001, 0), ("wide", 1, 1_000_000, 1)]


@pytest.mark.parametrize("name", ["<&\">'", "]]>", "\x00\x1b[31m", "\udcff", "tab\there", "é…漢", "a" * 3000])
def test_any_name_can_stand_in_the_file(name: str) -> None:
    text = flame_graph({(Part(name, "user"),): 1}, name, name)
    assert len(boxes(text)) == 2
    panel = Panel(name, HIST, {0: {3: 1}})
    assert ElementTree.fromstring(heat_map([panel], Clock(0, 0.1, 1), name, name).encode()).tag == f"{SVG}svg"


def test_nothing_counted_is_a_picture_that_says_so() -> None:
    assert "no stack was counted" in flame_graph({}, "t", "s")
    assert "no value was counted" in heat_map([], Clock(0, 0.1, 1), "t", "s")


def test_addresses_are_one_frame_and_tracing_itself_is_none() -> None:
    parts = [
        Part("cat", "key"), Part("", "key"), Part("0x7f01", "user"), Part("0x7f02", "user"),
        Part("main", "user"), Part("0x7f03", "user"), Part("vfs_read", "kernel"),
        Part("__traceiter_x", "kernel"),
        Part("bpf_trace_run2", "kernel"), Part("bpf_prog_1_on", "kernel"),
    ]  # fmt: skip
    shown = [part.text for part in pictures._shown(parts)]
    assert shown == ["cat", "[unknown]", "main", "[unknown]", "vfs_read"]


def test_what_adds_up() -> None:
    sums = Record(("count", "total"), (Aggregate("count"), Aggregate("sum")))
    added: list[Type] = [UINT64, Aggregate("count"), Aggregate("stats"), HIST, sums]
    assert all(map(additive, added))
    highest = Record(("max",), (Aggregate("max"),))
    others: list[Type] = [Aggregate("min"), Aggregate("max"), highest, Str(16), Stack("user")]
    assert not any(map(additive, others))


def a_map(key: Any, value: Any) -> Map:
    return Map("at_m", "@m", "percpu_hash", key, value, 16, 8, 64)


def a_plan(item: Map) -> Plan:
    return Plan("stdin", (), (item,), ())


def test_which_maps_are_drawn() -> None:
    deep = Tuple((Str(16), Tuple((Stack("user"), Stack("kernel")))))
    assert pictures.flame_maps(a_plan(a_map(deep, Aggregate("count"))))
    assert not pictures.flame_maps(a_plan(a_map(Str(16), Aggregate("count"))))
    assert not pictures.flame_maps(a_plan(a_map(None, Aggregate("count"))))
    assert pictures.heat_maps(a_plan(a_map(None, HIST)))
    assert not pictures.heat_maps(a_plan(a_map(None, Aggregate("count"))))


class Growing:
    """A map's histogram, as it is at each reading."""

    def __init__(self) -> None:
        self.counts: dict[bytes, dict[int, int]] = {b"": {}}

    def bucket_counts(self, _name: str) -> dict[bytes, dict[int, int]]:
        return {key: dict(counts) for key, counts in self.counts.items()}

    def key_names(self, _name: str, keys: Sequence[bytes]) -> list[str]:
        return [""] * len(keys)


def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: int) -> tuple[HeatPicture, Growing]:
    """Ten values fall into bucket 4 in each tenth of a second; each second the script clears the map."""
    now, growing = [100.0], Growing()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    picture = HeatPicture(Target("--heatmap", str(tmp_path / "x.svg")), a_plan(a_map(None, HIST)), "t", "s")
    picture.begin(growing, None)  # type: ignore[arg-type]
    for tenth in range(seconds * 10):
        counts = growing.counts[b""]
        counts[4] = counts.get(4, 0) + 10
        now[0] = 100 + (tenth + 1) / 10 + 1e-6
        picture.tick()
        if tenth % 10 == 9:
            picture.before_clear("at_m")
            counts.clear()
    picture.end()
    return picture, growing


def test_columns_are_what_was_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    picture, _ = drawn(monkeypatch, tmp_path, 5)
    assert picture._cells == {("at_m", b""): {column: {4: 10} for column in range(50)}}
    assert picture.told.endswith("x.svg: 500 values in 50 columns of 0.1 s")


def test_a_long_run_has_longer_columns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    picture, _ = drawn(monkeypatch, tmp_path, 180)
    (columns,) = picture._cells.values()
    assert 256 < len(columns) <= 512 and picture._step == 0.4
    assert sum(counts[4] for counts in columns.values()) == 18_000
    assert {counts[4] for column, counts in columns.items() if column < len(columns) - 1} <= {30, 40, 50}


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    read, write = os.pipe()
    try:
        Target("--flame", f"/proc/self/fd/{write}").write("a picture")
        assert os.read(read, 100) == b"a picture"
    finally:
        os.close(read)
        os.close(write)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.svg"
    target = Target("--flame", str(file))
    assert os.listdir(tmp_path) == []
    target.write("one")
    assert file.read_text() == "one"
    failing = itertools.repeat(OSError(28, "No space left on device"))
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(next(failing)))
    with pytest.raises(OutputError, match=r"--flame: cannot write '.*x\.svg': No space left"):
        target.write("two")
    assert (file.read_text(), os.listdir(tmp_path)) == ("one", ["x.svg"])
