"""Valid scripts of every construct, and random mutations of them: the same seed gives the same scripts."""

# ruff: noqa: E501 (a script a line)
from __future__ import annotations

import random
import re
from collections.abc import Iterator

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
_WORD = re.compile(r'\s+|"(?:\\.|[^"\\\n])*"|[@$]?\w+|[-+<>=!&|]{2}|.', re.DOTALL)
_WORDS = tuple(
    {word for seed in SEEDS for word in _WORD.findall(seed)} | {"for", "while", "*", "[", "]", "0"}
)


def mutations(count: int, seed: int) -> Iterator[str]:
    """Scripts near the valid ones: most words are kept, a few are dropped, doubled, swapped or exchanged."""
    chance = random.Random(seed)
    words = sorted(_WORDS)
    for _ in range(count):
        parts = _WORD.findall(chance.choice(SEEDS))
        for _ in range(chance.choice((1, 1, 1, 2, 6))):
            at = chance.randrange(len(parts))
            match chance.choice((0, 1, 2, 3, 4, 4, 4, 4, 5)):
                case 0:
                    del parts[at]
                case 1:
                    parts.insert(at, parts[at])
                case 2:
                    parts[at] = chance.choice(words)
                case 3:
                    other = chance.randrange(len(parts))
                    parts[at], parts[other] = parts[other], parts[at]
                case 4:
                    parts[at] = _resembling(chance, parts[at], words)
                case _:
                    donor = _WORD.findall(chance.choice(SEEDS))
                    start = chance.randrange(len(donor))
                    parts[at : at + 1] = donor[start : start + chance.randrange(1, 12)]
            parts = parts or ["x"]
        yield "".join(parts)


def _resembling(chance: random.Random, word: str, words: list[str]) -> str:
    """A word of the same sort: a name for a name, an operator for an operator; so more scripts stay valid."""
    alike = [item for item in words if item[:1].isalpha() == word[:1].isalpha() and item[:1] not in "@${}()"]
    return chance.choice(alike)
