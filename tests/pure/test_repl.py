"""The prompt without a terminal: what input is, when it is complete, what may follow, what is shown of it."""

import time
from pathlib import Path

import pytest

from ebt.prompt import in_short
from kernel.recorded import RecordedMachine
from lang.diagnostics import Diagnostic, ScriptError
from lang.probes import BY_NAME
from lang.records import replace
from lang.resolution import Candidate, Choice, Resolution
from lang.source import Source, Span
from lang.syntax_errors import RESERVED
from repl.catalogue import EMPTY, catalogue_of
from repl.commands import COMMANDS, help_text
from repl.complete import is_complete
from repl.definitions import Definitions, definitions_of, variable
from repl.display import visible
from repl.flow import BURST, RATE, Flow
from repl.lines import STARTS, Command, Line, Nothing, Query, Shell, Text, Wrong, is_command, read_line
from repl.search import Names
from repl.shell import HANDLERS
from repl.status import Resolver, without_bodies
from repl.suggest import Knowledge, suggest
from tests.conftest import PATIENCE
from tests.pure.test_elf import SYMBOLS, library

PROFILE = Path(__file__).parents[1] / "kernels" / "6.1.ebtk"
MACHINE = RecordedMachine(PROFILE)
KNOWN = Knowledge(
    catalogue_of(MACHINE), MACHINE, {name: item.about for name, item in COMMANDS.items()}, maps=["@reads"],
    variables=["pid"], defined=[("micros(", "fn micros($ns: uint64): uint64")],
    tools=[("opensnoop", "files opened")], jobs=[(2, "a program")],
    flags=lambda tool: [("-p", "process"), ("-x", "failed")] if tool == "opensnoop" else [],
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", Nothing()),
        ("  // a note", Nothing()),
        ("jobs", Command("jobs", (), "")),
        (":jobs", Command("jobs", (), "")),
        ("run opensnoop -p 42", Command("run", ("opensnoop", "-p", "42"), "opensnoop -p 42")),
        ("run x 'two words'", Command("run", ("x", "two words"), "x 'two words'")),
        ("run 'x", Wrong("run: no closing quotation")),
        ("bogus", Command("bogus", (), "")),
        ("@reads", Query(0, "@reads")),
        ("@", Query(0, "@")),
        ("2:@reads;", Query(2, "@reads")),
        ("!ls -l", Shell("ls -l")),
        ("!", Wrong("no command behind '!'")),
        ("begin { }", Text("begin { }")),
        ("BEGIN { }", Text("BEGIN { }")),
        ("kprobe:vfs_read { }", Text("kprobe:vfs_read { }")),
        ("watch:1 { }", Text("watch:1 { }")),
        ("fn f() { }", Text("fn f() { }")),
        ("import \"x.ebt\";", Text("import \"x.ebt\";")),
    ],
)  # fmt: skip
def test_read_line(text: str, line: Line) -> None:
    assert read_line(text, COMMANDS) == line
    assert is_command(text, COMMANDS) == (not isinstance(line, Text))


def test_no_command_looks_like_a_program() -> None:
    assert not set(COMMANDS) & (STARTS | RESERVED | set(BY_NAME))
    assert set(HANDLERS) == set(COMMANDS)
    assert all(item.usage in help_text() for item in COMMANDS.values())


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("begin {", False), ("begin { @ = 1; }", True), ('begin { printf("x"', False),
        ("kprobe:f /pid == 1", False),
        ("begin", False), ("begin { } }", True), ('begin { "abc', True), ("/* a", False), ("fn f(", False),
        ("begin { if (1) {", False), ("begin { ) }", True), ("", True),
    ],
)  # fmt: skip
def test_is_complete(text: str, complete: bool) -> None:
    assert is_complete(text) == complete


