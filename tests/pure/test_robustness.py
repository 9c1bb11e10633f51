"""Bad input: always a diagnostic or a compiled script, in under two seconds, never a traceback."""

from __future__ import annotations

import random
import time

import pytest

from codegen.pipeline import compile_script
from fuzzkit.generate import programs
from fuzzkit.mutate import SEEDS, mutations
from fuzzkit.trial import PARAMETERS
from kernel.recorded import default_machine
from lang.diagnostics import ScriptError
from lang.source import Source
from tests.conftest import PATIENCE

N = 10_000
LIMIT = 49_152  # characters of a script
WRAPPED = "begin {{ print({}); @x[1] = 1; }}"


def outcome(text: str, parameters: tuple[str, ...] = ()) -> str:
    """`` for a script that compiles, else the first message. Anything but a diagnostic fails the test."""
    start = time.process_time()  # of this process: the machine may be busy with others
    try:
        assert compile_script(Source("t", text), default_machine(), parameters, unsafe=True).c
        message = ""
    except ScriptError as wrong:
        assert 1 <= len(wrong.diagnostics) <= 20
        assert all(item.render() for item in wrong.diagnostics)
        message = wrong.diagnostics[0].message
    assert time.process_time() - start < 2 * PATIENCE, text[:80]
    return message


