"""A script's options: declarations that are wrong, words on the command line, the help made from them."""

from __future__ import annotations

import pytest

from kernel.recorded import default_machine
from lang.check import check
from lang.command_line import CommandLineError, HelpWanted, help_text, read_getopts, read_words
from lang.diagnostics import Diagnostics, ScriptError
from lang.fold import Constant
from lang.options import check_options, values_for
from lang.page import Alias, Page, read_page
from lang.parser import parse
from lang.source import Source

SCRIPT = """#!/usr/bin/env ebt
// Files opened, one line each.

option pid: uint32 = 0  "-p" "--pid"  "trace this process only";
option min_ms: uint64 = 10  "MIN_MS"  "report only what takes longer";
option all: bool  "-a" "--all"  "sockets and pipes too";
option quiet: bool = true  "-v" "--verbose";
option unit: enum("us", "ms") = "ms"  "-u" "--unit" "unit of times";
option name: string  "--name";
option every: duration = 10ms "-i" "how often";
option room: size = 64k "--room";
option shift: int8 = -1 "-s";
begin { print(opt.pid); }
"""


def values(*words: str) -> dict[str, Constant]:
    script = parse(Source("t.ebt", SCRIPT))
    return values_for(script.options, read_words(script, words)[0].options)


DEFAULTS: dict[str, Constant] = {
    "pid": 0, "min_ms": 10, "all": False, "quiet": True, "unit": "ms", "name": "", "every": 10_000_000,
    "room": 65536, "shift": -1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("", {}),
        ("-p 42", {"pid": 42}),
        ("-p42", {"pid": 42}),
        ("--pid=0x2a", {"pid": 42}),
        ("--pid 1 --pid 2", {"pid": 2}),
        ("-a 77", {"all": True, "min_ms": 77}),
        ("-av", {"all": True, "quiet": False}),
        ("-ap 3", {"all": True, "pid": 3}),
        ("--all=false", {}),
        ("-u us --name=x=y", {"unit": "us", "name": "x=y"}),
        ("-i 1.5s --room 1.5M", {"every": 1_500_000_000, "room": 3 << 19}),
        ("-s -8", {"shift": -8}),
        ("-- 5", {"min_ms": 5}),
        ("--name= 5", {"name": "", "min_ms": 5}),
    ],
)
def test_words(words: str, changed: dict[str, Constant]) -> None:
    assert values(*words.split()) == {**DEFAULTS, **changed}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--pidd 3", "unknown option '--pidd'; did you mean '--pid'?"),
        ("-x", "unknown option '-x'; --help lists the script's options"),
        ("-p", "-p needs a value"),
        ("--pid", "--pid needs a value"),
        ("-p x", "-p: 'x' is no integer"),
        ("-p 5000000000", "-p: 5000000000 is out of range: uint32 is 0 to 4294967295"),
        ("-p -1", "-p: -1 is out of range: uint32 is 0 to 4294967295"),
        ("-u s", "-u: 's' is none of us, ms"),
        ("-i 10", "-i: '10' is no duration, such as 10ms or 1.5s"),
        ("--room x", "--room: 'x' is no size, such as 4096, 64k or 1.5M"),
        ("--all=perhaps", "--all: 'perhaps' is not true or false"),
        ("1 2", "unexpected argument '2'"),
        ("ten", "MIN_MS: 'ten' is no integer"),
    ],
)
def test_wrong_words(words: str, message: str) -> None:
    with pytest.raises(CommandLineError) as wrong:
        values(*words.split())
    assert str(wrong.value) == message


def test_help() -> None:
    script = parse(Source("t.ebt", SCRIPT))
    with pytest.raises(HelpWanted):
        read_words(script, ["-a", "--help"])
    assert help_text(script, "t.ebt") == HELP


PAGED = """#!/usr/bin/env ebt
// slow: what takes long
//
// How it works, in
// two lines.
//
// Also:
//     ext4slow = -t ext4      what of ext4 takes long
//     xfsslow = -t xfs -p '1 2'
//
// Examples:
//     ebt slow             all of it
//         indented
//
// The last word.
option p: string "-p" "this only";

begin { print(1); }
"""


