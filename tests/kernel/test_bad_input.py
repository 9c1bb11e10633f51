"""Mistakes on the running kernel: one diagnostic, the right exit code, no traceback, nothing left."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from kernel.live import LiveMachine
from tests.conftest import PATIENCE, Ebt, Result
from tests.kernel.support import fresh, gone, running, until

pytestmark = pytest.mark.kernel

# the script → what the message must say, what its hint must say, what is underlined
WRONG = {
    "tracepoint:syscalls:sys_enter_opennat { @ = count(); }": (
        "sys_enter_opennat", "sys_enter_openat", "tracepoint:syscalls:sys_enter_opennat",
    ),
    "tracepoint:sycalls:sys_enter_open { @ = 1; }": ("sycalls", "", "tracepoint:sycalls:sys_enter_open"),
    "tracepoint:nothing:like_* { @ = count(); }": ("nothing:like_*", "", "tracepoint:nothing:like_*"),
    "tracepont:syscalls:sys_enter_openat { @ = count(); }": ("tracepont", "tracepoint", "tracepont"),
    "tracepoint:syscalls { @ = count(); }": ("tracepoint", "", "tracepoint:syscalls"),
    "tracepoint:syscalls:sys_enter_openat { print(args.filenam); }": ("filenam", "filename", "filenam"),
    "tracepoint:syscalls:sys_enter_openat { print(comn); }": ("comn", "comm", "comn"),
    "tracepoint:syscalls:sys_enter_openat { print(retval); }": ("retval", "", "retval"),
    "tracepoint:syscalls:sys_enter_openat { print(arg0); }": ("arg0", "", "arg0"),
    "tracepoint:syscalls:sys_enter_openat { print(curtask.pidd); }": ("pidd", "pid", "pidd"),
    "tracepoint:syscalls:sys_enter_openat { prinf(1); }": ("prinf", "printf", "prinf(1)"),
    "begin { print(@x); }": ("@x", "", "@x"),
    "begin { @count = 1; print(@coun); }": ("@coun", "@count", "@coun"),
    "begin { print($x); }": ("$x", "", "$x"),
    'begin { @x = 1; @x = "a"; }': ("@x", "", ""),
    'begin { @x[1] = 1; @x["a"] = 1; }': ("@x", "", ""),
    "begin { @x = 1; @x[1] = 1; }": ("@x", "", ""),
    "begin { @x = 1; @x = count(); }": ("@x", "", ""),
    'begin { print(1 + "a"); }': ("string", "", ""),
    'begin { printf("%d %d\\n", 1); }': ("not enough arguments", "", ""),
    'begin { printf("%d\\n", "a"); }': ("unsupported format specifier", "", ""),
    'begin { if ("a") { print(1); } }': ("condition", "", '("a")'),
    "rawtracepoint:sched_swich { @ = 1; }": ("sched_swich", "sched_switch", "rawtracepoint:sched_swich"),
    "uprobe:libc:touper { @ = count(); }": ("touper", "toupper", "uprobe:libc:touper"),
    "uprobe:/no/such/file:f { @ = count(); }": ("/no/such/file", "", "uprobe:/no/such/file:f"),
    "uprobe:libc { @ = count(); }": ("uprobe", "", "uprobe:libc"),
    "profile:hz:0 { @ = count(); }": ("0", "", "profile:hz:0"),
    "profile:often:9 { @ = count(); }": ("profile", "", "profile:often:9"),
    "interval:us { @ = count(); }": ("interval", "", "interval:us"),
    "software:page-fault:1 { @ = count(); }": ("page-fault", "page-faults", "software:page-fault:1"),
    "kprobe:vfs_read { @ = count(); }": ("kprobe", "tracepoint", "kprobe:vfs_read"),
    "kretprobe:vfs_read { @ = count(); }": ("kretprobe", "", "kretprobe:vfs_read"),
    "fentry:vfs_read { @ = count(); }": ("fentry", "", "fentry:vfs_read"),
    "fexit:vfs_read { @ = count(); }": ("fexit", "", "fexit:vfs_read"),
    "config = { max_map_key = 3 } begin { @ = 1; }": ("max_map_key", "max_map_keys", "max_map_key = 3"),
    "begin { @x = hist(1); @y = @x; }": ("hist", "", ""),
    "begin { @ = lhist(1, 9, 2, 1); }": ("lhist", "", ""),
    "begin { unroll(1000) { print(1); } }": ("unroll", "", ""),
    "begin { @ = ; }": ("", "", ""),
    "begin { print(1) print(2) }": ("", "", ""),
    "begin { print(1);": ("", "", ""),
    "begin": ("", "", ""),
    "": ("", "", ""),
    "// only a comment": ("", "", ""),
}  # fmt: skip


def one_diagnostic(result: Result, rc: int = 1) -> list[str]:
    """The lines of the only message of a failed run."""
    assert result.rc == rc and result.stdout == "", result
    text = result.stderr
    assert "Traceback" not in text and "internal" not in text and len(re.findall(r"error:", text)) == 1, (
        result
    )
    return text.splitlines()


@pytest.mark.parametrize("program", WRONG)
def test_wrong_scripts(ebt: Ebt, program: str) -> None:
    said, hinted, underlined = WRONG[program]
    kind = program.split(":")[0]
    feature = {"kretprobe": "kprobe", "fexit": "fentry"}.get(kind, kind)
    if feature in ("kprobe", "fentry") and LiveMachine().supports(feature).works:
        pytest.skip(f"this kernel has {kind}")
    head, line, marks, *rest = one_diagnostic(ebt("-e", program))
    found = re.fullmatch(r"stdin:(\d+):(\d+): error: (.+)", head)
    assert found and said in found[3], head
    column = int(found[2])
    # the line is shown, and its wrong part is underlined (a long line is cut)
    start = re.fullmatch(r"( *)\^(~*)", marks)
    assert start, marks
    if underlined:
        assert program[column - 1 :].startswith(underlined)
        assert line[len(start[1]) :][: len(start[2]) + 1] == underlined[: len(start[2]) + 1]
    if hinted:
        assert rest and rest[0].startswith("hint: ") and hinted in rest[0], rest


def test_the_reason_why_a_kernel_has_no_kprobes(ebt: Ebt) -> None:
    if LiveMachine().supports("kprobe").works:
        pytest.skip("this kernel has kprobes")
    head, *_, hint = one_diagnostic(ebt("-e", "kprobe:do_sys_openat2 { @ = count(); }"))
    assert "CONFIG_KPROBE" in head and re.search(r"tracepoint:syscalls:sys_enter_openat2?\b", hint), (
        head,
        hint,
    )


def test_several_mistakes(ebt: Ebt) -> None:
    """Each is told once, in the order of the text."""
    program = (
        "begin { print(comn); print(@x); }\ntracepoint:syscalls:sys_enter_openat { print(args.filenam); }"
    )
    result = ebt("-e", program)
    heads = [line for line in result.stderr.splitlines() if line.startswith("stdin:")]
    assert result.rc == 1 and [head.split(":")[1] for head in heads] == ["1", "1", "2"], result


def test_a_mistake_in_one_of_many_probes_attaches_none(ebt: Ebt) -> None:
    name = fresh("m")
    program = f"""
        begin {{ print("never"); @{name} = 1; }}
        tracepoint:syscalls:sys_enter_openat {{ @{name} = 1; }}
        tracepoint:syscalls:sys_enter_opennat {{ @{name} = 1; }}
    """
    one_diagnostic(ebt("-e", program))
    assert gone(name)


def test_missing_probes_may_be_allowed(ebt: Ebt) -> None:
    program = """
        config = { missing_probes = "warn" }
        tracepoint:syscalls:no_such_call, interval:ms:10 { print("there"); exit(); }
    """
    result = ebt("-q", "-e", program)
    assert (result.rc, result.stdout.split()) == (0, ["there"]) and "warning" in result.stderr
    assert "no_such_call" in result.stderr
    quiet = ebt("-q", "-e", program.replace('"warn"', '"ignore"'))
    assert (quiet.rc, quiet.stderr) == (0, "")


def test_a_program_that_gets_too_long(ebt: Ebt) -> None:
    program = "begin { unroll(100) { unroll(100) { unroll(100) { @n[rand, comm] = nsecs; } } } }"
    head, *_ = one_diagnostic(ebt("-e", program, timeout=10))
    assert re.match(r"stdin:1:\d+: error: the program is too long", head)


# --- files ---


def test_files_that_cannot_be_read(ebt: Ebt, tmp_path: Path) -> None:
    assert one_diagnostic(ebt(tmp_path / "none.ebt")) == [
        f"ebt: error: cannot read '{tmp_path}/none.ebt': No such file or directory"
    ]
    assert one_diagnostic(ebt(tmp_path)) == [f"ebt: error: cannot read '{tmp_path}': Is a directory"]
    assert one_diagnostic(ebt(tmp_path / "a" / "b")) != []


def test_binary_rubbish(ebt: Ebt, tmp_path: Path) -> None:
    file = tmp_path / "rubbish.ebt"
    for data in (
        os.urandom(4096),
        bytes(5000),
        Path("/bin/true").read_bytes()[:100_000],
        b"\xff\xfe",
        b"begin {\0}",
    ):
        file.write_bytes(data)
        result = ebt(file, timeout=5)
        assert result.rc == 1 and "Traceback" not in result.stderr and "error:" in result.stderr, (
            data[:20],
            result,
        )


def test_a_file_is_named_in_its_diagnostics(ebt: Ebt, tmp_path: Path) -> None:
    file = tmp_path / "wrong.ebt"
    file.write_text("#!/usr/bin/env ebt\n// a comment\nbegin {\n\tprint(comn);\n}\n")
    head, line, marks, *_ = one_diagnostic(ebt(file))
    assert head.startswith(f"{file}:4:8: error: ")
    assert line[marks.index("^") :].startswith("comn")


def test_output_that_cannot_be_written(ebt: Ebt, tmp_path: Path) -> None:
    name = fresh("m")
    program = f"tracepoint:syscalls:sys_enter_openat {{ @{name} = count(); }}"
    for place in (tmp_path, tmp_path / "none" / "file"):
        (line,) = one_diagnostic(ebt("-e", program, "-o", place))
        assert line.startswith(f"ebt: error: -o: cannot write '{place}'")
    assert gone(name)


# --- options ---

OPTIONS: dict[str, tuple[list[str], str]] = {
    "a dead process": (["-p", "4194303", "-e", "begin { exit(); }"], "no process 4194303"),
    "no number": (["-p", "x", "-e", "begin { exit(); }"], "-p"),
    "zero": (["-p", "0", "-e", "begin { exit(); }"], "-p"),
    "a process and a command": (["-p", "1", "-c", "true", "-e", "begin { exit(); }"], "-c and -p"),
    "no such command": (["-c", "/no/such/command", "-e", "begin { exit(); }"], "/no/such/command"),
    "an empty command": (["-c", " ", "-e", "begin { exit(); }"], "-c"),
    "no script": ([], "no script"),
    "an unknown option": (["--nonsense", "-e", "begin { exit(); }"], "nonsense"),
    "a format": (["-f", "xml", "-e", "begin { exit(); }"], "xml"),
    "a stage": (["-d", "none", "-e", "begin { exit(); }"], "none"),
    "two programs": (["-e", "begin { exit(); }", "-e", "begin { exit(); }"], "-e"),
}


@pytest.mark.parametrize("which", OPTIONS)
def test_wrong_options(ebt: Ebt, which: str) -> None:
    words, said = OPTIONS[which]
    (line,) = one_diagnostic(ebt(*words))
    assert line.startswith("ebt: error: ") and said in line


def test_a_process_that_has_just_died(ebt: Ebt) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    (line,) = one_diagnostic(ebt("-p", str(process.pid), "-e", "begin { exit(); }"))
    assert str(process.pid) in line


# --- no root ---


def as_nobody(ebt: Ebt, *words: str) -> Result:
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv(1)")
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *ebt.command, *words]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30 * PATIENCE,
            cwd="/",
            env={**os.environ, "HOME": "/nonexistent"},
        )
    except PermissionError:
        pytest.skip("this checkout cannot be read by others")
    if "Permission denied" in done.stderr and "setpriv" in done.stderr:
        pytest.skip("this checkout cannot be read by others")
    return Result(done.stdout, done.stderr, done.returncode)


def test_without_root(ebt: Ebt) -> None:
    (line,) = one_diagnostic(as_nobody(ebt, "-e", "tracepoint:syscalls:sys_enter_openat { @ = count(); }"))
    assert re.match(r"ebt: error: .*root", line)


def test_compiling_without_root(ebt: Ebt) -> None:
    result = as_nobody(ebt, "compile", "-e", "begin { print(comm); @ = count(); }")
    assert (result.rc, result.stderr) == (0, "") and "bpf_get_current_comm" in result.stdout
    again = as_nobody(ebt, "compile", "-e", "begin { print(comm); @ = count(); }")
    assert again.stdout == result.stdout


def test_a_file_for_root_only(ebt: Ebt, tmp_path: Path) -> None:
    file = tmp_path / "secret.ebt"
    file.write_text("begin { exit(); }")
    file.chmod(0o600)
    (line,) = one_diagnostic(as_nobody(ebt, "compile", str(file)))
    assert "Permission denied" in line


# --- a crowded run ---


def test_the_second_of_two_is_wrong(ebt: Ebt) -> None:
    """A run that fails leaves another one alone."""
    name = fresh("m")
    with running([*ebt.command, "-e", f"interval:ms:20 {{ @{name} = count(); }}"]) as run:
        run.attached()
        one_diagnostic(ebt("-e", "tracepoint:syscalls:sys_enter_opennat { @ = count(); }"))
        result = run.end(signal.SIGINT)
    assert result.rc == 0 and re.fullmatch(rf"\n\n@{name}: \d+\n", result.stdout)
    assert until(lambda: gone(name))


# --- descriptors ---

CLOSED = [">&-", "<&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"]


@pytest.mark.parametrize("how", CLOSED)
def test_closed_or_full_descriptors(ebt: Ebt, tmp_path: Path, how: str) -> None:
    """No traceback, no file that takes a closed descriptor's place, the code that is right."""
    told = tmp_path / "told"
    for words in (["list"], ["--help"], ["-q", "-e", 'begin { printf("x"); exit(); }', "-o", "/dev/stdout"]):
        told.write_bytes(b"")
        redirected = how if "2>&-" in how else f"{how} 2>{told}"
        shell = Ebt(["sh", "-c", f"exec {shlex.join([*ebt.command, *words])} {redirected}"])
        result = shell()
        message = told.read_text()
        if how == ">/dev/full":
            assert result.rc == 1 and re.fullmatch(r"ebt: error: .*No space left on device\n", message), words
        else:
            assert (result.rc, message) == (0, ""), (words, result)


def test_in_a_folder_that_was_removed(ebt: Ebt, tmp_path: Path) -> None:
    """It needs no folder; what is named from there is not there."""
    folder = tmp_path / "removed"
    program = "begin { print(23); exit(); } uprobe:libc:puts {}"
    script = shlex.join([*ebt.command, "-q", "-e", program])
    wrong = shlex.join([*ebt.command, "-e", "uprobe:./program:main {}"])
    folder.mkdir()
    done = subprocess.run(
        ["sh", "-c", f'rmdir "$PWD"; {script} && {script}; {wrong}'],
        cwd=folder, capture_output=True, text=True, timeout=60 * PATIENCE, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.returncode) == (["23", "23"], 1)
    assert "no program or library './program' is found" in done.stderr
    assert "Traceback" not in done.stderr
