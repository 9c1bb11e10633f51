"""C text → Object by BCC in a child process, and clang's complaints → positions; symbols of addresses.

The child keeps 100 MB of LLVM, a changed working directory and whatever clang prints out of this process,
and it can start before the text is ready: `Compiler()` first, `.compile()` when the text is there.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import signal
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal, NoReturn

from lang.records import dataclass
from runtime import elsewhere, helpersheader, libbcc
from runtime.kerneltree import kernel_tree
from runtime.object import Code, Object

_FLAGS = ("-ferror-limit=5",)
# With our own headers an undeclared helper must be an error, not a call to nowhere.
_STRICT = ("-Wno-everything", "-Werror=implicit-function-declaration")
# What the text is compiled behind. BCC cannot know the kernel's symbols (see `_hide_kallsyms`) and then
# renames the reads to the one of before 5.5.
_KEEP_NAMES = """\
#undef bpf_probe_read_kernel
#undef bpf_probe_read_kernel_str
#undef bpf_probe_read_user
#undef bpf_probe_read_user_str
"""
# The maps that BCC makes serve no one: one entry is enough.
_SMALL_MAPS = """\
#undef BPF_TABLE
#define BPF_TABLE(type, key, leaf, name, entries) BPF_F_TABLE(type, key, leaf, name, 1, 0)
"""
_START = '#line 1 "/virtual/main.c"\n'
Headers = Literal["auto", "own", "bcc"]
_COMPLAINT = re.compile(r"^(.+?):(\d+):(\d+): (fatal error|error|warning|note): (.*)$", re.MULTILINE)
_LISTED_LINE = re.compile(r"^;.*// Line +(\d+)\s*$")
_LISTED_INSN = re.compile(r"^ *(\d+):\s")
_DONE, _REFUSED, _MISSING, _BROKEN, _LOST = b"O", b"E", b"M", b"B", b"L"


@dataclass(frozen=True)
class Complaint:
    """One message of clang; `file` is what a `#line` said, else /virtual/main.c."""

    file: str
    line: int
    column: int
    message: str
    severity: str = "error"


class CompileError(Exception):
    """The C was refused: clang's complaints with positions, and all that was printed."""

    def __init__(self, message: str, complaints: tuple[Complaint, ...] = (), output: str = "") -> None:
        super().__init__(message)
        self.complaints = complaints
        self.output = output


def compile_c(
    text: str, name: str, cflags: Sequence[str] = (), map_names: Sequence[str] = (), *,
    headers: Headers = "auto", pt_regs: str = "",
) -> Object:  # fmt: skip
    """Compile C text. `map_names[i]` is what `bpf_pseudo_fd(1, 0xEB700000 + i)` refers to.

    `headers`: our small ones, BCC's large ones, or ours first and BCC's if that fails.
    Raises CompileError; libbcc.LibbccMissing where there is no libbcc.
    """
    with Compiler(pt_regs) as compiler:
        return compiler.compile(text, name, cflags, map_names, headers)


Spawner = Callable[[int, int, int, str], None]
_spawner: Spawner | None = None


def spawn_by(spawner: Spawner | None) -> None:
    """Have compiling processes made by somebody else, who hands these descriptors and the tree to `serve`."""
    global _spawner
    _spawner = spawner