def test_the_page_of_a_script() -> None:
    page = read_page(PAGED)
    assert (page.name, page.summary) == ("slow", "what takes long")
    assert page.text == "slow: what takes long\n\nHow it works, in\ntwo lines.\n\nThe last word."
    assert page.aliases == (
        Alias("ext4slow", ("-t", "ext4"), "what of ext4 takes long"),
        Alias("xfsslow", ("-t", "xfs", "-p", "1 2"), ""),
    )
    assert help_text(parse(Source("t", PAGED)), "slow") == PAGED_HELP
    assert read_page("/* a: b\n * c\n */ begin { }").text == "a: b\nc"
    assert read_page("begin { }") == Page()
    assert read_page("// only this").summary == "only this"


PAGED_HELP = """\
usage: ebt slow [options]

slow: what takes long

How it works, in
two lines.

The last word.

options:
  -p TEXT               this only
  -h, --help            this text

also:
  ext4slow              what of ext4 takes long (ebt slow -t ext4)
  xfsslow               ebt slow -t xfs -p 1 2

examples:
  ebt slow             all of it
      indented
"""


@pytest.mark.parametrize(
    ("words", "mine", "others"),
    [
        ("-p 1 -c x", {"pid": 1}, ["-c", "x"]),
        ("-qc x -a", {"all": True}, ["-q", "-c", "x"]),
        ("-cx --format=json 7", {"min_ms": 7}, ["-c", "x", "--format=json"]),
        ("--format json", {}, ["--format", "json"]),
        ("-v -aq", {"quiet": False, "all": True}, ["-q"]),
    ],
)
def test_flags_that_the_script_does_not_have_are_for_others(
    words: str, mine: dict[str, Constant], others: list[str]
) -> None:
    script = parse(Source("t.ebt", SCRIPT))
    known = {"-c": True, "-q": False, "-v": False, "--format": True}
    given, rest = read_words(script, words.split(), known)
    assert (given.options, rest) == (mine, others)
    with pytest.raises(CommandLineError, match="-c needs a value"):
        read_words(script, ["-c"], known)


HELP = """\
usage: ebt t.ebt [options] [MIN_MS]

Files opened, one line each.

arguments:
  MIN_MS                report only what takes longer (default 10)

options:
  -p, --pid N           trace this process only
  -a, --all             sockets and pipes too
  -v, --verbose
  -u, --unit us|ms      unit of times (default ms)
      --name TEXT
  -i TIME               how often (default 10ms)
      --room SIZE       (default 64k)
  -s N                  (default -1)
  -h, --help            this text
"""


def test_an_argument_without_a_default_is_required_and_more_words_are_parameters() -> None:
    script = parse(Source("t", 'option n: uint8 "N" "how many"; begin { print($1); }'))
    with pytest.raises(CommandLineError, match="missing argument N: how many"):
        read_words(script, [])
    given, _ = read_words(script, ["3", "x"])
    assert (given.options, given.parameters) == ({"n": 3}, ("x",))


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ('option n: uint31 "-n";', "unknown type of an option: 'uint31'"),
        ('option n: uint8 = 256 "-n";', "the default of 'n': 256 is out of range: uint8 is 0 to 255"),
        ('option n: enum("a") = "b" "-n";', "the default of 'n': 'b' is none of a"),
        ('option n: uint8 "-n"; option n: uint8 "-m";', "the option 'n' is declared twice"),
        ('option n: uint8 "-n"; option m: uint8 "-n";', "the flag '-n' is declared twice"),
        ('option n: uint8 "-name";', "'-name' is no flag"),
        ("option n: uint8;", "the option 'n' has no flag"),
        ('option n: pid = 1 "-n";', "an option of the type pid has no default"),
        ('option n: size(1..2) "-n";', "only an integer option has bounds"),
        ('option n: bool "-n"; option n | m;', "the script has no option 'm'"),
        ('option n: bool "N";', "a bool is given by a flag, not by its position"),
        ('option n: uint8 "N" "M";', "an option has flags or one upper-case name, and then one description"),
    ],
)
def test_wrong_declarations(declaration: str, message: str) -> None:
    found = Diagnostics()
    with pytest.raises(ScriptError) as wrong:
        script = parse(Source("t", declaration + " begin { }"))
        check_options(script.options, script.exclusions, found)
        found.raise_errors()
    assert [item.message for item in wrong.value.diagnostics] == [message]


