"""What ebt adds to bpftrace's language, on the running kernel, by what is printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.conftest import Ebt

pytestmark = pytest.mark.kernel

OPTIONS = """
option pid: uint32 = 0 "-p" "trace this process only";
option count: uint64 = 1 "COUNT";
option all: bool "-a" "--all";
option unit: enum("us", "ms") = "ms" "-u";
option every: duration = 10ms "-i" "how often";
begin {
    printf("%d %d %d %s\\n", opt.pid, opt.count, opt.all, opt.unit);
    if (opt.unit == "ms") { printf("milliseconds\\n"); }
    if (!opt.pid || args.nothing == opt.pid) { printf("every process\\n"); }
}
tracepoint:no:such /opt.all/ { }
interval:ns:opt.every { printf("%d\\n", opt.every); exit(); }
"""


def test_options(ebt: Ebt, tmp_path: Path) -> None:
    file = tmp_path / "o.ebt"
    file.write_text(OPTIONS)
    assert ebt("-q", file).stdout == "0 1 0 ms\nmilliseconds\nevery process\n10000000\n\n\n"
    assert ebt("-q", file, "-u", "us", "7", "-i", "1ms").stdout == "0 7 0 us\nevery process\n1000000\n\n\n"
    wrong = ebt("-q", file, "-a")
    assert wrong.rc == 1 and "tracepoint 'no:such' does not exist here" in wrong.stderr
    wrong = ebt("-q", file, "--what")
    assert (wrong.rc, len(wrong.stderr.splitlines())) == (1, 1), wrong
    assert ebt(file, "--help").stdout.startswith(f"usage: ebt {file} [options] [COUNT]\n")


def test_an_option_that_is_off_costs_no_instruction(ebt: Ebt) -> None:
    script = 'option pid: uint32 = 0 "-p"; {} {{ @ = count(); }}'
    filtered = "interval:s:1 /!opt.pid || pid == opt.pid/"
    plain = ebt("compile", "-e", script.format("interval:s:1")).stdout.splitlines()
    assert ebt("compile", "-e", script.format(filtered)).stdout.splitlines()[-5:] == plain[-5:]
    assert "pid" in ebt("compile", "-e", script.format(filtered), "--", "-p", "4").stdout


def test_getopt(ebt: Ebt) -> None:
    script = 'begin { printf("%d %d %s %d\\n", getopt("on"), getopt("n", 3), getopt("s", "x"), $1); exit(); }'
    assert ebt("-q", "-e", script, "7").stdout == "0 3 x 7\n\n\n"
    assert ebt("-q", "-e", script, "--", "7", "--on", "--n=-4", "--s=yes").stdout == "1 -4 yes 7\n\n\n"
    assert ebt("-q", "-e", script, "--", "--off").rc == 1


# --- rows ---

ROWS = """
begin {
    printf("first\\n");
    $d = (uint64)12345678;
    emit(tid = (uint32)7, "LAT(ms)" = ms($d), US = us($d), S = sec($d, 6), KB = kb(2049), ERR = errname(-2),
         SIG = signame(15), FLAGS = flags(577, "open"), FILE = str("a/rather/long/name/that/is/not/cut"));
    printf("second %s\\n", ms($d));
    emit($d, "neg" = (int16)-5, T = (bool)1, X = hex(255));
    emit($d, "neg" = (int16)-512, T = (bool)0, X = hex(-1));
    exit();
}
"""
ROWS_TEXT = """\
first
    tid    LAT(ms)         US           S       KB ERR          SIG       FLAGS                FILE
      7     12.346      12345    0.012346        2 ENOENT       SIGTERM   O_WRONLY|O_CREAT|O_TRUNC \
a/rather/long/name/that/is/not/cut
second 12.346
         D    neg T     X
  12345678     -5 true  0xff
  12345678   -512 false 0xffffffffffffffff


