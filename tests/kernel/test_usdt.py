"""Static probes of user programs: semaphores, arguments by size, several places of one name, listing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import fresh, lines, running

pytestmark = pytest.mark.kernel

# what <sys/sdt.h> would make of DTRACE_PROBE: a nop, and a note; `tick` stands at two places
PROGRAM = """
#include <unistd.h>
#include <sys/prctl.h>
__attribute__((section(".probes"))) volatile unsigned short app_tick_semaphore;
volatile int global = 41;
#define PROBE(name, semaphore, text, ...) __asm__ volatile( \\
  "990: nop\\n.pushsection .note.stapsdt,\\"\\",\\"note\\"\\n.balign 4\\n" \\
  ".4byte 992f-991f, 994f-993f, 3\\n991: .asciz \\"stapsdt\\"\\n992: .balign 4\\n" \\
  "993: .8byte 990b\\n.8byte _.stapsdt.base\\n.8byte " semaphore "\\n" \\
  ".asciz \\"app\\"\\n.asciz \\"" name "\\"\\n.asciz \\"" text "\\"\\n994: .balign 4\\n.popsection\\n" \\
  ".ifndef _.stapsdt.base\\n.pushsection .stapsdt.base,\\"aG\\",\\"progbits\\",.stapsdt.base,comdat\\n" \\
  ".weak _.stapsdt.base\\n.hidden _.stapsdt.base\\n_.stapsdt.base: .space 1\\n" \\
  ".size _.stapsdt.base,1\\n.popsection\\n.endif\\n" :: __VA_ARGS__)
int main(int argc, char **argv) {
  prctl(PR_SET_NAME, argv[1]);
  if (argc > 2) read(0, argv[2], 1);
  for (long i = 0; i < 10; i++) {
    PROBE("loop", "0", "8@%0 -4@%1 1@%2 4@%3 -2@%4", "r"(i), "r"((int)-i), "r"((char)(i + 250)), "m"(global),
          "i"(-7));
    if (app_tick_semaphore) PROBE("tick", "app_tick_semaphore", "8@%0", "r"(i));
    if (app_tick_semaphore && i % 2) PROBE("tick", "app_tick_semaphore", "-4@%0", "r"((int)-i));
  }
  return app_tick_semaphore;
}
"""


def compiled_probes(app: Path) -> None:
    """The program at this place; skips where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-O1", "-o", app, "-x", "c", "-"], input=PROGRAM, text=True, check=True)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    app = tmp_path_factory.mktemp("usdt") / "app"
    compiled_probes(app)
    return app


def test_arguments(ebt: Ebt, program: Path) -> None:
    """In registers, in memory, constants; each of its size and sign."""
    name = fresh()
    script = f"""usdt:{program}:app:loop /comm == "{name}"/ {{
        @wide = sum(arg0); @negative = sum(arg1); @small = max(arg2); @global[arg3, arg4] = count(); }}"""
    result = ebt("-q", "-e", script, "-c", f"{program} {name}")
    assert (result.rc, result.stderr) == (0, ""), result
    assert lines(result.stdout) == ["@global[41, -7]: 10", "@negative: -45", "@small: 255", "@wide: 45"]


def test_a_semaphore_and_two_places(ebt: Ebt, program: Path) -> None:
    """The program looks at its counter: it counts the places, and is back at 0 when we are gone."""
    name = fresh()
    script = f'usdt:{program}:tick /comm == "{name}"/ {{ @[probe] = count(); @sum = sum(arg0); }}'
    result = ebt("-q", "-e", script, "-c", f"{program} {name}")
    assert (result.rc, result.stderr) == (0, ""), result
    assert lines(result.stdout) == [f"@[usdt:{program}:app:tick]: 15", "@sum: 20"]
    assert subprocess.run([program, name]).returncode == 0


def test_wildcards_and_a_process(ebt: Ebt, program: Path) -> None:
    result = ebt("-q", "-e", f"usdt:{program}:*:* {{ @[probe] = count(); }}", "-c", f"{program} x")
    assert (result.rc, result.stderr) == (0, ""), result
    assert sorted(lines(result.stdout)) == [
        f"@[usdt:{program}:app:loop]: 10", f"@[usdt:{program}:app:tick]: 15",
    ]  # fmt: skip


def test_one_process(ebt: Ebt, program: Path) -> None:
    """-p: found in what the process has mapped, and told of it alone."""
    name = fresh()
    script = "usdt:*app:tick { @ = count(); }"
    with (
        running([str(program), name, "wait"]) as traced,
        running([str(program), name, "wait"]) as other,
        running([*ebt.command, "-e", script, "-p", str(traced.pid)]) as run,
    ):
        run.attached()
        other.tell()
        assert other.end().rc == 0  # its counter was not raised
        traced.tell()
        result = run.end()
    assert lines(result.stdout) == ["@: 15"] and result.rc == 0, result


def test_listing(ebt: Ebt, program: Path) -> None:
    assert lines(ebt("-l", f"usdt:{program}:*").stdout) == [
        f"usdt:{program}:app:loop", f"usdt:{program}:app:tick",
    ]  # fmt: skip
    listed = lines(ebt("-lv", f"usdt:{program}:app:loop").stdout)
    assert [line.strip() for line in listed[1:]] == [
        "uint64 arg0", "int32 arg1", "uint8 arg2", "uint32 arg3", "int16 arg4",
    ]  # fmt: skip