def filled(piece: str) -> str:
    """A body of as many statements as a script may have."""
    return "begin { " + piece * ((LIMIT - 20) // len(piece)) + " }"


def nested(opening: str, middle: str, closing: str, depth: int) -> str:
    return WRAPPED.format(opening * depth + middle + closing * depth)


EMPTY = {"nothing": "", "space": " \n\t\r\n", "comments": "// a\n/* b */\n", "bom": "\ufeff"}
GARBAGE = {
    "nul": "begin { \0 }",
    "control": "\x01\x02" * 20_000,
    "elf": "\x7fELF\x02\x01\x01" + "\0" * 9 + "\udc80\udcff" * 100,
    "latin1": 'begin { print("\udce9"); }',
    "quotes": '"' * LIMIT,
    "hashes": "#" * LIMIT,
    "unicode": "begin { $é = 1; print(١); }",
}
LARGE = {
    "a megabyte, valid": "begin { @x = 1; }\n" * 60_000,
    "a megabyte, invalid": "] " * 500_000,
    "statements": filled("@x += 1;"),
    "printfs": filled('printf("%d\\n", pid);'),
    "probes": "begin { @x = 1; }\n" * 3_600,
    "variables": "begin { " + "".join(f"$v{n} = {n};" for n in range(4_000)) + "}",
    "maps": "begin { " + "".join(f"@m{n} = {n};" for n in range(1_000)) + "}",
    "wrong at the end": filled("@x += 1;")[:-2] + "] }",
    "wrong everywhere": filled("@x += z;"),
    "unknown names": "begin { " + "".join(f"@m{n} = nope{n};" for n in range(3_000)) + "}",
    "unknown probes": "".join(f"nope{n}:x {{ }}\n" for n in range(3_000)),
    "unknown functions": "".join(f"kprobe:vfs_reed{n} {{ }}\n" for n in range(2_000)),
    "chained maps": "begin { " + "".join(f"@m{n} = @m{n + 1};" for n in range(3_000)) + " @m3000 = 1; }",
    "a long name": "begin { @" + "x" * 5_000 + " = 1; }",
    "a long unknown name": f"begin {{ print({'x' * 60_000}); }}",
    "a long number": WRAPPED.format("9" * 60_000),
    "a long exponent": WRAPPED.format("1e" + "9" * 60_000),
    "a long parameter": WRAPPED.format("$" + "9" * 60_000),
    "a long string": WRAPPED.format('"' + "a\\n" * 20_000 + '"'),
    "a wide tuple": WRAPPED.format("(" + "1," * 20_000 + ")"),
    "a wide key": "begin { @x[" + ",".join(["str(1)"] * 60) + "] = 1; }",
    "many arguments": 'begin { printf("' + "%d" * 5_000 + '"' + ",pid" * 5_000 + "); }",
    "many stars": "kprobe:" + "*a" * 3_000 + " { }",
    "everything": "kprobe:* { @ = count(); } tracepoint:*:* { @ = count(); }",
    "unrolled": "begin { " + "unroll(100) { " * 9 + "@x++;" + "}" * 9 + " }",
    "spaces after a slash": "begin /1/" + " " * 60_000,
    "slashes": "begin /1 " + "/ " * 30_000,
    "an open cast": "begin { (a" + "*" * 60_000,
    "an open index": "begin { (a" + "[1]" * 20_000,
}
DEEP = {
    "brackets": ("(", "1", ")"),
    "minus": ("- ", "pid", ""),
    "not": ("!", "pid", ""),
    "sum": ("", "1", " + 1"),
    "and": ("@x[1] && ", "1", ""),
    "and in brackets": ("(@x[1] && ", "1", ")"),
    "condition": ("pid ? 1 : ", "1", ""),
    "condition inside": ("pid ? ", "1", " : 1"),
    "tuple": ("(", "1", ",1)"),
    "index": ("@x[", "1", "]"),
    "member": ("", "curtask", ".real_parent"),
    "cast": ("(uint8)", "pid", ""),
    "call": ("str(", "1", ")"),
}
UNFINISHED = (
    "b", "begin", "begin {", "begin { print(", 'begin { print("', 'begin { print("a\\', "begin { /*",
    "begin /", "begin /1", "begin /1/", "kprobe:", "kprobe:f,", 'kprobe:"', "config", "config = {",
    "config = { a =", "let", "let @m = hash(", "begin { @x[", "begin { $x =", "begin { if", "#", "/*", "$",
    "begin { if (1) {", "begin { let $x:", "begin { if (1) { } else", "begin { unroll", "begin { let",
    "begin { (struct", "begin { x.", "begin { a ?", "begin { a ? 1 :", "begin { sizeof(", "@", "\\",
    "begin { offsetof(struct task_struct,", "begin { (a =",
)  # fmt: skip


@pytest.mark.parametrize("text", EMPTY.values(), ids=EMPTY)
def test_nothing(text: str) -> None:
    assert "no probes" in outcome(text)


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage(text: str) -> None:
    assert outcome(text)


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_large(text: str) -> None:
    outcome(text)


@pytest.mark.parametrize("pieces", DEEP.values(), ids=DEEP)
def test_deep(pieces: tuple[str, str, str]) -> None:
    opening, middle, closing = pieces
    outcome(nested(opening, middle, closing, 90))
    outcome(nested(opening, middle, closing, 190))
    assert outcome(nested(opening, middle, closing, min(N, LIMIT // len(opening + closing) - 20)))


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("{", "}"), ("if (pid) {", "}"), ("unroll (1) {", "}"), ("if (pid) { } else ", "{ }")],
)
def test_deep_statements(opening: str, closing: str) -> None:
    for depth in (60, 180, 3_000):
        end = closing if closing == "{ }" else closing * depth
        message = outcome("begin { " + opening * depth + end + " }")
        assert message if depth > 200 else "deep" in message or not message


@pytest.mark.parametrize("text", UNFINISHED)
def test_unfinished(text: str) -> None:
    assert outcome(text)


def test_a_script_cut_anywhere() -> None:
    for seed in SEEDS:
        for end in range(0, len(seed), 7):
            outcome(seed[:end], ("a",))


@pytest.mark.parametrize(
    "value", ["", '"', "\\", "a b", "$1", "{", "\n", "\udcff", "9" * 5_000, "x" * 5_000, "-"]
)
def test_parameters_are_data(value: str) -> None:
    outcome('begin { print($1); print(str($1)); @x[$1] = $1; printf("%s\\n", str($1)); }', (value,))
    outcome("kprobe:$1 { }", (value,))
    outcome("interval:$1 { }", (value,))


def test_the_seeds_and_generated_programs_compile() -> None:
    for text in SEEDS:
        assert outcome(text, ("a", "b")) == ""
    found = [outcome(text, PARAMETERS) for text in programs(150, 1)]
    assert found.count("") > 115


def test_mutations_of_scripts() -> None:
    found = [outcome(text, ("a", "b")) for text in mutations(500, 7)]
    assert 100 < found.count("") < 470


def test_random_bytes() -> None:
    chance = random.Random(3)
    for _ in range(100):
        data = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 300)))
        assert outcome(data.decode("utf-8", "surrogateescape"))
