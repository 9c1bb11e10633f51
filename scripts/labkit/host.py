"""What the lab asks of the machine it runs on: its packages, its commands, a word to the user."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# kmod is for both sides: depmod here, and modprobe in the guest, whose root is this machine's. The
# makers of file systems are for the guest alone.
PACKAGES = ("qemu-system-x86", "busybox-static", "kmod", "e2fsprogs", "xfsprogs", "btrfs-progs", "f2fs-tools")
CHECKOUT = Path(__file__).resolve().parents[2]


class LabError(Exception):
    """The lab cannot do what was asked; the message is for the user."""


def say(text: str) -> None:
    """Tell the user what goes on, apart from the output of the guest's command."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(argv: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """Run a command to its end and return its output; a failure carries the command's own words."""
    # A lab that is killed must not leave an apt-get behind, which would hold locks against the next one.
    words = ["setpriv", "--pdeathsig", "TERM", "--", *map(str, argv)]
    done = subprocess.run(
        words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        said = "\n  ".join(lines[-8:])
        raise LabError(f"'{Path(argv[0]).name}' failed with status {done.returncode}: {said}")
    return done.stdout


def missing_packages(dpkg_status: str) -> list[str]:
    """Say which of PACKAGES are not installed, from 'dpkg-query -W' lines of 'PACKAGE STATUS'."""
    installed = {line.split()[0] for line in dpkg_status.splitlines() if line.endswith(" installed")}
    return [package for package in PACKAGES if package not in installed]


def need_packages() -> None:
    """Install the Debian packages that are missing, or name them."""
    missing = _missing()
    if not missing:
        return
    if os.geteuid() != 0:
        raise LabError(f"missing packages; as root: apt-get install {' '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    install = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", "install", "-y", "--no-install-recommends"]
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    try:
        run([*install, *missing])
    except LabError:
        # The machine's package lists may never have been fetched, or be of another time.
        run(["apt-get", "-qq", "update"])
        run([*install, *missing])


def _missing() -> list[str]:
    # dpkg-query fails when it knows nothing of a package, and prints those that it knows.
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES]
    try:
        done = subprocess.run(query, capture_output=True, text=True)
    except FileNotFoundError:
        raise LabError(f"the lab needs a Debian machine with the packages {', '.join(PACKAGES)}") from None
    return missing_packages(done.stdout)


def program(name: str) -> Path:
    """Find a program of a needed package; those of an administrator may be off a user's path."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise LabError(f"program '{name}' not found; reinstall {', '.join(PACKAGES)}")
    return Path(found)


def python_program() -> str:
    """The checkout's own Python: that of its virtual environment, else the system's."""
    own = CHECKOUT / ".venv/bin/python"
    return str(own) if own.exists() else "/usr/bin/python3"
