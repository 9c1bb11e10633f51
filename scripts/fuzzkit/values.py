"""Random expressions by type: integers, conditions, texts, and what can only be printed or kept."""

# ruff: noqa: E501 (pieces of scripts, a line each)
from __future__ import annotations

import random
from dataclasses import dataclass, field

from fuzzkit.scenes import Scene

_NUMBERS = (
    "0", "1", "7", "300", "-3", "0xff", "1ms", "2s", "1e6", "18446744073709551615", "9223372036854775807", "1_000",
    "010", "$#", "$1", "4294967295", "-2147483648",
)  # fmt: skip
_INTEGERS = (
    "pid", "tid", "uid", "gid", "nsecs", "elapsed", "cpu", "ncpus", "rand", "cgroup", "jiffies", "numaid", "cpid",
    "ppid", "leader_tid", "curtask.pid", "curtask.real_parent.tgid", "curtask.mm.total_vm", "curtask->prio",
    "(uint64)curtask", "sizeof(struct task_struct)", "sizeof(uint32)", "offsetof(struct task_struct, comm)",
    "curtask.se.load.weight", "nsecs(monotonic)", "pid(init)", "comm[0]", "curtask.comm[1]", "TCP_LISTEN + 1",
    "AF_INET6", "strlen(comm)", 'strncmp(comm, "cat", 3)', 'strstr(comm, "a")', 'memcmp(comm, "bash", 4)',
    "(curtask.no_such ?? curtask.pid)", 'comptime (3 * 7)', 'getopt("n", 3)', "bswap((uint32)pid)", "probetype[0]",
    "*(uint32 *)nsecs", "(uint64)curtask.cred.uid.val", "curtask.sched_reset_on_fork",
)  # fmt: skip
_TEXTS = (
    "comm", '"abc"', '""', '"cat"', "curtask.comm", "curtask.real_parent.comm", "pcomm", "leader_comm", "probe",
    "probetype", '"a string that is longer than comm"', "str(nsecs, 32)", "str(curtask.mm, 16)", "str($2)",
    'str_concat(comm, "x")', 'getopt("s", "word")',
    '"tab\\t\\x41\\101"',
)  # fmt: skip
_CONDITIONS = (
    "curtask", "true", "false", 'strcontains(comm, "a")', 'exists("struct task_struct.__state")',
    'exists("kprobe:nothing_at_all")', "is_err(curtask)", "is_str(comm)", 'getopt("b")', "pid == tid",
    'kfunc_exist("vfs_read")', "is_literal(3)", "curtask.mm != 0",
)  # fmt: skip
# only to be printed, or to be a map's key or value
_SHOWN = (
    "strerror(2)", "signal_name(9)", "syscall_name(1)", "str(nsecs)", "kstack", "kstack(3)", "kstack(perf, 5)", "ustack(2)", "ustack(raw, 3)", "ksym(nsecs)", "usym(nsecs)", "username",
    "ntop(16777343)", 'ntop(pton("fe80::1"))', "macaddr(str(nsecs, 6))", 'buf(comm, 4)', "cgroup_path(cgroup)",
    'strftime("%H:%M:%S", nsecs)', "curtask", "(1, 2)", "()", '(a = 1, b = comm)', "curtask.se.load",
    "pton(\"10.0.0.1\")", "(1, (comm, pid))",
)  # fmt: skip
_PRINTED = ("usym(", "ntop(", "strerror(", "signal_name(", "syscall_name(")
_OPERATORS = ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")
_COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
_CASTS = ("uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "bool")


NOWHERE = Scene("begin")


@dataclass
class MapShape:
    """A map of the program: how many keys, of which types, and what it holds."""

    name: str
    keys: tuple[str, ...]
    holds: str  # integer, text, tuple, record, or an aggregation


@dataclass
class Values:
    """Makes expressions out of what is visible."""

    chance: random.Random
    constants: dict[str, list[str]] = field(default_factory=dict)
    macros: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    maps: dict[str, MapShape] = field(default_factory=dict)
    scopes: list[dict[str, str]] = field(default_factory=list)
    scene: Scene = NOWHERE
    nested: int = 0  # inside a map's key
    bare: int = 0  # inside a loop's body or a predicate: nothing of the probe's own

    def known_definition(self, text: str) -> None:
        """Constants that a definition adds."""
        if "LIMIT" in text:
            self.constants.setdefault("integer", []).append("LIMIT")
        if "SHIFTED" in text:
            self.constants.setdefault("integer", []).append("SHIFTED")
        if "colour" in text:
            self.constants.setdefault("integer", []).append("GREEN + 0")
        if "pair" in text:
            self.constants.setdefault("integer", []).extend(
                ["sizeof(struct pair)", "((struct pair *)nsecs).first", "((struct pair *)nsecs).bits"]
            )

    def visible(self, kind: str) -> list[str]:
        """The variables of a type."""
        return [name for scope in self.scopes for name, has in scope.items() if has == kind]

    def integer(self, depth: int) -> str:
        choose = self.chance.choice
        if depth > 0 and self.chance.random() < 0.6:
            inner = depth - 1
            match self.chance.randrange(8):
                case 0 | 1 | 2:
                    return f"({self.integer(inner)} {choose(_OPERATORS)} {self.integer(inner)})"
                case 3:
                    return f"({self.condition(inner)} ? {self.integer(inner)} : {self.integer(inner)})"
                case 4:
                    return f"{choose(('-', '~', '(' + choose(_CASTS) + ')'))}({self.integer(inner)})"
                case 5:
                    return f"({self.integer(inner)} ?: {self.integer(inner)})"
                case 6:
                    return self._called(inner)
                case _:
                    return f"({self.condition(inner)} + {self.integer(inner)})"
        return self._plain_integer()

    def _called(self, depth: int) -> str:
        ways = [*self.macros, *self.functions]
        if ways:
            return (
                self.chance.choice(ways).replace("?", self.integer(depth), 1).replace("?", self.integer(0), 1)
            )
        return f"(uint64)({self.integer(depth)})"

    def _plain_integer(self) -> str:
        choose, dice = self.chance.choice, self.chance.random()
        own = () if self.bare else self.scene.integers
        variables = self.visible("integer")
        if own and dice < 0.2:
            return choose(own)
        if variables and dice < 0.4:
            return choose(variables)
        if self.constants.get("integer") and dice < 0.45:
            return choose(self.constants["integer"])
        if dice < 0.6:
            found = self.entry("integer") or self.entry("count") or self.entry("sum")
            if found:
                return f"(int64){found}" if self.chance.random() < 0.2 else found
        return choose(_NUMBERS) if dice < 0.7 else choose(_INTEGERS)

    def entry(self, holds: str) -> str:
        """A map's value of a type, or nothing where the program has no such map."""
        found = [shape for shape in self.maps.values() if shape.holds == holds and self.nested < 2]
        return self.access(self.chance.choice(found)) if found else ""

    def access(self, shape: MapShape) -> str:
        """An entry of a map under a random key."""
        if not shape.keys:
            return shape.name
        keys = self.keys(shape, 1)
        grouped = len(shape.keys) > 1 and self.chance.random() < 0.1
        return f"{shape.name}[({keys})]" if grouped else f"{shape.name}[{keys}]"

    def keys(self, shape: MapShape, depth: int) -> str:
        """Random keys for a map; those within them are not nested deeper than that."""
        self.nested += 1
        text = ", ".join(self.of(kind, depth if self.nested < 2 else 0) for kind in shape.keys)
        self.nested -= 1
        return text

    def of(self, kind: str, depth: int) -> str:
        """An expression of a type by its name."""
        return self.text(depth) if kind == "text" else self.integer(depth)

    def condition(self, depth: int) -> str:
        choose = self.chance.choice
        if depth > 0 and self.chance.random() < 0.25:
            return f"({self.condition(depth - 1)} {choose(('&&', '||'))} {self.condition(depth - 1)})"
        match self.chance.randrange(6):
            case 0:
                return f"({self.text(depth - 1)} {choose(('==', '!='))} {self.text(depth - 1)})"
            case 1:
                return f"!{self._plain_integer()}"
            case 2:
                return self.chance.choice((*_CONDITIONS, *self.constants.get("boolean", [])))
            case 3:
                keyed = [
                    item for item in self.maps.values() if item.keys and item.holds not in ("hist", "lhist")
                ]
                if keyed and self.nested < 2:
                    shape = choose(keyed)
                    keys = self.keys(shape, 0)
                    return (
                        f"has_key({shape.name}, ({keys}))"
                        if len(shape.keys) > 1
                        else f"has_key({shape.name}, {keys})"
                    )
        return f"({self.integer(depth - 1)} {choose(_COMPARISONS)} {self.integer(depth - 1)})"

    def text(self, depth: int) -> str:
        choose, dice = self.chance.choice, self.chance.random()
        if depth > 0 and dice < 0.15:
            return f"({self.condition(depth - 1)} ? {self.text(depth - 1)} : {self.text(depth - 1)})"
        own = () if self.bare else tuple(item for item in self.scene.texts if not item.startswith(_PRINTED))
        if own and dice < 0.4:
            return self.chance.choice(own)
        variables = [*self.visible("text"), *self.constants.get("text", [])]
        if variables and dice < 0.55:
            return self.chance.choice(variables)
        if dice < 0.65 and (found := self.entry("text")):
            return found
        return choose(_TEXTS)

    def shown(self) -> str:
        """A value that can be printed, of any type."""
        choose, dice = self.chance.choice, self.chance.random()
        if dice < 0.35:
            return self.integer(2)
        if dice < 0.55:
            return self.text(2)
        if dice < 0.65:
            return f"({self.integer(1)}, {self.text(1)})"
        own = () if self.bare else self.scene.texts
        return choose((*_SHOWN, *own))
