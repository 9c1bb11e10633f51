"""Valid scripts of every construct, and random mutations of them: the same seed gives the same scripts."""

# ruff: noqa: E501 (a script a line)
from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SEEDS = (
    'begin { printf("%d %s\\n", pid, comm); }',
    "tracepoint:syscalls:sys_enter_openat { @[comm] = count(); @n[pid, comm]++; @last = nsecs; }",
    "tracepoint:syscalls:sys_exit_read /args.ret > 0/ { @bytes = hist(args.ret); @l = lhist(args.ret, 0, 100, 10); }",
    "kprobe:vfs_read /pid > 1 && comm == \"cat\"/ { @s[tid] = nsecs; @f[args.file] = arg2; }\n"
    "kretprobe:vfs_read /@s[tid]/ { @us = hist((nsecs - @s[tid]) / 1000); delete(@s, tid); }",
    "fentry:vfs_read { $f = args.file; $i = $f.f_inode; printf(\"%d %lu\\n\", $i.i_ino, args.count); }",
    "fexit:vfs_read { if (retval < 0) { @err[-retval] = count(); } else if (retval == 0) { @eof++; } else { exit(); } }",
    "profile:hz:99 { @[kstack, ustack(3)] = count(); @c = kstack(perf, 5); }",
    "interval:s:1 { print(@x); clear(@x); zero(@y); time(\"%H:%M\\n\"); } begin { @x[1] = 1; @y = sum(2); }",
    "begin { $t = (1, \"abc\", (pid, comm)); print($t.2.1); @k[$t.0, $t.1] = $t; $r = (a = 1, b = comm); print($r.b); }",
    "begin { $x = pid ? 1 : -1; $y = cpu ?: 3; $s = pid == 1 ? \"a\" : comm; print(($x, $y, $s)); }",
    "begin { let $a: uint8 = 200; $a += 100; $b = $a++ + --$a; unroll (3) { $b <<= 1; $b ^= pid; } print($b % 7 / 2); }",
    "begin { print(curtask.real_parent.comm); print(curtask.mm.pgd); $c = curtask.comm[0]; print(*(uint32 *)nsecs); }",
    "begin { @a = avg(pid); @b = stats((int32)pid); @c = min(-1); @d = max(nsecs); @e[comm] = stats(uid); print(@e, 3); }",
    "uretprobe:libc:malloc { @[ustack] = sum(retval); @f = usym(retval); } uprobe:libc:free { @p[func] = count(); }",
    "rawtracepoint:sched_switch { @[args.next.comm, probe] = count(); print(arg1); }",
    "tracepoint:sched:sched_* { @[probe] = count(); } software:page-faults:100 { @n = count(); }",
    "config = { max_strlen = 200; stack_mode = perf } let @m = lruhash(10);\nbegin { @m[str($1)] = $#; @s = str(0, 300); }",
    "begin { print(ntop(16777343)); print(ksym(nsecs)); print(sizeof(struct task_struct)); print(!pid && ~cpu || uid); }",
    "tracepoint:syscalls:sys_enter_openat { printf(\"%-16s %6d %s\\n\", comm, pid, str(args.filename)); if pid { return } }",
    "end { if (has_key(@m, (1, \"x\"))) { print(@m[1, \"x\"]); } @m[2, \"yy\"] = 1; @m[1, comm] = (int8)elapsed; }",
)  # fmt: skip
_REAL = ("stdlib/**/*.ebt", "tests/pure/golden/*.ebt")
_WORD = re.compile(r'\s+|"(?:\\.|[^"\\\n])*"|[@$]?\w+|[-+<>=!&|]{2}|.', re.DOTALL)
_ALIKE = (
    ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"), ("==", "!=", "<", ">", "<=", ">="), ("&&", "||"), ("++", "--"),
    ("pid", "tid", "uid", "gid", "nsecs", "cpu", "elapsed", "rand", "cgroup", "retval", "arg0", "arg1", "curtask"),
    ("count", "sum", "min", "max", "avg", "stats", "hist", "lhist"), ("comm", "probe", "func", "kstack", "ustack"),
    ("print", "printf", "clear", "zero", "delete", "has_key", "str", "ksym", "usym", "ntop", "exit", "len", "emit"),
    ("while", "unroll", "if"), ("uint8", "int8", "uint32", "int64", "uint64", "bool"), ("break", "continue", "return"),
)  # fmt: skip
_NUMBERS = (
    "0",
    "1",
    "2",
    "7",
    "127",
    "-1",
    "4096",
    "1e9",
    "0xffffffff",
    "18446744073709551615",
    "1ms",
    "$1",
    "$#",
)
_STATEMENT = re.compile(r"(?<=[;{}])[^;{}]*;")


