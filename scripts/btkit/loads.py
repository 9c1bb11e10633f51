"""Name of a load → the events that one bpftrace tool waits for, made by a process called `btload`.

    loads.py opens

It says `done` and then waits for the end of its standard input. Nothing of it outlives the process; in
the lab a guest's disk, swap and memory are its to use.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "btload"
LIBC = ctypes.CDLL(None, use_errno=True)
_NANOSLEEP = {"x86_64": 35, "aarch64": 101}
_LAB_DISK = os.environ.get("EBT_LAB_DISK", "")


def name_it(text: str) -> None:
    """The comm of this thread."""
    LIBC.prctl(15, ctypes.create_string_buffer(text.encode()), 0, 0, 0)


def opens() -> None:
    for _ in range(10):
        with suppress(OSError):
            open(f"/no/such/{NAME}").close()


def lookups() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{NAME}-file")
        path.touch()
        for number in range(20):
            path.exists()
            Path(folder, f"{NAME}-none{number}").exists()


def execs() -> None:
    for _ in range(3):
        subprocess.run(["/bin/true", NAME], check=True)


def hosts() -> None:
    for _ in range(3):
        socket.getaddrinfo("localhost", 80)


def kills() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR1)


def naps() -> None:
    """By nanosleep(2) itself: the C library sleeps by another call."""
    length = (ctypes.c_long * 2)(0, 20_000_000)
    for _ in range(3):
        LIBC.syscall(ctypes.c_long(_NANOSLEEP[os.uname().machine]), length, None)


def users() -> None:
    os.setuid(os.getuid())


def stats() -> None:
    for _ in range(3):
        with suppress(OSError):
            os.statvfs(f"/no/such/{NAME}")


def syncs() -> None:
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        for _ in range(3):
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())


def dirty() -> None:
    """Written pages, and a sync of the whole file system."""
    with disk_file() as path:
        Path(path).write_bytes(b"x" * (4 << 20))
        os.sync()


def spin() -> None:
    end = time.monotonic() + 1
    while time.monotonic() < end:
        pass


def switches() -> None:
    """Many threads that wait for each other."""

    def run() -> None:
        for _ in range(50):
            time.sleep(0.001)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def forks() -> None:
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
        os.wait()
    time.sleep(1.2)


def connections() -> None:
    """TCP over the loopback, data in both directions, closed by the client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(3):
            client = socket.create_connection(server.getsockname())
            peer, _ = server.accept()
            client.sendall(b"x" * 4096)
            peer.recv(65536)
            peer.sendall(b"y" * 4096)
            client.recv(65536)
            client.close()
            peer.close()


def overflows() -> None:
    """More connections than the backlog of a listener takes: the kernel drops, the client sends again."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        clients = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            clients.append(client)
        time.sleep(2.5)
        for client in clients:
            client.close()


def drops() -> None:
    """As `overflows`; in the lab also packets that the loopback's queue drops while their socket is known."""
    if not _LAB_DISK:
        overflows()
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        subprocess.run("tc qdisc add dev lo root netem loss 100%".split(), check=True)
        client.sendall(b"x" * 1000)
        time.sleep(0.5)
        subprocess.run("tc qdisc del dev lo root".split(), check=True)
        client.close()


def unix() -> None:
    left, right = socket.socketpair()
    for _ in range(3):
        left.sendall(f"hello {NAME}".encode())
        right.recv(100)


def threads() -> None:
    switches()


def shell() -> None:
    """An interactive bash that reads one line."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv("/bin/bash", ["bash", "--norc", "-i"])
    time.sleep(1)
    os.write(master, f"echo {NAME}\n".encode())
    time.sleep(1)
    os.write(master, b"exit\n")
    with suppress(OSError):  # the other end is closed
        while os.read(master, 1000):
            pass
    os.waitpid(pid, 0)


def handshake() -> None:
    """TLS between two ends in memory, with a certificate of its own."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = f"{folder}/key", f"{folder}/certificate"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}",
             "-keyout", key,
             "-out", certificate], check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inside.load_cert_chain(certificate, key)
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outside.check_hostname, outside.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = outside.wrap_bio(to_client, to_server)
    server = inside.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    for _ in range(3):
        client.write(b"x" * 100)
        server.read(100)


# --- a disk, memory, swap: here a file of the machine's disk, in the lab the guest's own disk ---


@contextmanager
def disk_file() -> Iterator[str]:
    """A path on a real disk, gone afterwards."""
    folder = tempfile.mkdtemp(dir="/var/tmp")
    if _LAB_DISK:
        subprocess.run(["mkfs.ext4", "-q", "-F", _LAB_DISK], check=True)
        subprocess.run(["mount", "-t", "ext4", _LAB_DISK, folder], check=True)
    yield f"{folder}/{NAME}"
    Path(f"{folder}/{NAME}").unlink(missing_ok=True)
    if _LAB_DISK:
        subprocess.run(["umount", folder], check=True)
    os.rmdir(folder)


