"""The tools for the network on the lab's kernels, by the kernel's functions.

All of them watch one load together, since each start costs an emulated kernel seconds: connections over the
loopback with known numbers of bytes, refused ones, datagrams that nobody takes, a full queue, and as many
connections to another port, which the tools that filter by port are told to leave out.
"""

from __future__ import annotations

import ctypes
import json
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import PATIENCE, Ebt
from tests.kernel.support import rows_of, running
from tests.kernel.test_tools_block import python
from tests.kernel.test_tools_net import (
    ANSWERED,
    SENT,
    STATES,
    TIMES,
    WAITING,
    connections,
    datagrams,
    free_port,
    refused_connections,
)
from tests.lab.support import Missing, load_module, tool_rows

pytestmark = pytest.mark.lab
PORTS = {name: free_port() for name in ("wanted", "other", "refused", "datagrams", "full")}
PORTS["six"] = free_port("::1")
WANTED, DATAGRAMS = str(PORTS["wanted"]), str(PORTS["datagrams"])
TOOLS = {
    "tcpstates": ("-w", "-D", WANTED), "tcplife": ("-w",), "tcpconnect": ("-U", "-P", WANTED),
    "tcpaccept": ("-P", f"{WANTED},{PORTS['six']}"), "tcpconnlat": ("-L",), "tcptracer": (), "solisten": (),
    "tcppktlat": ("-r", WANTED), "tcpdrop": ("--no-stack",), "tcpretrans": ("-s",),
    "tcptop": ("-C", "-r", "10240", "1"),
    "pktwho": ("--port", DATAGRAMS), "skbtrace": ("-P", "udp", "--port", DATAGRAMS),
    "tcpsynbl": ("-4",), "tcprtt": ("-P", WANTED),
}  # fmt: skip
LOADS = (
    connections(PORTS["wanted"]), connections(PORTS["other"]), connections(PORTS["six"], host="::1"),
    refused_connections(PORTS["refused"]), datagrams(PORTS["datagrams"]),
    python(WAITING.replace("PORT", str(PORTS["full"]))),
)  # fmt: skip


@pytest.fixture(scope="module")
def printed(ebt: Ebt) -> Iterator[dict[str, str]]:
    """What each tool printed, the load being over."""
    with ExitStack() as stack:
        runs = {}
        for name, words in TOOLS.items():
            runs[name] = stack.enter_context(running([*ebt.command, "-f", "json", name, *words]))
        for run in runs.values():
            run.wait_for("attached_probes", timeout=120)
        for load in LOADS:
            assert subprocess.run(load.split()).returncode == 0
        time.sleep(PATIENCE)
        for run in runs.values():
            run.send(signal.SIGINT)
        ended = {name: run.end() for name, run in runs.items()}
        assert {name: result.stderr for name, result in ended.items() if result.stderr} == {}
        yield {name: result.stdout for name, result in ended.items()}


def at(text: str, column: str, port: str) -> list[dict[str, Any]]:
    """The rows with one of the ports in this column."""
    return [row for row in rows_of(text) if row[column] == PORTS[port]]


@pytest.mark.tool("tcpstates")
def test_tcpstates(printed: dict[str, str]) -> None:
    rows = rows_of(printed["tcpstates"])
    assert {(row["RPORT"], row["IP"]) for row in rows} == {(PORTS["wanted"], 4)}
    for n, state in enumerate(STATES):
        assert [row["NEWSTATE"] for row in rows[n :: len(STATES)]] == [state] * TIMES


@pytest.mark.tool("tcplife")
@pytest.mark.parametrize(("port", "version"), [("wanted", 4), ("six", 6)])
def test_tcplife(printed: dict[str, str], port: str, version: int) -> None:
    clients = at(printed["tcplife"], "RPORT", port)
    servers = [row for row in at(printed["tcplife"], "LPORT", port) if row["RPORT"]]
    assert len(clients) == len(servers) == TIMES
    # the kernel counts a SYN that is acknowledged, and each FIN, as a byte
    assert {row["TX_KB"] * 1024 for row in clients} == {SENT + 2}
    assert {row["RX_KB"] * 1024 for row in clients} == {ANSWERED + 1}
    assert {row["RX_KB"] * 1024 for row in servers} == {SENT + 1}
    assert {(row["COMM"], row["IP"]) for row in clients + servers} == {("python3", version)}