def test_mistakes(ebt: Ebt, program: Path) -> None:
    for script, message in (
        (f"usdt:{program}:app:lopo {{ }}", "did you mean 'loop'"),
        (f"usdt:{program}:app:loop {{ print(arg5); }}", "has 5 arguments: there is no arg5"),
        (f"usdt:{program}:app:loop {{ print(retval); }}", "retval builtin can only be used with"),
        ("usdt:/bin/ls:x { }", "has no static probes"),
        ("usdt:/no/such:x { }", "no program or library '/no/such' is found"),
        ("usdt:*:x { }", "give its id: -p PID"),
        ("usdt:x { }", "a usdt probe is written usdt:BINARY:[PROVIDER:]NAME"),
    ):
        result = ebt("compile", "-e", script)
        assert result.rc == 1 and message in result.stderr, result


def listed(ebt: Ebt, *words: str) -> list[str]:
    result = ebt("tplist", *words)
    assert (result.rc, result.stderr) == (0, ""), result
    return result.stdout.splitlines()


def test_tplist_of_a_binary(ebt: Ebt, program: Path) -> None:
    path = str(program)
    assert listed(ebt, "-l", path) == [f"{path} app:loop", f"{path} app:tick"]
    assert listed(ebt, "-l", path, "*:loop") == [f"{path} app:loop"]
    assert listed(ebt, "-v", "-l", path, "app:loop") == [
        "app:loop [sema 0x0]",
        "  1 location(s)",
        "  5 argument(s)",
    ]
    tick = listed(ebt, "-vv", "-l", path, "*:tick")
    assert re.fullmatch(r"app:tick \[sema 0x[0-9a-f]+\]", tick[0]) and "0x0]" not in tick[0]
    assert [line.split(" 0x")[0] for line in tick if "location" in line] == [
        f"  location #1 {path}",
        f"  location #2 {path}",
    ]
    assert re.fullmatch(r"    argument #1 8 unsigned bytes @ \w+", tick[2]), tick
    assert re.fullmatch(r"    argument #1 4 signed   bytes @ \w+", tick[4]), tick


def test_tplist_of_a_process(ebt: Ebt, program: Path) -> None:
    with running([str(program), fresh(), "x"]) as app:
        found = listed(ebt, "-p", str(app.pid))
        assert [line for line in found if line.startswith(str(program))] == [
            f"{program} app:loop",
            f"{program} app:tick",
        ]
        assert listed(ebt, "-p", str(app.pid), "-l", str(program), "*tick") == [f"{program} app:tick"]


def test_tplist_of_the_kernel(ebt: Ebt) -> None:
    assert listed(ebt, "-v", "syscalls:sys_enter_openat") == [
        "syscalls:sys_enter_openat",
        "    int __syscall_nr;",
        "    int dfd;",
        "    const char * filename;",
        "    int flags;",
        "    umode_t mode;",
    ]
    assert set(listed(ebt, "sched:*_process_e*")) == {"sched:sched_process_exec", "sched:sched_process_exit"}


@pytest.mark.parametrize(
    "words", [("-v", "*"), ("-vv", "-l", "APP"), ("-v", "-l", "APP"), ("-l", "APP", "*k")]
)
def test_tplist_beside_bcc(ebt: Ebt, program: Path, words: tuple[str, ...]) -> None:
    """The same lines as BCC's tplist; what it lists of ftrace's own has no probe."""
    peer = shutil.which("tplist-bpfcc")
    if peer is None:
        pytest.skip("BCC's tplist is not installed (Debian: bpfcc-tools)")
    words = tuple(str(program) if word == "APP" else word for word in words)
    script = 'mount -t debugfs d /sys/kernel/debug; exec "$0" "$@"'
    theirs = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, peer, *words], capture_output=True, text=True, check=True
    ).stdout
    assert entries(theirs) == entries("\n".join(listed(ebt, *words)))


def entries(text: str) -> set[str]:
    """Each probe with the lines under it; BCC gives up where a place is told by the name of a variable."""
    text = re.sub(r"@ (unrecognized argument format, flags 14|\*\(ip .*)", "@ a variable", text)
    found = re.split(r"\n(?! )", text.strip("\n"))
    return {entry for entry in found if not entry.startswith("ftrace:")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-p", "4194303"), "-p: there is no process 4194303"),
        (("-p", "x"), "-p: there is no process x"),
        (("-l", "no_such_library"), "-l: there is no program or library 'no_such_library'"),
        (("none:such",), "no probe matches 'none:such'"),
        (("a", "b"), "one filter can be given, not 'b' too"),
        (("-z",), "option -z not recognized; see ebt tplist --help"),
    ],
)
def test_tplist_refuses(ebt: Ebt, words: tuple[str, ...], message: str) -> None:
    result = ebt("tplist", *words)
    assert (result.rc, result.stdout, result.stderr) == (1, "", f"ebt: error: tplist: {message}\n"), result
