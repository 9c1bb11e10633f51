"""Unpacked kernel, job → the job's exit status, from a guest that lives no longer than this call.

The status comes over a port of its own. Without it the guest is lost, which is not a failure of the job.
"""

import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex

from labkit import cache, host
from labkit.cache import Unpacked
from labkit.host import LabError
from labkit.initramfs import Job, config, initramfs, job_script, module_files
from labkit.qemu import Machine, command_line

Sink = Callable[[bytes], None]

DISK_BYTES = 1 << 30  # sparse: a disk takes what is written
DISKS = 5
# An idle machine takes 4 s to the first word; a crowded one may take many times that.
BOOT_SECONDS = 300
TAIL_LINES = 40
_COMPILER = Path(__file__).with_name("compiler.py")


class LostGuest(LabError):
    """The guest ended, or was ended, without telling the job's status; 'why' is the message in short."""

    def __init__(self, why: str, message: str):
        super().__init__(message)
        self.why = why


class Cancelled(LabError):
    """The user stopped the lab."""


@dataclass(frozen=True)
class Plan:
    """What to boot, how long to wait, what to keep."""

    kernel: str
    entry: Unpacked
    job: Job
    timeout: float
    memory: int = 2048
    # The directory that the guest may write to, the file for its console's text; else they go with the guest.
    out: Path | None = None
    console: Path | None = None
    # This machine's clang compiles for the guest: the guest's own takes twenty times as long.
    own_clang: bool = False
    cancel: threading.Event = field(default_factory=threading.Event)


class Stream:
    """Bytes of a port → bytes for a sink, up to the mark that ends them."""

    def __init__(self, mark: bytes, sink: Sink):
        self.ended = False
        self._mark = mark
        self._sink = sink
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Pass on what cannot be a part of the mark."""
        if self.ended:
            return
        text, mark, _ = (self._held + data).partition(self._mark)
        self.ended = bool(mark)
        self._held = b"" if mark else self._beginning_of_mark(text)
        text = text[: len(text) - len(self._held)]
        if text:
            self._sink(text)

    def close(self) -> None:
        """Pass on what was held back; the guest is gone."""
        if self._held:
            self._sink(self._held)
        self._held = b""

    def _beginning_of_mark(self, text: bytes) -> bytes:
        for size in range(min(len(text), len(self._mark) - 1), 0, -1):
            if text.endswith(self._mark[:size]):
                return text[-size:]
        return b""


@dataclass
class Status:
    """Lines of the status port → what became of the job."""

    up: bool = False
    code: int | None = None
    lost: str = ""
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            if word == "up":
                self.up = True
            elif word == "exit" and rest.isdecimal():
                self.code = int(rest)
            elif word == "lost":
                self.lost = rest


def run(plan: Plan, sinks: Mapping[str, Sink], source: int | None = None) -> int:
    """Boot, run the job, give its output to the sinks by port name; with a terminal, read the user's keys."""
    with cache.run_directory(plan.kernel) as place, ExitStack() as stack:
        ports = {name: socket.socketpair() for name in ("status", *sinks)}
        for near, far in ports.values():
            stack.enter_context(near)
            stack.enter_context(far)
        mark = f"<ebt-lab {token_hex(8)}>"
        machine = _machine(plan, place, mark, {name: far.fileno() for name, (_, far) in ports.items()})
        streams = {ports[name][0]: Stream(mark.encode(), sink) for name, sink in sinks.items()}
        log = place / "qemu.log"
        with _compiler(place / "compiler"), _qemu(machine, log):
            # QEMU has its own copies; ours would keep the streams from ending with it.
            for _, far in ports.values():
                far.close()
            return _Watch(plan, (machine.console, log), ports["status"][0], streams, source).until_end()


