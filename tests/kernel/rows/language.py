"""The rows of the reference's tables on the language itself: row → what a `begin` does, and what that prints.

A row is an expression and the text that print() gives of it, or a name, statements, and the lines that they
print, the maps' at the end of the run among them. $i is 7 and $n -3 (int64), $u 5 and $z 0 (uint64),
$w 200 (uint8), $s "four".
"""

from __future__ import annotations

Row = str | tuple[str, ...]
SETUP = '$i = (int64)7; $n = (int64)-3; $u = (uint64)5; $z = (uint64)0; $w = (uint8)200; $s = "four"; '

LEXICAL: dict[str, Row] = {
    "23": "23", "017": "15", "0x1f": "31", "1_000": "1000", "1e6": "1000000", "9223372036854775807":
        "9223372036854775807",
    "18446744073709551615": "18446744073709551615", "10u": "10", "10ul": "10", "10ull": "10",
        "10l": "10", "10ll": "10",
    "5ns": "5", "5us": "5000", "5ms": "5000000", "5s": "5000000000", "5m": "300000000000",
        "5h": "18000000000000",
    "1d": "86400000000000", "-5": "-5", "true": "true", "false": "false",
    r'"tab\there"': "tab\there", r'"\x41\102"': "AB", r'"a\"b\\c"': 'a"b\\c', '"ab" + "cd"': "abcd",
    '"abcd"[1]': "98",
    "comments": ("print(1); // two\n /* three */ print(4);", "1", "4"),
    "$1": "23", "$2": "word", "$#": "2", "$9": "0", "str($2)": "word", "str($9) == "
                                                                       "\"\"": "true", "$1 + 1": "24",
    '"abcdef" + 2': "cdef",
}  # fmt: skip
OPERATORS: dict[str, Row] = {
    "$i + $u": "12", "$i - 9": "-2", "$i * $n": "-21", "$u / 2": "2", "$i % 4": "3", "$i << 3":
        "56", "$i >> 1": "3",
    "$i & 6": "6", "$i | 8": "15", "$i ^ 2": "5", "~$u": "18446744073709551610", "-$i": "-7", "!$i": "false",
    "!$z": "true", "$i == 7": "true", "$i != 7": "false", "$i < 8": "true", "$i > 8": "false",
        "$i <= 7": "true",
    "$i >= 8": "false", "$i && $z": "false", "$i || $z": "true", "$i ? 1 : "
                                                                 "2": "1", "$z ?: 9": "9", "$i ?: 9": "7",
    "*(uint8 *)kaddr(\"vfs_read\") == *(uint8 *)(kaddr(\"vfs_read\") + 0)": "true",
    "++": ("$x = 5; $y = $x++; $q = ++$x; print(($x, $y, $q));", "(7, 5, 7)"),
    "--": ("$x = 5; $y = $x--; $q = --$x; print(($x, $y, $q));", "(3, 5, 3)"),
    "=": ("$x = 5; @m = 6; @k[1] = 7; print($x);", "5", "@k[1]: 7", "@m: 6"),
    "+=": ("$x = 5; $x += 3; @m = 1; @m += 2; @k[1] += 9; print($x);", "8", "@k[1]: 9", "@m: 3"),
    "-=": ("$x = 5; $x -= 8; print($x);", "-3"),
    "*=": ("$x = 5; $x *= 3; print($x);", "15"),
    "/=": ("$x = (uint64)15; $x /= 4; print($x);", "3"),
    "%=": ("$x = (uint64)15; $x %= 4; print($x);", "3"),
    "&=": ("$x = 7; $x &= 5; print($x);", "5"),
    "|=": ("$x = 5; $x |= 2; print($x);", "7"),
    "^=": ("$x = 7; $x ^= 2; print($x);", "5"),
    "<<=": ("$x = 1; $x <<= 4; print($x);", "16"),
    ">>=": ("$x = 16; $x >>= 3; print($x);", "2"),
    "++ of a map": ("@k[1]++; ++@k[1]; @m--; print(@k[1]++);", "2", "@k[1]: 3", "@m: -1"),
    "?? ": ("print(curtask.no_such_field ?? curtask.tgid == pid);", "true"),
    "1 + 2 * 3": "7", "(1 + 2) * 3": "9", "1 | 2 ^ 3 & 4": "3", "1 << 2 + 1": "8", "7 - 2 - 1": "4",
    "1 < 2 == true": "true", "0 || 1 && 0": "false", "$z ? 1 : $i ? 2 : 3": "2",
}  # fmt: skip
STATEMENTS: dict[str, Row] = {
    "let": ("let $a; let $b = 4; let $c: uint8 = 5; let $d: typeof($c) = 6; $a = $b + $c + $d; "
            "print($a);", "15"),
    "let without a value": ("let $a: int32; print($a);", "0"),
    "assignment": ("$a = 5; $a = 6; print($a);", "6"),
    "_ = e": ("_ = 5; print(1);", "1"),
    "if": ('if ($i == 7) { print("yes"); } else { print("no"); }', "yes"),
    "if without brackets": ('if $i { print("yes"); }', "yes"),
    "else if": ('if ($i == 1) { print(1); } else if ($i == 7) { print(7); } else { print(0); }', "7"),
    "if as a value": ("$a = if ($i > 3) { 1 } else { 2 }; print($a);", "1"),
    "unroll": ("$a = 1; unroll 4 { $a *= 2; } print($a); unroll(2) { $a += 1; } print($a);", "16", "18"),
    "while": ("$a = 0; while ($a < 5) { $a++; } print($a);", "5"),
    "for over a range": ("$a = 0; for $j : 2..6 { $a += $j; } print($a);", "14"),
    "for over a map": ('@m["a"] = 1; @m["b"] = 2; $a = 0; for $kv : @m { $a += $kv.1; } print($a);', "3",
                       "@m[a]: 1", "@m[b]: 2"),
    "break": ("$a = 0; for $j : 0..9 { if ($j == 4) { break; } $a += $j; } print($a);", "6"),
    "continue": ("$a = 0; for $j : 0..5 { if ($j == 3) { continue; } $a += $j; } print($a);", "7"),
    "return": ('print("a"); if ($i) { return; } print("b");', "a"),
    "a block as a value": ("$a = { $b = 3; $b * 2 }; print($a);", "6"),
    "a block's own "
    "variables": ("if ($i) { let $own = 1; @m = $own; } { let $own = 2; print($own); }", "2", "@m: 1"),
}  # fmt: skip
EXPRESSIONS: dict[str, Row] = {
    "(1, \"a\", "
    "3)": "(1, a, 3)", "(1,)": "(1)", "(1, (2, "
                                      "3)).1.0": "2", "(4, 5)[1]": "5", "(a=1, b=2)": "{ .a = 1, .b = 2 }",
    "(a=1, b=(5, 6)).b.1": "6", "()": "()",
    "sizeof(uint32)": "4", "sizeof($i)": "8", "sizeof(struct "
                                              "list_head)": "16", "offsetof(struct list_head, prev)": "8",
    "sizeof(typeof($w))": "1", "(typeof($w))300": "44", "comptime (2 + 3)": "5", "$s[0]": "102",
    "curtask.tgid == pid(init)": "true", "curtask->tgid == curtask.group_leader.tgid": "true",
    "curtask.signal.rlim[7].rlim_max > 0": "true", "strlen(curtask.comm) > 0": "true",
    "curtask.rcu_users.refs.counter > 0": "true", "curtask.sched_reset_on_fork + 0": "0",
    "(curtask == curtask.group_leader)": "true", "((struct task_struct *)curtask).pid > 0": "true",
    "pid() == pid": "true", "comm() == comm": "true",
}  # fmt: skip
TYPES: dict[str, Row] = {
    "(bool)$i": "true", "(bool)$z": "false", "(int8)$w": "-56", "(int16)70000": "4464", "(int32)$n": "-3",
    "(int64)(int8)$w": "-56", "(uint8)$n": "253", "(uint16)$n": "65533", "(uint32)$n": "4294967293",
    "(uint64)$n": "18446744073709551613", "(uint64)(uint32)$n": "4294967293", "(u32)$n": "4294967293",
    "(size_t)5": "5", "(char)65": "65", "(pid_t)-1": "-1", "(int64)true": "1",
    "(struct task_struct *)0 == 0": "true", "(uint64)(struct task_struct *)16": "16",
    "(uint8[4])(uint32)0x04030201": "[1,2,3,4]", "(uint32)pton(\"1.2.3.4\") == 0x04030201": "true",
    "(bool)$s": "true",
    "string[8]": ('let $x: string[8] = "abc"; print($x); $x = "longer"; print($x);', "abc", "longer"),
    "int8 … uint64 in "
    "let": ("let $a: int8 = -5; let $b: uint16 = 7; let $c: int32 = -9; let $d: uint64 = 11; "
                             "print(($a, $b, $c, $d));", "(-5, 7, -9, 11)"),
    "enum": ("$e = (enum bpf_map_type)1; print($e); print($e + 1); print((enum bpf_map_type)9999);",
             "BPF_MAP_TYPE_HASH", "2", "9999"),
    "pointer": ("$p = (struct task_struct *)0x1000; print($p); printf(\"%p\\n\", $p); print((uint64)($p + "
                "1) - 0x1000 == "
                "sizeof(struct task_struct));", "0x1000", "0x1000", "true"),
    "array": ('$a = pton("10.1.2.3"); print($a[0]); print($a[3]); print($a); $j = $i - 4; '
              '$t = (1, $a); print($a[$j]); print($t.1[2]); print(pton("5.6.7.8")[1]); @m = $a; $k = @m; '
              'print($k[1]);',
              "10", "3", "[10,1,2,3]", "3", "2", "6", "1", "@m: [10,1,2,3]"),
}  # fmt: skip
SEMANTICS: dict[str, Row] = {
    "a literal's type is the "
    "smallest": ("print((sizeof(1), sizeof(300), sizeof(70000), sizeof(5000000000)));", "(1, 2, 4, 8)"),
    "unsigned - unsigned is signed": ("print($u - (uint64)6);", "-1"),
    "mixed signs compare signed": ("print($n < $u); print($n < $z);", "true", "true"),
    "unsigned compare unsigned": ("print((uint64)18446744073709551615 > $u);", "true"),
    "-7 / 2 of variables is unsigned": ("print((uint64)($n / (int64)2));", str(((1 << 64) - 3) // 2)),
    "a division by zero divides by one": ("print($u % ($z + 3));", "2"),
    ">> is logical": ("print((uint64)($n >> 1));", str(((1 << 64) - 3) >> 1)),
    "constants fold": ("print(7 / 2 * 2 + 10 % 4);", "8"),
    "narrowing truncates": ("print((uint8)((uint64)256 + $u));", "5"),
    "widening extends by the source's sign": ("print((int64)(int8)$w); print((int64)$w);", "-56", "200"),
    "variables grow": ("$x = 1; $x = 70000; $x = 5000000000; print($x);", "5000000000"),
    "strings grow": ('$x = "a"; $x = "abcdef"; print($x);', "abcdef"),
    "strings compare to the NUL": ('$x = "abc"; print($x == "abc"); print($x == "abcd"); print($x != "ab");',
                                   "true", "false", "true"),
    "map values grow": ("@m = 1; @m = 5000000000;", "@m: 5000000000"),
    "a missing "
    "key": ('@m["a"] = 5; @s[1] = "x"; print(@m["b"]); printf("<%s>\\n", @s[2]); if (!@m["c"]) { '
            'print("none"); }',
                      "0", "<>", "none", "@m[a]: 5", "@s[1]: x"),
    "aggregates in "
    "conditions": ("@c = count(); @c = count(); if (@c > 1) { print(\"two\"); } print((1, @c)); "
                                 'printf("%d\\n", (int64)@c);', "two", "(1, 2)", "2", "@c: 2"),
    "a tuple key": ('$k = (1, "a"); @m[$k] = 5; print(@m[1, "a"]);', "5", "@m[1, a]: 5"),
    "a record as a value": ("@m = (a=1, b=2); print(@m.b);", "2", "@m: { .a = 1, .b = 2 }"),
    "short circuits": ("print($z && ($u / $z > 0)); print($i || ($u / $z > 0));", "false", "true"),
    "arms of one type": ('print($i ? "a" : "bcd"); print($z ? 1 : 5000000000);', "a", "5000000000"),
    "null pointers read zero": ("$p = (struct task_struct *)0; print($p.tgid);", "0"),
    "char arrays are strings": ("print(curtask.comm == comm);", "true"),
    "the same name twice in two maps": ("@m = 1; @n[@m] = 2;", "@m: 1", "@n[1]: 2"),
}  # fmt: skip
PRINTF: dict[str, Row] = {
    name: (f"printf({text});", *wanted.split("\n"))
    for name, text, wanted in (
        ("%d %i", r'"%d %i\n", -7, 7', "-7 7"),
        ("%u", r'"%u\n", -1', "4294967295"),
        ("%o %x %X", r'"%o %x %X\n", 8, 255, 255', "10 ff FF"),
        ("%#o %#x", r'"%#o %#x\n", 8, 255', "010 0xff"),
        ("%c", r'"%c%c\n", 101, 98', "eb"),
        ("%p", r'"%p %p\n", 4096, 0', "0x1000 0"),
        ("%s", r'"%s %s %s\n", "a", 5, (1, "b")', "a 5 (1, b)"),
        ("%r", r'"%r|%rx|%rh\n", buf("a\x01z", 3), buf("a\x01z", 3), buf("a\x01z", '
               r'3)', r"a\x01z|\x61\x01\x7a|61 01 7a"),
        ("%gr", r'"%gr\n", 0xcc0', "GFP_KERNEL"),
        ("%%", r'"100%%\n"', "100%"),
        ("width", r'"%5d|%-5d|%05d|%+d\n", 42, 42, 42, 42', "   42|42   |00042|+42"),
        ("width of %s", r'"%6s|%-6s|%2s|\n", "abc", "abc", "abc"', "   abc|abc   |abc|"),
        ("precision is ignored", r'"%.1s|%-10.10s|\n", "abc", "abc"', "abc|abc       |"),
        ("32 bits without l", r'"%d %u %x\n", 4294967301, 4294967301, 78187493520', "5 5 34567890"),
        ("l ll j z "
         "t", r'"%ld %lld %jd %zd %td\n", 4294967301, 4294967301, 4294967301, 4294967301, 4294967301',
         "4294967301 " * 4 + "4294967301"),
        ("h hh", r'"%hd %hhd\n", 65541, 261', "5 5"),
        ("enum", r'"%s %d\n", (enum bpf_map_type)2, (enum bpf_map_type)2', "BPF_MAP_TYPE_ARRAY 2"),
        ("bool", r'"%d %s\n", true, true', "1 true"),
        ("escapes", r'"\033[1m\t|\n"', "\x1b[1m\t|"),
    )
}  # fmt: skip
STATS = "{ .count = %d, .average = %d, .total = %d }"
OUTPUT: dict[str, Row] = {
    "scalar": ("@m = 42;", "@m: 42"),
    "keyed": ('@m[1, "foo"] = 42;', "@m[1, foo]: 42"),
    "int": ("@m = -5; @u = (uint64)18446744073709551615;", "@m: -5", "@u: 18446744073709551615"),
    "bool": ("@m = $i > 3; @k[$i < 3] = true;", "@k[false]: true", "@m: true"),
    "pointer": ("@m = (struct task_struct *)0x1000;", "@m: 0x1000"),
    "enum": ("@m = (enum bpf_map_type)1; @k[(enum bpf_map_type)2] = "
             "1;", "@k[BPF_MAP_TYPE_ARRAY]: 1", "@m: BPF_MAP_TYPE_HASH"),
    "string": ('@m = "text"; @k["key"] = "value";', "@k[key]: value", "@m: text"),
    "buffer": (r'@m = buf("a\x01", 2);', r"@m: a\x01"),
    "array": ('@m = pton("1.2.3.4");', "@m: [1,2,3,4]"),
    "tuple": ('@m = (1, "foo", (2, 3)); @k[(1, (2, 3))] = 1;', "@k[1, (2, 3)]: 1", "@m: (1, foo, (2, 3))"),
    "record": ("@m = (a=1, b=(5, 6));", "@m: { .a = 1, .b = (5, 6) }"),
    "stats": ("@m = stats(4); @m = stats(10);", "@m: " + STATS % (2, 7, 14)),
    "inet": ("@m = ntop(0x0100007f); @k[ntop(2, 0x08080808)] = 1;", "@k[8.8.8.8]: 1", "@m: 127.0.0.1"),
    "ksym": ("@m = ksym(kaddr(\"vfs_read\")); print(ksym(1));", "0x1", "@m: vfs_read"),
    "order of ints": ("@m[1] = 3; @m[2] = -4; @m[3] = 0;", "@m[2]: -4", "@m[3]: 0", "@m[1]: 3"),
    "order of counts": ("@m[1] = count(); @m[1] = count(); @m[2] = count();", "@m[2]: 1", "@m[1]: 2"),
    "order of min, unsigned": ("@m[1] = min($n); @m[2] = min($i);", "@m[2]: 7", "@m[1]: -3"),
    "order of averages": ("@m[1] = avg(9); @m[2] = avg(4); @m[2] = avg(5);", "@m[2]: 4", "@m[1]: 9"),
    "order of strings by key": ('@m["b"] = "1"; @m["a"] = "2";', "@m[a]: 2", "@m[b]: 1"),
    "order of tuples by key": ("@m[2, 1] = (9, 9); @m[1, 5] = (1, 1); @m[-1, 7] = (5, 5);",
                               "@m[-1, 7]: (5, 5)", "@m[1, 5]: (1, 1)", "@m[2, 1]: (9, 9)"),
    "an empty map": ("@m[1] = 1; clear(@m); print(1);", "1"),
}  # fmt: skip
TABLES: dict[str, dict[str, Row]] = {
    "2.2 lexical": LEXICAL, "2.3 statements": STATEMENTS, "2.4 operators": OPERATORS,
    "2.4 expressions": EXPRESSIONS, "2.5 types": TYPES, "4.6 printf": PRINTF, "5 output": OUTPUT,
        "7 semantics": SEMANTICS,
}  # fmt: skip
