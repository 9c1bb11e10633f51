"""The tools for the network on the lab's kernels, by the kernel's functions: what this machine's tests check.

Connections over the loopback with known numbers of bytes, refused ones, full queues; and filters that exclude.
"""

from __future__ import annotations

import pytest

from tests.kernel.test_tools_net import (
    test_pktwho_of_connections,
    test_pktwho_of_datagrams,
    test_pktwho_of_echoes,
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

pytestmark = pytest.mark.lab
__all__ = [
    "test_pktwho_of_connections",
    "test_pktwho_of_datagrams",
    "test_pktwho_of_echoes",
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
