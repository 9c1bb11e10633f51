"""What of bpftrace's language ebt does not have: name → why, and what to write instead.

The checker tells it at its place; docs/compatibility.md is made of the same tables.
"""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """`reason` completes "… cannot be had: "; `instead` is a hint."""

    reason: str
    instead: str


FUNCTIONS = {
    "skboutput": Refusal(
        "it writes packets through a perf buffer to a pcap file, which ebt has no reader for",
        "buf(data, length) prints the bytes; tcpdump writes pcap files",
    ),
    "unwatch": Refusal(
        "a watchpoint ends with the script",
        "delete a key of your own when it is enough, and test has_key() in the predicate",
    ),
    "socket_cookie": Refusal(
        "BCC knows the helper for socket programs alone",
        "the address of the struct sock tells sockets apart: (uint64)args.sk",
    ),
}
BUILTINS = {
    "dw_ustack": Refusal(
        "it unwinds by .eh_frame tables in BPF, which BCC has no loader for",
        "ustack, for programs with frame pointers (-fno-omit-frame-pointer)",
    ),
}