def real_scripts() -> list[str]:
    """What is mutated: scripts of every construct, and those that come with ebt."""
    files = sorted(path for pattern in _REAL for path in ROOT.glob(pattern))
    return [*SEEDS, *(path.read_text("utf-8") for path in files)]


def mutations(count: int, seed: int) -> Iterator[str]:
    """Scripts near the valid ones: a few words or statements are changed, dropped, doubled, swapped."""
    chance, scripts = random.Random(seed), real_scripts()
    words = sorted(
        {word for script in scripts for word in _WORD.findall(script)} | {"for", "while", "*", "[", "]"}
    )
    for _ in range(count):
        # the short ones more often: a long script has one change in much that stays
        text = chance.choice(SEEDS if chance.random() < 0.6 else scripts)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            text = _changed(chance, text, words, scripts)
        yield text or "x"


def _changed(chance: random.Random, text: str, words: list[str], scripts: list[str]) -> str:
    if chance.random() < 0.3:
        return _other_statement(chance, text, scripts)
    parts = _WORD.findall(text) or ["x"]
    at = chance.randrange(len(parts))
    if chance.random() < 0.85:
        for _ in range(60):  # until a word has a likeness
            other = _resembling(chance, parts[at], parts)
            if other != parts[at]:
                parts[at] = other
                return "".join(parts)
            at = chance.randrange(len(parts))
    match chance.randrange(5):
        case 0:
            del parts[at]
        case 1:
            parts.insert(at, parts[at])
        case 2:
            parts[at] = chance.choice(words)
        case 3:
            other_at = chance.randrange(len(parts))
            parts[at], parts[other_at] = parts[other_at], parts[at]
        case _:
            donor = _WORD.findall(chance.choice(scripts)) or ["x"]
            start = chance.randrange(len(donor))
            parts[at : at + 1] = donor[start : start + chance.randrange(1, 12)]
    return "".join(parts)


def _other_statement(chance: random.Random, text: str, scripts: list[str]) -> str:
    """A statement dropped, doubled, or followed by one of another script."""
    found = list(_STATEMENT.finditer(text))
    if not found:
        return text
    chosen = chance.choice(found)
    donors = _STATEMENT.findall(chance.choice(scripts)) or [""]
    instead = chance.choice(("", chosen[0] * 2, chosen[0] + chance.choice(donors), chance.choice(donors)))
    return text[: chosen.start()] + instead + text[chosen.end() :]


def _resembling(chance: random.Random, word: str, parts: list[str]) -> str:
    """A word of the same sort: a number for a number, a variable of the script for a variable."""
    if word[:1].isdigit():
        return chance.choice(_NUMBERS)
    if word[:1] in ("@", "$") and len(word) > 1:
        return chance.choice([item for item in parts if item[:1] == word[0] and len(item) > 1])
    if word[:1] == '"':
        return chance.choice(('""', '"%d"', '"%s %s\\n"', '"x"', '"' + "long " * 30 + '"', '"\\x00"'))
    kinds = [kind for kind in _ALIKE if word in kind]
    return chance.choice(kinds[0]) if kinds else word
