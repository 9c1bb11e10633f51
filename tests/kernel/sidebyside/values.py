"""One-liners of values: printf, numbers, casts, strings, tuples, control flow. Name → program."""

from __future__ import annotations

from tests.kernel.sidebyside.runner import Case

# programs of one BEGIN: what it does, without the exit()
PRINTF = {
    "decimals": r'printf("%d %d %u|%5d|%-5d|%05d\n", 1, -2, 3, 42, 42, 42);',
    "negative widths": r'printf("%8d|%-8d|%08d\n", -42, -42, -42);',
    "hexadecimal": r'printf("%x %8x|%-8x|%08x\n", 255, 255, 255, 255);',
    "characters": r'printf("%c%c%c|\n", 101, 98, 116);',
    "pointers": r'printf("%p %16p|\n", 255, 4096);',
    "64 bits": r'printf("%ld %lu %lx\n", -1, 18446744073709551615, 1099511627775);',
    "more 64 bits": r'printf("%lld %llu %llx\n", 1099511627776, 1099511627776, 1099511627776);',
    "8 and 16 bits": r'printf("%hhd %hhu %hd %hu %hhx %hx\n", 300, 300, 65537, 65537, 300, 65537);',
    "strings": r'printf("%s|%6s|%-6s|%2s|\n", "abc", "abc", "abc", "abcdef");',
    "no conversion": r'printf("no conversion\n");',
    "a mix": r'printf("%s=%d %-4s%4d%% [%c]\n", "a", 1, "bc", 50, 120);',
    "escapes": r'printf("a\tb\\n\"c\" \101\x42\n");',
    "many arguments": r'printf("%d %d %d %d %d %d %d %d %s\n", 1, 2, 3, 4, 5, 6, 7, 8, "nine");',
    "signed and unsigned": r'printf("%d %u\n", (int8)-1, (uint8)255); printf("%ld\n", (int64)-3);',
    "a time": r'printf("%s\n", strftime("%Y", nsecs));',
    "bytes": r'printf("%r %r\n", buf("a\x01b", 3), buf("xyz", 2));',
    "bytes as hexadecimal": r'printf("%rx|%rh\n", buf("a\x01b", 3), buf("a\x01b", 3));',
}
NUMBERS = {
    "arithmetic": "print(7 + 3 * 2); print(7 - 10); print(7 * 6); print((2 + 3) * 4);",
    "division": "print(7 / 2); print(100 / 7 * 7); $a = 100; $b = 7; print($a / $b); print($a % $b);",
    "modulo": "print(7 % 4); print(8 % 4); $a = 7; print($a % 4);",
    "shifts": "print(1 << 10); print(1024 >> 3); $a = 5; print($a << 33); print($a >> 1);",
    "bits": "print(6 ^ 3); print(6 & 3); print(6 | 3); $a = 6; print($a ^ 3); print($a & 3); print($a | 8);",
    "complement": "$a = 3; print(~$a); $b = 0; print(~$b);",
    "unary minus": "$a = 7; print(-$a); print(-7 + 3); print(- -7);",
    "differences": "$a = 7; $b = 9; print($a - $b); print($b - $a); print($a - 10);",
    "precedence": "print(1 + 2 << 3); print(1 | 2 ^ 3 & 4); print(10 - 4 - 3); print(2 * 3 % 4);",
    "comparisons": "$a = 7; $b = 3; print($a > $b ? 1 : 0); print($a < $b ? 1 : 0); "
        "print($a >= 7 ? 1 : 0); print($a <= 6 ? 1 : 0); print($a == 7 ? 1 : 0); print($a != 7 ? 1 : 0);",
    "negative comparisons": "$a = -1; $b = 1; print($a < $b ? 1 : 0); print($a > $b ? 1 : 0); "
        "print(-5 < -4 ? 1 : 0);",
    "logic": "$a = 7; $z = 0; if ($a && !$z) { print(1); } if ($a && $z) { print(2); } "
        "if ($a || $z) { print(3); } if (!($a || $z)) { print(4); }",
    "ternaries": '$a = 7; print($a > 3 ? 11 : 12); print($a > 9 ? "big" : "small"); '
        "print($a < 3 ? 1 : $a < 8 ? 2 : 3);",
    "literals": "print(0x1f); print(017); print(1e3); print(1_000_000); print(0xffffffff);",
    "large literals": "print(9223372036854775807); print(4294967296); print(2147483648);",
    "increments": "$x = 5; $y = $x++; $z = ++$x; print(($x, $y, $z)); $x--; print($x--); print(--$x);",
    "compound assignments": "$x = 100; $x += 10; $x -= 5; $x *= 2; $x /= 3; $x %= 64; $x <<= 3; $x >>= 1; "
        "print($x); $x |= 3; $x &= 254; $x ^= 9; print($x);",
    "narrow casts": "$n = 300; print((uint8)$n); print((int8)200); print((uint16)65537); "
        "print((uint32)4294967297); $b = 1 << 40; print((uint32)$b);",
    "signed casts": "$n = 200; print((int8)$n); print((int64)(int8)$n); print((int16)40000); "
        "print((int32)3000000000); print((int64)-1);",
    "unsigned casts": "$n = -1; print((uint64)$n); print((uint32)$n); print((uint16)$n); print((uint8)$n);",
    "casts in arithmetic": "$n = 250; print((uint8)$n + 10); print((int8)($n + 10)); print((uint64)5 * 3);",
    "sizes": "print(sizeof(uint8)); print(sizeof(int16)); print(sizeof(uint32)); print(sizeof(int64)); "
        "print(sizeof(struct list_head));",
    "byte order": "print(bswap((uint16)0x1234)); print(bswap((uint32)0x12345678)); "
        "print(bswap((uint64)0x0102030405060708));",
    "constant folding": "print(2 + 3 * 4 - 6 / 2); print(1 << 3 | 1); print(0x10 + 010 + 10);",
}
STRINGS = {
    "a variable": '$s = "abc"; print($s); printf("%s|\\n", $s); $s = "xy"; print($s);',
    "comparison": '$s = "abc"; if ($s == "abc") { print("same"); } if ($s != "abd") { print("other"); } '
        'if ($s == "ab") { print("no"); } if ($s == "abcd") { print("no"); }',
    "of a process": 'if (comm == "no-such-comm") { print(1); } else { print(2); }',
    "empty": '$s = ""; print($s); if ($s == "") { print("empty"); }',
    "strncmp": '$s = "hello"; print(strncmp($s, "help", 3)); print(strncmp($s, "help", 4)); '
        'print(strncmp("abc", "abd", 2)); print(strncmp($s, "hello", 64));',
    "in a map": '@s = "abc"; @k["b"] = "x"; @k["a"] = "y"; printf("%s\\n", @k["b"]);',
    "in a tuple": '$t = ("abc", 1, "de"); print($t.0); print($t.2); print($t);',
    "of two lengths": '@s[1] = "abc"; @s[2] = "def"; printf("%s|%s\\n", @s[1], @s[3]);',
    "the parameter's": "print(str($1)); print(str($2)); printf(\"%s %d\\n\", str($2), $1);",
    "ternary": '$n = 1; $s = $n == 1 ? "yes" : "no "; print($s);',
    "escapes": r'print("tab\there"); print("quote\"s"); print("back\\slash");',
    "bytes of it": 'print(buf("abc", 3)); @b[buf("xyz", 3)] = 1;',
    "an address as text": "print(ntop(0x0100007f)); print(ntop(2, 0x08080808)); @[ntop(0x0200007f)] = 1;",
    "an octet": "$a = (uint32)0x04030201; print(ntop($a)); printf(\"%s|%-16s|\\n\", ntop($a), ntop($a));",
    "an unknown kernel symbol": "print(ksym(1)); print(ksym(0x7fff));",
    "the time of day": 'time("%Y-%m-%d\\n"); time("text\\n"); printf("%s\\n", strftime("%Y-%m", nsecs));',
    "the process": 'printf("%d %d\\n", uid, gid); print(uid); print(gid); print(cgroup);',
}
TUPLES = {
    "printed": 'print((1, "two", 3)); print((1, 2)); print((1, (2, (3, 4))));',
    "elements": '$t = (1, ("a", 2), 3); print($t.0); print($t.1); print($t.1.0); print($t.1.1 + $t.2);',
    "in a map": '@ = (5, "x"); @k[1] = (6, "yz"); printf("%s\\n", @k[1].1);',
    "of tuples": "@t = ((1, 2), (3, 4)); print(@t.0); print(@t.1.1);",
    "negative": "print((-1, 2)); $t = (-5, -6); print($t.0 + $t.1);",
    "of expressions": "$a = 3; print(($a * 2, $a + 1, $a > 2 ? 1 : 0));",
}
FLOW = {
    "if": '$x = 5; if ($x > 3) { print("a"); } if ($x > 7) { print("b"); }',
    "else if": '$i = 5; if ($i > 9) { print(1); } else if ($i > 4) { print(2); } else { print(3); }',
    "nested if": '$i = 5; if ($i > 1) { if ($i > 4) { print("in"); } else { print("no"); } }',
    "unroll": "$i = 1; unroll(5) { print($i); $i = $i * 3; }",
    "unroll by a parameter": "$i = 0; unroll($1) { $i++; } print($i);",
    "while": "$i = 0; while ($i < 5) { print($i); $i++; }",
    "break and continue": "$i = 0; while ($i < 20) { $i++; if ($i % 2) { continue; } "
        "if ($i > 8) { break; } print($i); }",
    "the end of the probe": 'print("a"); exit(); print("b");',
    "blocks": "$a = 1; if ($a) { $a = 2; @x = $a; } @y = $a;",
    "comments": "/* one */ print(1); // two\n print(2);",
    "parameters": 'printf("%d %s %d\\n", $1, str($2), $#); @[str($2)] = $1; print($1 + 1); print($9);',
    "a parameter as text": 'print(str($1)); print(str($2)); @[str($1), $1] = 1;',
}
STRUCTS = {
    "the current task": "$t = (struct task_struct *)curtask; print($t->pid - pid + pid == tid ? 1 : 0); "
        "",
    "hops": "$t = (struct task_struct *)curtask; print($t->group_leader->tgid == pid ? 1 : 0); "
        "print($t->real_parent->real_parent->pid >= 0 ? 1 : 0);",
    "nested structs": "$t = (struct task_struct *)curtask; print($t->se.load.weight); print($t->prio);",
    "arrays": "$t = (struct task_struct *)curtask; print($t->signal->rlim[7].rlim_max > 0 ? 1 : 0); "
        "print($t->signal->rlim[3].rlim_cur > 0 ? 1 : 0);",
    "pointers": "$t = (struct task_struct *)curtask; $g = $t->group_leader; "
        "if ($g == $t) { print(1); } if ((uint64)$g > 0) { print(2); }",
    "sizes of structs": "print(sizeof(struct list_head)); print(sizeof(struct task_struct)); "
        "print(sizeof(struct file) > 100 ? 1 : 0);",
    "a null pointer": "$t = (struct task_struct *)0; print($t->pid); print($t->comm);",
}  # fmt: skip
DEFINED = {
    "a struct of one's own": "struct pair { int a; short b; char c[4]; }; "
        "BEGIN { print(sizeof(struct pair)); exit(); }",
    "an early return": 'BEGIN { print("a"); if (pid > 0) { return; } print("b"); } interval:ms:1 { exit(); }',
    "the sign of a field": "struct s { signed char a; unsigned char b; }; BEGIN { $p = (struct s *)curtask; "
        "print(sizeof($p->a)); exit(); }",
    "a union": "union one { int a; long b; }; BEGIN { print(sizeof(union one)); exit(); }",
    "an enum": "enum colour { RED, GREEN = 5, BLUE }; BEGIN { print(RED + 0); print(GREEN + 1); "
        'printf("%d\\n", BLUE); if (GREEN == 5) { print("five"); } exit(); }',
    "a #define": '#define LIMIT 23\n#define TEXT "word"\nBEGIN { print(LIMIT + 1); print(TEXT); exit(); }',
    "a shebang": "#!/usr/bin/env bpftrace\nBEGIN { print(5); exit(); }",
    "a predicate": "BEGIN /1 == 2/ { print(1); } END { print(2); } interval:ms:1 { exit(); }",
    "END after exit": 'BEGIN { print("a"); exit(); print("b"); } END { print("end"); @x = 5; }',
    "timers": "interval:ms:20 { if (@n < 3) { @n++; } else { exit(); } }",
    "timers by hertz": "interval:hz:100 { if (@n < 5) { @n++; } else { exit(); } }",
    "timers in microseconds": "interval:us:20000 { print(probe); exit(); }",
    "several "
    "timers": "interval:ms:5, interval:ms:7 { @n++; if (@n > 5) { exit(); } } END { clear(@n); print(1); }",
    "the probe's "
    "name": "interval:ms:3 { @a = probe; } interval:hz:300 { @b = probe; } interval:ms:100 { exit(); }",
    "elapsed": "interval:ms:30 { print(elapsed > 20000000 ? 1 : 0); print(nsecs > 0 ? 1 : 0); exit(); }",
}
BEGINS = {
    "printf": PRINTF, "numbers": NUMBERS, "strings": STRINGS, "tuples": TUPLES, "flow": FLOW,
    "structs": STRUCTS,
}  # fmt: skip
CASES = {
    f"{subject}: {name}": Case(f"BEGIN {{ {body} exit(); }}", arguments=("7", "word"))
    for subject, table in BEGINS.items()
    for name, body in table.items()
} | {f"script: {name}": Case(program) for name, program in DEFINED.items()}
