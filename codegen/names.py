"""Script names → C identifiers: readable, unique, never a word that C or BCC already means something by."""

from __future__ import annotations

import re

# BCC attaches functions by such prefixes on its own; bpf_ and ebt_ are the helpers' and ours.
_TAKEN_PREFIXES = (
    "bpf_",
    "BPF_",
    "ebt_",
    "kprobe__",
    "kretprobe__",
    "tracepoint__",
    "raw_tracepoint__",
    "kfunc__",
)
_TAKEN = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while asm typeof bool true false NULL u8 u16 u32 u64 s8 s16 s32 s64 size_t ssize_t pid_t
    umode_t uintptr_t ctx scratch slot lock_xadd cursor section linux unix i386
    errno printk max min abs offsetof likely unlikely barrier memset memcpy memcmp
    """.split()
)


def identifier(text: str) -> str:
    """A C identifier that reads like the text."""
    plain = re.sub(r"\W+", "_", text).strip("_") or "value"
    if plain[0].isdigit():
        plain = "n" + plain
    if plain in _TAKEN or plain.startswith(_TAKEN_PREFIXES) or plain.isupper():
        plain += "_"
    return plain[:40]


def map_name(name: str) -> str:
    """`@bytes` → `at_bytes`; the nameless map is `at_`."""
    return "at_" + name[1:]


class Names:
    """Hands out identifiers of one C scope: a name that is taken gets a number."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def fresh(self, text: str) -> str:
        plain = identifier(text)
        count = self._used.get(plain, 0) + 1
        self._used[plain] = count
        if count == 1:
            return plain
        numbered = f"{plain}_{count}"
        return self.fresh(numbered) if numbered in self._used else self._claim(numbered)

    def _claim(self, name: str) -> str:
        self._used[name] = 1
        return name


def c_string(text: str) -> str:
    """A C string literal for any text: bytes outside printable ASCII as octal escapes."""
    out = []
    for byte in text.encode("utf-8", "surrogateescape"):
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127 and char != "?":
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def comment(text: str, limit: int = 96) -> str:
    """One line of script for a // comment: no newline, nothing unprintable, no backslash at its end."""
    plain = " ".join(text.split())
    plain = "".join(char if " " <= char <= "~" else "?" for char in plain)
    if len(plain) > limit:
        plain = plain[: limit - 2].rstrip() + " …".replace("…", "..")
    return plain.rstrip("\\")