def test_getopt() -> None:
    text = 'begin { print((getopt("a", 3, "a number"), getopt("b"), getopt("c", "x"))); }'
    script = parse(Source("t", text))
    given = read_getopts(script, ["--a=-7", "word", "--b", "--c=y"])
    assert (given.options, given.parameters) == ({"--a": -7, "--b": True, "--c": "y"}, ("word",))
    for words, message in (
        (["--d", "--e"], "unexpected program command line options: --d, --e\n"
                         "HINT: expected program options: --a: --b: --c:"),
        (["--help"], "HINT: expected program options:\n--a: a number\n--b: \n--c: "),
        (["--a=x"], "program command line option --a invalid integer (value: x)"),
    ):  # fmt: skip
        with pytest.raises(CommandLineError) as wrong:
            read_getopts(script, words)
        assert str(wrong.value) == message


SWITCHED = 'option t: bool "-t"; begin { print(1); } tracepoint:no:such / opt.t / { @ = count(); }'


def test_a_probe_that_is_switched_off_need_not_exist() -> None:
    result = check(parse(Source("t.ebt", SWITCHED)), default_machine())
    assert [body.targets[0].kind for body in result.checked.bodies] == ["begin"]
    with pytest.raises(ScriptError):
        check(parse(Source("t.ebt", SWITCHED)), default_machine(), options={"t": True})


SYSTEM = """
option interval: uint32(1..100) = 0 "INTERVAL";
option least: uint32(3..) "-m";
option pid: pid "-p";
option user: user "-u";
option disk: disk "-d";
option a: bool "-a" "--all";
option b: string "-b";
option a | b | interval;
begin { }
"""


def test_bounds_and_what_the_system_knows() -> None:
    known = {("pid", "7"): 7, ("user", "root"): 0, ("disk", "sda"): 8 << 20}

    def resolve(kind: str, text: str) -> int:
        if (kind, text) not in known:
            raise ValueError(f"no {kind} '{text}'")
        return known[kind, text]

    def read(words: str) -> dict[str, Constant]:
        script = parse(Source("t.ebt", SYSTEM))
        return values_for(script.options, read_words(script, words.split(), {}, resolve)[0].options)

    nothing = {"interval": 0, "least": 0, "pid": 0, "user": -1, "disk": 0, "a": False, "b": ""}
    assert read("") == nothing
    assert read("1 -m 3 -p 7 -u root -d sda") == nothing | {
        "interval": 1, "least": 3, "pid": 7, "user": 0, "disk": 8 << 20,
    }  # fmt: skip
    for words, message in {
        "0": "INTERVAL: 0 is too small: at least 1",
        "101": "INTERVAL: 101 is too large: at most 100",
        "-m 2": "-m: 2 is too small: at least 3",
        "-p 8": "-p: no pid '8'",
        "-a -b x": "-a and -b cannot be used together",
        "5 --all": "-a and INTERVAL cannot be used together",
    }.items():
        with pytest.raises(CommandLineError) as wrong:
            read(words)
        assert str(wrong.value) == message


PORTS = """option ports: ports "-P";
option address: address "-a";
option least: milliseconds = 0 "MS";
begin { for $port : opt.ports { print($port); } }
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ("", "", 0)),
        ("-P 80,0443 -a ::1 0.1", ("80,443", "::1", 100_000)),
        ("-P 1 -a 192.0.2.1 3", ("1", "192.0.2.1", 3_000_000)),
        ("5us", ("", "", 5_000)),
        ("-P 80,,1", "-P: '' is no port"),
        ("-P 65536", "-P: '65536' is no port"),
        ("-P " + ",".join("1" * 33), "-P: 33 ports: at most 32"),
        ("-a 1.2.3", "-a: '1.2.3' is no IP address"),
        ("1x", "MS: '1x' is no time in ms, such as 10 or 1.5s"),
    ],
)
def test_ports_addresses_times(words: str, expected: tuple[Constant, ...] | str) -> None:
    script = parse(Source("t.ebt", PORTS))
    if isinstance(expected, str):
        with pytest.raises(CommandLineError) as wrong:
            read_words(script, words.split())
        assert str(wrong.value) == expected
        return
    given = read_words(script, words.split())[0].options
    found = values_for(script.options, given)
    assert (found["ports"], found["address"], found["least"]) == expected
    check(script, default_machine(), options=given)