def offered(text: str) -> list[str]:
    return [item.text for item in suggest(text, len(text), KNOWN)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("tracep", "tracepoint:"),
        ("begin { } tracep", "tracepoint:"),
        ("kprobe:vfs_rea", "vfs_read"),
        ("begin { } fexit:vfs_rea", "vfs_read"),
        ("tracepoint:openat", "syscalls:sys_enter_openat"),
        ("tracepoint:syscalls:sys_enter_openat { @ = args.fil", "filename"),
        ("kprobe:vfs_read { args.cou", "count"),
        ("kprobe:vfs_read { args.file.f_pa", "f_path"),
        ("kprobe:vfs_read { curtask.real_par", "real_parent"),
        ("kprobe:vfs_read { $p = curtask.real_parent; $p->com", "comm"),
        ("kprobe:vfs_read { $p = (struct file *)arg0; $p.f_fl", "f_flags"),
        ("kprobe:vfs_read /com", "comm"),
        ("kprobe:vfs_read { @sum = 1; @su", "@sum"),
        ("kprobe:vfs_read { @rea", "@reads"),
        ("kprobe:vfs_read { $left = 1; $le", "$left"),
        ("kprobe:vfs_read { opt.p", "pid"),
        ("kprobe:vfs_read { print", "printf("),
        ("kprobe:vfs_read { @ = mic", "micros("),
        ("kprobe:vfs_read { @ = ((struct file *)arg0).f_path.den", "dentry"),
        ("kprobe:vfs_read, kprobe:vfs_write { args.fi", "file"),
        ('kprobe:vfs_read { printf("a // b"); com', "comm"),
        ("kprobe:vmlinux:vfs_rea", "vfs_read"),
        ("kprobe:vfsrd", "vfs_read"),
        ("tracepoint:schsw", "sched:sched_switch"),
        ("sysret:readlin", "readlink"),
        ("interval:m", "ms:"),
        ("sto", "stop"),
        ("stop ", "2"),
        ("print @r", "@reads"),
        ("run open", "opensnoop"),
        ("run opensnoop -", "-p"),
        ("show ", "c"),
        ("help his", "hist"),
    ],
)
def test_suggest(text: str, first: str) -> None:
    assert first in offered(text)[:3], offered(text)[:10]


def test_suggestions_replace_what_is_typed() -> None:
    text = "kprobe:vfs_read { args.cou"
    (item,) = suggest(text, len(text), KNOWN)
    completed = text[: len(text) - item.back] + item.text
    assert (completed, item.about) == ("kprobe:vfs_read { args.count", "uint64")


@pytest.mark.parametrize(
    "text",
    [
        "kprobe:f { nothing_such.", 'begin { "', "begin { 5.", "x" * 3000, "{{{{", 'begin { printf("com',
        "begin { // com", "begin { /* com", "uprobe:/no/such:f",
    ],
)  # fmt: skip
def test_nothing_to_suggest(text: str) -> None:
    assert offered(text) == []


def test_only_a_key_asks_for_all_that_may_follow() -> None:
    for text in ("", "begin { } ", "begin { "):
        assert not suggest(text, len(text), KNOWN)
        assert suggest(text, len(text), replace(KNOWN, asked=True))


def test_functions_of_a_binary(tmp_path: Path) -> None:
    (tmp_path / "libx.so").write_bytes(library(SYMBOLS))
    assert offered(f"uprobe:{tmp_path}/libx.so:open")[:2] == ["open", "fopen"]
    assert offered(f"uretprobe:{tmp_path}/libx.so:")[:2] == ["fopen", "memcpy"]


def test_sixty_thousand_names_are_searched_at_once() -> None:
    parts = ("sched", "tcp", "vfs", "read", "write", "queue", "page", "lock", "init", "inode")
    names = Names.of(f"{a}_{b}_{c}_{n}" for a in parts for b in parts for c in parts for n in range(60))
    assert len(names) == 60_000
    for word in ("sched_tcp", "schdtcprd7", "e_e_e_e_9z", "zzzzzzzz", "q", "lockinit"):
        started = time.thread_time()
        names.search(word)
        assert time.thread_time() - started < 0.05 * PATIENCE, word


