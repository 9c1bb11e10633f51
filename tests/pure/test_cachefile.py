"""The cache: never half a file, never a stranger's, whatever other processes, disks and users do to it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lang import cachefile
from tests.conftest import ROOT, Ebt

CAT = ["compile", "--kernel", str(ROOT / "tests/kernels/5.10.ebtk"), "-e", "begin { @ = count(); }"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ebt"


@pytest.fixture
def told() -> Iterator[list[str]]:
    said: list[str] = []
    cachefile.listen(said.append)
    yield said
    cachefile._listeners.clear()
    cachefile._told.clear()


def test_what_is_stored_is_loaded(folder: Path, told: list[str]) -> None:
    assert cachefile.load("kind", "key") is None
    cachefile.store("kind", "key", b"body")
    cachefile.store("kind", "key", b"another")
    found = cachefile.load("kind", "key")
    assert found is not None and bytes(found) == b"another"
    assert cachefile.load("kind", "other") is None and cachefile.load("other", "key") is None
    assert len(os.listdir(folder)) == 1 and folder.stat().st_mode & 0o777 == 0o700 and told == []


@pytest.mark.parametrize("bad", [b"", b"ebtc", b"\x7fELF" * 99])
def test_a_damaged_entry_is_put_aside_once(folder: Path, told: list[str], bad: bytes) -> None:
    cachefile.store("kind", "key", b"body" * 1000)
    (path,) = folder.iterdir()
    path.write_bytes(bad)
    assert cachefile.load("kind", "key") is None and cachefile.load("kind", "key") is None
    assert (folder / "damaged").read_bytes() == bad and not path.exists()
    assert told == [f"{path} was damaged, and is now {folder / 'damaged'}; a new one is made"]


def test_a_folder_that_others_can_write_to(folder: Path, told: list[str]) -> None:
    cachefile.store("kind", "key", b"body")
    folder.chmod(0o777)
    assert cachefile.load("kind", "key") is None and cachefile.cache_directory() is None
    cachefile.store("kind", "new", b"body")
    assert told == [f"the cache {folder} is not used, as others can write to it; mend: chmod go-w {folder}"]
    folder.chmod(0o700)
    assert cachefile.load("kind", "key") is not None and cachefile.load("kind", "new") is None


def test_a_folder_that_is_none(folder: Path, told: list[str]) -> None:
    folder.write_text("")
    cachefile.store("kind", "key", b"body")
    assert cachefile.load("kind", "key") is None and told == []


def test_the_oldest_go_when_there_are_many(folder: Path) -> None:
    cachefile.store("other", "key", b"")
    for number in range(5):
        cachefile.store("kind", str(number), b"", 3)
        os.utime(cachefile._path(str(folder), "kind", str(number)), (number, number))
    kept = [str(number) for number in range(5) if cachefile.load("kind", str(number)) is not None]
    assert kept == ["2", "3", "4"] and cachefile.load("other", "key") is not None


def test_processes_at_once_never_see_half(folder: Path) -> None:
    """Eight writers of two texts under one key; readers see one of them, whole."""
    code = (
        "import sys; sys.path[0] = sys.argv[1]\n"
        "from lang import cachefile\n"
        "cachefile.listen(sys.exit)\n"
        "for n in range(150):\n"
        "    cachefile.store('kind', 'key', sys.argv[2].encode() * 50000)\n"
        "    found = cachefile.load('kind', 'key')\n"
        "    assert found is not None and bytes(found) in (b'a' * 50000, b'b' * 50000)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(ROOT), "ab"[n % 2]]) for n in range(8)]
    assert [process.wait(120) for process in running] == [0] * 8
    assert len(os.listdir(folder)) == 1


def test_a_full_disk_costs_only_the_cache(ebt: Ebt, tmp_path: Path) -> None:
    """The limit of a file's size stands for it: the same calls fail."""
    words = shlex.join([*ebt.command, *CAT])
    command = ["sh", "-c", f"trap '' XFSZ; ulimit -f 0; exec {words} | cat"]
    result = Ebt(command)(env={"XDG_CACHE_HOME": str(tmp_path)})
    assert (result.rc, result.stderr) == (0, "") and "int on_begin" in result.stdout
    assert list((tmp_path / "ebt").iterdir()) == []


def test_a_damaged_cache_is_told_by_the_command(ebt: Ebt, tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    first = ebt(*CAT, env=env)
    for path in (tmp_path / "ebt").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    again = ebt(*CAT, env=env)
    assert (again.rc, again.stdout) == (0, first.stdout)
    assert all(line.startswith("ebt: warning: ") for line in again.stderr.splitlines()) and again.stderr
    third = ebt(*CAT, env=env)
    assert (third.rc, third.stdout, third.stderr) == (0, first.stdout, "")


def test_two_first_starts_at_once(ebt: Ebt, tmp_path: Path) -> None:
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    pipe = subprocess.PIPE
    running = [subprocess.Popen([*ebt.command, *CAT], env=env, stdout=pipe, stderr=pipe) for _ in range(4)]
    results = [process.communicate(timeout=120) for process in running]
    assert {err for _, err in results} == {b""} and len({out for out, _ in results}) == 1
    assert not any(path.name.startswith(".") for path in (tmp_path / "ebt").iterdir())
