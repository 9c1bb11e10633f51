"""Kernels → tests/lab run by pytest in a guest of each, one log a kernel, a summary."""

import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labkit import cache, fetch, guest, host
from labkit.guest import Cancelled, LostGuest, Plan
from labkit.host import CHECKOUT, LabError, say
from labkit.initramfs import Job
from labkit.kernels import Kernel

# A guest is one busy thread of this machine.
SIDE_BY_SIDE = 2
KEPT_RUNS = 10
TAIL_LINES = 60
LOST = 125


@dataclass(frozen=True)
class Result:
    """How one kernel fared: the status of pytest, None where no guest told one."""

    kernel: Kernel
    release: str
    code: int | None
    seconds: float
    words: str
    log: Path

    @property
    def line(self) -> str:
        """The closing line of a kernel."""
        word = "lost" if self.code is None else "passed" if self.code == 0 else "failed"
        name = f"{self.kernel.name} ({self.release})" if self.release else self.kernel.name
        return f"{name}: {word} in {self.seconds:.0f} s: {self.words}"


def pytest_words(log: str) -> str:
    """Find pytest's own summary in its output: '3 passed, 1 skipped'."""
    found: list[str] = re.findall(
        r"^(?:=+ )?((?:\d+ \w+(?:, )?)+|no tests ran) in [\d.]+ ?s.*$", log, re.MULTILINE
    )
    return found[-1].rstrip(", ") if found else "pytest told no summary"


def verdict(results: Sequence[Result]) -> int:
    """The status of the whole: that of a lost guest, which tells nothing, goes before a failure."""
    if any(result.code is None for result in results):
        return LOST
    return int(any(result.code != 0 for result in results))


def pytest_job(arguments: Sequence[str], env: Mapping[str, str]) -> Job:
    """Run pytest as the checkout has it."""
    named = any((CHECKOUT / word.partition("::")[0]).exists() for word in arguments)
    where = () if named else ("tests/lab",)
    # A cache of pytest's would only be lost in the overlay.
    argv = (host.python_program(), "-m", "pytest", "-p", "no:cacheprovider", *where, *arguments)
    return Job(argv, CHECKOUT, env, merge=True)


def log_directory() -> Path:
    """Make a directory for one run's logs; those of the oldest runs go."""
    place = cache.root() / "tests"
    path = place / datetime.now().strftime("%Y%m%d-%H%M%S.%f")
    path.mkdir(parents=True)
    for old in sorted(place.iterdir())[:-KEPT_RUNS]:
        cache.remove_unused(old)
    return path


def run_all(runs: Sequence["Run"]) -> int:
    """Run the tests of each kernel, two guests side by side; tell each at its end, then all of them."""
    cancel = threading.Event()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        try:
            futures = [pool.submit(run.result, cancel) for run in runs]
            for future in as_completed(futures):
                result = future.result()
                if result.code != 0 and len(runs) > 1:
                    print(tail(result.log), flush=True)
                print(result.line, flush=True)
        except BaseException:
            # Ctrl-C and a failure of the lab itself alike: no guest outlives them.
            cancel.set()
            pool.shutdown(cancel_futures=True)
            raise
    results = [future.result() for future in futures]
    if len(results) > 1:
        print("\nsummary", *(result.line for result in results), sep="\n", flush=True)
    say(f"logs in {runs[0].place}")
    return verdict(results)


def tail(log: Path) -> str:
    """Quote the end of a log, for a user who has not seen it pass by."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return f"end of {log}\n" + "\n".join(f"  | {line}" for line in lines)


@dataclass(frozen=True)
class Run:
    """The tests of one kernel: where its log goes, what it shows meanwhile."""

    kernel: Kernel
    place: Path
    job: Job
    timeout: float
    memory: int
    show: guest.Sink | None = None
    own_clang: bool = False

    def result(self, cancel: threading.Event) -> Result:
        """Boot and run; a lost guest is a result, too."""
        log = self.place / f"{self.kernel.name}.log"
        started = time.monotonic()
        code, release = None, ""
        with log.open("wb", buffering=0) as file:
            def sink(data: bytes) -> None:
                file.write(data)
                if self.show:
                    self.show(data)
            try:
                with fetch.kernel_in_use(self.kernel) as entry:
                    release = entry.release
                    code = guest.run(self._plan(entry, cancel), {"stdout": sink})
                words = pytest_words(log.read_text(errors="replace"))
            except LostGuest as loss:
                sink(f"\n{loss}\n".encode())
                words = loss.why
            except Cancelled:
                raise
            except LabError as refusal:
                words = str(refusal)
        return Result(self.kernel, release, code, time.monotonic() - started, words, log)

    def _plan(self, entry: cache.Unpacked, cancel: threading.Event) -> Plan:
        name = self.kernel.name
        return Plan(
            name, entry, self.job, self.timeout, self.memory,
            out=self.place / name, console=self.place / f"{name}.console.log", cancel=cancel,
            own_clang=self.own_clang,
        )