"""
ROWS_JSON = """\
{"type": "printf", "data": "first\\n"}
{"type": "row", "data": {"tid": 7, "LAT(ms)": 12.345678, "US": 12345.678, "S": 0.012345678, \
"KB": 2.0009765625, "ERR": "ENOENT", "SIG": "SIGTERM", "FLAGS": "O_WRONLY|O_CREAT|O_TRUNC", \
"FILE": "a/rather/long/name/that/is/not/cut"}}
{"type": "printf", "data": "second 12.346\\n"}
{"type": "row", "data": {"d": 12345678, "neg": -5, "T": true, "X": 255}}
{"type": "row", "data": {"d": 12345678, "neg": -512, "T": false, "X": -1}}
"""


def test_emit(ebt: Ebt) -> None:
    assert ebt("-q", "-e", ROWS).stdout == ROWS_TEXT
    assert ebt("-q", "-f", "json", "-e", ROWS).stdout == ROWS_JSON


def test_emit_tells_the_time_and_the_process(ebt: Ebt) -> None:
    result = ebt("-q", "-e", 'begin { emit(time(), pid, comm, "AT" = time("%Y")); exit(); }')
    head, line = result.stdout.splitlines()[:2]
    assert head.split() == ["TIME", "PID", "COMM", "AT"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d +\d+ \S+ +20\d\d", line), line


def test_rows_give_way_to_a_narrow_terminal(ebt: Ebt) -> None:
    script = """
        begin {
            emit(NAME = "short", ADDR = ntop(0x0100007f), PORT = (uint16)80, "LAT(ms)" = ms(1500000));
            exit();
        }
    """
    command = shlex.join([*ebt.command, "-q", "-e", script])
    wide, narrow = (
        str(pexpect.run(command, dimensions=(24, columns), encoding="utf-8")).splitlines()[:2]
        for columns in (80, 36)
    )
    assert narrow == ["NAME   ADDR             PORT LAT(ms)", "short  127.0.0.1          80   1.500"]
    assert [line.split() for line in wide] == [line.split() for line in narrow] and len(wide[0]) == 41


# --- records of aggregations, tables ---

RECORDS = """
begin {
    $f = "name";
    @io[pid - pid, $f].rbytes = sum(5); @io[pid - pid, $f].reads = count();
    @io[pid - pid, $f].rbytes = sum(6); @io[pid - pid, $f].low = min(-3); @io[pid - pid, $f].low = min(4);
    @io[pid - pid, $f].mean = avg(10); @io[pid - pid, $f].mean = avg(20);
    @io[8, "longer name"].rbytes = sum(1000);
    @one.n = count(); @one.n = count(); @one.top = max(3);
    @p[1] = sum(3); @p[2] = sum(9); @p[3] = sum(1);
    @s["a"] = 5; @s["b"] = 7;
}
"""
# statements → what they print after RECORDS
TABLES = {
    "print(@io); print(@one);": """\
@io[0, name]: { .rbytes = 11, .reads = 1, .low = -3, .mean = 15 }
@io[8, longer name]: { .rbytes = 1000, .reads = 0, .low = 0, .mean = 0 }
@one: { .n = 2, .top = 3 }
""",
    'printf("%d %d %d\\n", @io[0, "name"].rbytes, @one.n, @io[9, "name"].low);': "11 2 0\n",
    '$x = @io[0, "name"]; printf("%d %d\\n", $x.reads, $x.low);': "1 -3\n",
    'if (@io[0, "name"].rbytes > 10) { print(@io[0, "name"]); }':
        "{ .rbytes = 11, .reads = 1, .low = -3, .mean = 15 }\n",
    "for ($kv : @io) { if ($kv.1.reads) { print($kv.1.rbytes); } }": "11\n",
    "table(@io, sort = rbytes, top = 20);": """\
PID - PID F           RBYTES READS LOW MEAN
        8 longer name   1000     0   0    0
        0 name            11     1  -3   15
""",
    "table(@io, sort = f, top = 1);": """\
PID - PID F           RBYTES READS LOW MEAN
        8 longer name   1000     0   0    0