def _machine(plan: Plan, place: Path, mark: str, ports: Mapping[str, int]) -> Machine:
    """Write the files that a boot needs into the run's directory."""
    compiler = {} if plan.own_clang else {"EBT_COMPILER": "/run/ebt-lab/compiler"}
    own = {"EBT_LAB": "1", **compiler, "EBT_LAB_KERNEL": plan.kernel, "EBT_LAB_DISK": "/dev/vda",
           "EBT_LAB_DISKS": " ".join(f"/dev/vd{letter}" for letter in "bcdefghi"[: DISKS - 1]),
           "EBT_LAB_OUT": "/run/ebt-lab/out"}
    headers = cache.headers(plan.entry.release)
    if headers.is_dir():
        own["EBT_LAB_HEADERS"] = str(headers)
    job = replace(plan.job, env={**plan.job.env, **own})
    modules = module_files(plan.entry.modules)
    settings = config(plan.kernel, plan.entry.release, list(modules), job, mark)
    archive = place / "initramfs"
    archive.write_bytes(initramfs(host.program("busybox"), modules, settings, job_script(job)))
    out = plan.out or place / "out"
    asked = place / "compiler"
    for folder in (out, asked):
        folder.mkdir(parents=True, exist_ok=True)
    disks = [place / f"disk{number}" for number in range(DISKS)]
    for disk in disks:
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)
    shares = {"root": Path("/"), "kernel": plan.entry.path, "out": out.resolve(),
              "compiler": asked.resolve()}
    console = plan.console or place / "console.log"
    return Machine(plan.entry.vmlinuz, archive, shares, disks, console, ports, plan.memory)


@contextmanager
def _qemu(machine: Machine, log: Path) -> Iterator[None]:
    """Run QEMU, and end it whatever happens: by setpriv also when this process is killed."""
    qemu = command_line(host.program("qemu-system-x86_64"), machine)
    with log.open("wb") as file:
        # A session of its own: Ctrl-C is the lab's to handle.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *qemu], pass_fds=list(machine.ports.values()),
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _compiler(folder: Path) -> Iterator[None]:
    """Compile what the guest asks for, with its checkout's Python; ended like QEMU."""
    words = ["setpriv", "--pdeathsig", "KILL", "--", host.python_program(), str(_COMPILER), str(folder)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class _Watch:
    """Moves bytes between a guest and its user until the guest has told its status, or cannot any more."""

    def __init__(self, plan: Plan, logs: tuple[Path, Path], status: socket.socket,
                 streams: dict[socket.socket, Stream], source: int | None):
        self.plan = plan
        self.console, self.log = logs
        self.status = Status()
        self.status_socket = status
        self.streams = streams
        self.source = source
        self.started = time.monotonic()
        self.selector = selectors.DefaultSelector()
        for one in (status, *streams):
            self.selector.register(one, selectors.EVENT_READ)
        if source is not None:
            self.selector.register(source, selectors.EVENT_READ)

    def until_end(self) -> int:
        """Watch until the end; return the status or raise LostGuest."""
        with self.selector:
            while not self._finished():
                self._check_time()
                for key, _ in self.selector.select(0.5):
                    self._read(key.fileobj)
        for stream in self.streams.values():
            stream.close()
        if self.status.code is None:
            raise self._lost(self.status.lost)
        return self.status.code

    def _finished(self) -> bool:
        # A terminal's stream has no mark: what the user sees ends with the shell.
        whole = self.plan.job.terminal is not None or all(stream.ended for stream in self.streams.values())
        gone = not any(one in self.selector.get_map() for one in (self.status_socket, *self.streams))
        return gone or bool(self.status.lost) or (self.status.code is not None and whole)

    def _read(self, file: object) -> None:
        if isinstance(file, int):
            self._type(file)
            return
        assert isinstance(file, socket.socket)
        data = file.recv(1 << 16)
        if not data:
            self.selector.unregister(file)
        elif file is self.status_socket:
            self.status.feed(data)
        else:
            self.streams[file].feed(data)

    def _type(self, source: int) -> None:
        data = os.read(source, 4096)
        if not data:
            self.selector.unregister(source)
        for terminal in self.streams:
            terminal.sendall(data)

    def _check_time(self) -> None:
        seconds = time.monotonic() - self.started
        if self.plan.cancel.is_set():
            raise Cancelled("stopped")
        if not self.status.up and seconds > BOOT_SECONDS:
            raise self._lost(f"not up after {BOOT_SECONDS} s")
        if seconds > self.plan.timeout:
            raise self._lost(f"no end after {self.plan.timeout:g} s")

    def _lost(self, why: str) -> LostGuest:
        console = _text(self.console)
        if not why:
            ended = "it ended without a word" if self.status.up else "it did not boot"
            why = "kernel panic" if "Kernel panic" in console else ended
        lines = [*console.splitlines()[-TAIL_LINES:], *_text(self.log).splitlines()]
        tail = "\n".join(f"  | {line}" for line in lines)
        said = f"; its console said\n{tail}" if tail else ""
        return LostGuest(why, f"{self.plan.kernel}: lost guest: {why}{said}")


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
