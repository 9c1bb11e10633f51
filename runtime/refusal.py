"""The verifier's log → what went wrong, in words, and where in the script."""

from __future__ import annotations

import errno
import os
import re

from codegen.plan import Place
from runtime.bpf import instruction_lines
from runtime.object import Code

_INSN = re.compile(r"^(\d+): \(", re.MULTILINE)
_DIRECTIVE = re.compile(r'\s*#line (\d+) "(.*)"')
_STATISTICS = re.compile(r"^(processed \d+ insns|verification time|stack depth|mark_precise)")
_STATE = re.compile(
    r"^(\d+: )?(R\d+(_\w+)?=|from \d+ to \d+|;|frame\d+:|last_idx|regs=|parent |(cur|old) state:"
    r"|\d+: \([0-9a-f]{2}\))"
)
_WORDS = (
    (re.compile(r"unknown func (bpf_)?(\w+)#\d+"), r"programs of this kind have no helper bpf_\2 here"),
    (re.compile(r"invalid func \w+#(\d+)"), r"this kernel has no BPF helper number \1"),
    (
        re.compile(r"program of this type cannot use helper (\w+)#\d+"),
        r"programs of this kind have no helper \1 here",
    ),
    (re.compile(r"cannot call GPL-restricted function.*"), "it calls what only GPL programs may"),
    (re.compile(r".*[Pp]rogram is too large.*"), "the program is too complex: the verifier gave up on it"),
    (
        re.compile(r"[Tt]he sequence of \d+ jumps is too complex.*"),
        "the program is too complex: the verifier gave up on it",
    ),
    (re.compile(r"infinite loop detected.*"), "the kernel cannot see that this loop ends"),
    (re.compile(r"back-edge from insn.*"), "this kernel takes no loops"),
    (re.compile(r"(combined )?stack size of.*"), "the program needs more than 512 bytes of stack"),
    (re.compile(r"invalid (indirect )?(access to|read from|write to) stack.*"), "stack access out of bounds"),
)
_LIMITS = re.compile(
    r"BPF program is too large.*|(combined )?stack size of.*|[Tt]he sequence of \d+ jumps is too complex"
    r"|infinite loop detected|back-edge from insn.*"
)


def explain(number: int, log: str) -> str:
    """One line: the last thing that the verifier said, in plainer words where we have them."""
    said = _last_words(log)
    if limit := _LIMITS.search(log):  # it may stand on the line of an instruction
        said = limit[0]
    for pattern, words in _WORDS:
        if pattern.search(said):
            return pattern.sub(words, pattern.search(said)[0])  # type: ignore[index]
    if said:
        return said
    if number == errno.E2BIG:
        return "the program has more instructions than this kernel takes"
    return os.strerror(number)


def is_limit(number: int, log: str) -> bool:
    """Whether the program is refused for its size: too long, too complex, a loop without an end."""
    return (number == errno.E2BIG and not _last_words(log)) or bool(_LIMITS.search(log))


def _last_words(log: str) -> str:
    lines = [line.strip() for line in log.splitlines()]
    lines = [line for line in lines if line and not _STATISTICS.match(line)]
    spoken = [line for line in lines if not _STATE.match(line) and not _INSN.match(line)]
    return spoken[-1] if spoken else ""


def failing_instruction(log: str) -> int | None:
    """The instruction that the verifier looked at last, or None where the log names none."""
    found = _INSN.findall(log)
    return int(found[-1]) if found else None


def position(log: str, code: Code, text: str, map_names: tuple[str, ...] = ()) -> Place | None:
    """The place in the script of the refused instruction; None where it cannot be told."""
    index = failing_instruction(log)
    if index is None or not text:
        return None
    return script_place(text, instruction_lines(text, code, map_names).get(index, 0))


def script_place(text: str, line: int) -> Place | None:
    """The script's line for a line of the C text (from 1): what the nearest `#line` before it says.

    A statement may become many lines of C; there is a `#line` wherever the script's line changes.
    """
    found = None
    for content in text.split("\n")[: max(line - 1, 0)]:
        if directive := _DIRECTIVE.match(content):
            found = Place(directive[2], int(directive[1]), 1)
    return found
