"""--flame and --heatmap: what is counted is in the file, a browser finds it and zooms to it; refusals."""

import os
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.browser import Browser, browser
from tests.conftest import Ebt
from tests.kernel.support import fresh, running, until, work, working

pytestmark = pytest.mark.kernel
ESCAPE = "\ue00c"  # as WebDriver has it
SVG = "{http://www.w3.org/2000/svg}"
COUNTS = """
    tracepoint:syscalls:sys_enter_read /comm == "%s"/ { @[comm, probe, ustack, kstack] = count(); }
    tracepoint:syscalls:sys_enter_write /comm == "%s"/ { @[comm, probe, ustack, kstack] = count(); }"""
SIZES = """
    tracepoint:syscalls:sys_enter_read /comm == "%s"/ { @bytes[comm] = hist(args.count); }
    interval:ms:300 { print(@bytes); clear(@bytes); }"""


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as there:
        yield there


def frames(file: Path) -> dict[str, tuple[int, str]]:
    """Name → amount and kind of each frame; of frames of one name the last."""
    root = ElementTree.parse(file).getroot()
    return {
        node.get("data-name", ""): (int(node.get("data-amount", "")), node.get("class", ""))
        for node in root.iter(f"{SVG}g")
        if node.get("data-amount")
    }


def counted(ebt: Ebt, folder: Path, *steps: str, more: str = "") -> tuple[Path, str]:
    """A flame graph of a workload's reads and writes, and the workload's comm."""
    name, file = fresh(), folder / "flame.svg"
    program = COUNTS % (name, name) + more
    result = ebt("-e", program, "-c", " ".join(work(f"name={name}", *steps)), "--flame", file)
    assert result.rc == 0, result
    return file, name


def test_flame_graph_in_a_browser(ebt: Ebt, tmp_path: Path, window: Browser) -> None:
    file, name = counted(ebt, tmp_path, "read=64:23", "write=64:17")
    there = frames(file)
    reads, writes = (f"tracepoint:syscalls:sys_enter_{call}" for call in ("read", "write"))
    assert (there["all"], there[name]) == ((40, "key"), (40, "key"))
    assert (there[reads], there[writes]) == ((23, "key"), (17, "key"))
    assert there["do_syscall_64"][1] == "kernel"
    assert [space for _, space in there.values()].count("user") >= 1

    window.open(file)
    shown = "return frames.filter(f => f.node.style.display !== 'none').length"
    label = "return document.getElementById('told').textContent"
    many = window.run(shown)
    assert many == len(ElementTree.parse(file).getroot().findall(f".//{SVG}g[@data-amount]"))
    window.keys("/SYS_enter_re")
    assert window.run(label) == "found: 0 of 40, 0 %"
    window.keys(ESCAPE + "/")
    assert window.run(label) == ""
    window.keys("sys_enter_re(ad|cv)$")
    assert window.run(label) == "found: 23 of 40, 57.5 %"
    assert window.run("return document.querySelectorAll('#frames g.found').length") == 1

    window.click(window.find(f"//*[@data-name='{reads}']"))
    assert window.run(label) == "found: 23 of 23, 100 %"
    assert 0 < window.run(shown) < many
    assert window.run("return zoomed.box.getBBox().width") > 1100
    window.run("zoomed.node.dispatchEvent(new MouseEvent('mousemove'))")
    tip = window.run("return [...document.querySelectorAll('#tip text')].map(t => t.textContent)")
    assert tip == [reads, "23 of 40, 57.5 %, 100 % of what is shown"]
    window.click(window.find("//*[local-name()='button']"))
    assert (window.run(shown), window.run(label)) == (many, "found: 23 of 40, 57.5 %")

    for width in (1600, 640):
        window.size(width, 500)
        assert until(lambda: window.run("return document.getElementById('frames').getBBox().width") < width)  # noqa: B023
        assert window.run("return document.getElementById('frames').getBBox().width") > width * 0.85
    assert window.faults() == []


def test_flame_graph_keeps_what_is_cleared(ebt: Ebt, tmp_path: Path) -> None:
    more = "interval:ms:200 { clear(@); }"
    steps = ["read=64:10", "sleep=0.5", "read=64:13", "sleep=0.5", "write=64:5"]
    there = frames(counted(ebt, tmp_path, *steps, more=more)[0])
    assert there["tracepoint:syscalls:sys_enter_read"][0] == 23
    assert there["all"][0] == 28


def test_flame_graph_of_a_tool(ebt: Ebt, tmp_path: Path) -> None:
    """The form for flame graphs is chosen, and not printed; with -f it is printed too."""
    for flags, printed in (((), False), (("-f",), True)):
        name, file = fresh(), tmp_path / f"{printed}.svg"
        with working(f"name={name}", "wait", "toupper=7:23", "wait") as load:
            load.wait_for("ready")
            words = ["stackcount", "-U", "-P", "-p", str(load.pid), *flags, "--flame", str(file), "c:toupper"]
            with running([*ebt.command, *words]) as run:
                run.attached()
                load.tell()
                load.wait_for("ready\nready")
                result = run.end(signal.SIGINT)
        assert (result.rc, f"{file}: 23 in " in result.stderr) == (0, True), result
        there = frames(file)
        assert (there[name], there["toupper"]) == ((23, "key"), (23, "user"))
        assert any(line.startswith(f"{name};") for line in result.stdout.splitlines()) == printed