""",
    "table(@p); table(@p, top = 1);": "KEY P\n  2 9\n  1 3\n  3 1\nKEY P\n  2 9\n",
    "table(@s); table(@one);": "KEY S\nb   7\na   5\nN TOP\n2   3\n",
    '@word[2] = "two"; @word[1] = "one"; table(@p, WORD = @word[key], P = p);':
        "WORD P\ntwo  9\none  3\n     1\n",
    '@more[1] = -5; @more[3] = 70; table(@p, KEY = key, MORE = @more[key], top = 2);':
        "KEY MORE\n  2    0\n  1   -5\n",
    "clear(@io); table(@io); print(@io);": "PID - PID F RBYTES READS LOW MEAN\n",
    'delete(@io, (8, "longer name")); table(@io);':
        "PID - PID F    RBYTES READS LOW MEAN\n        0 name     11     1  -3   15\n",
}  # fmt: skip


def test_records_and_tables(ebt: Ebt) -> None:
    for statements, expected in TABLES.items():
        script = "config = { print_maps_on_exit = false }" + RECORDS + f"end {{ {statements} }}"
        assert ebt("-q", "-e", script).stdout == expected, statements


def test_tables_in_json(ebt: Ebt) -> None:
    script = "config = { print_maps_on_exit = false }" + RECORDS + "end { table(@io); print(@one); }"
    assert ebt("-q", "-f", "json", "-e", script).stdout == (
        '{"type": "table", "data": {"@io": [{"pid - pid": 8, "f": "longer name", "rbytes": 1000, "reads": 0, '
        '"low": 0, "mean": 0}, {"pid - pid": 0, "f": "name", "rbytes": 11, "reads": 1, "low": -3, '
        '"mean": 15}]}}\n{"type": "map", "data": {"@one": {"n": 2, "top": 3}}}\n'
    )


def test_records_under_load_are_summed_over_the_cpus(ebt: Ebt) -> None:
    script = """
        profile:hz:99 { @c[1].n = count(); @c[1].s = sum(2); @all = count(); }
        interval:s:1 { exit(); }
        end { printf("%d %d %d\\n", @c[1].n, @c[1].s, @all); table(@c); clear(@c); clear(@all); }
    """
    numbers, _, row = ebt("-q", "-e", script).stdout.splitlines()[:3]
    count, total, whole = map(int, numbers.split())
    assert count == whole > 50 and total == 2 * count and row.split() == ["1", str(count), str(total)]


PLAIN_FIELDS = """
config = { print_maps_on_exit = false }
begin {
    $pair = (1, 2);
    @plain[1].name = "first"; @plain[1].name = "second"; @plain[1].n = 7; @plain[1].n += 5;
    @plain[2].pair = $pair; @plain[2].big = (uint64)1 << 40;
    @one.a = "x"; @one.b = -3;
    @mixed[1].reads = count(); @mixed[1].name = "old"; @mixed[1].name = "new"; @mixed[1].n += 4;
    @mixed[1].n += 4; @mixed[1].most = max(9);
    if (@mixed[1].name == "new" && @plain[1].name == "second" && @plain[9].name == "") { print(@mixed[1].n); }
    for ($kv : @mixed) { print(($kv.1.name, $kv.1.most)); }
    print(@plain[1].n); print(@plain[2].pair.1); print(@one.b);
}
interval:ms:50 { @ticks.at = nsecs(monotonic); @ticks.n = count(); }
interval:ms:220 { exit(); }
end {
    print(@plain); print(@one); print(@mixed); table(@mixed, sort = name);
    print(@ticks.at < nsecs(monotonic) && @ticks.at + 200000000 > nsecs(monotonic));
}
"""
PLAIN_FIELDS_PRINT = """\
8
(new, 9)
12
2
-3
@plain[1]: { .name = second, .n = 12, .pair = (0, 0), .big = 0 }
@plain[2]: { .name = , .n = 0, .pair = (1, 2), .big = 1099511627776 }
@one: { .a = x, .b = -3 }
@mixed[1]: { .reads = 1, .name = new, .n = 8, .most = 9 }
KEY READS NAME N MOST
  1     1 new  8    9
