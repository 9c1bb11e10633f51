"""The tools for functions on the lab's kernels, of programs and of the kernel."""

from __future__ import annotations

import pytest

from tests.conftest import Ebt
from tests.kernel.support import work
from tests.kernel.test_tools_func import CALLS, test_funccount, test_funclatency, test_stackcount
from tests.kernel.test_tools_sched import maps, total
from tests.lab.support import tool_rows

pytestmark = pytest.mark.lab
__all__ = ["test_funccount", "test_funclatency", "test_stackcount"]


@pytest.mark.tool("funclatency")
@pytest.mark.tool("funccount")
def test_functions_of_the_kernel(ebt: Ebt) -> None:
    command = " ".join(work(f"open=/no/such/file:{CALLS}"))
    (latency,) = maps(ebt, "-c", command, "funclatency", "-u", "do_sys_openat2").values()
    assert total(latency) >= CALLS
    for words in (("do_sys_opena*",), ("-r", "^do_sys_open(?:at2|nothing)$")):
        rows = tool_rows(ebt, "funccount", *words, command=command)
        assert [row["FUNC"].rpartition(":")[2] for row in rows] == ["do_sys_openat2"]
        assert rows[0]["COUNT"] >= CALLS
