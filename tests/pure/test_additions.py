"""What ebt adds to bpftrace's language: mistakes and their messages, for a recorded kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.pipeline import Compiled, compile_script
from kernel.recorded import RecordedMachine
from lang.diagnostics import ScriptError
from lang.source import Source

MACHINE = RecordedMachine(Path(__file__).parents[2] / "kernel/recorded/default.ebtk")


def compiled(text: str) -> Compiled:
    return compile_script(Source("t", text), MACHINE)


# what is wrong → the message
WRONG = {
    "emit(pid, pid);": "two columns are called 'PID'",
    'emit(X = printf("x"));': "this has no value to print",
    'emit(hex("a"));': "hex(): the value must be an integer, not string[2]",
    'emit(flags(3, "opn"));': "flags() expects the name of a set of flags",
    "emit(ms(3, 10));": "ms(): the digits must be a literal from 0 to 9",
    "@a[1].x = 5; @a[1].x = count();": "type mismatch for @a.x: trying to assign value of type 'count_t' "
    "when field already has a type 'int8'",
    "@a[1].x = hist(5);": "a field of a map's entry takes a plain value, count(), sum(), min(), max() and "
    "avg(), not hist()",
    "@a[1].x = clear(@a);": "a field of a map's entry cannot hold a value of type none",
    "@a[1].x = sum(5); @a[1].x = count();":
        "type mismatch for @a.x: trying to assign value of type 'count_t' when field already has a type "
        "'usum_t'",
    "@a[1] = 5; @a[1].x = count();":
        "type mismatch for @a: trying to assign value of type 'record { .x }' when map already has a type "
        "'int8'",
    "@a[1].x = count(); print(@a[1].y);": "the record does not contain a field named 'y'",
    "@a[1].x = count(); @a[1]++;": "a record { .x = count_t } cannot be changed by '++'",
    "table(5);": "table() expects a map",
    "@a[1] = 5; table(@a, sort = b);": "there is no such column to sort by",
    "@a[1] = 5; table(@a, top = -1);": "table(): top must be a literal that is not negative",
    "@a[1] = 5; table(@a, 1);":
        "behind the map, table() takes TITLE = COLUMN, sort = COLUMN, top = NUMBER, begins = TEXT",
    "@a[1] = 5; table(@a, begins = 1);": "table(): begins is a literal text, of the first part of the key",
    "@a[1] = 5; table(@a, SIZE = b);": "there is no such column",
    "@a[1] = 5; table(@a, SIZE = @b[key]);": "undefined map: @b",
    "@a[1] = 5; @b = 5; table(@a, SIZE = @b[key]);": "@b has no keys",
    "@a[1] = 5; @b[1] = 5; table(@a, SIZE = @b[a]);": "another map is read under a part of the key",
    '@a[1] = 5; @b["x"] = 5; table(@a, SIZE = @b[key]);':
        "@b has keys of type string[2], and 'key' is int8",
    "@a[1] = 5; @b[1] = count(); table(@a, SIZE = @b[key]);":
        "@b holds count_t, and a column a plain value",
    "@a[1] = 5; table(@a, SIZE = kb(b));": "kb() of what is no column",
    "@a[1] = 5; table(@a, SIZE = kb(key));": "kb() makes text of a number among the values",
    "emit(0 ? pid : ());": "this row has no column",
    'print(format("%d", 1));': "format() makes text of a row only",
    "@a[1] = hist(5); table(@a);": "a hist() map is no table",
    "print(path(pid));": "path() expects a struct path, file or dentry of the kernel, not uint32",
    "print(opt.x);": "the script has no option 'x'",
}  # fmt: skip


@pytest.mark.parametrize("statements", WRONG)
def test_mistakes(statements: str) -> None:
    with pytest.raises(ScriptError) as wrong:
        compiled(f"begin {{ {statements} }}")
    assert wrong.value.diagnostics[0].message == WRONG[statements]


# functions that are wrong → the message
FUNCTIONS = {
    "fn f($a: uint64) : uint64 { } begin { print(f(1)); }": "not every way through 'f' returns a value",
    "fn f() : uint64 { if (1) { return 3; } } begin { }": "not every way through 'f' returns a value",
    "fn f() { return 3; } begin { }": "'f' returns no value",
    "fn f() : uint64 { return; } begin { }": "'f' returns a value",
    "fn f() : uint64 { while (1) { return 3; } return 4; } begin { }":
        "this return stands in a loop, and cannot leave the function 'f'",
    "fn f() { f(); } begin { f(); }": "the function 'f' calls itself: f → f",
    "fn f($a: uint64) { } begin { f(); }": "f() takes 1 arguments, not 0",
    "fn f() { } fn f() { } begin { f(); }": "the function 'f' is defined twice",
    'import "x"; begin { }': "nothing can be imported here",
}  # fmt: skip


@pytest.mark.parametrize("text", FUNCTIONS)
def test_wrong_functions(text: str) -> None:
    with pytest.raises(ScriptError) as wrong:
        compiled(text)
    assert wrong.value.diagnostics[0].message == FUNCTIONS[text]
