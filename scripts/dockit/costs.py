"""docs/tool-costs.json → the section of docs/tools.md that says what each tool costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "docs/tool-costs.json"
_HEAD = """\
## What they cost

Measured by `scripts/bench tools` on {machine}: the time from the command to the probes' being attached; then,
on the same load of so many events, what the tool's programs took of an event in the kernel (`bpf_stats`), and
how large those are that an event runs, in instructions as the verifier left them, each as often as it ran.
*again*: ebt keeps what it has compiled. Beside it the originals: P is BCC's Python tool, L libbpf-tools' one.

"""

_WHY = """
Where an original is smaller or does not run:

- `cachestat`, `statsnoop`, `biotop`, `biosnoop`, `readahead`, `slabratetop`: what some of the originals
  attach to is gone or inlined on this kernel, or their C does not compile there; cachestat's counts one of
  its four kinds of page, statsnoop's none of these calls, syncsnoop's sync(2) alone.
- `vfsstat`, `softirqs`, `hardirqs`: libbpf-tools' ones add to variables that all processors share; ebt has a
  value for each processor, and softirqs a map entry that also knows the longest.
- `funccount`: measured when its key was the function's name in a hash; it is a number in an array now, as in
  the original.
- `tcplife`, `tcpconnlat`, `tcptracer`: at `sock:inet_sock_set_state`, which passes some ten times for a
  connection. Each passage is counted with the whole program here, and ends after a few instructions where it
  is not the one that is looked for.
- `tcpdrop`: takes addresses from the packet, so that drops without a socket are seen, which the original
  leaves out.
- `tcptop`: one map keeps IPv4 and IPv6, and the sum that the screen is sorted by.
- `filegone`: tells of a rename once it has succeeded, the original when it begins.
- `offcputime`, `stackcount`: a stack is kept whole under a hash of its own; `bpf_get_stackid()` gives up one
  of two that collide.
- `klockstat`: a caller is kept as a stack, as in offcputime.
- `gethostlatency`: a call is kept by its frame too, so that one in another is not lost, and counted if its
  entry was not seen.
- `pidpersec`, `runqslower`: the interval's program, and a few instructions.
- `vfscount`, `threadsnoop`, `sigsnoop`, `capable`, `tcpstates`, `tcpsynbl`, `tcpaccept`, `solisten`,
  `funclatency`: what a full map or buffer loses is counted at each place, which the originals do not do, and
  some have columns that the originals do not have.
"""


def costs_section(path: Path = FILE) -> str:
    """The section; empty where nothing was measured."""
    if not path.is_file():
        return ""
    kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
    parts = []
    for title, measured in kept.items():
        lines = [
            _HEAD.format(machine=title),
            "| tool | attached | again | ns an event | size | original | attached | ns an event | size |",
            "|---|---:|---:|---:|---:|---|---:|---:|---:|",
        ]
        for name, row in sorted(measured.items()):
            peers = row.get("peers") or [None]
            for number, peer in enumerate(peers):
                own = [f"`{name}`", *_own(row)] if not number else [""] * 5
                lines.append("| " + " | ".join([*own, *_peer(peer)]) + " |")
        parts.append("\n".join(lines).replace("\n\n\n", "\n\n") + "\n" + _WHY)
    return "\n".join(parts)


def _own(row: dict[str, Any]) -> list[str]:
    attached, *others = _cells(row)
    return [attached, f"{row['again']:.2f} s" if "again" in row else "", *others]


def _peer(row: dict[str, Any] | None) -> list[str]:
    if row is None:
        return ["none", "", "", ""]
    if row.get("problem"):
        return [f"{row['kind']}: {row['problem']}", "", "", ""]
    return [row["kind"], *_cells(row)]


def _cells(row: dict[str, Any]) -> list[str]:
    if row.get("problem"):
        return [row["problem"], "", ""]
    return [
        f"{row['attach']:.2f} s",
        f"{row['ns']:.0f}" if row.get("ns") is not None else "",
        f"{row['instructions']:.0f}" if row.get("instructions") is not None else "",
    ]