class Compiler:
    """A child process with libbcc loaded, for one compilation."""

    def __init__(self, pt_regs: str = "") -> None:
        _reap()
        tree = os.fspath(kernel_tree(os.uname().machine, pt_regs))
        self.meanwhile: Callable[[], object] | None = None  # what to do while clang compiles
        self._answered = False
        request_read, self._request = _pipe()
        self._answer, answer_write = _pipe()
        self._printed = _moved(os.memfd_create("ebt-clang"))
        self._pid = 0
        if _spawner is not None:
            _spawner(request_read, answer_write, self._printed, tree)
        else:
            self._pid = os.fork()
            if self._pid == 0:
                os.close(self._request)
                os.close(self._answer)
                serve(request_read, answer_write, tree, self._printed)
        os.close(request_read)
        os.close(answer_write)

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def compile(
        self, text: str, name: str, cflags: Sequence[str] = (), map_names: Sequence[str] = (),
        headers: Headers = "auto",
    ) -> Object:  # fmt: skip
        """What the text compiles to; once for each Compiler."""
        return _understand(name, *self._ask(text, [*_FLAGS, "-g0", *cflags], map_names, headers))[0]

    def list_lines(
        self, text: str, name: str, cflags: Sequence[str] = (), map_names: Sequence[str] = ()
    ) -> tuple[Object, str]:
        """The object, and BCC's listing of its instructions under their C lines."""
        return _understand(name, *self._ask(text, [*_FLAGS, *cflags], map_names, listing=True))

    def _ask(
        self, text: str, cflags: Sequence[str], map_names: Sequence[str], headers: Headers = "auto",
        listing: bool = False,
    ) -> tuple[bytes, int]:  # fmt: skip
        if "\0" in text:
            raise CompileError("the C text holds a NUL")
        request = json.dumps([text, list(cflags), list(map_names), listing, headers]).encode()
        with suppress(BrokenPipeError):  # the child is gone: its answer, or the lack of one, says why
            _write_all(self._request, request)
        os.close(self._request)
        self._request = -1
        if self.meanwhile is not None:
            self.meanwhile()
        answer = _read_all(self._answer)
        self._answered = bool(answer)
        if answer:
            return answer, 0
        status = self._wait()  # LLVM ends the whole process where it has no other way out
        return _LOST + os.pread(self._printed, 1 << 16, 0), status

    def close(self) -> None:
        """End the child, whatever it is doing."""
        for end in (self._request, self._answer, self._printed):
            if end >= 0:
                os.close(end)
        self._request = self._answer = self._printed = -1
        if self._answered and self._pid:  # it is on its way out, which takes a while: it has much memory
            _leaving.append(self._pid)
            self._pid = 0
        elif self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._wait()

    def _wait(self) -> int:
        pid, self._pid = self._pid, 0
        if not pid:  # another's child: that it gave no answer is all that is known
            return -signal.SIGKILL
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


_leaving: list[int] = []


def _reap() -> None:
    """Take leave of the children that have ended meanwhile."""
    for pid in list(_leaving):
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                continue
        _leaving.remove(pid)


def _understand(name: str, answer: bytes, status: int) -> tuple[Object, str]:
    kind, body = answer[:1], answer[1:]
    if kind == _DONE:
        size = int.from_bytes(body[:4], "little")
        return Object.from_bytes(body[4 : 4 + size]), body[4 + size :].decode("utf-8", "replace")
    if kind == _MISSING:
        raise libbcc.LibbccMissing(body.decode())
    output = body.decode("utf-8", "replace")
    if kind == _REFUSED:
        complaints = parse_complaints(output)
        first = next((item.message for item in complaints if "error" in item.severity), "")
        raise CompileError(first or last_line(output) or "clang gave no reason", complaints, output)
    if kind == _BROKEN:
        raise CompileError(last_line(output), output=output)
    said = last_line(output)
    message = f"{_how_lost(status)} while compiling {name}"
    raise CompileError(f"{message}: {said}" if said else message, output=output)


def _how_lost(status: int) -> str:
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"clang {how}"


def lost_answer(printed: bytes, status: int) -> bytes:
    """What to answer for a compiling process that ended without an answer of its own."""
    return _BROKEN + printed + f"\n{_how_lost(status)}".encode()


def parse_complaints(output: str) -> tuple[Complaint, ...]:
    """clang's text → its messages in order."""
    found = _COMPLAINT.findall(output)
    return tuple(
        Complaint(file, int(line), int(column), text, kind) for file, line, column, kind, text in found
    )


def instruction_lines(text: str, code: Code, map_names: Sequence[str] = ()) -> dict[int, int]:
    """Instruction index → line of the C text (from 1), by compiling once more with debug information.

    Empty where that does not give the same instructions, or BCC lists no lines.
    """
    # BCC lists lines of its main file only, and its rewriter adds some: so number them at each #line.
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if line.lstrip().startswith("#line "):
            lines[index] = f'#line {index + 2} "/virtual/main.c"'
    try:
        with Compiler() as compiler:
            compiled, listing = compiler.list_lines("\n".join(lines), code.name, (), map_names)
    except CompileError:
        return {}
    return _listed_lines(listing, code.name) if compiled.program(code.name) == code else {}


