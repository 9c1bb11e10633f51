"""The standard tools beside their originals → docs/tool-costs.json: time to attach, cost of an event.

    scripts/bench tools [NAME…]                here
    scripts/bench tools --lab 6.1 [NAME…]      in the lab, where the originals run: with its own clang

Each runs by itself on the same load of a known number of events. BCC's Python tools need the kernel's
headers: $EBT_LAB_HEADERS, which `scripts/lab fetch --headers` brings.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchkit.machine import bpf_statistics, mount_tracing

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/tool-costs.json"
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
PATIENCE = 400  # s: in the lab clang takes minutes
PATIENCE_COMPILED = 60  # s: libbpf-tools have nothing to compile
FIRST_USE = "fexit:vfs_open?, tracepoint:syscalls:sys_enter_openat { @ = count(); } interval:ms:9 { exit(); }"
SETTLING = 4  # s: what a tracer still does after it has attached, such as to keep its program, is no event
SILENT = 5  # s: an original of libbpf-tools that holds programs so long and has said nothing says nothing
_SYS_BPF = {"x86_64": 321, "aarch64": 280}

# what the loads are made of: N times, in a folder of its own
_START = "import os, sys\nos.chdir(sys.argv[1]); N = int(sys.argv[2])\n"
_FILE = 'fd = os.open("file", os.O_CREAT | os.O_RDWR); os.write(fd, bytes(4096))\n'
OPENS = _START + _FILE + 'for n in range(N): os.close(os.open("file", os.O_RDONLY))'
STATS = _START + _FILE + 'for n in range(N): os.stat("file")'
READS = _START + _FILE + "for n in range(N): os.pread(fd, 1024, 0)"
SYNCS = _START + _FILE + "for n in range(N): os.fsync(fd)"
LIVES = _START + 'for n in range(N): os.close(os.open("f", os.O_CREAT | os.O_WRONLY)); os.unlink("f")'
RENAMES = _START + _FILE + "for n in range(N): os.rename('file', 'other'); os.rename('other', 'file')"
BLOCKS = _START + (
    'import mmap\nfd = os.open(os.environ["EBT_LAB_DISK"], os.O_RDONLY | os.O_DIRECT)\n'
    "m = mmap.mmap(-1, 4096)\nfor n in range(N): os.preadv(fd, [m], 4096 * n)"
)
MOUNTS = _START + (
    "import ctypes\nlibc = ctypes.CDLL(None); os.makedirs('m', exist_ok=True)\n"
    "for n in range(N): libc.mount(b'none', b'm', b'tmpfs', 0, None); libc.umount2(b'm', 0)"
)
NAPS = _START + "import time\nfor n in range(N): time.sleep(0.0001)"
EXECS = _START + 'for n in range(N): os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)'
THREADS = _START + (
    "import threading\nfor n in range(N): t = threading.Thread(target=int); t.start(); t.join()"
)
KILLS = _START + (
    "import signal\nsignal.signal(10, signal.SIG_IGN)\nfor n in range(N): os.kill(os.getpid(), 10)"
)
ROOTS = _START + 'for n in range(N): os.chroot("/")'
HOSTS = _START + 'import socket\nfor n in range(N): socket.getaddrinfo("127.0.0.1", 80)'
PIPES = _START + "r, w = os.pipe()\nfor n in range(N): os.write(w, b'x'); os.read(r, 1)"
LISTENS = _START + (
    "import socket\nfor n in range(N): s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(7); s.close()"
)
_LISTEN = _START + "import socket\nl = socket.create_server(('127.0.0.1', 0)); a = l.getsockname()\n"
CONNECTIONS = _LISTEN + (
    "for n in range(N): s = socket.create_connection(a); c, _ = l.accept(); s.close(); c.close()"
)
TALKS = _LISTEN + (
    "s = socket.create_connection(a); c, _ = l.accept()\n"
    "for n in range(N): s.sendall(b'x' * 64); c.recv(64); c.sendall(b'y' * 64); s.recv(64)"
)
NOTHING = _START


@dataclass(frozen=True)
class Case:
    """A tool, how often its load's event happens, and the words of the two originals; `-` is none."""

    name: str
    load: str
    count: int
    words: str = ""
    python: str = ""
    libbpf: str = ""
    disk: bool = False  # the folder is on ext4