def disk() -> None:
    """Reads and writes past the page cache."""
    with disk_file() as path:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        block = mmap.mmap(-1, 65536)
        for number in range(20):
            os.pwrite(file, block, number * 65536)
        for number in range(20):
            os.preadv(file, [block], number * 65536)
        os.close(file)


def xfs() -> None:
    """Files of an XFS, made without what older kernels do not know."""
    old = "-m bigtime=0,inobtcount=0,reflink=0,rmapbt=0 -i nrext64=0,exchange=0 -n parent=0".split()
    for features in (old, [*old[:3], "nrext64=0"], old[:2], []):
        if (
            subprocess.run(
                ["mkfs.xfs", "-q", "-f", *features, _LAB_DISK], stderr=subprocess.DEVNULL
            ).returncode
            == 0
        ):
            break
    folder = tempfile.mkdtemp()
    subprocess.run(["mount", "-t", "xfs", _LAB_DISK, folder], check=True)
    for _ in range(5):
        with open(f"{folder}/{NAME}", "wb") as file:
            file.write(b"x" * 65536)
            file.flush()
            os.fsync(file.fileno())
        Path(f"{folder}/{NAME}").read_bytes()
    subprocess.run(["umount", folder], check=True)


def swap() -> None:
    """A child in a small cgroup whose pages go to swap and come back."""
    subprocess.run(["mkswap", "-f", _LAB_DISK], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", _LAB_DISK], check=True)
    with limited(16 << 20) as group:
        pid = os.fork()
        if pid == 0:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            with mmap.mmap(-1, 48 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
                for _ in range(2):
                    for at in range(0, 48 << 20, 4096):
                        pages[at] = (pages[at] + 1) % 256
            os._exit(0)
        os.waitpid(pid, 0)
    subprocess.run(["swapoff", _LAB_DISK], check=True)


@contextmanager
def limited(limit: int) -> Iterator[Path]:
    """A cgroup of its own that may have so many bytes of memory."""
    root = Path("/sys/fs/cgroup")
    (root / "cgroup.subtree_control").write_text("+memory")
    group = root / f"{NAME}{os.getpid()}"
    group.mkdir()
    (group / "memory.max").write_text(str(limit))
    try:
        yield group
    finally:
        group.rmdir()


def memory() -> None:
    """A child that takes more memory than its cgroup may have."""
    with limited(24 << 20) as group:
        pid = os.fork()
        if pid == 0:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            hold = []
            while True:
                hold.append(os.urandom(1 << 20))
        os.waitpid(pid, 0)


def raid() -> None:
    """A mirror of two files, made through sysfs, and writes that are flushed to it."""
    for module in ("loop", "md_mod", "raid1"):
        subprocess.run(["modprobe", module], check=True)
    loops = []
    for number in range(2):
        file = f"/tmp/{NAME}{number}"
        with open(file, "wb") as out:
            out.truncate(32 << 20)
        loops.append(subprocess.check_output(["losetup", "-f", "--show", file], text=True).strip())
    Path("/sys/module/md_mod/parameters/new_array").write_text("md9")
    array = Path("/sys/block/md9/md")
    for what, value in (
        ("metadata_version", "none"),
        ("level", "raid1"),
        ("raid_disks", "2"),
        ("component_size", str(32 << 10)),
    ):
        (array / what).write_text(value)
    for slot, path in enumerate(loops):
        device = os.stat(path).st_rdev
        (array / "new_dev").write_text(f"{os.major(device)}:{os.minor(device)}")
        (array / f"dev-{os.path.basename(path)}" / "slot").write_text(str(slot))
    (array / "array_state").write_text("active")
    time.sleep(0.5)
    with open("/dev/md9", "wb", buffering=0) as out:
        for _ in range(3):
            out.write(b"x" * 4096)
            os.fsync(out.fileno())
    (array / "array_state").write_text("clear")
    for path in loops:
        subprocess.run(["losetup", "-d", path], check=True)


LOADS: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        opens, lookups, execs, hosts, kills, naps, users, stats, syncs, dirty, spin, switches, forks,
        connections,        overflows, drops, unix, threads, shell, handshake, disk, xfs, swap, memory, raid,
    )
}  # fmt: skip

if __name__ == "__main__":
    name_it(NAME)
    LOADS[sys.argv[1]]()
    print("done", flush=True)
    sys.stdin.read()  # it lives on while symbols of it are looked up
