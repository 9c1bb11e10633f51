"""Loops, macros, blocks as values, C definitions and compile-time questions, run by the kernel."""

from __future__ import annotations

import pytest

from tests.conftest import Ebt

pytestmark = pytest.mark.kernel

# script → what it prints before its maps
SCRIPTS = {
    "range": ("$s = 0; for $i : 0..23 { $s += $i; } print($s);", "253"),
    "range with break": ("$s = 0; for $i : 0..23 { if ($i == 5) { break; } $s += $i; } print($s);", "10"),
    "range with continue": ("$s = 0; for $i : 0..5 { if ($i == 3) { continue; } $s += $i; } print($s);", "7"),
    "range whose body changes its variable": (
        "$s = 0; for $i : 0..4 { $s += $i; $i = 0; } print($s);", "6",
    ),
    "assertion in an open range": (
        '$n = 2 + pid * 0; for $i : 0..$n { assert($i < 5, "no"); } print($n);', "2",
    ),
    "open range": ("$n = 22 + (pid > 0); $s = 0; for $i : 0..$n { $s += $i; } print($s);", "253"),
    "empty range": ("$n = pid * 0; $s = 1; for $i : 5..$n { $s = 2; } print($s);", "1"),
    "nested": ("$s = 0; for $i : 0..5 { for $j : 0..$i { $s += $j; } } print($s);", "10"),
    "strings across": (
        '$t = "none"; $n = 3 + pid * 0; for $i : 0..$n { $t = $i == 2 ? "two" : "less"; } print($t);',
        "two",
    ),
    "while": ("$i = 0; while ($i < 23) { $i++; } print($i);", "23"),
    "map": (
        "@a[2] = 3; @a[5] = 7; $s = 0; for $kv : @a { $s += $kv.0 * $kv.1; } print($s); clear(@a);",
        "41",
    ),
    "map of text": ('@a["x"] = "yy"; for $kv : @a { printf("%s=%s\\n", $kv.0, $kv.1); } clear(@a);', "x=yy"),
    "counts": ("@c[1] = count(); @c[1] = count(); for $kv : @c { print($kv); } clear(@c);", "(1, 2)"),
    "read count": ("@c = count(); @c = count(); print(@c + 1); clear(@c);", "3"),
    "read sum": ("@c = sum(-5); @c = sum(2); print((int64)@c); clear(@c);", "-3"),
    "read min": ("@c = min(7); @c = min(-2); print((@c, 1)); clear(@c);", "(-2, 1)"),
    "read max": ("@c[1] = max(7); @c[1] = max(9); if (@c[1] == 9) { print(1); } clear(@c);", "1"),
    "read avg": ("@c = avg(10); @c = avg(20); $x = @c; print($x); clear(@c);", "15"),
    "if value": ('$x = if (pid > 0) { "yes" } else { "no" }; print($x);', "yes"),
    "block value": ("$x = { $y = 3; $y * 7 }; print($x);", "21"),
    "typeof": ("let $x: typeof(pid) = 5; print(sizeof($x));", "4"),
    "comptime": ("if comptime (1 + 1 == 2) { print(1); } else { print(curtask.no_such_field); }", "1"),
    "exists": (
        'if (exists("struct task_struct.no_such")) { print(curtask.no_such); } else { print(2); }',
        "2",
    ),
    "coalesce": ("print((curtask.no_such_field ?? curtask.pid) == tid);", "true"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_flow(ebt: Ebt, name: str) -> None:
    body, expected = SCRIPTS[name]
    done = ebt("-q", "-e", f"begin {{ {body} exit(); }}")
    assert (done.rc, done.stderr, done.stdout.strip()) == (0, "", expected)


def test_a_declared_map_that_nothing_writes_is_empty(ebt: Ebt) -> None:
    """What would write it may be switched off by an option, or be a probe that this kernel lacks."""
    script = """let @a = lruhash(10); let @p = percpuhash(3);
        begin { print((has_key(@a, 1), len(@a), has_key(@p, (1, "x")))); clear(@a); print(@p); exit(); }"""
    done = ebt("-q", "-e", script)
    assert (done.rc, done.stderr, done.stdout.strip()) == (0, "", "(false, 0, false)"), done


def test_a_loop_can_leave_the_probe(ebt: Ebt) -> None:
    script = "begin { $n = 9 + pid * 0; for $i : 0..$n { if ($i == 4) { print($i); return; } } print(99); }"
    done = ebt("-q", "-e", script)
    assert (done.rc, done.stdout.strip()) == (0, "4")


def test_macros_and_definitions(ebt: Ebt) -> None:
    script = """
#define LIMIT 20
struct pair { int a; char name[4]; u64 c; };
enum level { LOW = 3, HIGH };
macro add($x, @m, y) { $x += 1; @m = y; y + LIMIT }
begin {
    $x = 3;
    $y = add($x, @kept, 40);
    printf("%d %d %d %d %d\\n", $x, $y, sizeof(struct pair), offsetof(struct pair, c), HIGH);
}
"""
    done = ebt("-q", "-e", script)
    assert (done.rc, done.stderr, done.stdout.split("\n")[0]) == (0, "", "4 60 16 8 4")
    assert done.stdout.rstrip().endswith("@kept: 40")


def test_the_first_alternative_that_can_be_attached(ebt: Ebt) -> None:
    script = "kprobe:no_such || tracepoint:syscalls:sys_enter_openat { } begin { print(probe); exit(); }"
    done = ebt("-q", "-e", script)
    assert (done.rc, done.stderr) == (0, "") and done.stdout.startswith("begin")


def test_an_optional_probe_is_told_and_left_out(ebt: Ebt) -> None:
    done = ebt("-q", "-e", "tracepoint:no:such? { } begin { print(1); exit(); }")
    assert done.rc == 0 and "warning: skipped: tracepoint 'no:such'" in done.stderr