true
"""


def test_fields_with_plain_values(ebt: Ebt) -> None:
    """Beside an aggregation each CPU has its own copy, and the one that was written last counts."""
    assert ebt("-q", "-e", PLAIN_FIELDS).stdout == PLAIN_FIELDS_PRINT


def test_fields_step_by_step(ebt: Ebt) -> None:
    """Compound assignments and steps of plain fields, of maps with and without keys."""
    program = """begin {
        @m[1].n++; @m[1].n++; ++@m[1].n; @m[1].n--; @m[1].k += 40; @m[1].k <<= 1; @one.x--; --@one.x;
        @r[7] = (a = 1, b = 2); @r[7].b++; print((@m[1].n, @m[1].k, @m[2].n, @one.x, @r[7].b)); }"""
    assert ebt("-q", "-e", program).stdout.split("\n") == [
        "(2, 80, 0, -2, 3)", "", "", "@m[1]: { .n = 2, .k = 80 }", "@one: { .x = -2 }",
        "@r[7]: { .a = 1, .b = 3 }", "",
    ]  # fmt: skip


# --- functions and imports ---

FUNCTIONS = """
fn bigger($a: int64, $b: int64) : int64 {
    if ($a > $b) { return $a; }
    return $b;
}
fn grade($n: uint64) : uint64 {
    if ($n == 0) { return 0; }
    $seen = $n;
    if ($n > 10) {
        if ($n > 100) { return 3; } else { $seen = 50; }
        @graded = count();
    } else if ($n == 5) { return 5; }
    return $seen;
}
fn name($n: uint64) : string { if ($n) { return "some"; } return "none"; }
fn note($what: uint64) { if ($what == 2) { return; } @noted[$what] = count(); }
fn total($n: uint64) : uint64 { $sum = (uint64)0; for ($i : 0..4) { $sum += $n; } return $sum; }
begin {
    $a = 1;
    print((bigger(3, 7), bigger(7, 3), bigger(bigger(1, 9), 4), $a));
    print((grade(0), grade(7), grade(50), grade(1000), grade(5)));
    print((name(pid), name(cpu / 1000)));
    note(1); note(2); note(3);
    print(total(5));
    exit();
}
"""


def test_functions(ebt: Ebt) -> None:
    assert ebt("-q", "-e", FUNCTIONS).stdout == (
        "(7, 7, 9, 1)\n(0, 7, 50, 3, 5)\n(some, none)\n20\n\n\n@graded: 1\n@noted[1]: 1\n@noted[3]: 1\n"
    )


def test_imports(ebt: Ebt, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "a.ebt").write_text('import "b.ebt";\nmacro twice(x) { x * 2 }\nbegin { printf("a\\n"); }\n')
    (folder / "b.ebt").write_text(
        'option n: uint64 = 4 "-n";\nlet @kept = lruhash(3);\n'
        'fn more($x: uint64) : uint64 { return $x + 1; }\nimport "a.ebt"\nend { printf("end\\n"); }\n'
    )
    script = tmp_path / "s.ebt"
    script.write_text(
        'import "more/a.ebt";\nimport "more/b.ebt";\n'
        'begin { printf("%d\\n", twice(more(opt.n))); @kept[1] = 1; clear(@kept); exit(); }\n'
    )
    assert ebt("-q", script, "-n", "6").stdout == "a\n14\nend\n\n\n"
    assert "-n N" in ebt(script, "--help").stdout
    (folder / "b.ebt").write_text("begin { print(nothing_at_all); }\n")
    (folder / "a.ebt").write_text('import "b.ebt";\n')
    wrong = f"{folder}/b.ebt:1:15: error: unknown identifier: 'nothing_at_all'\n"
    assert ebt(script).stderr.startswith(wrong)


def test_a_folder_is_imported_whole(ebt: Ebt, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.bt").write_text("macro twice(x) { x * 2 }\n")
    (folder / "b.ebt").write_text('option n: uint64 = 4 "-n";\n')
    (folder / "c.h").write_text("struct pair { int a; int b; };\n#define SEVEN 7\n")
    (folder / "notes.txt").write_text("no script")
    (folder / "deeper/d.ebt").write_text("no script either")
    script = tmp_path / "s.ebt"
    body = "begin { print((twice(opt.n), sizeof(struct pair), SEVEN)); exit(); }"
    script.write_text(f'import "more";\n{body}\n')
    assert ebt("-q", script).stdout == "(8, 8, 7)\n\n\n"
    (folder / "e.ebt").write_text('begin { printf("e\\n"); }\n')
    assert ebt("-q", script).stdout == "e\n(8, 8, 7)\n\n\n"
    script.write_text('import "none";\nbegin { exit(); }\n')
    (tmp_path / "none").mkdir()
    assert "error: cannot import 'none': the folder has no scripts\n" in ebt(script).stderr
    script.write_text('import "x.bpf.c";\nbegin { exit(); }\n')
    assert "error: cannot import 'x.bpf.c': ebt takes no C functions\n" in ebt(script).stderr


def test_imports_that_are_refused(ebt: Ebt, tmp_path: Path) -> None:
    script = tmp_path / "s.ebt"
    script.write_text('import "open/a.ebt";\nbegin { exit(); }\n')
    missing = ebt(script).stderr
    assert missing.startswith(f"{script}:1:1: error: cannot import 'open/a.ebt': No such file or directory\n")
    nul = ebt("-e", 'import "\\x00"; begin { exit(); }').stderr
    assert nul.startswith("stdin:1:1: error: cannot import a file whose name holds a NUL\n")
    assert ebt("-q", "-e", 'begin { print(exists("uprobe:\\x00:f")); exit(); }').stdout == "false\n\n\n"
    (tmp_path / "open").mkdir()
    (tmp_path / "open/a.ebt").write_text("")
    (tmp_path / "open").chmod(0o777)
    refused = ebt(script).stderr
    assert f"error: cannot import 'open/a.ebt': everybody can write to {tmp_path}/open\n" in refused
    script.write_text('import "stdlib/../cli.py"; begin { }')
    assert "'stdlib/../cli.py' is not in the standard library" in ebt(script).stderr


# --- path() ---


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs in a nested directory, with a program in nested directories of its own."""
    point = tmp_path / "one/two"
    point.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    try:
        (point / "three/four").mkdir(parents=True)
        shutil.copy("/bin/true", point / "three/four/prog")
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=True)


