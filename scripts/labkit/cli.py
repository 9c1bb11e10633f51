"""Command line → exit status: the guest's command's own, or one that says why there is none."""

import argparse
import os
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from labkit import cache, constructs, fetch, guest, host, matrix, record, suite
from labkit.guest import LostGuest
from labkit.host import CHECKOUT, LabError, need_packages, say
from labkit.initramfs import Job
from labkit.kernels import DEFAULT, KERNELS, kernel
from labkit.suite import LOST

NO_GUEST = 124
NO_TESTS = 5  # pytest's status where none was selected

_EPILOG = """\
The guest's root is this machine's, read-only under an overlay: the same python3, the same checkout. Nothing
that a command changes outlives the guest, except what it leaves in $EBT_LAB_OUT. Also set are EBT_LAB=1,
EBT_LAB_KERNEL (6.1), EBT_LAB_DISK, an empty scratch disk of 1 GiB, and EBT_LAB_DISKS, four more.
ebt's C is compiled by this machine's clang (EBT_COMPILER), unless --own-clang; all else happens in the guest.
Exit status: the command's own; 125 where the guest was lost, 124 where the lab could not make one.

EBT_LAB_HEADERS is where the kernel's headers are, if 'fetch --headers' has brought them.

Kernels are kept in ${XDG_CACHE_HOME:-~/.cache}/ebt-lab; 'fetch' replaces them by their successors.
EBT_LAB_MIRROR names Debian mirrors or archives to try before the machine's own.
"""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    result = argparse.ArgumentParser(
        prog="scripts/lab", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="run commands and tests on emulated real kernels",
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a command: run 6.1 -- uname -r")
    run.add_argument("kernel", help="a name of 'scripts/lab list'")
    run.add_argument("argv", nargs="*", metavar="-- COMMAND", help="the command and its arguments")
    shell = commands.add_parser("shell", help="an interactive shell")
    shell.add_argument("kernel", nargs="?", default=DEFAULT, help=f"default: {DEFAULT}")
    test = commands.add_parser("test", help="run tests/lab with pytest; one log a kernel")
    test.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"default: {DEFAULT}")
    test.add_argument("--all", action="store_true",
                      help="every kernel, two side by side; all tests, and docs/matrix.md is written")
    test.add_argument("pytest", nargs="*", metavar="-- PYTEST ARGUMENTS", help="such as -k NAME, --maxfail=1")
    table = commands.add_parser("matrix", help="write docs/matrix.md: constructs and tools on every kernel")
    table.add_argument("kernels", nargs="*", metavar="KERNEL", help="run these only; others as in --out")
    fetching = commands.add_parser("fetch", help="bring the newest point release into the cache")
    fetching.add_argument("kernels", nargs="*", metavar="KERNEL", help="default: every one")
    fetching.add_argument("--headers", action="store_true",
                          help="instead, the headers of the cached release, for BCC's Python tools")
    recording = commands.add_parser("record", help="record kernels for tests/kernels (ebt profile save)")
    recording.add_argument("kernels", nargs="*", metavar="KERNEL", help="default: every one")
    commands.add_parser("list", help="show the kernels, and what is cached")
    for command in (run, shell, test, table):
        kept = "the guest's $EBT_LAB_OUT"
        if command in (test, table):
            kept = "logs, and for each guest's $EBT_LAB_OUT"
        command.add_argument("--out", type=Path, metavar="DIR", help=f"directory for {kept}")
        command.add_argument("--memory", type=_positive, default=2048, metavar="MIB",
                             help="of the guest (default: %(default)s)")
    for command in (run, shell, test):
        command.add_argument("--own-clang", action="store_true",
                             help="compile in the guest, twenty times slower than on this machine")
    for command in (run, test, table):
        seconds = 1200 if command is run else 3600
        command.add_argument("--timeout", type=_positive, default=seconds, metavar="SECONDS",
                             help="end a guest after this long, boot included (default: %(default)s)")
    return result


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; what stands after '--' is never the lab's own."""
    words, rest = list(argv), []
    if "--" in words:
        cut = words.index("--")
        words, rest = words[:cut], words[cut + 1:]
    options = parser().parse_args(words)
    if options.command == "run":
        options.argv += rest
        if not options.argv:
            parser().error("run needs a command: run 6.1 -- uname -r")
    elif options.command == "test":
        options.pytest = rest
    elif rest:
        parser().error(f"'{options.command}' takes nothing after '--'")
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def main(argv: Sequence[str]) -> int:
    """Run one command of the lab."""
    options = parse(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    commands = {"run": _run, "shell": _shell, "test": _test, "matrix": _matrix, "fetch": _fetch,
                "record": _record, "list": _list}
    try:
        return commands[options.command](options)
    except LostGuest as loss:
        say(str(loss))
        return LOST
    except LabError as error:
        say(str(error))
        return NO_GUEST
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output has seen enough.
        return 128 + signal.SIGPIPE
    except OSError as error:
        # A full disk, a directory that is not to be written: the machine's matter, told in its words.
        say(f"{error.strerror}: '{error.filename}'" if error.filename else str(error))
        return NO_GUEST


def _end(number: int, frame: FrameType | None) -> None:
    # An exception, so that every guest and directory on the way out is put away.
    raise SystemExit(128 + number)


def _run(options: argparse.Namespace) -> int:
    wanted = kernel(options.kernel)
    job = Job(tuple(options.argv), CHECKOUT, _environment(), merge=_same_file(1, 2))
    sinks = {"stdout": _writer(1)} if job.merge else {"stdout": _writer(1), "stderr": _writer(2)}
    need_packages()
    with fetch.kernel_in_use(wanted) as entry:
        plan = guest.Plan(wanted.name, entry, job, options.timeout, options.memory, options.out,
                          own_clang=options.own_clang)
        return guest.run(plan, sinks)


def _shell(options: argparse.Namespace) -> int:
    wanted = kernel(options.kernel)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError("'shell' needs a terminal; 'run' does not")
    size = os.get_terminal_size()
    job = Job(("bash", "-i"), CHECKOUT, _environment(), terminal=(size.lines, size.columns))
    need_packages()
    with fetch.kernel_in_use(wanted) as entry:
        say(f"{entry.release}; leave with exit")
        plan = guest.Plan(wanted.name, entry, job, float("inf"), options.memory, options.out,
                          own_clang=options.own_clang)
        before = termios.tcgetattr(0)
        try:
            tty.setraw(0)
            return guest.run(plan, {"terminal": _writer(1)}, source=0)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _test(options: argparse.Namespace) -> int:
    kernels = [kernel(name) for name in options.kernels] or [kernel(DEFAULT)]
    if options.all:
        kernels = list(KERNELS)
    need_packages()
    place = options.out or suite.log_directory()
    place.mkdir(parents=True, exist_ok=True)
    show = _writer(1) if len(kernels) == 1 else None
    whole = options.all and not options.pytest
    job = _telling(whole=True) if whole else suite.pytest_job(options.pytest, _environment())
    with cache.in_use(place):
        status = suite.run_all([
            suite.Run(one, place, job, options.timeout, options.memory, show, options.own_clang)
            for one in kernels
        ])
        return max(status, _matrix_written(place, here=True)) if whole else status


def _telling(whole: bool = False) -> Job:
    """The job that leaves what the matrix is made of."""
    return Job(matrix.job(host.python_program(), "tests/lab", whole), CHECKOUT, _environment(), merge=True)


def _matrix(options: argparse.Namespace) -> int:
    """What was told before stays, so that kernels can be run one by one into one --out."""
    need_packages()
    place = options.out or suite.log_directory()
    place.mkdir(parents=True, exist_ok=True)
    here = matrix.HERE
    wanted = [kernel(name) for name in options.kernels if name != here] or [*KERNELS] * (not options.kernels)
    with cache.in_use(place):
        status = suite.run_all([
            suite.Run(one, place, _telling(), options.timeout, options.memory) for one in wanted
        ]) if wanted else 0
        return max(status, _matrix_written(place, not options.kernels or here in options.kernels))


def _matrix_written(place: Path, here: bool) -> int:
    """Write the page of what `place` holds; `here` asks this machine's own kernel before."""
    own = place / matrix.HERE
    status = _matrix_here(own) if here and os.geteuid() == 0 else 0
    told = [matrix.read(one.name, place / one.name) for one in KERNELS]
    told += [matrix.read(matrix.HERE, own)] if own.is_dir() else []
    names = [item.name for item in constructs.CONSTRUCTS]
    target = CHECKOUT / "docs/matrix.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(matrix.page(told, names, matrix.tools(CHECKOUT / "stdlib")))
    say(f"written: {target}")
    return status


def _matrix_here(place: Path) -> int:
    """The same on this machine's own kernel, with the tests that are for it."""
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "EBT_LAB_OUT": str(place)}
    with (place.parent / f"{place.name}.log").open("wb") as log:
        words = matrix.job(host.python_program(), "tests/kernel")
        done = subprocess.run(words, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL,
                              stdout=log, stderr=log)
    print(f"{place.name}: {'passed' if done.returncode in (0, NO_TESTS) else 'failed'}", flush=True)
    return 0 if done.returncode == NO_TESTS else done.returncode


def _fetch(options: argparse.Namespace) -> int:
    for one in [kernel(name) for name in options.kernels] or KERNELS:
        if options.headers:
            print(f"{one.name}  {fetch.fetch_headers(one)}", flush=True)
        else:
            print(f"{one.name}  {fetch.fetch(one).release}", flush=True)
    return 0


def _record(options: argparse.Namespace) -> int:
    need_packages()
    status = 0
    for one in [kernel(name) for name in options.kernels] or KERNELS:
        status = max(status, record.record(one, _environment(), _writer(1)))
    return status


def _list(options: argparse.Namespace) -> int:
    for one in KERNELS:
        releases = " ".join(entry.release for entry in cache.unpacked(one.name)) or "-"
        print(f"{one.name:6}{one.suite:10}{releases}")
    return 0


def _environment() -> dict[str, str]:
    """The environment of the guest's command. The rest of this machine's is not the guest's business."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/bash",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
    }


def _same_file(one: int, other: int) -> bool:
    return os.path.samestat(os.fstat(one), os.fstat(other))


def _writer(descriptor: int) -> guest.Sink:
    def write(data: bytes) -> None:
        while data:
            data = data[os.write(descriptor, data):]
    return write
