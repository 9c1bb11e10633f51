"""Functions of C++ by the names of the source, and lines of the source, in a program made for it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from kernel.live import LiveMachine
from tests.conftest import Ebt
from tests.kernel.support import WORK, fresh, lines, running, until

pytestmark = pytest.mark.kernel
HERE = LiveMachine()

PROGRAM = """\
namespace shop {
struct Cart {
  __attribute__((noinline)) int add(int n) { asm volatile(""); return n + 1; }
  __attribute__((noinline)) int add(int n, const char *what) { asm volatile(""); return n + what[0]; }
};
}
static int twice(shop::Cart *cart, int n) {
  int sum = 0;
  for (int i = 0; i < 2; i++)
    sum += cart->add(n);
  return sum;
}
int main() {
  shop::Cart cart;
  volatile int sum = 0;
  for (int i = 0; i < 23; i++)
    sum += cart.add(i);
  for (int i = 0; i < 7; i++)
    sum += cart.add(i, "x");
  sum += twice(&cart, 1);
  return 0;
}
"""


def built(source: Path, text: str, compiler: str, *options: str) -> Path:
    """The program of a source file, which is written beside it."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    source.write_text(text)
    subprocess.run([compiler, *options, "-o", source.stem, source.name], cwd=source.parent, check=True)
    return source.with_suffix("")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program and its source, shop.cpp."""
    return built(tmp_path_factory.mktemp("cpp") / "shop.cpp", PROGRAM, "g++", "-g", "-O0")


def counted(ebt: Ebt, program: Path, points: str) -> list[str]:
    """The probes that were passed and how often, in one run of the program."""
    result = ebt("-q", "-e", f"{points} {{ @[probe] = count(); }}", "-c", str(program))
    assert (result.rc, result.stderr) == (0, ""), result
    return sorted(line.replace(str(program), "shop") for line in lines(result.stdout))


def test_cpp(ebt: Ebt, program: Path) -> None:
    one, two = "cpp:shop::Cart::add(int)", "cpp:shop::Cart::add(int, char const*)"
    for kind in ("uprobe", "uretprobe"):
        every = [f"@[{kind}:shop:{one}]: 25", f"@[{kind}:shop:{two}]: 7"]
        assert counted(ebt, program, f'{kind}:{program}:cpp:"shop::Cart::add"') == every
        assert counted(ebt, program, f'{kind}:{program}:cpp:"shop::*"') == every
        assert counted(ebt, program, f'{kind}:{program}:cpp:"shop::Cart::add(int)"') == every[:1]
        assert counted(ebt, program, f'{kind}:{program}:"shop::Cart::add(int)"') == every[:1]
    result = ebt("-e", f'uprobe:{program}:cpp:"shop::Cart::ad" {{ }}')
    assert result.rc == 1 and "did you mean 'shop::Cart::add(int)'" in result.stderr


def test_lines(ebt: Ebt, program: Path) -> None:
    """A line counts once for each time it is begun; the C++ compiler's tables say where."""
    assert counted(ebt, program, f"uprobe:{program}@shop.cpp:3") == ["@[uprobe:shop@shop.cpp:3]: 25"]
    assert counted(ebt, program, f"uprobe:{program}@shop.cpp:17") == ["@[uprobe:shop@shop.cpp:17]: 23"]
    whole = f"uprobe:{program}@{program.parent}/shop.cpp:19"
    assert counted(ebt, program, whole) == [f"@[{whole.replace(str(program), 'shop')}]: 7"]
    assert counted(ebt, program, f"uprobe:{program}@shop.cpp:8") == ["@[uprobe:shop@shop.cpp:8]: 1"]
    for place, reason in (
        ("shop.cpp:1", "line 1 of shop.cpp has no code; the next that has is 3"),
        ("shop.cpp:99", "line 99 of shop.cpp has no code"),
        ("hop.cpp:3", f"{program} has no code of a source file 'hop.cpp'"),
        ("shop.cpp:3:99", "column 99 of line 3 has no code; there is some at"),
    ):
        result = ebt("-e", f"uprobe:{program}@{place} {{ }}")
        assert result.rc == 1 and reason in result.stderr, result


FORMS = ("-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5", "-gz=zlib", "-gdwarf64")


@pytest.mark.parametrize("flags", FORMS)
def test_forms_of_line_tables(ebt: Ebt, program: Path, flags: str) -> None:
    """Each version of the format, and what the assembler makes of it otherwise."""
    built = program.parent / "form"
    done = subprocess.run(
        ["g++", "-g", flags, "-O0", "-o", built, "shop.cpp"], cwd=program.parent, capture_output=True
    )
    if done.returncode:
        pytest.skip("the compiler cannot")
    result = ebt("-q", "-e", f"uprobe:{built}@shop.cpp:17 {{ @ = count(); }}", "-c", str(built))
    assert lines(result.stdout) == ["@: 23"], result


def test_separate_debug_information(ebt: Ebt, program: Path) -> None:
    """Without line numbers in the file itself, those that its build id names serve."""
    bare = program.parent / "bare"
    subprocess.run(["strip", "--strip-debug", "-o", bare, program], check=True)
    result = ebt("-e", f"uprobe:{bare}@shop.cpp:17 {{ }}")
    assert result.rc == 1 and "has no line numbers: it was built without -g" in result.stderr
    notes = subprocess.run(["readelf", "-n", bare], capture_output=True, text=True, check=True).stdout
    name = notes.partition("Build ID: ")[2].split()[0]
    held = Path("/usr/lib/debug/.build-id") / name[:2] / f"{name[2:]}.debug"
    held.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["objcopy", "--only-keep-debug", program, held], check=True)
        result = ebt("-q", "-e", f"uprobe:{bare}@shop.cpp:17 {{ @ = count(); }}", "-c", str(bare))
    finally:
        held.unlink()
        with suppress(OSError):  # others have theirs there
            os.removedirs(held.parent)
    assert lines(result.stdout) == ["@: 23"], result


