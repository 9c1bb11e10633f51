"""The builtin functions: name → arguments, result type, what it is. The tables are by subject."""

from __future__ import annotations

from lang.functions_maps import MAPS
from lang.functions_options import OPTIONS
from lang.functions_output import OUTPUT
from lang.functions_paths import PATHS
from lang.functions_rows import ROWS
from lang.functions_system import SYSTEM
from lang.functions_task import TASK
from lang.functions_text import TEXT
from lang.functions_values import VALUES
from lang.signature import Function

FUNCTIONS: dict[str, Function] = {
    item.name: item for item in (*OUTPUT, *ROWS, *MAPS, *VALUES, *TEXT, *SYSTEM, *TASK, *PATHS, *OPTIONS)
}

# what bpftrace has and ebt has not: why, and what does instead
REFUSED: dict[str, tuple[str, str]] = {
    "skboutput": (
        "skboutput() cannot be had: ebt writes no packet captures",
        "buf(args.skb.data, 64) prints the start of a packet; tcpdump captures it",
    ),
    "dw_ustack": (
        "dw_ustack cannot be had: ebt does not unwind by .eh_frame",
        "ustack follows frame pointers",
    ),
    "socket_cookie": (
        "socket_cookie() cannot be had: the helper takes a socket that the verifier knows to be one",
        "a socket's address tells sockets apart as well: @[args.sk]",
    ),
    "unwatch": (
        "unwatch() cannot be had: a watchpoint stays until its script ends",
        "a predicate switches the body off: watchpoint:… /!@off/ { … }",
    ),
    "elf_info": ("elf_info cannot be had: BCC has no way to it", "ustack(perf) prints each frame's binary"),
}
