"""Random programs that are right by construction: what the compiler makes of them must compile and load."""

from __future__ import annotations

import random
from collections.abc import Iterator

_INTS = (
    "pid", "tid", "uid", "gid", "nsecs", "elapsed", "cpu", "rand", "cgroup", "$#", "0", "1", "7", "-3",
    "300", "1ms", "18446744073709551615", "curtask.pid", "curtask.real_parent.tgid", "curtask.mm.total_vm",
    "$i", "$u", "@i", "@k[pid]", "@k2[comm, cpu]", "@u", "$t.0", "$t.2.1", "@t.0", "comm[0]", "$r.a",
    "curtask.comm[1]", "(uint64)curtask", "sizeof(struct task_struct)", "$p.pid", "TCP_LISTEN + 1",
)  # fmt: skip
_TEXTS = (
    "comm", '"abc"', '""', '"cat"', "curtask.comm", "curtask.real_parent.comm", "$s", "@s", "$t.1", "$r.b",
    "@ks[pid]", "str(nsecs)", "str(curtask.mm, 16)", "probe", '"a string that is longer than comm"',
)  # fmt: skip
_OPERATORS = ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")
_COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
_CASTS = ("uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "bool")
_HEADS = (
    "begin", "end", "tracepoint:syscalls:sys_enter_openat", "tracepoint:sched:sched_switch", "interval:s:1",
    "profile:hz:99", "rawtracepoint:sched_switch", "software:page-faults:100", "uprobe:libc:malloc",
)  # fmt: skip
_START = (
    '$i = (int64)1; $u = nsecs; $s = comm; $t = (1, "ab", (comm, pid)); $r = (a = 3, b = "xy"); '
    "$p = curtask; "
    '@i = 1; @u = nsecs; @s = "a"; @k[1] = -1; @k2["a", 1] = 1; @ks[1] = comm; @t = (1, comm); '
)


class _Writer:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def integer(self, depth: int) -> str:
        choose = self.chance.choice
        if depth <= 0:
            return choose(_INTS)
        match self.chance.randrange(9):
            case 0 | 1 | 2:
                return f"({self.integer(depth - 1)} {choose(_OPERATORS)} {self.integer(depth - 1)})"
            case 3:
                return (
                    f"({self.condition(depth - 1)} ? {self.integer(depth - 1)} : {self.integer(depth - 1)})"
                )
            case 4:
                return f"{choose(('-', '~', '(' + choose(_CASTS) + ')'))}({self.integer(depth - 1)})"
            case 5:
                return f"({self.integer(depth - 1)} ?: {self.integer(depth - 1)})"
            case 6:
                return choose(
                    ("$i++", "++$i", "$u--", "@i++", "--@i", "@k[pid]++", f"++@k[{self.integer(0)}]")
                )
        return choose(_INTS)

    def condition(self, depth: int) -> str:
        choose = self.chance.choice
        match self.chance.randrange(7):
            case 0 if depth > 0:
                return f"({self.condition(depth - 1)} {choose(('&&', '||'))} {self.condition(depth - 1)})"
            case 1:
                return f"({self.text(depth - 1)} {choose(('==', '!='))} {self.text(depth - 1)})"
            case 2:
                return f"!{self.integer(0)}"
            case 3:
                return choose(
                    ("has_key(@k, pid)", 'has_key(@k2, ("a", cpu))', "curtask", "true", "delete(@k, tid)")
                )
        return f"({self.integer(depth - 1)} {choose(_COMPARISONS)} {self.integer(depth - 1)})"

    def text(self, depth: int) -> str:
        if depth > 0 and self.chance.randrange(4) == 0:
            return f"({self.condition(depth - 1)} ? {self.text(depth - 1)} : {self.text(depth - 1)})"
        return self.chance.choice(_TEXTS)

    def statement(self, depth: int) -> str:
        number, text = self.integer(depth), self.text(depth)
        match self.chance.randrange(16):
            case 0:
                return f'printf("%d %s %lx\\n", {number}, {text}, {self.integer(depth)});'
            case 1:
                return f"print({self.chance.choice((number, text, f'({number}, {text})'))});"
            case 2:
                return f"$i {self.chance.choice(_OPERATORS)}= {number};"
            case 3:
                return f"@u {self.chance.choice(_OPERATORS)}= {number};"
            case 4:
                return f"$s = {text};"
            case 5:
                return f"@s = {text};"
            case 6:
                return f"@k[{number}] = {self.integer(depth)};"
            case 7:
                return f"@k2[{text}, {number}] = {self.integer(0)};"
            case 8:
                return f"@ks[{number}] = {text};"
            case 9:
                then, otherwise = self.block(depth - 1), self.block(depth - 1)
                return f"if ({self.condition(depth)}) {{ {then} }} else {{ {otherwise} }}"
            case 10:
                kind = self.chance.choice(("count()", f"sum({number})", f"min({number})", f"stats({number})"))
                return f"@{kind[:3]}[{text}] = {kind};"
            case 11:
                kind = self.chance.choice(
                    (f"hist({number})", f"lhist({number}, 0, 100, 10)", f"avg({number})")
                )
                return f"@{kind[:2]} = {kind};"
            case 12:
                return f"@t = ({number}, {text});"
            case 13:
                return f"$t = ({number}, {text}, (comm, {self.integer(0)}));"
            case 14:
                return f"unroll (2) {{ {self.block(depth - 1)} }}"
        return self.chance.choice(
            ("@[kstack] = count();", "$p = $p.real_parent;", "delete(@k, pid);", "clear(@k);")
        )

    def block(self, depth: int) -> str:
        if depth < 0:
            return "@i++;"
        return " ".join(self.statement(depth) for _ in range(self.chance.randrange(1, 4)))


def programs(count: int, seed: int) -> Iterator[str]:
    """Programs of one or two probes, each with the variables and maps that their statements use."""
    chance = random.Random(seed)
    for _ in range(count):
        writer = _Writer(chance)
        probes = [
            f"{head} /{writer.condition(1)}/ {{ {_START}{writer.block(2)} {writer.block(1)} }}"
            for head in chance.choices(_HEADS, k=chance.choice((1, 1, 2)))
        ]
        # A predicate stands before what its body assigns: it may read maps, not variables.
        yield "\n".join(_without_variables(text) for text in probes)


def _without_variables(probe: str) -> str:
    head, brace, body = probe.partition(" { ")
    for name in ("$i++", "++$i", "$u--", "$i", "$u", "$t.0", "$t.2.1", "$r.a", "$p.pid"):
        head = head.replace(name, "pid")
    for name in ("$s", "$t.1", "$r.b"):
        head = head.replace(name, "comm")
    return head + brace + body
