"""What the originals have and the tools for files, block devices and memory have not → a section of a page."""

from __future__ import annotations

# ruff: noqa: E501 (prose)

# tools, the original's option, what there is instead or why not
OMITTED = (
    ("all of BCC's Python tools", "`--ebpf`", "`ebt compile NAME` shows the C"),
    ("all of libbpf-tools", "`-v` (libbpf's messages)", "`-v` behind a tool's name is ebt's, unless the tool has its own, as drsnoop; in front of it always ebt's"),
    ("opensnoop, mountsnoop", "`--cgroupmap`, `--mntnsmap` (a pinned BPF map)", "`--cgroup PATH` names the cgroup itself"),
    ("opensnoop", "`-b` (pages of the buffer)", "the ring has 16 MiB, and the last line tells what did not fit"),
    ("opensnoop", "`-c` for `--callers`", "`-c COMMAND` starts a command, as everywhere in ebt; `--callers` is there"),
    ("biolatency", "`-j`", "`-f json`, as everywhere"),
    ("memleak", "`--stack-storage-size`, `--perf-max-stack-depth`", "stacks are kept whole in a map of their own; none is lost to a collision"),
    ("nfsslower", "rows of type C (commits that end later)", "they are no call of the process, and their types are in the module's BTF only, which 5.10 has not"),
    ("fsdist, fsslower", "bcachefs, zfs", "no kernel of the lab has them; `-t NAME` takes any that is mounted and whose functions are named like the others'"),
    ("cachestat, readahead", "pages of large folios", "as the originals count them: a folio is one, however large"),
    ("numamove", "", "without a second node nothing moves: that a row is right could be tried on no kernel of the lab"),
)


def omitted_section() -> str:
    """The section."""
    lines = [
        "## What the originals have and these have not",
        "",
        "For files, block devices and memory; the options of both the Python and the libbpf version were compared.",
        "",
        "| tool | of the original | here |",
        "|---|---|---|",
        *(f"| {tool} | {option} | {here} |" for tool, option, here in OMITTED),
    ]
    return "\n".join(lines) + "\n\n"