def test_every_file_of_a_process(ebt: Ebt) -> None:
    """A wildcard in the program's place is of what the process has mapped."""
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            assert until(lambda: "libc" in Path(f"/proc/{sleeper.pid}/maps").read_text())
            pid = ("-p", str(sleeper.pid))
            found = ebt("explain", "-e", "uprobe:*libc*:clock_nanosleep { @ = count(); }", *pid)
            nothing = ebt("-e", "uprobe:*:no_such_function_there { }", *pid)
        finally:
            sleeper.kill()
    assert found.rc == 0 and "libc" in found.stdout, found
    assert nothing.rc == 1
    assert f"no function of process {sleeper.pid} in '*' matches 'no_such_function_there'" in nothing.stderr


FUNCTIONS = 97


@pytest.fixture(scope="module")
def broad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that calls each of its many functions once, and the first seven times."""
    function = '__attribute__((noinline)) int part{}(int x) {{ asm volatile(""); return x + 1; }}\n'
    calls = "".join(f"sum += part{number}(1);" for number in (*range(FUNCTIONS), *[0] * 6))
    text = "".join(map(function.format, range(FUNCTIONS)))
    text += f"int main() {{ int sum = 0; {calls} return sum == 0; }}\n"
    return built(tmp_path_factory.mktemp("broad") / "broad.c", text, "gcc", "-O1")


@pytest.mark.parametrize("off", ["", "uprobe_multi", "uprobe_multi,perf_link"])
def test_many_places(ebt: Ebt, broad: Path, off: str) -> None:
    """By one link where the kernel has that, or one by one; for every process, or for the command's own."""
    program = f"""
        uprobe:{broad}:part* {{ @in = count(); @from[func] = count(); }}
        uretprobe:{broad}:part* {{ @out = sum(retval); @timed = sum((uint64)(duration > 0)); }}
    """
    options = ["--no-feature", off] if off else []
    result = ebt("-q", *options, "-e", program, "-c", str(broad), timeout=60)
    assert (result.rc, result.stderr) == (0, ""), result
    shown = lines(result.stdout)
    calls = FUNCTIONS + 6
    assert [f"@in: {calls}", f"@out: {2 * calls}", f"@timed: {calls}"] == [
        line for line in shown if "from" not in line
    ]
    assert sorted(int(line.split()[-1]) for line in shown if "from" in line) == [1] * (FUNCTIONS - 1) + [7]


def test_many_places_for_every_process(ebt: Ebt, broad: Path) -> None:
    with running([*ebt.command, "-e", f"uprobe:{broad}:part* {{ @[pid] = count(); }}"]) as tracer:
        tracer.attached()
        found = [subprocess.Popen([broad]) for _ in range(3)]
        assert [process.wait() for process in found] == [0, 0, 0]
        links = [path for path in os.listdir(f"/proc/{tracer.pid}/fd") if is_link(tracer.pid, path)]
        shown = lines(tracer.end(signal.SIGINT).stdout)
    assert sorted(shown) == sorted(f"@[{process.pid}]: {FUNCTIONS + 6}" for process in found)
    assert len(links) == (1 if HERE.supports("uprobe_multi").works else FUNCTIONS)


@pytest.mark.parametrize("many", ["", "-c", "--no-feature=uprobe_multi"])
def test_which_of_many_places(ebt: Ebt, broad: Path, many: str) -> None:
    """A program of many places is told which of them was passed: for a counter, a key and a line of text."""
    program = f"""
        uprobe:{broad}:part* {{ @n[probe] = count(); @t[probe, "x"] = count(); printf("%s\\n", probe); }}
    """
    options = [many] if many.startswith("--") else []
    last = ["-c", str(broad)] if many == "-c" else []
    with running([*ebt.command, *options, "-e", program, *last]) as tracer:
        tracer.wait_for("^Attached", 120)
        if not last:
            subprocess.run([broad], check=True)
        shown = lines(tracer.end(None if last else signal.SIGINT).stdout)
    passed = [f"uprobe:{broad}:part{number}" for number in (*range(FUNCTIONS), *[0] * 6)]
    assert [line for line in shown if line.startswith("uprobe:")] == passed
    counts = Counter(passed).items()
    for kind, key in ("@n", "{}"), ("@t", "{}, x"):
        expected = {f"{kind}[{key.format(place)}]: {count}" for place, count in counts}
        assert {line for line in shown if line.startswith(kind)} == expected


def is_link(pid: int, number: str) -> bool:
    with suppress(FileNotFoundError):
        return "bpf_link" in os.readlink(f"/proc/{pid}/fd/{number}")
    return False


def test_names_of_processes_that_have_ended(ebt: Ebt, tmp_path: Path) -> None:
    """What the command of -c started has ended when its stacks are printed, and they have names."""
    name = fresh()
    file = tmp_path / "run.sh"
    file.write_text(f"for n in 1 2; do {sys.executable} -I {WORK} name={name} kill=23; done\n")
    script = f'tracepoint:syscalls:sys_enter_kill /comm == "{name}"/ {{ @[ustack(1)] = count(); }}'
    out = ebt("-q", "-e", script, "-c", f"sh {file}").stdout
    assert re.findall(r"@\[\n +(\w+)\+\d+\n\]: (\d+)\n", out) == [("kill", "23")] * 2, out