CASES = (
    Case("opensnoop", OPENS, 3000),
    Case("statsnoop", STATS, 3000),
    Case("syncsnoop", SYNCS, 3000, libbpf="-"),
    Case("mountsnoop", MOUNTS, 100),
    Case("filelife", LIVES, 1000),
    Case("filegone", RENAMES, 1000, libbpf="-"),
    Case("fileslower", READS, 3000, libbpf="-"),
    Case("filetop", READS, 3000, "-C", "-C", "-C"),
    Case("dirtop", READS, 3000, "-C -d /tmp", "-C -d /tmp", "-"),
    Case("vfsstat", READS, 3000),
    Case("vfscount", READS, 3000, libbpf="-"),
    Case("dcstat", STATS, 3000, libbpf="-"),
    Case("dcsnoop", STATS, 3000, libbpf="-"),
    Case("cachestat", READS, 3000),
    Case("readahead", NOTHING, 0),
    Case("ext4slower", READS, 3000, disk=True),
    Case("ext4dist", READS, 3000, disk=True),
    Case("biolatency", BLOCKS, 500),
    Case("biosnoop", BLOCKS, 500),
    Case("biostacks", BLOCKS, 500, python="-"),
    Case("biotop", BLOCKS, 500, "-C", "-C", "-C"),
    Case("slabratetop", OPENS, 3000, "-C", "-C", "-C"),
    Case("memleak", OPENS, 1000, "30", "30", "30"),
    Case("drsnoop", NOTHING, 0),
    Case("numamove", NOTHING, 0, python="-"),
    Case("mdflush", NOTHING, 0),
    Case("runqlat", NAPS, 2000),
    Case("runqslower", NAPS, 2000),
    Case("runqlen", NOTHING, 0),
    Case("cpudist", NAPS, 2000),
    Case("offcputime", NAPS, 2000),
    Case("profile", NOTHING, 0),
    Case("hardirqs", NAPS, 2000),
    Case("softirqs", NAPS, 2000),
    Case("execsnoop", EXECS, 200),
    Case("exitsnoop", EXECS, 200),
    Case("sigsnoop", KILLS, 3000),
    Case("threadsnoop", THREADS, 300),
    Case("pidpersec", EXECS, 200),
    Case("syscount", READS, 3000),
    Case("capable", ROOTS, 3000),
    Case("oomkill", NOTHING, 0),
    Case("bashreadline", NOTHING, 0),
    Case("gethostlatency", HOSTS, 300),
    Case("klockstat", PIPES, 3000),
    Case("funclatency", READS, 3000, "vfs_read", "vfs_read", "vfs_read"),
    Case("funccount", READS, 3000, "vfs_read", "vfs_read"),
    Case("stackcount", READS, 3000, "vfs_read", "vfs_read"),
    Case("tcplife", CONNECTIONS, 300),
    Case("tcptracer", CONNECTIONS, 300),
    Case("tcpconnect", CONNECTIONS, 300),
    Case("tcpaccept", CONNECTIONS, 300),
    Case("tcpconnlat", CONNECTIONS, 300),
    Case("tcpstates", CONNECTIONS, 300),
    Case("tcpsynbl", CONNECTIONS, 300),
    Case("tcprtt", TALKS, 2000),
    Case("tcptop", TALKS, 2000, "-C", "-C", "-C"),
    Case("tcpretrans", NOTHING, 0),
    Case("tcpdrop", CONNECTIONS, 300),
    Case("solisten", LISTENS, 1000),
)


@dataclass(frozen=True)
class Peer:
    """One of the programs that are measured."""

    kind: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


class Failed(Exception):
    """It cannot be measured: why, in a line."""