def _listed_lines(listing: str, name: str) -> dict[int, int]:
    found: dict[int, int] = {}
    inside, current = False, 0
    for line in listing.splitlines():
        if line.startswith("Disassembly of "):
            inside = line.split()[-1].rstrip(":") in (name, f".bpf.fn.{name}")
        elif inside and (source := _LISTED_LINE.search(line)):
            current = int(source[1])
        elif inside and current and (insn := _LISTED_INSN.match(line)):
            found[int(insn[1])] = current
    return found


def last_line(output: str) -> str:
    """The last line with anything on it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else ""


# --- the child --------------------------------------------------------------------------------------


def serve(request: int, answer: int, tree: str, printed: int) -> NoReturn:
    """Load libbcc, wait for a text, compile it, answer, and leave without running this process's exits."""
    reply = _BROKEN + b"the compiler process failed"
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _capture_output(printed)
        folder = elsewhere.place()
        reply = elsewhere.ask(folder, _asked(request), tree) if folder else _compile(request, tree, printed)
    except libbcc.LibbccMissing as error:
        reply = _MISSING + str(error).encode()
    except BaseException as error:
        reply = _BROKEN + f"the compiler process failed: {type(error).__name__}: {error}".encode()
    finally:
        try:
            _write_all(answer, reply)
            os.close(answer)  # the parent goes on while this process gives its memory back
        finally:
            os._exit(0)


def _asked(request: int) -> bytes:
    """The request; ends this process where the parent needs nothing compiled after all."""
    return _read_all(request) or os._exit(0)


def _compile(request: int, tree: str, printed: int) -> bytes:
    libbcc.library()
    try:
        os.getcwd()
    except FileNotFoundError:  # removed; BCC wants to go back to where it was
        os.chdir("/")
    _hide_kallsyms(tree)
    for name in ("ARCH", "BCC_LINUX_VERSION_CODE", "BCC_KERNEL_MODULES_SUFFIX"):
        os.environ.pop(name, None)
    os.environ["BCC_KERNEL_SOURCE"] = tree
    text, cflags, map_names, listing, headers = json.loads(_asked(request))
    compiled = None
    if headers != "bcc":
        own = [*helpersheader.FLAGS, *_STRICT, *cflags]
        compiled = libbcc.compile_module(_KEEP_NAMES + _START + text, own, map_names, listing)
    flush = ctypes.CDLL(None).fflush  # BCC prints by C's stdio too
    if compiled is None and headers != "own":
        flush(None)
        os.ftruncate(printed, 0)
        os.lseek(printed, 0, os.SEEK_SET)
        whole = _KEEP_NAMES + _SMALL_MAPS + _START + text
        compiled = libbcc.compile_module(whole, ["-w", *cflags], map_names, listing)
    flush(None)
    said = os.pread(printed, os.lseek(printed, 0, os.SEEK_END), 0)
    if compiled is None:
        return _REFUSED + said
    packed = compiled.to_bytes()
    return _DONE + len(packed).to_bytes(4, "little") + packed + said


def _capture_output(printed: int) -> None:
    """Send what this process prints to a file in memory: no pipe that could fill up, and it outlives LLVM."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)


def _hide_kallsyms(tree: str) -> None:
    """Make BCC believe that it may not read /proc/kallsyms, which takes it 100 ms of each compilation.

    It reads them, as user 0 only, to learn whether the kernel has bpf_probe_read_kernel. So become another
    user and keep the capabilities, which making maps needs. Where that fails, it is only slower.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    sets = ctypes.create_string_buffer(24)
    if libc.capget(head, sets) != 0:
        return
    try:
        os.seteuid(65534)
    except OSError:
        return
    types = f"{tree}/include/linux/types.h"
    if libc.capset(head, sets) != 0 or not os.access(types, os.R_OK, effective_ids=True):
        os.seteuid(0)


# --- pipes ------------------------------------------------------------------------------------------


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not 0, 1 or 2 even where those are closed: the child puts others there."""
    read, write = os.pipe()
    return _moved(read), _moved(write)


def _moved(fd: int) -> int:
    """The same open file under a number above 2."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return moved


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 16):
        parts.append(part)
    return b"".join(parts)