def test_search_is_fuzzy_and_ordered() -> None:
    names = Names.of(["vfs_read", "vfs_readv", "do_vfs_read", "very_fast_reading", "ext4_read"])
    assert names.search("vfs_read") == ["vfs_read", "vfs_readv", "do_vfs_read", "very_fast_reading"]
    assert names.search("vfsr") == ["vfs_read", "vfs_readv", "do_vfs_read", "very_fast_reading"]
    assert names.search("fast") == ["very_fast_reading"] and names.search("") == sorted(names.search("r"))
    assert Names.of(["a_x", "xa", "ax"]).search("x") == ["xa", "a_x", "ax"]
    assert EMPTY.functions.search("vfs") == []


def test_definitions() -> None:
    made = definitions_of("fn f($x: int64): int64 { return $x; } macro g(a) { a + 1 }")
    assert made is not None and [key for key, _ in made] == ["fn f", "macro g"]
    assert definitions_of("begin { }") is None
    known = Definitions().with_text("fn f", "fn f() { }").with_text("set pid", variable("pid", "42"))
    known = known.with_text("set who", variable("who", 'a "b"'))
    assert known.variables() == {"pid": "42", "who": '"a \\"b\\""'}
    ordered = known.with_text("struct s", "struct s { int a; };").source
    assert ordered is not None and ordered.text.startswith("struct s")
    assert known.without("fn f").source is not None and Definitions().source is None


def numbers(first: int, end: int) -> list[str]:
    return [str(number) for number in range(first, end)]


def test_what_one_can_read_is_shown_whole() -> None:
    flow = Flow()
    flow.add(numbers(0, BURST))
    assert flow.take(1.0) == (numbers(0, BURST), 0, [])
    for second in range(2, 20):
        flow.add(numbers(0, RATE))
        assert flow.take(float(second)) == (numbers(0, RATE), 0, [])
    assert not flow.waiting


def test_a_flood_is_thinned_and_counted() -> None:
    flow = Flow()
    flow.add(numbers(0, 100_000))
    assert flow.take(0.1) == (numbers(0, 5), 99_990, numbers(99_995, 100_000))
    flow.add(numbers(0, 50_000))
    assert flow.take(0.2) == ([], 0, []) and flow.waiting
    flow.add(numbers(50_000, 100_000))
    assert flow.take(1.2) == ([], 99_995, numbers(99_995, 100_000))
    flow.add(["calm"])
    assert flow.take(2.3) == (["calm"], 0, [])
    flow.add(numbers(0, 9000))
    flow.take(2.4)
    flow.add(numbers(0, 9000))
    assert flow.take(2.5, ended=True) == ([], 8900, numbers(8900, 9000))


def test_control_characters_are_made_visible() -> None:
    assert visible("a\x1b[31mb\tc\x07") == "a\\x1b[31mb\tc\\x07"


def test_statuses_of_what_is_typed() -> None:
    asked = []

    def ask(point: str) -> str:
        asked.append(point)
        if "nothing" in point:
            nowhere = Span(Source("x", ""), 0, 0)
            raise ScriptError([Diagnostic("error", nowhere, "no such function", ("try x",))])
        return f"{point} → kprobe"

    resolver = Resolver(ask)
    text = 'kprobe:vfs_read { printf("kprobe:nothing"); } kprobe:nothing, kprobe:oth'
    found = resolver.statuses(text, len(text))
    assert [(text[item.start : item.end], item.works) for item in found] == [
        ("kprobe:vfs_read", True), ("kprobe:nothing", False),
    ]  # fmt: skip
    assert found[1].words == "no such function; try x"
    resolver.statuses(text, len(text))
    assert asked == ["kprobe:vfs_read", "kprobe:nothing"]
    assert len(without_bodies(text)) == len(text)


def test_in_short() -> None:
    span = Span(Source("x", "fexit:f"), 0, 7)
    refused = Candidate("fexit", "f", "no trampolines")
    taken = Candidate("kretprobe", "f")
    choice = Choice("fexit:f", (refused, taken), points=1)
    assert in_short("fexit:f", [Resolution(span, "fexit:f", (choice,), 0)]) == "fexit:f → kretprobe"
    assert in_short("fexit:g", [Resolution(span, "fexit:g", (choice,), 0)]) == "fexit:g → kretprobe f"
