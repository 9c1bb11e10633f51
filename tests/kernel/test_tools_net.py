"""The tools for the network: so many connections over loopback of known size, and nothing of others."""

from __future__ import annotations

import os
import re
import socket
from collections import Counter
from typing import Any

import pytest

from tests.conftest import Ebt
from tests.kernel.support import lines
from tests.kernel.test_tools_block import python
from tests.lab.support import tool_rows

pytestmark = pytest.mark.kernel
TIMES, SENT, ANSWERED = 23, 30011, 5003


_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port at which nobody listens, another one each time: loads are told apart by it."""
    while True:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
            found.bind((host, 0))
            port: int = found.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def connections(port: int, times: int = TIMES, host: str = "127.0.0.1") -> str:
    """The command that makes so many connections to itself; the client says much, the server little."""
    return python(
        "import socket\n"
        f"s = socket.create_server(({host!r}, {port}), backlog=7, family={10 if ':' in host else 2})\n"
        f"for n in range({times}):\n"
        f"    c = socket.create_connection(({host!r}, {port})); a, _ = s.accept()\n"
        f"    c.sendall(bytes({SENT})); a.recv({SENT}, socket.MSG_WAITALL)\n"
        f"    a.sendall(bytes({ANSWERED})); c.recv({ANSWERED}, socket.MSG_WAITALL)\n"
        # the client's socket is there until the server's end has come: the kernel counts that as a byte
        "    c.shutdown(socket.SHUT_WR); a.recv(1); a.close(); c.recv(1); c.close()\n"
    )


def refused_connections(port: int) -> str:
    """The command whose connections nobody accepts."""
    return python(
        f"import socket\nfor n in range({TIMES}): socket.socket().connect_ex(('127.0.0.1', {port}))"
    )


# The listener's queue is full when the last one connects: its SYN is dropped and sent again after a second.
_SLOW = """
import select, socket
s = socket.socket(); s.bind(("127.0.0.1", PORT)); s.listen(0)
for n in range(TIMES):
    first = socket.create_connection(("127.0.0.1", PORT))
    late = socket.socket(); late.setblocking(False); late.connect_ex(("127.0.0.1", PORT))
    s.accept()[0].close(); first.close()
    select.select([], [late], []); s.accept()[0].close(); late.close()