def peers(case: Case, python: bool = True) -> Iterator[Peer]:
    """ebt, then the originals that are installed; BCC's Python ones only if `python`."""
    yield Peer("ebt", (sys.executable, "-m", "ebt", case.name, *case.words.split()), ((NOTIFY, "1"),))
    if python and case.python != "-" and (path := shutil.which(f"{case.name}-bpfcc", path="/usr/sbin")):
        headers = os.environ.get("EBT_LAB_HEADERS", "")
        source = (("BCC_KERNEL_SOURCE", headers),) if headers else ()
        yield Peer("P", ("/usr/bin/python3", "-u", path, *case.python.split()), source)
    if case.libbpf != "-" and (path := shutil.which(case.name, path="/usr/sbin:/usr/bin")):
        yield Peer("L", ("stdbuf", "-oL", path, *case.libbpf.split()))


# ---- One run


def measure(case: Case, peer: Peer) -> dict[str, Any]:
    """Run it under its load; `attach` in seconds, `ns` and `instructions` of an event. Raises Failed."""
    with _folder(case.disk) as folder, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            peer.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
            env={**os.environ, **dict(peer.environment)},
        )  # fmt: skip
        try:
            attached = _wait_until_attached(process, peer, out.fileno(), errors.fileno())
            found: dict[str, Any] = {"attach": round(attached - started, 3)}
            time.sleep(SETTLING)
            before = programs(process.pid)
            command = [sys.executable, "-ISc", case.load, folder, str(case.count)]
            load = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if load.returncode:
                raise Failed("the load failed: " + load.stderr.strip().rpartition("\n")[2])
            after = programs(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()
    runs = {number: after[number].runs - before[number].runs for number in after if number in before}
    found["programs"] = len(after)
    found["size"] = sum(item.instructions for item in after.values())
    if case.count:
        spent = sum(after[number].ns - before[number].ns for number in runs)
        found["ns"] = round(spent / case.count, 1)
        found["instructions"] = round(
            sum(after[number].instructions * times for number, times in runs.items()) / case.count, 1
        )
    return found


@contextmanager
def _folder(disk: bool) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        disks = os.environ.get("EBT_LAB_DISKS", "").split()
        if not disk or not disks:
            yield folder
            return
        subprocess.run(["mkfs.ext4", "-q", "-F", disks[0]], check=True)
        subprocess.run(["mount", "-t", "ext4", disks[0], folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def _wait_until_attached(process: subprocess.Popen[bytes], peer: Peer, out: int, errors: int) -> float:
    """The moment: ebt says so; the originals hold programs, and have printed their first line."""
    told = re.compile(NOTIFY.encode() if peer.kind == "ebt" else rb"\S")
    end = time.perf_counter() + (PATIENCE_COMPILED if peer.kind == "L" else PATIENCE)
    held = 0.0  # since when it has had programs
    while True:
        now = time.perf_counter()
        held = (held or now) if _holds_programs(process.pid) else 0.0
        if held and told.search(os.pread(out, 1 << 16, 0)):
            return now
        if held and peer.kind == "L" and now > held + SILENT:
            return held
        if process.poll() is not None or now > end:
            said = (os.pread(errors, 1 << 16, 0) or os.pread(out, 1 << 16, 0)).decode("utf-8", "replace")
            lines = [line for line in said.strip().splitlines() if line.strip()]
            wrong = [line for line in lines if re.search(r"rror|ailed|not ", line)]
            raise Failed((wrong or lines or ["no end"])[-1].strip()[:110])
        time.sleep(0.005)


def _holds_programs(pid: int) -> bool:
    try:
        return bool(programs(pid))
    except OSError:  # it has ended
        return False


# ---- What the kernel says of programs


@dataclass(frozen=True)
class Program:
    """How often it ran, for how long, and how many instructions it has as the verifier left it."""

    runs: int
    ns: int
    instructions: int


def programs(pid: int) -> dict[int, Program]:
    """The BPF programs that a process holds, by number."""
    found = {}
    for entry in os.scandir(f"/proc/{pid}/fdinfo"):
        with suppress(OSError):
            text = Path(entry.path).read_text()
            fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            if "run_cnt" in fields:
                number = int(fields["prog_id"])
                found[number] = Program(int(fields["run_cnt"]), int(fields["run_time_ns"]), _size(number))
    return found


_PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD = 13, 15


def _size(number: int) -> int:
    """Instructions of a program: bpf_prog_info.xlated_prog_len."""
    libc = ctypes.CDLL(None, use_errno=True)
    call = ctypes.c_long(_SYS_BPF[os.uname().machine])

    def bpf(command: int, words: bytes) -> int:
        attributes = ctypes.create_string_buffer(words.ljust(128, b"\0"), 128)
        return int(libc.syscall(call, ctypes.c_long(command), attributes, ctypes.c_size_t(128)))

    fd = bpf(_PROG_GET_FD_BY_ID, struct.pack("=I", number))
    if fd < 0:
        return 0
    info = ctypes.create_string_buffer(256)
    bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, len(info), ctypes.addressof(info)))
    os.close(fd)
    return int(struct.unpack_from("=I", info.raw, 20)[0]) // 8


# ---- All


def measure_all(names: Sequence[str], python: bool = True) -> dict[str, dict[str, Any]]:
    """Every case that was asked for; ebt twice: the second time it finds its program compiled."""
    found: dict[str, dict[str, Any]] = {}
    # the first use of all makes ebt's tables, for once: that is no tool's time
    subprocess.run([sys.executable, "-m", "ebt", "-q", "-e", FIRST_USE], cwd=ROOT, check=False)
    with bpf_statistics():
        for case in CASES:
            if names and case.name not in names:
                continue
            if case.load == BLOCKS and not os.environ.get("EBT_LAB_DISK"):
                continue
            row: dict[str, Any] = {"events": case.count, "peers": []}
            for peer in peers(case, python):
                try:
                    one = measure(case, peer)
                    if peer.kind == "ebt":
                        one["again"] = measure(case, peer)["attach"]
                except (Failed, OSError, subprocess.SubprocessError) as problem:
                    one = {"problem": str(problem)}
                if peer.kind == "ebt":
                    row |= one
                else:
                    row["peers"].append({"kind": peer.kind, **one})
            found[case.name] = row
            print(f"{case.name}: {json.dumps(row)}", flush=True)
    return found


def title() -> str:
    """The machine, for the table's head."""
    release = ".".join(os.uname().release.split(".")[:2])
    return f"Linux {release}" + (", emulated in the lab" if os.environ.get("EBT_LAB") else "")


def keep(found: Mapping[str, Any], path: Path) -> None:
    """Into the file, beside what is there of other machines and other tools."""
    kept: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    kept.setdefault(title(), {}).update(found)
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")


def main(words: list[str]) -> int:
    """Measure here, or in a guest; 0 if ebt could be measured with each tool."""
    options = _parser().parse_args(words)
    if options.lab:
        return _in_the_lab(options.lab, [*options.names, *(["--no-python"] * options.no_python)])
    if options.headers:
        os.environ["EBT_LAB_HEADERS"] = str(options.headers.resolve())
    target = Path(os.environ["EBT_LAB_OUT"], FILE.name) if os.environ.get("EBT_LAB") else FILE
    if target != FILE and FILE.is_file():
        shutil.copy(FILE, target)
    mount_tracing()
    found = measure_all(options.names, not options.no_python)
    keep(found, target)
    return 1 if any("problem" in row for row in found.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench tools",
        description="the standard tools beside their originals, written into docs/tool-costs.json",
    )
    every = [case.name for case in CASES]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(every)}",
                        type=lambda name: name if name in every else parser.error(f"no tool '{name}' here"))
    parser.add_argument("--lab", metavar="KERNEL", help="in the lab's, with its own clang")
    parser.add_argument("--headers", type=Path, metavar="DIR",
                        help="the kernel's headers, for BCC's Python tools; default: $EBT_LAB_HEADERS")
    parser.add_argument("--no-python", action="store_true",
                        help="leave out BCC's Python tools: in the lab each compiles for minutes")
    return parser


def _in_the_lab(kernel: str, words: list[str]) -> int:
    lab = os.environ.get("EBT_LAB_COMMAND", str(ROOT / "scripts/lab"))
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [lab, "run", kernel, "--own-clang", "--timeout", "5400", "--out", out, "--",
             str(ROOT / ".venv/bin/python"), str(ROOT / "scripts/bench"), "tools", *words], check=False,
        )  # fmt: skip
        made = list(Path(out).rglob(FILE.name))
        if made:
            shutil.copy(made[0], FILE)
        return done.returncode
