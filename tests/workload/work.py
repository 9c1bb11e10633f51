"""Steps on the command line → exactly the system and library calls that they name, for tests to count.

    work.py name=w1 open=/etc/hostname:23 read=64:7 uid=65534 wait say

Calls made while Python starts come before `name`, so a script that filters by comm sees the steps alone.
"""

import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_NAME = 15
ZERO = os.open("/dev/zero", os.O_RDWR)
SCHED_RESET_ON_FORK = 0x40000000
# include/uapi/linux/userfaultfd.h
SYS_USERFAULTFD, UFFDIO_API, UFFDIO_REGISTER, UFFDIO_ZEROPAGE = 323, 0xC018AA3F, 0xC020AA00, 0xC020AA04


def name(text: str) -> None:
    """The comm of this thread."""
    LIBC.prctl(PR_SET_NAME, ctypes.create_string_buffer(text.encode()), 0, 0, 0)


def open_(text: str) -> None:
    """PATH:N: so many opens; a path that does not exist is as good."""
    path, _, times = text.rpartition(":")
    for _ in range(int(times)):
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        os.close(fd)


def read(text: str) -> None:
    """SIZE:N: so many reads of this size, each full."""
    size, _, times = text.partition(":")
    for _ in range(int(times)):
        os.read(ZERO, int(size))


def badread(text: str) -> None:
    """N: so many reads that fail with EBADF."""
    for _ in range(int(text)):
        try:
            os.read(9999, 1)
        except OSError:
            continue


def write(text: str) -> None:
    """SIZE:N: so many writes."""
    size, _, times = text.partition(":")
    data = bytes(int(size))
    for _ in range(int(times)):
        os.write(ZERO, data)


def toupper(text: str) -> None:
    """NUMBER:N: calls of the C library's toupper(), with its own address as a second argument."""
    number, _, times = text.partition(":")
    address = ctypes.cast(LIBC.toupper, ctypes.c_void_p)
    for _ in range(int(times)):
        LIBC.toupper(int(number), address)


def kill(text: str) -> None:
    """N: so many signals 0 to this process."""
    for _ in range(int(text)):
        os.kill(os.getpid(), 0)


def uid(text: str) -> None:
    os.setuid(int(text))


def gid(text: str) -> None:
    os.setgid(int(text))


def cd(text: str) -> None:
    os.chdir(text)


def cpu(text: str) -> None:
    os.sched_setaffinity(0, {int(text)})


def eachcpu(text: str) -> None:
    """A step on each processor in turn."""
    allowed = os.sched_getaffinity(0)
    for number in sorted(allowed):
        os.sched_setaffinity(0, {number})
        step(text)
    os.sched_setaffinity(0, allowed)


def thread(text: str) -> None:
    """A step in a thread of its own, which says its id."""

    def run() -> None:
        print("tid", threading.get_native_id(), flush=True)
        step(text)

    other = threading.Thread(target=run)
    other.start()
    other.join()


def child(text: str) -> None:
    """A step in a child process, which says its id."""
    pid = os.fork()
    if pid == 0:
        print("child", os.getpid(), flush=True)
        step(text)
        os._exit(0)
    os.waitpid(pid, 0)


def resetonfork(text: str) -> None:
    """Set the bit field sched_reset_on_fork of this task."""
    os.sched_setscheduler(0, os.SCHED_OTHER | SCHED_RESET_ON_FORK, os.sched_param(0))


def touch(text: str) -> None:
    """N: so many page faults, at least."""
    with mmap.mmap(-1, int(text) * mmap.PAGESIZE) as memory:
        for page in range(int(text)):
            memory[page * mmap.PAGESIZE] = 1


def connect(text: str) -> None:
    """4 or 6: one TCP connection over the loopback; says the listener's port."""
    family, address = (socket.AF_INET6, "::1") if text == "6" else (socket.AF_INET, "127.0.0.1")
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        print("port", listener.getsockname()[1], flush=True)
        with socket.socket(family) as client:
            client.connect(listener.getsockname()[:2])


def spin(text: str) -> None:
    """SECONDS of a processor's time."""
    end = time.thread_time() + float(text)
    while time.thread_time() < end:
        pass


def sleep(text: str) -> None:
    time.sleep(float(text))


def sleeps(text: str) -> None:
    """N: so many short sleeps."""
    for _ in range(int(text)):
        time.sleep(0.001)


def hold(text: str) -> None:
    """SECONDS:N: so many times a pipe's mutex is held so long by one thread, while another waits for it.

    The holder writes what is not there yet, so it waits inside of the pipe for whoever serves its page fault.
    """
    seconds, _, times = text.partition(":")
    pages = LIBC.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
    fcntl.ioctl(pages, UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
    memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    place = struct.pack("QQ", address, mmap.PAGESIZE)
    fcntl.ioctl(pages, UFFDIO_REGISTER, bytearray(place + struct.pack("QQ", 1, 0)))
    reader, writer = os.pipe()
    for _ in range(int(times)):
        holder = threading.Thread(target=LIBC.write, args=(writer, ctypes.c_void_p(address), 1))
        waiter = threading.Thread(target=os.write, args=(writer, b"x"))
        holder.start()
        os.read(pages, 32)  # it has the mutex, and asks for the page
        waiter.start()
        time.sleep(float(seconds))
        fcntl.ioctl(pages, UFFDIO_ZEROPAGE, bytearray(place + struct.pack("QQ", 0, 0)))
        holder.join()
        waiter.join()
        memory.madvise(mmap.MADV_DONTNEED)


def run(text: str) -> None:
    """PROGRAM,ARGUMENT,…: a program in a child process."""
    words = text.split(",")
    os.waitpid(os.posix_spawn(words[0], words, {}), 0)


def say(text: str) -> None:
    """Say who this is."""
    print("pid", os.getpid(), flush=True)
    print("parent", os.getppid(), flush=True)


def wait(text: str) -> None:
    """Say that this point is reached, then wait for a line on standard input."""
    print("ready", flush=True)
    sys.stdin.readline()


def ignore(text: str) -> None:
    """Ignore a signal: ignore=TERM."""
    signal.signal(getattr(signal, f"SIG{text}"), signal.SIG_IGN)


def leave(text: str) -> None:
    """End with this status."""
    os._exit(int(text))


STEPS: dict[str, Callable[[str], None]] = {
    function.__name__.rstrip("_"): function
    for function in (
        name, open_, read, badread, write, toupper, kill, uid, gid, cd, cpu, eachcpu, thread, child,
        resetonfork, touch, connect, spin, sleep, sleeps, hold, run, say, wait, ignore, leave,
    )
}  # fmt: skip


def step(text: str) -> None:
    """One step: `name=value`, or a name alone."""
    what, _, value = text.partition("=")
    STEPS[what](value)


if __name__ == "__main__":
    for word in sys.argv[1:]:
        step(word)