def test_path(ebt: Ebt, mounted: Path, tmp_path: Path) -> None:
    program = mounted / "three/four/prog"
    elsewhere = tmp_path / "a/b/c/d/prog"
    elsewhere.parent.mkdir(parents=True)
    shutil.copy("/bin/true", elsewhere)
    deep = tmp_path / "/".join(["n" * 20] * 48)
    deep.mkdir(parents=True)
    script = """
        rawtracepoint:sched_process_exec / str(args.bprm.file.f_path.dentry.d_name.name) == "prog" / {
            emit(FILE = path(args.bprm.file), CWD = path(curtask.fs.pwd), EXE = path(curtask.mm.exe_file),
                 DENTRY = path(args.bprm.file.f_path.dentry));
        }
    """
    command = f"cd {mounted}/three; {program}; cd /; {elsewhere}; cd {deep}; {elsewhere}"
    file = tmp_path / "run.sh"
    file.write_text(command)
    result = ebt("-q", "-f", "json", "-e", script, "-c", f"sh {file}", "-o", tmp_path / "out")
    assert (result.rc, result.stderr) == (0, "")
    rows = [json.loads(line)["data"] for line in (tmp_path / "out").read_text().splitlines()]
    assert rows[0] == {"FILE": str(program), "CWD": f"{mounted}/three", "EXE": str(program),
                       "DENTRY": "/three/four/prog"}  # fmt: skip
    assert (rows[1]["FILE"], rows[1]["CWD"]) == (str(elsewhere), "/")
    assert rows[2]["CWD"].startswith("[...]/nnn") and str(deep).endswith(rows[2]["CWD"].removeprefix("[...]"))
