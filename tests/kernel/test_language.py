"""Expressions, statements, maps and aggregations on the running kernel, by what they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Ebt
from tests.kernel.support import ROOT, begin, lines, row, stats

pytestmark = pytest.mark.kernel

# --- values that need nothing but a `begin` ---

# what is printed → the text; several at a time, because each run costs a start
VALUES = {
    "arithmetic": {
        "7 + 3 * 2": "13",
        "(7 + 3) * 2": "20",
        "7 / 2": "3",
        "7 % 4": "3",
        "-7 + 3": "-4",
        "3 - 10": "-7",
        "1 << 10": "1024",
        "1024 >> 3": "128",
        "6 & 3": "2",
        "6 | 3": "7",
        "6 ^ 3": "5",
        "-(-5)": "5",
        "2 + 3 << 1": "10",
        "1 | 2 ^ 3 & 1": "3",
    },
    "the same on variables": {
        "$a + $b * 2": "13",
        "($a + $b) * 2": "20",
        "$a / 2": "3",
        "$a % 4": "3",
        "-$a + $b": "-4",
        "$b - 10": "-7",
        "$one << 10": "1024",
        "1024 >> $b": "128",
        "6 & $b": "2",
        "6 | $b": "7",
        "6 ^ $b": "5",
        "~$zero": "-1",
        "~$one": "18446744073709551614",
        "-(-$a)": "7",
        "$big + 1": "1099511627777",
        "$big * $big": "0",
        "-$big": "-1099511627776",
    },
    "conditions": {
        "1 < 2": "true",
        "2 < 1": "false",
        "2 <= 2": "true",
        "3 > 2": "true",
        "3 >= 4": "false",
        "1 == 1": "true",
        "1 != 1": "false",
        "$a > $b && $b > 0": "true",
        "$a < $b || $b < 0": "false",
        "!$a": "false",
        "!$zero": "true",
        "-1 < $zero": "true",
        "-$a < $b": "true",
        '"ab" == "ab"': "true",
        '$s == "four"': "true",
        '$s != "four"': "false",
        '$s == "fou"': "false",
        '$s == "fours"': "false",
        "true": "true",
        "!true": "false",
        "$a ? 11 : 12": "11",
        "$zero ? 11 : 12": "12",
        '$a > 3 ? "big" : "small"': "big",
        "$zero ? 1 : $a ? 2 : 3": "2",
    },
    "casts": {
        "(uint8)300": "44",
        "(uint8)$n": "44",
        "(int8)$m": "-56",
        "(int16)$big": "0",
        "(uint64)(uint32)-1": "4294967295",
        "(int64)(int8)$m": "-56",
        "(uint16)($big + 5)": "5",
        "(uint32)$a": "7",
        "(bool)$a": "true",
        "(int32)-$a": "-7",
    },
    "literals": {
        "0x1f": "31",
        "017": "15",
        "1e3": "1000",
        "1_000_000": "1000000",
        "5us": "5000",
        "2s": "2000000000",
        "9223372036854775807": "9223372036854775807",
        "18446744073709551615": "18446744073709551615",
        "-9223372036854775808": "-9223372036854775808",
        r'"a\tb\x41\101"': "a\tbAA",
        "10ul": "10",
        "false": "false",
    },
    "tuples": {
        '(1, "two", 3)': "(1, two, 3)",
        "(1, (2, 3))": "(1, (2, 3))",
        "(1,)": "(1)",
        "(1, $a).1": "7",
        '(1, ("x", $b)).1.0': "x",
        "$t.1": "four",
        "$t.2.1": "-3",
        "$t": "(7, four, (true, -3))",
    },
    "sizes": {"sizeof(uint32)": "4", "sizeof($a)": "8", "sizeof(struct list_head)": "16"},
}
SETUP = """
    $a = (int64)7; $b = (int64)3; $one = (uint64)1; $zero = (int64)0; $big = ((uint64)1) << 40; $s = "four";
    $n = (uint32)300; $m = (uint32)200; $t = ($a, $s, (true, -$b));
