"""The C of a body: what is read or written once, and what must be read again."""

from __future__ import annotations

import pytest

from codegen.pipeline import compile_script
from kernel.recorded import RecordedMachine, default_machine
from lang.source import Source

READ = "tracepoint:syscalls:sys_enter_read"
STARTS = "tracepoint:syscalls:sys_enter_write { @start[args.fd] = nsecs; }"


@pytest.fixture(scope="module")
def machine() -> RecordedMachine:
    return default_machine()


def body(text: str, machine: RecordedMachine) -> str:
    """The C of the first program, without the script's lines."""
    c = (
        compile_script(Source("x.ebt", text), machine, (), {})
        .c.partition("\nint on_sys_enter_read(")[2]
        .partition("\n}")[0]
    )
    return "\n".join(line for line in c.split("\n") if "//" not in line and not line.startswith("#"))


def test_a_predicate_is_a_row_of_returns(machine: RecordedMachine) -> None:
    c = body(f"{READ} /pid > 5 && (args.fd == 3 && args.count > 7) && 1/ {{ @ = count(); }}", machine)
    assert c.count("        return 1;") == 3
    assert "both" not in c and "true" not in c


def test_either_of_two_is_one_condition(machine: RecordedMachine) -> None:
    c = body(f"{READ} /args.fd == 3 || args.count > 7 || 0/ {{ @ = count(); }}", machine)
    assert c.count("        return 1;") == 1
    c = body(f"{READ} /pid && 0/ {{ @ = count(); }}", machine)
    assert c.count("        return 1;") >= 1  # the left side is looked at, and the right one decides


def test_the_body_knows_what_the_predicate_read(machine: RecordedMachine) -> None:
    took = "@took = nsecs - @start[args.fd]; delete(@start, args.fd);"
    c = body(f"{READ} /@start[args.fd]/ {{ {took} }} {STARTS}", machine)
    assert c.count("at_start.lookup(") == 1
    assert c.count(" key = ") == 1 and "key_2" not in c


@pytest.mark.parametrize(
    "between", ["@start[args.fd] = 1;", "delete(@start, args.fd);", "@start[args.fd]++;"]
)
def test_what_was_written_since_is_read_again(machine: RecordedMachine, between: str) -> None:
    c = body(f"{READ} /@start[args.fd]/ {{ {between} @took = @start[args.fd]; }} {STARTS}", machine)
    assert c.count("at_start.lookup(") >= 2


def test_a_key_of_a_variable_that_changes(machine: RecordedMachine) -> None:
    c = body(f"{READ} {{ $n = args.fd; @a[$n] = 1; $n = $n + 1; @a[$n] = 1; $n++; @a[$n] = 1; }}", machine)
    assert [line.split("=")[0].split()[-1] for line in c.split("\n") if " key" in line.split("=")[0]] == [
        "key", "key_2", "key_3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        ("$n = args.fd; @a = $n; @b = $n;", False),
        ("$n = pid; @a = $n;", False),
        ("$n = args.fd; if (pid > 5) { $n = 7; } @a = $n;", True),
        ("$n = args.fd; $n += 2; @a = $n;", True),
        ("$n = args.fd; @b = $n++; @a = $n;", True),
        ("let $n; $n = args.fd; @a = $n;", True),
        ("$n = args.fd; for $i : 0..5000 { @a = $n; }", True),
        ("$n = args.fd; while (@a < 3) { @a++; @b = $n; }", True),
    ],
)
def test_a_variable_that_never_changes_is_what_it_was_read_into(
    machine: RecordedMachine, text: str, copies: bool
) -> None:
    c = body(f"{READ} {{ {text} }}", machine)
    assert any(line.split("=")[0].split()[-1:] == ["n"] for line in c.split("\n") if "=" in line) == copies, c


def test_fields_of_one_record_share_a_lookup(machine: RecordedMachine) -> None:
    c = body(
        f"{READ} {{ @n.calls = count(); @n.bytes = sum(args.count); @n.most = max(args.count); }}", machine
    )
    assert c.count("at_n.lookup(") == 1


def test_a_macro_may_leave_its_own_loop(machine: RecordedMachine) -> None:
    macro = "macro first(n) { for ($i : 0..9) { if ($i == n) { break; } } }"
    assert "break;" in body(f"{macro} {READ} {{ first(7); }}", machine)


def test_an_entry_that_was_asked_for_is_not_looked_up_again(machine: RecordedMachine) -> None:
    took = "@took = nsecs - @start[args.fd]; delete(@start, args.fd);"
    c = body(f"{READ} /has_key(@start, args.fd)/ {{ {took} }} {STARTS}", machine)
    assert c.count("at_start.lookup(") == 1
    c = body(f"{READ} /has_key(@start, args.fd)/ {{ delete(@start, args.fd); {took} }} {STARTS}", machine)
    assert c.count("at_start.lookup(") == 2
    pairs = "tracepoint:syscalls:sys_enter_write { @pair[args.fd] = (nsecs, comm); }"
    reads = "if (has_key(@pair, args.fd)) { $p = @pair[args.fd]; print($p); }"
    c = body(f"{READ} {{ {reads} }} {pairs}", machine)
    assert c.count("at_pair.lookup(") == 1
    changes = "$n = args.fd; if (has_key(@pair, $n)) { $n = $n + 1; $p = @pair[$n]; print($p); }"
    c = body(f"{READ} {{ {changes} }} {pairs}", machine)
    assert c.count("at_pair.lookup(") == 2


def test_what_one_condition_reads_the_next_and_the_body_know(machine: RecordedMachine) -> None:
    task = "$task = (struct task_struct *)curtask;"
    test = "pid && $task.tgid > 1 && $task.tgid < 9"
    c = body(f"{READ} {{ {task} if ({test}) {{ @ = $task.tgid; }} }}", machine)
    assert c.count("bpf_probe_read_kernel(&tgid,") == 1 and "both" not in c
    c = body(f"{READ} {{ {task} if ({test}) {{ @ = 1; }} else {{ @ = 2; }} }}", machine)
    assert c.count("} else {") == 1
    c = body(f"{READ} {{ if (pid > 5 && (pid < 9 || pid == 11)) {{ @ = 1; }} }}", machine)
    assert "if ((pid > 5) && ((pid < 9) || (pid == 11))) {" in c