def test_names_of_a_process_that_has_ended(ebt: Ebt, tmp_path: Path) -> None:
    name, file = fresh(), tmp_path / "f.svg"
    command = " ".join(work(f"name={name}", "toupper=7:23", "sleep=2"))
    result = ebt("-q", "stackcount", "-U", "-P", "--flame", file, "--cmd", command, "c:toupper")
    assert (result.rc, result.stderr) == (0, ""), result
    there = frames(file)
    assert (there[name], there["toupper"]) == ((23, "key"), (23, "user"))


@pytest.mark.parametrize("tool", ["profile", "offcputime", "stackcount", "biostacks", "klockstat"])
def test_every_tool_of_stacks(ebt: Ebt, tmp_path: Path, tool: str) -> None:
    file = tmp_path / "f.svg"
    words = ["t:sched:sched_switch"] if tool == "stackcount" else []
    result = ebt("-q", "-c", "sleep 1", tool, "--flame", file, *words)
    assert (result.rc, result.stderr) == (0, ""), result
    assert "all" in frames(file)


def test_heat_map_in_a_browser(ebt: Ebt, tmp_path: Path, window: Browser) -> None:
    """Reads of two sizes a second apart: each in its row, and in columns of their times."""
    name, file = fresh(), tmp_path / "heat.svg"
    command = " ".join(work(f"name={name}", "read=512:23", "sleep=1", "read=4096:17", "sleep=0.2"))
    result = ebt("-e", SIZES % name, "-c", command, "--heatmap", file)
    assert result.rc == 0, result
    assert re.search(r"heat\.svg: 40 values in \d+ columns of 0\.1 s$", result.stderr, re.MULTILINE), result
    window.size(1280, 800)
    window.open(file)
    assert window.run("return heats.length") == 1
    title, rows = window.run("return [heats[0].name, heats[0].rows]")
    cells = window.run("return JSON.parse(heats[0].node.dataset.cells).cells")
    assert title == f"@bytes[{name}]"
    assert (rows[0], rows[-1]) == ("[4K, 8K)", "[512, 1K)")
    small = {column: count for column, row, count in cells if rows[row] == "[512, 1K)"}
    large = {column: count for column, row, count in cells if rows[row] == "[4K, 8K)"}
    assert (sum(small.values()), sum(large.values()), len(cells)) == (23, 17, len(small) + len(large))
    assert min(large) - max(small) >= 8, cells

    box = window.run("return heats[0].plot.getBoundingClientRect().toJSON()")
    left, top, width, height = (int(box[side]) for side in ("left", "top", "width", "height"))
    columns = window.run("return TIMES.columns")
    x = left + int((max(small) + 0.5) * width / columns)
    window.mouse(("move", x, top + height - 3))
    tip = window.run("return document.querySelector('#tip text').textContent")
    assert tip == f"[512, 1K): {small[max(small)]}"

    half = left + int((max(small) + 4) * width / columns)
    window.mouse(("move", half, top + 5), ("down", 0, 0), ("move", left + width - 2, top + 5), ("up", 0, 0))
    begin, end = window.run("return [from, to]")
    assert max(small) < begin < min(large) < end <= columns
    assert window.run("return heats[0].cells.getAttribute('viewBox')").split()[0] == str(begin)
    window.click(window.find("//*[local-name()='button']"))
    assert window.run("return [from, to]") == [0, columns]
    window.keys("/" + name)
    assert window.run("return document.getElementById('told').textContent") == "found: 1 of 1"
    assert window.faults() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-e", "begin { @a = count(); }", "--flame", "FILE"), "--flame: the script has no map of stacks"),
        (("-e", "begin { @[kstack] = max(1); }", "--flame", "FILE"), "--flame: the script has no map of"),
        (("-e", "begin { @a = count(); }", "--heatmap", "FILE"), "--heatmap: the script has no histogram"),
        (("opensnoop", "--flame", "FILE"), "--flame: the script has no map of stacks"),
        (("profile", "--flame", "/no/such/folder/x.svg"), "--flame: cannot write '/no/such/folder/x.svg'"),
        (("runqlat", "--heatmap", "/proc/x.svg"), "--heatmap: cannot write '/proc/x.svg'"),
        (("profile", "--flame", "/"), "--flame: cannot write '/': Is a directory"),
        (("profile", "--flame="), "--flame takes the name of a file"),
        (("check", "opensnoop", "--heatmap", "FILE"), "--heatmap: the script has no histogram"),
    ],
)
def test_refused_before_attaching(ebt: Ebt, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    file = tmp_path / "x.svg"
    result = ebt(*(str(file) if word == "FILE" else word for word in words))
    assert (result.rc, result.stdout) == (1, ""), result
    assert message in result.stderr
    assert "Attached" not in result.stderr
    assert os.listdir(tmp_path) == []


def test_the_file_is_replaced_as_a_whole(ebt: Ebt, tmp_path: Path) -> None:
    """Also through a link, with the mode that it had; nothing is left beside it."""
    file, link = tmp_path / "a.svg", tmp_path / "link.svg"
    file.write_text("before")
    file.chmod(0o640)
    link.symlink_to(file)
    program = "interval:s:100 { @[kstack] = count(); }"
    with running([*ebt.command, "-e", program, "--flame", str(link)]) as run:
        run.attached()
        assert file.read_text() == "before"
        result = run.end(signal.SIGINT)
    assert (result.rc, "link.svg: 0 in 0 stacks" in result.stderr) == (0, True), result
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["a.svg", "link.svg"]
    assert ElementTree.parse(file).getroot().tag == f"{SVG}svg"