@pytest.mark.tool("tcpconnect")
def test_tcpconnect(printed: dict[str, str]) -> None:
    told = ("UID", "COMM", "DADDR", "DPORT")
    rows = [tuple(row[name] for name in told) for row in rows_of(printed["tcpconnect"])]
    assert rows == [(0, "python3", "127.0.0.1", PORTS["wanted"])] * TIMES


@pytest.mark.tool("tcpaccept")
def test_tcpaccept(printed: dict[str, str]) -> None:
    rows = rows_of(printed["tcpaccept"])
    assert Counter((row["COMM"], row["LADDR"], row["LPORT"]) for row in rows) == {
        ("python3", "127.0.0.1", PORTS["wanted"]): TIMES,
        ("python3", "::1", PORTS["six"]): TIMES,
    }


@pytest.mark.tool("tcpconnlat")
def test_tcpconnlat(printed: dict[str, str]) -> None:
    for port, times in (("wanted", TIMES), ("refused", TIMES), ("six", TIMES), ("full", 1)):
        rows = at(printed["tcpconnlat"], "DPORT", port)
        assert len(rows) == times and all(row["LAT(ms)"] > 0 for row in rows), port
        assert {row["COMM"] for row in rows} == {"python3"} and all(row["LPORT"] for row in rows)


@pytest.mark.tool("tcptracer")
def test_tcptracer(printed: dict[str, str]) -> None:
    wanted = PORTS["wanted"]
    mine = [row for row in rows_of(printed["tcptracer"]) if wanted in (row["SPORT"], row["DPORT"])]
    assert "".join(row["T"] for row in mine) == "CAXX" * TIMES
    assert {(row["COMM"], row["SADDR"]) for row in mine} == {("python3", "127.0.0.1")}


@pytest.mark.tool("solisten")
def test_solisten(printed: dict[str, str]) -> None:
    told = ("COMM", "RET", "BACKLOG", "PROTO", "ADDR")
    for port, expected in (
        ("wanted", ("python3", 0, 7, "TCPv4", "127.0.0.1")),
        ("six", ("python3", 0, 7, "TCPv6", "::1")),
        ("full", ("python3", 0, 0, "TCPv4", "127.0.0.1")),
    ):
        rows = at(printed["solisten"], "PORT", port)
        assert [tuple(row[name] for name in told) for row in rows] == [expected]


@pytest.mark.tool("tcppktlat")
def test_tcppktlat(printed: dict[str, str]) -> None:
    rows = [(row["COMM"], row["RPORT"]) for row in rows_of(printed["tcppktlat"])]
    assert rows == [("python3", PORTS["wanted"])] * TIMES


@pytest.mark.tool("tcpdrop")
def test_tcpdrop(printed: dict[str, str]) -> None:
    to = f"127.0.0.1:{PORTS['refused']}"
    mine = [row for row in rows_of(printed["tcpdrop"]) if row["DADDR:DPORT"] == to]
    assert len(mine) == TIMES and {row["FLAGS"] for row in mine} == {"SYN"}
    assert {row.get("REASON", "SKB_DROP_REASON_NO_SOCKET") for row in mine} == {"SKB_DROP_REASON_NO_SOCKET"}


@pytest.mark.tool("tcpretrans")
def test_tcpretrans(printed: dict[str, str]) -> None:
    to = f"127.0.0.1:{PORTS['full']}"
    mine = [row for row in rows_of(printed["tcpretrans"]) if row["RADDR:RPORT"] == to]
    assert {(row["T"], row["IP"], row["STATE"]) for row in mine} == {("R", 4, "SYN_SENT")}
    assert len({row["SEQ"] for row in mine}) == 7