"""


@pytest.mark.parametrize("group", VALUES)
def test_values(ebt: Ebt, group: str) -> None:
    expected = VALUES[group]
    body = SETUP + "".join(f"print(({text}));" if text[0] != "(" else f"print({text});" for text in expected)
    assert dict(zip(expected, begin(ebt, body), strict=True)) == expected


CONVERSIONS = {
    '"%d %i %u", 7, -7, 7': "7 -7 7",
    '"%x %X %#x %o %#o", 255, 255, 255, 8, 8': "ff FF 0xff 10 010",
    '"%5d|%-5d|%05d|%+d", 42, 42, 42, 42': "   42|42   |00042|+42",
    '"%d %ld %lld", $big, $big, $big': "0 1099511627776 1099511627776",
    '"%u %lu", $big + 1, $big + 1': "1 1099511627777",
    '"%x %lx %llx", $big + 255, $big + 255, $big + 255': "ff 100000000ff 100000000ff",
    '"%hhd %hd %hhu", 300, 65537, 300': "44 1 44",
    '"%c%c%c|", 101, 98, 116': "ebt|",
    '"%p %p", $big, 0': "0x10000000000 0",
    '"%s|%6s|%-6s|%s", "abc", "abc", "abc", $s': "abc|   abc|abc   |four",
    '"%d%% %s", 100, "of it"': "100% of it",
    '"%s %s", (1, "b"), 5': "(1, b) 5",
    '"%d %s", true, true': "1 true",
    '"%-3d%3d|", 1, 2': "1    2|",
    '"no conversion"': "no conversion",
    '"%d", -1': "-1",
    '"%u %lu", -1, -1': "4294967295 18446744073709551615",
    r'"tab\tquote\" back\\slash \x41"': 'tab\tquote" back\\slash A',
}


def test_conversions_of_printf(ebt: Ebt) -> None:
    body = SETUP + "".join('printf("{}{}'.format(text[1:].replace('"', r'\n"', 1) if '\\"' not in text else
                           text[1:-1] + r'\n"', ");") for text in CONVERSIONS)  # fmt: skip
    assert dict(zip(CONVERSIONS, begin(ebt, body), strict=True)) == CONVERSIONS


STATEMENTS = {
    "if": ('$x = 5; if ($x > 3) { print("a"); } if ($x > 7) { print("b"); }', ["a"]),
    "else": ('$x = 5; if ($x > 7) { print("a"); } else { print("b"); }', ["b"]),
    "else if": (
        '$x = 5; if ($x == 1) { print("a"); } else if ($x == 5) { print("b"); } else { print("c"); }',
        ["b"],
    ),
    "no parentheses": ('$x = 5; if $x { print("a"); }', ["a"]),
    "unroll": ("$i = 1; unroll(5) { print($i); $i = $i * 3; }", ["1", "3", "9", "27", "81"]),
    "unroll by parameter": ("$i = 0; unroll($1) { $i++; } print($i);", ["13"]),
    "early return": ('print("a"); if (pid > 0) { return; } print("b");', ["a"]),
    "increments": (
        "$x = 5; $y = $x++; $z = ++$x; print(($x, $y, $z)); $x--; print($x--); print(--$x);",
        ["(7, 5, 7)", "6", "4"],
    ),
    "compound assignments": (
        "$x = 100; $x += 10; $x -= 5; $x *= 2; $x /= 3; $x %= 64; $x <<= 3; $x >>= 1; $x |= 3; "
        "$x &= 254; $x ^= 9; "
        "print($x);",
        [str(((((100 + 10 - 5) * 2 // 3 % 64 << 3 >> 1) | 3) & 254) ^ 9)],
    ),
    "the same on maps": (
        '@x = 100; @x += 10; @x -= 5; @x *= 2; @x /= 3; @x %= 64; @k[1, "a"] = 4; @k[1, "a"] <<= 2; '
        '@k[1, "a"]++;',
        ["@k[1, a]: 17", "@x: 6"],
    ),
    "let": ("let $x; let $y = 4; let $z: uint8 = 5; $x = $y + $z; print($x); print($z);", ["9", "5"]),
    "a block of its own": ("let $x = 1; if ($x) { let $y = 2; $x = $x + $y; } print($x);", ["3"]),
    "a discarded value": ("_ = 5 + 3; print(1);", ["1"]),
    "parameters": (
        'print($1); print(str($2)); print($#); printf("%s %d\\n", str($2), $1); print($3);',
        ["13", "a word", "3", "a word 13", "-7"],
    ),
    "division by zero": ("$x = (uint64)$1 - 13; print(40 / ($x + 2));", ["20"]),
    "empty statements": ("; ; print(1);", ["1"]),
}


@pytest.mark.parametrize("which", STATEMENTS)
def test_statements(ebt: Ebt, which: str) -> None:
    body, expected = STATEMENTS[which]
    assert begin(ebt, body, "13", "a word", "-7") == expected


MAPS = {
    "scalar": ('@x = 5; @x = @x + 2; @b = -3; @s = "text";', ["@b: -3", "@s: text", "@x: 7"]),
    "nameless": ("@ = 5;", ["@: 5"]),
    "unsigned and signed": (
        "@u = (uint64)18446744073709551615; @i = (int64)-1; @w = (uint8)200; @v = (int8)-100;",
        ["@i: -1", "@u: 18446744073709551615", "@v: -100", "@w: 200"],
    ),
    "a missing key reads zero": ('@x["a"] = 5; print(@x["b"]); print(@x["a"]);', ["0", "5", "@x[a]: 5"]),
    "a missing string is empty": ('@x[1] = "a"; printf("<%s>\\n", @x[2]);', ["<>", "@x[1]: a"]),
    "string keys": (
        '@x["b"] = 1; @x["a"] = 2; @x["longer than that"] = 3;',
        ["@x[b]: 1", "@x[a]: 2", "@x[longer than that]: 3"],
    ),
    "string values": ('@x["b"] = "v1"; @x["a"] = "another"; ', ["@x[a]: another", "@x[b]: v1"]),
    "keys of several parts": (
        '@x[1, "a", -5] = 1; @x[2, "b", 5] = 2; $k = (1, "a", -5); @x[$k] += 5; print(@x[1, "a", -5]);',
        ["6", "@x[2, b, 5]: 2", "@x[1, a, -5]: 6"],
    ),
    "tuples as values": (
        '@x = (1, "a"); @y[3] = (5, (6, "bc")); print(@y[3].1.1);',
        ["bc", "@x: (1, a)", "@y[3]: (5, (6, bc))"],
    ),
    "a tuple from a map as a key": ('@a = (7, "k"); @b[@a] = 5;', ["@a: (7, k)", "@b[7, k]: 5"]),
    "booleans": ("@b = 3 > 2; @c[1 == 2] = true;", ["@b: true", "@c[false]: true"]),
    "delete": (
        '@x["a"] = 1; @x["b"] = 2; print(delete(@x, "a")); print(delete(@x, "b")); @y = 4; '
        "delete(@y); @z[1,2] = 3; "
        "delete(@z, (1, 2)); @w[1] = 1; delete(@w[1]);",
        ["true", "true"],
    ),
    "has_key": (
        '@x["a"] = 0; print(has_key(@x, "a")); print(has_key(@x, "b")); if (has_key(@x, "a")) { print(1); } '
        "@y[1, 2] = 3; print(has_key(@y, (1, 2))); print(has_key(@y, (2, 2))); clear(@x); clear(@y);",
        ["true", "false", "1", "true", "false"],
    ),
    "clear and zero": (
        '@x[1] = 5; @x[2] = 6; @y[1] = 5; @c = count(); @h["a"] = hist(3); @s = 8; @k = 4; '
        "clear(@x); zero(@y); "
        "zero(@c); zero(@h); zero(@s); clear(@k); @m = min(4); @t = stats(4); zero(@m); zero(@t);",
        ["@c: 0", "@h[a]:", "@m: 0", "@s: 0", f"@t: {stats(0, 0, 0)}", "@y[1]: 0"],
    ),
    "print a map": (
        '@x[1] = 5; @x[2] = 9; @x[3] = 7; print(@x); print("-"); print(@x, 2); print("-"); print(@x, 1, 4); '
        'print("-"); print(@x, 0, 2); print("-"); print(@x[3]); clear(@x);',
        [
            "@x[1]: 5",
            "@x[3]: 7",
            "@x[2]: 9",
            "-",
            "@x[3]: 7",
            "@x[2]: 9",
            "-",
            "@x[2]: 2",
            "-",
            "@x[1]: 2",
            "@x[3]: 3",
            "@x[2]: 4",
            "-",
            "7",
        ],
    ),
    "the order of entries": (
        "@i[1] = 3; @i[2] = -4; @i[3] = 0; @u[1] = (uint64)18446744073709551615; @u[2] = (uint64)1;",
        ["@i[2]: -4", "@i[3]: 0", "@i[1]: 3", "@u[2]: 1", "@u[1]: 18446744073709551615"],
    ),
}


@pytest.mark.parametrize("which", MAPS)
def test_maps(ebt: Ebt, which: str) -> None:
    body, expected = MAPS[which]
    assert begin(ebt, body) == expected


AGGREGATES = {
    "count": ('@ = count(); @ = count(); @k["a"] = count();', ["@: 2", "@k[a]: 1"]),
    "sum": ("@ = sum($1); @ = sum(5); @n = sum(-7); @n = sum($2);", ["@: 28", "@n: -18"]),
    "min and max": (
        "@a = min($1); @a = min(5); @b = max($1); @b = max(5); @c = min($2); @c = min(3); "
        "@d = max($2); @d = max(-40);",
        ["@a: 5", "@b: 23", "@c: -11", "@d: -11"],
    ),
    "avg": ("@ = avg($1); @ = avg(6); @n = avg($2); @n = avg(-2);", ["@: 14", "@n: -6"]),
    "stats": (
        "@ = stats($1); @ = stats(6); @n[1] = stats($2); @n[1] = stats(-2);",
        [f"@: {stats(2, 14, 29)}", f"@n[1]: {stats(2, -6, -13)}"],
    ),
    "hist": (
        "@ = hist(-5); @ = hist(0); @ = hist(1); @ = hist(1); @ = hist(3); @ = hist(1500); @ = hist(1500); "
        "@ = hist(1024); @ = hist(2047);",
        [
            "@:",
            row("(..., 0)", 1, 13),
            row("[0]", 1, 13),
            row("[1]", 2, 26),
            row("[2, 4)", 1, 13),
            *(
                row(label, 0, 0)
                for label in (
                    "[4, 8)",
                    "[8, 16)",
                    "[16, 32)",
                    "[32, 64)",
                    "[64, 128)",
                    "[128, 256)",
                    "[256, 512)",
                    "[512, 1K)",
                )
            ),
            row("[1K, 2K)", 4),
        ],
    ),
    "hist of every size": (
        "@ = hist(9223372036854775807); @k[1] = hist(4611686018427387904);",
        ["@:", row("[4E, 8E)", 1), "@k[1]:", row("[4E, 8E)", 1)],
    ),
    "finer hist": (
        "@ = hist(8, 2); @ = hist(9, 2); @ = hist(10, 2);",
        ["@:", row("[8, 10)", 2), row("[10, 12)", 1, 26)],
    ),
    "keyed hist": (
        '@["b"] = hist(4); @["a"] = hist(4); @["a"] = hist(4);',
        ["@[b]:", row("[4, 8)", 1), "@[a]:", row("[4, 8)", 2)],
    ),
    "lhist": (
        "@ = lhist(-5, 0, 30, 10); @ = lhist(0, 0, 30, 10); @ = lhist(9, 0, 30, 10); "
        "@ = lhist(29, 0, 30, 10); "
        "@ = lhist(30, 0, 30, 10); @ = lhist(1000, 0, 30, 10);",
        [
            "@:",
            row("(..., 0)", 1, 26),
            row("[0, 10)", 2),
            row("[10, 20)", 0, 0),
            row("[20, 30)", 1, 26),
            row("[30, ...)", 2),
        ],
    ),
    "lhist by one": ("@ = lhist(3, 0, 8, 1); @ = lhist(3, 0, 8, 1);", ["@:", row("[3]", 2)]),
    "keyed lhist": ('@["a", 2] = lhist(15, 0, 30, 10);', ["@[a, 2]:", row("[10, 20)", 1)]),
}


@pytest.mark.parametrize("which", AGGREGATES)
def test_aggregates(ebt: Ebt, which: str) -> None:
    body, expected = AGGREGATES[which]
    assert begin(ebt, body, "23", "-11") == expected


# --- scripts in files, and settings ---


def test_a_script(ebt: Ebt, tmp_path: Path) -> None:
    file = tmp_path / "a.ebt"
    file.write_text(
        f"#!{ROOT}/.venv/bin/ebt\n// a comment\n/* another\n   one */\n"
        "config = { print_maps_on_exit = false }\n"
        'begin {\n    @x = $1;\n    printf("%d %s %d\\n", $1, str($2), $#);\n}\n'
    )
    assert ebt("-q", file, "23", "word").stdout == "23 word 2\n"
    assert ebt("-q", "-", "23", "word", stdin=file.read_text()).stdout == "23 word 2\n"
    assert ebt("-q", file, "--", "23", "word").stdout == "23 word 2\n"


def test_settings(ebt: Ebt) -> None:
    program = """
        config = { max_map_keys = 3; print_maps_on_exit = 0 }
        begin { @[1] = 1; @[2] = 1; @[3] = 1; @[4] = 1; print(@); }
    """
    result = ebt("-q", "-e", program)
    assert lines(result.stdout) == ["@[1]: 1", "@[2]: 1", "@[3]: 1"]
    assert result.stderr.startswith("stdin:3:") and "full" in result.stderr
    larger = ebt("-q", "-e", program, env={"BPFTRACE_MAX_MAP_KEYS": "4"})
    assert lines(larger.stdout) == [f"@[{number}]: 1" for number in range(1, 5)] and larger.stderr == ""


def test_a_division_by_zero_is_told(ebt: Ebt) -> None:
    result = ebt("-q", "-e", "begin { $x = (uint64)$1; print(40 / $x); print(40 % $x); }", "0")
    assert lines(result.stdout) == ["40", "0"] and result.rc == 0
    assert result.stderr.count("stdin:1:") == 2 and "warning" in result.stderr and "0" in result.stderr


COPIES = """
struct inner { char a; u32 b : 3; u32 c : 5; char name[8]; }
struct outer { u64 first; struct inner in; u16 many[6]; struct outer *next; }
begin {
    $p = (struct outer *)curtask; $i = 2;
    $q = *$p;
    print(($q.first == $p.first, $q.in.a == $p.in.a, $q.in.b == $p.in.b, $q.in.c == $p.in.c));
    print(($q.many[3] == $p.many[3], $q.many[$i] == $p.many[$i], $q.in.name == $p.in.name));
    $n = $q.in; @m[1] = $p.in; @s = *$p; $t = (7, *$p);
    print(($n.b == $p.in.b, @m[1].c == $p.in.c, @s.many[5] == $p.many[5], $t.1.first == $p.first));
    for $kv : @m { print($kv.1.a == $p.in.a); }
    print(((*$p).in.b == $p.in.b, (*($p + 1)).first == $p[1].first, $q.next == $p.next));
    print(*(int8 *)curtask == (int8)*(uint32 *)curtask);
    print(((*curtask).pid == tid, (*(*curtask).mm).pgd == curtask.mm.pgd));
    clear(@m); clear(@s);
}
"""


def test_structs_behind_pointers_and_copies_of_them(ebt: Ebt) -> None:
    result = ebt("-q", "-e", COPIES)
    assert result.stderr == "" and result.stdout.split("\n") == [
        "(true, true, true, true)", "(true, true, true)", "(true, true, true, true)", "true",
        "(true, true, true)", "true", "(true, true)", "", "", "",
    ], result  # fmt: skip
