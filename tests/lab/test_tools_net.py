"""The tools for the network on the lab's kernels, by the kernel's functions: as on this machine.

Connections over the loopback with known numbers of bytes, refused ones, full queues; filters that exclude.
"""

from __future__ import annotations

import pytest

from tests.conftest import Ebt
from tests.kernel.test_tools_net import (
    TIMES,
    datagrams,
    free_port,
    test_pktwho_of_connections,
    test_pktwho_of_datagrams,
    test_pktwho_of_echoes,
    test_skbtrace,
    test_skbtrace_counts,
    test_skbtrace_of_drops,
    test_solisten,
    test_tcpaccept,
    test_tcpconnect,
    test_tcpconnlat,
    test_tcpdrop,
    test_tcplife,
    test_tcplife_as_csv_and_of_a_process,
    test_tcppktlat,
    test_tcpretrans,
    test_tcprtt,
    test_tcpstates,
    test_tcpstates_as_csv,
    test_tcpsynbl,
    test_tcptop,
    test_tcptracer,
)
from tests.lab.support import tool_rows

pytestmark = pytest.mark.lab
__all__ = [
    "test_pktwho_of_connections",
    "test_pktwho_of_datagrams",
    "test_pktwho_of_echoes",
    "test_skbtrace",
    "test_skbtrace_counts",
    "test_skbtrace_of_drops",
    "test_solisten",
    "test_tcpaccept",
    "test_tcpconnect",
    "test_tcpconnlat",
    "test_tcpdrop",
    "test_tcplife",
    "test_tcplife_as_csv_and_of_a_process",
    "test_tcppktlat",
    "test_tcpretrans",
    "test_tcprtt",
    "test_tcpstates",
    "test_tcpstates_as_csv",
    "test_tcpsynbl",
    "test_tcptop",
    "test_tcptracer",
]


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