@pytest.mark.tool("tcptop")
def test_tcptop(printed: dict[str, str]) -> None:
    """The bytes of all reports together."""
    clients, servers = (at(printed["tcptop"], column, "wanted") for column in ("RPORT", "LPORT"))
    assert round(sum(row["TX_KB"] for row in clients) * 1024) == TIMES * SENT
    assert round(sum(row["RX_KB"] for row in clients) * 1024) == TIMES * ANSWERED
    assert round(sum(row["RX_KB"] for row in servers) * 1024) == TIMES * SENT


@pytest.mark.tool("tcpsynbl")
def test_tcpsynbl(printed: dict[str, str]) -> None:
    """The listeners of `wanted` and `other` have a queue of 7, in which nobody waits."""
    counted = [item for item in map(json.loads, printed["tcpsynbl"].splitlines()) if item["type"] == "hist"]
    (buckets,) = [item["data"]["@backlog_max"]["7"] for item in counted if item["data"]["@backlog_max"]]
    assert sum(bucket["count"] for bucket in buckets) == 2 * TIMES


@pytest.mark.tool("tcprtt")
def test_tcprtt(printed: dict[str, str]) -> None:
    counts = re.findall(r'"count": (\d+)', printed["tcprtt"])
    assert sum(map(int, counts)) >= TIMES


@pytest.mark.tool("pktwho")
def test_pktwho(printed: dict[str, str]) -> None:
    told = ("COMM", "PROTO", "SADDR", "DADDR", "DPORT", "LEN")
    rows = [tuple(row[name] for name in told) for row in rows_of(printed["pktwho"])]
    assert rows == [("python3", "UDP", "127.0.0.1", "127.0.0.1", PORTS["datagrams"], 428)] * TIMES


@pytest.mark.tool("skbtrace")
def test_skbtrace(printed: dict[str, str]) -> None:
    rows = rows_of(printed["skbtrace"])
    passed = Counter(row["PLACE"].partition(" ")[0] for row in rows)
    for place in ("ip_output", "net_dev_queue", "netif_receive_skb", "ip_rcv", "udp_rcv", "kfree_skb"):
        assert passed[place] == TIMES, passed
    assert {(row["PROTO"], row["DPORT"]) for row in rows} == {("UDP", PORTS["datagrams"])}


def with_iptables() -> None:
    """Have the table `filter`, empty: whoever asks for it (IPT_SO_GET_INFO) has it made."""
    load_module("iptable_filter")
    libc = ctypes.CDLL(None, use_errno=True)
    asked = ctypes.create_string_buffer(b"filter", 84)
    length = ctypes.c_uint32(len(asked))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as control:
        assert libc.getsockopt(control.fileno(), socket.SOL_IP, 64, asked, ctypes.byref(length)) == 0


@pytest.mark.tool("skbtrace")
def test_skbtrace_of_netfilter(ebt: Ebt) -> None:
    try:
        with_iptables()
    except Missing as reason:
        pytest.skip(str(reason))
    port = free_port()
    rows = tool_rows(ebt, "skbtrace", "-P", "udp", "--port", str(port), command=datagrams(port))
    told = Counter(row["PLACE"] for row in rows)
    assert told["nf_hook_slow LOCAL_OUT ACCEPT"] == told["nf_hook_slow LOCAL_IN ACCEPT"] == TIMES, told
    assert told["ipt_do_table ACCEPT"] == 2 * TIMES, told


@pytest.mark.tool("skbtrace")
def test_skbtrace_of_every_function(ebt: Ebt) -> None:
    """Each function that takes a packet, by whichever of its arguments."""
    port = free_port()
    command = datagrams(port)
    rows = tool_rows(
        ebt, "skbtrace", "--all", "-c", "-P", "udp", "--port", str(port), command=command, timeout=300
    )
    counted = {row["FUNCTION"]: row["COUNT"] for row in rows if "FUNCTION" in row}
    # the packet is the first argument of udp_rcv, the third of ip_output
    assert counted["udp_rcv"] == counted["ip_output"] == counted["ip_rcv"] == TIMES, counted
    assert sum(count >= TIMES for count in counted.values()) > 15, counted