"""


def slow_connections(port: int, times: int) -> str:
    """The command of which every second connection takes the second until a SYN is sent again."""
    return python(_SLOW.replace("PORT", str(port)).replace("TIMES", str(times)))


def at(port: int, rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """The rows with this port."""
    return [row for row in rows if row[column] == port]


STATES = "SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE".split()


@pytest.mark.tool("tcpstates")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcpstates(ebt: Ebt, host: str) -> None:
    port = free_port(host)
    rows = tool_rows(ebt, "tcpstates", "-w", "-D", f"{port},1", command=connections(port, host=host))
    assert {row["RPORT"] for row in rows} == {port} and {row["LADDR"] for row in rows[1:]} == {host}
    assert {row["IP"] for row in rows} == {6 if ":" in host else 4}
    assert [row["NEWSTATE"] for row in rows if row["SKADDR"]].count("ESTABLISHED") == TIMES
    for n, state in enumerate(STATES):
        assert [row["NEWSTATE"] for row in rows[n :: len(STATES)]] == [state] * TIMES
    other = "-6" if host == "127.0.0.1" else "-4"
    assert tool_rows(ebt, "tcpstates", other, "-D", str(port), command=connections(port, host=host)) == []


@pytest.mark.tool("tcpstates")
def test_tcpstates_as_csv(ebt: Ebt) -> None:
    port = free_port()
    result = ebt("-q", "-c", connections(port, 3), "tcpstates", "-s", "-L", str(port))
    head, *rows = lines(result.stdout)
    assert head == "SKADDR,C-PID,C-COMM,IP,LADDR,LPORT,RADDR,RPORT,OLDSTATE,NEWSTATE,MS"
    assert {row.split(",")[5] for row in rows} == {str(port)}
    assert sum("SYN_RECV,ESTABLISHED" in row for row in rows) == 3


@pytest.mark.tool("tcplife")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcplife(ebt: Ebt, host: str) -> None:
    port = free_port(host)
    command = connections(port, host=host)
    rows = tool_rows(ebt, "tcplife", command=command)
    clients = at(port, rows, "RPORT")
    servers = [row for row in at(port, rows, "LPORT") if row["RPORT"]]
    # the kernel counts a SYN that is acknowledged, and each FIN, as a byte
    assert {(row["TX_KB"] * 1024, row["RX_KB"] * 1024) for row in clients} == {(SENT + 2, ANSWERED + 1)}
    assert {row["RX_KB"] * 1024 for row in servers} == {SENT + 1}
    assert len(clients) == len(servers) == TIMES
    ends = {(row["COMM"], row["LADDR"], row["RADDR"]) for row in clients + servers}
    assert ends == {("python3", host, host)}
    assert all(row["MS"] > 0 for row in clients)
    assert tool_rows(ebt, "tcplife", "-D", "1", "-L", "1", command=command) == []
    other = "-6" if host == "127.0.0.1" else "-4"
    assert tool_rows(ebt, "tcplife", other, "-D", str(port), command=command) == []


@pytest.mark.tool("tcplife")
def test_tcplife_as_csv_and_of_a_process(ebt: Ebt) -> None:
    port = free_port()
    result = ebt("-q", "-c", connections(port, 3), "tcplife", "-s", "-D", str(port))
    head, *rows = lines(result.stdout)
    assert head == "PID,COMM,IP,LADDR,LPORT,RADDR,RPORT,TX_KB,RX_KB,MS" and len(rows) == 3
    assert {tuple(row.split(",")[7:9]) for row in rows} == {("29", "4")}
    assert tool_rows(ebt, "tcplife", "-p", "1", command=connections(port)) == []


# one of the connections waits to be accepted, and the listener takes no second
WAITING = """
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", PORT)); s.listen(0)
all = [socket.socket() for n in range(8)]
for c in all: c.setblocking(False); c.connect_ex(("127.0.0.1", PORT))
time.sleep(1.5)
"""


@pytest.mark.tool("tcpretrans")
def test_tcpretrans(ebt: Ebt) -> None:
    port = free_port()
    command = python(WAITING.replace("PORT", str(port)))
    rows = tool_rows(ebt, "tcpretrans", "-s", command=command)
    mine = [row for row in rows if row["RADDR:RPORT"] == f"127.0.0.1:{port}"]
    assert [(row["T"], row["IP"], row["STATE"]) for row in mine] == [("R", 4, "SYN_SENT")] * 7
    assert len({row["SEQ"] for row in mine}) == 7
    counted = at(port, tool_rows(ebt, "tcpretrans", "-c", command=command), "RPORT")
    assert [row["RETRANSMITS"] for row in counted] == [1] * 7
    rows = tool_rows(ebt, "tcpretrans", "-6", command=command)
    assert not [row for row in rows if row["RADDR:RPORT"].endswith(f":{port}")]


@pytest.mark.tool("tcpdrop")
def test_tcpdrop(ebt: Ebt) -> None:
    port = free_port()
    command = refused_connections(port)
    rows = tool_rows(ebt, "tcpdrop", "--no-stack", command=command)
    mine = [row for row in rows if row["DADDR:DPORT"] == f"127.0.0.1:{port}"]
    assert len(mine) == TIMES and {row["FLAGS"] for row in mine} == {"SYN"}
    assert {row.get("REASON", "SKB_DROP_REASON_NO_SOCKET") for row in mine} == {"SKB_DROP_REASON_NO_SOCKET"}
    result = ebt("-q", "-c", command, "tcpdrop", "-4")
    assert result.stdout.count("tcp_v4_rcv+") >= TIMES
    assert tool_rows(ebt, "tcpdrop", "-n", "1", command=command) == []
    rows = tool_rows(ebt, "tcpdrop", "-6", "--no-stack", command=command)
    assert not [row for row in rows if row["DADDR:DPORT"].endswith(f":{port}")]


@pytest.mark.tool("tcpconnect")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcpconnect(ebt: Ebt, host: str) -> None:
    port = free_port(host)
    command = connections(port, host=host)
    rows = tool_rows(ebt, "tcpconnect", "-U", "-P", f"1,{port}", command=command)
    assert [(row["UID"], row["COMM"], row["DADDR"], row["DPORT"]) for row in rows] == [
        (0, "python3", host, port)
    ] * TIMES
    counted = tool_rows(ebt, "tcpconnect", "-c", command=command)
    assert [row["CONNECTS"] for row in at(port, counted, "RPORT")] == [TIMES]
    for options in (("-p", "1"), ("-P", "1"), ("-6" if host == "127.0.0.1" else "-4", "-P", str(port))):
        assert tool_rows(ebt, "tcpconnect", *options, command=command) == []


@pytest.mark.tool("tcpaccept")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcpaccept(ebt: Ebt, host: str) -> None:
    port = free_port(host)
    command = connections(port, host=host)
    rows = tool_rows(ebt, "tcpaccept", "-P", str(port), command=command)
    assert [(row["COMM"], row["LADDR"], row["RADDR"], row["LPORT"]) for row in rows] == [
        ("python3", host, host, port)
    ] * TIMES
    assert len({row["RPORT"] for row in rows}) == TIMES
    for options in (("-p", "1"), ("-P", "1"), ("-6" if host == "127.0.0.1" else "-4", "-P", str(port))):
        assert tool_rows(ebt, "tcpaccept", *options, command=command) == []


@pytest.mark.tool("tcpconnlat")
def test_tcpconnlat(ebt: Ebt) -> None:
    port = free_port()
    for command in (connections(port), refused_connections(port)):
        rows = at(port, tool_rows(ebt, "tcpconnlat", "-L", command=command), "DPORT")
        assert len(rows) == TIMES and all(row["LAT(ms)"] > 0 for row in rows)
        assert {row["COMM"] for row in rows} == {"python3"} and all(row["LPORT"] for row in rows)
        assert at(port, tool_rows(ebt, "tcpconnlat", "5000", command=command), "DPORT") == []
        assert tool_rows(ebt, "tcpconnlat", "0.001", "-p", "1", command=command) == []
    waiting = python(WAITING.replace("PORT", str(port)))
    assert len(at(port, tool_rows(ebt, "tcpconnlat", command=waiting), "DPORT")) == 1


@pytest.mark.tool("tcptracer")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcptracer(ebt: Ebt, host: str) -> None:
    port = free_port(host)
    command = connections(port, host=host)
    rows = tool_rows(ebt, "tcptracer", command=command)
    mine = [row for row in rows if port in (row["SPORT"], row["DPORT"])]
    assert "".join(row["T"] for row in mine) == "CAXX" * TIMES
    assert {(row["COMM"], row["SADDR"]) for row in mine} == {("python3", host)}
    assert tool_rows(ebt, "tcptracer", "-p", "1", command=command) == []
    assert tool_rows(ebt, "tcptracer", "-N", "1", command=command) == []


@pytest.mark.tool("solisten")
def test_solisten(ebt: Ebt) -> None:
    port = free_port()
    rows = at(port, tool_rows(ebt, "solisten", command=connections(port, 1)), "PORT")
    assert [(row["COMM"], row["RET"], row["BACKLOG"], row["PROTO"], row["ADDR"]) for row in rows] == [
        ("python3", 0, 7, "TCPv4", "127.0.0.1")
    ]
    assert tool_rows(ebt, "solisten", "-p", "1", command=connections(port, 1)) == []
    assert tool_rows(ebt, "solisten", "-n", "1", command=connections(port, 1)) == []


@pytest.mark.tool("tcppktlat")
def test_tcppktlat(ebt: Ebt) -> None:
    port = free_port()
    command = connections(port)
    rows = tool_rows(ebt, "tcppktlat", "-r", str(port), command=command)
    assert len(rows) == TIMES and {(row["COMM"], row["RPORT"]) for row in rows} == {("python3", port)}
    assert tool_rows(ebt, "tcppktlat", "-r", str(port), "5000000", command=command) == []
    assert tool_rows(ebt, "tcppktlat", "-l", "1", command=command) == []


@pytest.mark.tool("tcpsynbl")
def test_tcpsynbl(ebt: Ebt) -> None:
    result = ebt("-q", "-c", connections(free_port()), "tcpsynbl", "-4")
    assert result.rc == 0 and f"@backlog_max[7]:\n[0]                   {TIMES} |" in result.stdout
    result = ebt("-q", "-c", connections(free_port()), "tcpsynbl", "-6")
    assert "@backlog_max[7]" not in result.stdout


@pytest.mark.tool("tcprtt")
def test_tcprtt(ebt: Ebt) -> None:
    port = free_port()
    command = connections(port)
    for options in ((), ("-B", "-A", "127.0.0.1"), ("-b", "-a", "127.0.0.1", "-m", "-e", "-T")):
        result = ebt("-q", "-c", command, "tcprtt", "-P", str(port), *options)
        counts = re.findall(r"^\[.*[])] +(\d+) \|", result.stdout, re.MULTILINE)
        # at least the answer, its FIN is no segment of an established connection
        assert sum(map(int, counts)) >= TIMES, result.stdout
        assert ("@rtt[127.0.0.1]:" in result.stdout) == bool(options)
        assert ("msecs\n" in result.stdout and "@average" in result.stdout) == ("-m" in options)
    for others in (("-A", "192.0.2.1"), ("-a", "::1"), ("-6",)):
        assert "@rtt" not in ebt("-q", "-c", command, "tcprtt", "-P", str(port), *others).stdout


@pytest.mark.tool("tcptop")
@pytest.mark.parametrize("interval", [("2", "1"), ("3600",)], ids=" ".join)
def test_tcptop(ebt: Ebt, interval: tuple[str, ...]) -> None:
    port = free_port()
    command = f"{connections(port, 1)}"
    tail = b"import time; time.sleep(2.5)".hex()
    command = command.replace("')", f"{tail}')")
    rows = tool_rows(ebt, "tcptop", "-C", *interval, command=command)
    (client,), (server,) = at(port, rows, "RPORT"), at(port, rows, "LPORT")
    assert (client["TX_KB"] * 1024, client["RX_KB"] * 1024) == (SENT, ANSWERED)
    assert (server["TX_KB"] * 1024, server["RX_KB"] * 1024) == (ANSWERED, SENT)
    assert at(port, tool_rows(ebt, "tcptop", "-C", "-6", "2", "1", command=command), "RPORT") == []
    assert tool_rows(ebt, "tcptop", "-C", "-p", "1", "2", "1", command=command) == []


# so many datagrams that nobody takes, and as many requests for an echo
DATAGRAMS = """
import socket
u = socket.socket(FAMILY, socket.SOCK_DGRAM)
for n in range(23): u.sendto(bytes(400), (HOST, PORT))
"""
ECHOES = """
import socket, struct
r = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
def checksum(text):
    total = sum(struct.unpack(f"!{len(text) // 2}H", text))
    return ~((total >> 16) + (total & 0xffff)) & 0xffff
