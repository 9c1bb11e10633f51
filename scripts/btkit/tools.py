"""bpftrace's tools as Debian installs them: the load that each needs, and what a row of it looks like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/usr/sbin")
_HISTOGRAM = r"^\[\d+[KMG]?(?:, \S+\)|\]) +\d+ \|@"
_TIME = r"^\d\d:\d\d:\d\d +"
_ENDS = r"127\.0\.0\.1"


@dataclass(frozen=True)
class Tool:
    """`lab_only`: its load needs a guest's disk, swap or memory; `modules` must be there when it starts."""

    name: str
    load: str
    row: str
    lab_only: bool = False
    modules: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The script."""
        return FOLDER / f"{self.name}.bt"

    def rows(self, text: str) -> list[str]:
        """What of a run's output is a row of the load's."""
        return [found[0] for found in re.finditer(self.row, text, re.MULTILINE)]


TOOLS = (
    Tool("bashreadline", "shell", _TIME + r"\d+ +echo btload$"),
    Tool("biolatency", "disk", _HISTOGRAM),
    Tool("biosnoop", "disk", r"^\d+ +\w+ +btload +\d+ +\d+$"),
    Tool("biostacks", "disk", r"^@usecs\[\n(?: +\S+\n)+\]: ?\n\[.*\|"),
    Tool("bitesize", "disk", r"^@\[btload\]: ?\n\[.*\|"),
    Tool("capable", "users", _TIME + r"\d+ +\d+ +btload +\d+ +CAP_\w+ +\d+$"),
    Tool("cpuwalk", "spin", _HISTOGRAM),
    Tool("dcsnoop", "lookups", r"^\d+ +\d+ +btload +[RM] btload-\w+"),
    Tool("execsnoop", "execs", r"^\d+ +\d+ +/bin/true btload$"),
    Tool("gethostlatency", "hosts", _TIME + r"\d+ +btload +\d+ localhost$"),
    Tool("killsnoop", "kills", _TIME + r"\d+ +btload +10 +\d+ +0$"),
    Tool("loads", "spin", _TIME + r"load averages: \d+\.\d{3} \d+\.\d{3} \d+\.\d{3}$"),
    Tool("mdflush", "raid", _TIME + r"\d+ +\S+ +md9$", lab_only=True, modules=("md_mod", "raid1")),
    Tool("naptime", "naps", r"\d+ +btload +0\.0?20$"),
    Tool("oomkill", "memory", r'Triggered by PID \d+ \("btload"\), OOM kill of PID \d+ \("btload"\), \d+ '
         r"pages, loadavg: [\d.]+ ", lab_only=True),
    Tool("opensnoop", "opens", r"^\d+ +btload +-1 +2 /no/such/btload$"),
    Tool("pidpersec", "forks", r"PIDs/sec: @: [1-9]"),
    Tool("runqlat", "switches", _HISTOGRAM),
    Tool("runqlen", "spin", _HISTOGRAM),
    Tool("setuids", "users", _TIME + r"\d+ +btload +0 +setuid +uid=0 \(0\)$"),
    Tool("ssllatency", "handshake", r"^@stat\[\S*SSL_do_handshake\]: .*count"),
    Tool("sslsnoop", "handshake", r"^\d+ +\d+ +btload +\d+ +\d+ SSL_do_handshake"),
    Tool("statsnoop", "stats", r"^\d+ +btload +2 /no/such/btload$"),
    Tool("swapin", "swap", r"^@\[btload, \d+\]: \d+$", lab_only=True),
    Tool("syncsnoop", "syncs", _TIME + r"\d+ +btload +tracepoint:syscalls:sys_enter_fsync$"),
    Tool("syscount", "opens", r"^@syscall\[.*\]: \d+$"),
    Tool("tcpaccept", "connections", rf"\d+ +btload +{_ENDS} +\d+ +{_ENDS} +\d+ +\d+/\d+"),
    Tool("tcpconnect", "connections", rf"\d+ +btload +{_ENDS} +\d+ +{_ENDS} +\d+"),
    Tool("tcpdrop", "drops", rf"{_ENDS}:\d+ +{_ENDS}:\d+ +\w+ *\n\n +\S+\+\d+"),
    Tool("tcplife", "connections", rf"^\d+ +btload +{_ENDS} +\d+ +{_ENDS} +\d+ +\d+ +\d+ \d+$"),
    Tool("tcpretrans", "overflows", rf"{_ENDS}:\d+ +{_ENDS}:\d+ +SYN_SENT"),
    Tool("tcpsynbl", "connections", r"^@backlog\[\d+\]: ?\n\[.*\|"),
    Tool("threadsnoop", "threads", r"^\d+ +\d+ +btload +\S+"),
    Tool("undump", "unix", r"btload +\d+ +12 +hello btload$"),
    Tool("vfscount", "opens", r"^@\[vfs_\w+\]: \d+$"),
    Tool("vfsstat", "syncs", r"^@\[vfs_\w+\]: \d+$"),
    Tool("writeback", "dirty", _TIME + r"\S+ +\d+ +\w+ +\d+\.\d{3}$"),
    Tool("xfsdist", "xfs", r"^@us\[\w+\]: ?\n\[.*\|", lab_only=True, modules=("xfs",)),
)  # fmt: skip
BY_NAME = {tool.name: tool for tool in TOOLS}
