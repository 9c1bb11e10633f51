"""What ebt adds to bpftrace's language, on the running kernel, by what is printed."""

from __future__ import annotations

from pathlib import Path

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