for n in range(23):
    head = struct.pack("!BBHHH", 8, 0, 0, 77, n)
    r.sendto(struct.pack("!BBHHH", 8, 0, checksum(head), 77, n), ("127.0.0.1", 0))
"""


def datagrams(port: int, host: str = "127.0.0.1") -> str:
    family = "10" if ":" in host else "2"
    return python(DATAGRAMS.replace("PORT", str(port)).replace("HOST", repr(host)).replace("FAMILY", family))


@pytest.mark.tool("pktwho")
@pytest.mark.parametrize(("host", "head", "unreachable"), [("127.0.0.1", 20, 3), ("::1", 40, 1)])
def test_pktwho_of_datagrams(ebt: Ebt, host: str, head: int, unreachable: int) -> None:
    port = free_port(host)
    command = datagrams(port, host)
    rows = tool_rows(ebt, "pktwho", "--port", str(port), command=command)
    told = ("COMM", "PROTO", "SADDR", "DADDR", "DPORT", "LEN")
    assert [tuple(row[name] for name in told) for row in rows] == [
        ("python3", "UDP", host, host, port, 400 + 8 + head)
    ] * TIMES
    assert len({row["PID"] for row in rows}) == 1 and rows[0]["PID"] > 0
    version = "-6" if ":" in host else "-4"
    answers = [
        row
        for row in tool_rows(ebt, "pktwho", "-P", "icmp", "-a", host, version, command=command)
        if (row["TYPE"], row["DADDR"], row["COMM"]) == (unreachable, host, "(kernel)")
    ]
    assert len(answers) >= TIMES and {row["PID"] for row in answers} == {0}
    others = (("-p", "1"), ("-P", "tcp"), ("-a", "192.0.2.1"), ("-n", "1"), ("-4" if ":" in host else "-6",))
    for options in others:
        assert tool_rows(ebt, "pktwho", "--port", str(port), *options, command=command) == []


@pytest.mark.tool("pktwho")
def test_pktwho_of_connections(ebt: Ebt) -> None:
    port = free_port()
    rows = tool_rows(ebt, "pktwho", "-P", "tcp", "--port", str(port), command=connections(port))
    assert {(row["COMM"], row["PROTO"]) for row in rows} == {("python3", "TCP")}
    assert len({row["PID"] for row in rows}) == 1
    # the data, in whatever pieces, and nothing twice
    headers = 20 + 32  # of IP, and of TCP with its time stamps
    sent = [row["LEN"] - headers for row in rows if row["DPORT"] == port and row["LEN"] > 100]
    assert sum(sent) == TIMES * SENT
    counted = tool_rows(ebt, "pktwho", "-c", "--port", str(port), command=connections(port))
    (total,) = [row for row in counted if row["COMM"] == "python3"]
    assert total["PACKETS"] >= TIMES * 8 and total["BYTES"] > TIMES * (SENT + ANSWERED)


@pytest.mark.tool("pktwho")
def test_pktwho_of_echoes(ebt: Ebt) -> None:
    rows = tool_rows(ebt, "pktwho", "-P", "icmp", "-T", command=python(ECHOES))
    asked = [row for row in rows if row["COMM"] == "python3"]
    answered = [row for row in rows if row["COMM"] == "(kernel)" and row["TYPE"] == 0]
    assert [(row["TYPE"], row["LEN"]) for row in asked] == [(8, 28)] * TIMES
    assert len(answered) >= TIMES and all(row["TIME"] for row in rows)
    assert tool_rows(ebt, "pktwho", "-P", "udp", "--comm", "python3", command=python(ECHOES)) == []


def places(rows: list[dict[str, Any]]) -> Counter[str]:
    """How often each place was passed."""
    return Counter(row["PLACE"].partition(" ")[0] for row in rows)


@pytest.mark.tool("skbtrace")
@pytest.mark.parametrize(("host", "layer"), [("127.0.0.1", "udp"), ("::1", "udpv6")])
def test_skbtrace(ebt: Ebt, host: str, layer: str) -> None:
    port = free_port(host)
    command = datagrams(port, host)
    rows = tool_rows(ebt, "skbtrace", "-P", "udp", "--port", str(port), "-T", "--show-netns", command=command)
    passed = places(rows)
    for place in ("net_dev_queue", "net_dev_start_xmit", "net_dev_xmit", "netif_receive_skb", "kfree_skb"):
        assert passed[place] == TIMES, passed
    functions = {place: number for place, number in passed.items() if place.startswith(("ip", "udp"))}
    if functions:  # none on a kernel whose functions cannot be probed
        assert functions[f"{layer}_rcv"] == TIMES, functions
    netns = os.stat("/proc/self/ns/net").st_ino
    assert {(row["DADDR"], row["DPORT"], row["PROTO"], row["NETNS"]) for row in rows} == {
        (host, port, "UDP", netns)
    }
    for options in (("-P", "tcp"), ("--port", "1"), ("-a", "192.0.2.1"), ("-n", "1")):
        rows = tool_rows(ebt, "skbtrace", *options, command=command)
        assert [row for row in rows if row["DPORT"] == port] == []


@pytest.mark.tool("skbtrace")
def test_skbtrace_of_drops(ebt: Ebt) -> None:
    port = free_port()
    rows = tool_rows(ebt, "skbtrace", "--drops", "--port", str(port), command=refused_connections(port))
    assert len(rows) == TIMES and {row["DPORT"] for row in rows} == {port}
    dropped = {row["PLACE"] for row in rows}
    assert dropped <= {"kfree_skb SKB_DROP_REASON_NO_SOCKET at tcp_v4_rcv", "kfree_skb at tcp_v4_rcv"}
    words = ("skbtrace", "--drops", "-s", "--port", str(port))
    result = ebt("-q", "-c", refused_connections(port), *words)
    assert result.stdout.count("ip_protocol_deliver_rcu+") == TIMES


@pytest.mark.tool("skbtrace")
def test_skbtrace_counts(ebt: Ebt) -> None:
    port = free_port()
    rows = tool_rows(ebt, "skbtrace", "-c", "-P", "udp", "--port", str(port), command=datagrams(port))
    counted = {row["PLACE"]: row["COUNT"] for row in rows if "PLACE" in row}
    assert counted["net_dev_queue"] == counted["netif_receive_skb"] == TIMES
    assert [row["COUNT"] for row in rows if row.get("DROPPED_AT", "").startswith("__udp4_lib_rcv")] == [TIMES]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tcplife", "-L", "80,http"), "tcplife: -L: 'http' is no port"),
        (("tcpconnect", "-P", "65536"), "tcpconnect: -P: '65536' is no port"),
        (("tcpstates", "-D", "80,"), "tcpstates: -D: '' is no port"),
        (("tcpconnlat", "much"), "tcpconnlat: MIN_MS: 'much' is no time in ms, such as 10 or 1.5s"),
        (("tcprtt", "-a", "1.2.3"), "tcprtt: -a: '1.2.3' is no IP address"),
        (("pktwho", "-P", "sctp"), "pktwho: -P: 'sctp' is none of any, icmp, tcp, udp"),
        (("skbtrace", "--all", "--drops"), "skbtrace: --all and --drops cannot be used together"),
        (("tcppktlat", "-l", "0"), "tcppktlat: -l: 0 is too small: at least 1"),
    ],
)
def test_refused_in_one_line(ebt: Ebt, words: tuple[str, ...], message: str) -> None:
    result = ebt(*words)
    assert result.rc == 1 and lines(result.stderr) == [f"ebt: error: {message}"]
