"""scripts/lab without a guest: command lines, apt's text, the cache, ends of guests that a stand-in plays."""

import lzma
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from labkit import cache, cli, debian, guest, host, initramfs, kernels, qemu, suite
from labkit.debian import Package, Source
from labkit.initramfs import Job

SCRIPTS = Path(__file__).parents[2] / "scripts"
META = """\
Package: linux-image-amd64
Version: 6.1.9-2
Depends: linux-image-6.1.0-9-amd64 (= 6.1.9-2)

Package: linux-image-amd64
Version: 6.1.176-1
Depends: linux-image-6.1.0-50-amd64 (= 6.1.176-1)
"""
IMAGE = """\
Package: linux-image-6.1.0-50-amd64
Version: 6.1.176-1
Pre-Depends: linux-base (>= 4.3~)
Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool
Size: 70000000
Description: Linux 6.1
 Version: this is prose
"""
SPLIT = {
    "linux-image-amd64": "Version: 7.2.13-1\nDepends: linux-base-amd64 (= 7), linux-image-7.2.13-amd64 (= 7)",
    "linux-image-7.2.13-amd64": "Version: 7.2.13-1\nPre-Depends: linux-base (>= 4.17~)\n"
    "Depends: dracut | linux-initramfs-tool, linux-base-7.2.13-amd64, linux-binary-7.2.13-amd64 (= 7),\n"
    " linux-modules-7.2.13-amd64:amd64 (= 7.2.13-1)",
    "linux-base-7.2.13-amd64": "Version: 7.2.13-1",
    "linux-binary-7.2.13-amd64": "Version: 7.2.13-1\nDepends: linux-base-7.2.13-amd64 (= 7.2.13-1)\nSize: 14",
    "linux-modules-7.2.13-amd64": "Version: 7.2.13-1\nDepends: kmod, linux-base-7.2.13-amd64",
}
# Stands for QEMU: finds its ports and the mark as the real one's guest would, then plays a guest.
STAND_IN = """\
#!/usr/bin/python3
import os, re, sys, time
words = " ".join(sys.argv)
port = {name: int(fd) for name, fd in re.findall(r"socket,id=(\\w+),fd=(\\d+)", words)}
console = open(re.search(r"file,id=console,path=(\\S+)", words)[1], "w")
out = re.search(r"path=([^ ,]+),mount_tag=out", words)[1]
mark = re.search(rb"LAB_MARK='(.*?)'", open(re.search(r"-initrd (\\S+)", words)[1], "rb").read())[1]
def tell(name, data): os.write(port[name], data)
"""


# -- the command line


def test_run_takes_everything_after_the_dashes() -> None:
    options = cli.parse(["run", "6.1", "--timeout", "9", "--", "ls", "--all", "--", "-x"])
    assert (options.kernel, options.timeout, options.argv) == ("6.1", 9, ["ls", "--all", "--", "-x"])


def test_test_keeps_kernels_and_pytest_arguments_apart() -> None:
    options = cli.parse(["test", "5.10", "7.2", "--", "-k", "kprobe"])
    assert (options.kernels, options.pytest, options.all) == (["5.10", "7.2"], ["-k", "kprobe"], False)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["run"],
        ["run", "6.1"],
        ["run", "6.1", "--"],
        ["run", "6.1", "--timeout", "0", "--", "ls"],
        ["run", "6.1", "--timeout", "soon", "--", "ls"],
        ["fetch", "--", "6.1"],
        ["frobnicate"],
    ],
)
def test_wrong_command_lines_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.parse(argv)
    assert refusal.value.code == 2
    assert "usage: scripts/lab" in capsys.readouterr().err


def test_an_unknown_kernel_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "9.9", "--", "true"]) == cli.NO_GUEST
    assert capsys.readouterr().err == "lab: unknown kernel '9.9'; the lab has 5.10, 6.1, 6.12, 7.2\n"


def test_missing_packages() -> None:
    status = "busybox-static installed\nkmod config-files\nqemu-system-x86 installed\n"
    missing = [package for package in host.PACKAGES if package not in ("busybox-static", "qemu-system-x86")]
    assert "kmod" in missing and host.missing_packages(status) == missing
    assert host.missing_packages("") == list(host.PACKAGES)


# -- apt's text


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("6.1.9-2", "6.1.176-1"),
        ("6.1.0-9-amd64", "6.1.0-50-amd64"),
        ("6.12~rc1-1~exp1", "6.12-1"),
        ("6.12.9+deb13-amd64", "6.12.107+deb13-amd64"),
        ("1.0", "1.0.1"),
        ("9.0", "1:1.0"),
        ("1.0a", "1.0+"),
    ],
)
def test_versions_are_ordered_as_dpkg_does(older: str, newer: str) -> None:
    assert debian.version_key(older) < debian.version_key(newer)
    if shutil.which("dpkg"):
        assert subprocess.run(["dpkg", "--compare-versions", older, "lt", newer]).returncode == 0


def test_newest_of_several_versions() -> None:
    found = debian.newest(META, "linux-image-amd64")
    assert found is not None and found["Version"] == "6.1.176-1"
    assert debian.newest(META, "linux-image") is None
    assert debian.newest("", "linux-image-amd64") is None


def test_one_package_holds_an_older_kernel() -> None:
    shown = {"linux-image-amd64": META, "linux-image-6.1.0-50-amd64": IMAGE}
    packages = debian.kernel_packages("linux-image-amd64", lambda name: shown.get(name, ""))
    assert packages == [Package("linux-image-6.1.0-50-amd64", "6.1.176-1", 70000000)]


def test_a_split_kernel_is_followed_to_its_parts() -> None:
    def show(name: str) -> str:
        return f"Package: {name}\n{SPLIT[name]}\n" if name in SPLIT else ""

    packages = debian.kernel_packages("linux-image-amd64", show)
    assert [package.name for package in packages] == [
        "linux-image-7.2.13-amd64",
        "linux-base-7.2.13-amd64",
        "linux-binary-7.2.13-amd64",
        "linux-modules-7.2.13-amd64",
    ]


def test_sources_of_both_forms() -> None:
    text = """\
        Types: deb deb-src
        # an older address
        URIs: http://mirror.example/debian
        Suites: bookworm bookworm-updates
        Components: main contrib
        Signed-By: /usr/share/keyrings/a.gpg

        Types: deb
        URIs: http://off.example/debian
        Suites: bookworm
        Components: main
        Enabled: no

        Types: deb
        URIs: http://mirror.example/debian-security
        Suites: bookworm-security
        Components: main
    """
    lines = (
        "# deb http://comment.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/b.gpg] http://other.example/debian trixie main # words\n"
        "deb http://project.example/apt stable nonsense\n"
        "deb-src http://source.example/debian sid main\n"
    )
    sources = debian.sources_in_stanzas(textwrap.dedent(text)) + debian.sources_in_lines(lines)
    first = Source("http://mirror.example/debian", ("bookworm", "bookworm-updates"), ("main", "contrib"),
                   "/usr/share/keyrings/a.gpg")
    other = Source("http://other.example/debian", ("trixie",), ("main",), "/b.gpg")
    assert debian.debian_mirrors(sources) == [first, other]


# -- what is booted


def machine(tmp_path: Path) -> qemu.Machine:
    return qemu.Machine(
        vmlinuz=tmp_path / "vmlinuz", initramfs=tmp_path / "initramfs", disks=[tmp_path / "a,b"],
        shares={"root": Path("/"), "out": tmp_path}, console=tmp_path / "console",
        ports={"status": 7, "terminal": 9}, memory=512,
    )


def test_qemu_emulates_and_shares_the_root_read_only(tmp_path: Path) -> None:
    words = qemu.command_line(Path("/usr/bin/qemu"), machine(tmp_path))
    line = " ".join(words)
    assert words[0] == "/usr/bin/qemu"
    assert "-accel tcg,thread=single -smp 2 -cpu max -m 512" in line
    assert "-virtfs local,path=/,mount_tag=root,security_model=none,multidevs=remap,readonly=on " in line
    assert f"-virtfs local,path={tmp_path},mount_tag=out,security_model=none,multidevs=remap -" in line
    assert "panic=-1 oops=panic" in words[words.index("-append") + 1]


def test_qemu_ports_and_paths_with_a_comma(tmp_path: Path) -> None:
    line = " ".join(qemu.command_line(Path("qemu"), machine(tmp_path)))
    assert "-chardev socket,id=status,fd=7 -device virtserialport,chardev=status,name=status" in line
    assert "-chardev socket,id=terminal,fd=9 -device virtconsole,chardev=terminal,name=terminal" in line
    assert f"file={tmp_path}/a,,b,format=raw" in line


def output(job: Job) -> str:
    return subprocess.run(["sh", "-c", initramfs.job_script(job)], capture_output=True, text=True).stdout


def test_a_job_keeps_its_words_and_environment(tmp_path: Path) -> None:
    job = Job(("printf", "%s|", "a b", "$HOME", "it's", "x\ny"), tmp_path, {"SEEN": "1 $2"})
    assert output(job) == "a b|$HOME|it's|x\ny|"
    assert output(Job(("sh", "-c", 'echo "$SEEN" in "$PWD"'), tmp_path, job.env)) == f"1 $2 in {tmp_path}\n"


def test_modules_are_decompressed_and_in_loading_order(tmp_path: Path) -> None:
    for name in ("fs/overlay.ko", "drivers/virtio_console.ko", "fs/ext4.ko"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"plain")
    (tmp_path / "fs/9p.ko.xz").write_bytes(lzma.compress(b"packed"))
    expected = {"virtio_console": b"plain", "9p": b"packed", "overlay": b"plain"}
    assert list(initramfs.module_files(tmp_path).items()) == list(expected.items())


def test_an_archive_is_one_that_cpio_readers_accept() -> None:
    data = initramfs.cpio(["lab"], {"lab/job": b"12345", "init": b""})
    names, position = [], 0
    while position < len(data):
        header = data[position : position + 110]
        assert header[:6] == b"070701"
        size, name_size = int(header[54:62], 16), int(header[94:102], 16)
        names.append(data[position + 110 : position + 110 + name_size - 1].decode())
        position += (110 + name_size + 3) // 4 * 4
        if names[-1] == "lab/job":
            assert data[position : position + size] == b"12345"
        position += (size + 3) // 4 * 4
    assert names == ["lab", "lab/job", "init", "TRAILER!!!"]


def test_init_is_shell() -> None:
    script = Path(initramfs.__file__).with_name("init.sh")
    assert subprocess.run(["sh", "-n", script]).returncode == 0


# -- what comes back


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_a_stream_ends_at_its_mark_however_it_is_cut(size: int) -> None:
    seen: list[bytes] = []
    stream = guest.Stream(b"<end 1>", seen.append)
    data = b"a<b<end 2><e<end 1>after"
    for start in range(0, len(data), size):
        stream.feed(data[start : start + size])
    assert (b"".join(seen), stream.ended) == (b"a<b<end 2><e", True)


def test_a_stream_of_a_lost_guest_is_kept() -> None:
    seen: list[bytes] = []
    stream = guest.Stream(b"<end>", seen.append)
    stream.feed(b"text<e")
    assert b"".join(seen) == b"text"
    stream.close()
    assert (b"".join(seen), stream.ended) == (b"text<e", False)


def test_a_status_in_pieces() -> None:
    status = guest.Status()
    for piece in (b"u", b"p\nexi", b"t 1", b"2\n"):
        assert status.code is None
        status.feed(piece)
    assert (status.up, status.code) == (True, 12)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one kernel in it, and programs that stand for the real ones."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    modules = cache.root() / "kernels/6.1/6.1.0-1/lib/modules/6.1.0-1/kernel"
    modules.mkdir(parents=True)
    (modules / "9p.ko").write_bytes(b"")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/busybox").write_text("#!/bin/sh\n")
    (tmp_path / "bin/busybox").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return tmp_path


def play(lab: Path, part: str, timeout: float = 60) -> tuple[int, str, str]:
    """Run a guest that plays a part; return its status and output."""
    stand_in = lab / "bin/qemu-system-x86_64"
    stand_in.write_text(STAND_IN + textwrap.dedent(part))
    stand_in.chmod(0o755)
    seen: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    plan = guest.Plan("6.1", cache.unpacked("6.1")[0], Job(("x",), lab), timeout, out=lab / "out")
    code = guest.run(plan, {name: chunks.append for name, chunks in seen.items()})
    out, error = (b"".join(chunks).decode() for chunks in seen.values())
    return code, out, error


def test_a_guest_ends_with_the_status_and_all_of_the_output(lab: Path) -> None:
    part = """
        tell("status", b"up\\nexit 3\\n")
        time.sleep(0.05)
        tell("stderr", b"worse" + mark)
        tell("stdout", b"x" * 100000 + mark)
        open(out + "/left", "w").write("kept")
        time.sleep(60)
    """
    assert play(lab, part) == (3, "x" * 100000, "worse")
    assert list((cache.root() / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("part", "why", "timeout"),
    [
        ('tell("status", b"up\\n"); console.write("Kernel panic - not syncing\\n")', "kernel panic", 60),
        ('tell("status", b"up\\n")', "it ended without a word", 60),
        ('sys.exit("qemu: no such machine")', "it did not boot", 60),
        ('tell("status", b"lost cannot mount\\n"); time.sleep(60)', "cannot mount", 60),
        ('tell("status", b"up\\n"); time.sleep(60)', "no end after 0.1 s", 0.1),
    ],
)
def test_a_lost_guest_is_no_failed_command(lab: Path, part: str, why: str, timeout: float) -> None:
    with pytest.raises(guest.LostGuest) as loss:
        play(lab, part, timeout)
    assert loss.value.why == why
    assert str(loss.value).startswith(f"6.1: lost guest: {why}")
    assert "no such machine" in str(loss.value) or not part.startswith("sys.exit")
    assert list((cache.root() / "runs").iterdir()) == []


# -- the cache


def test_the_newest_release_counts_and_leftovers_do_not(lab: Path) -> None:
    for name in ("6.1.0-9", "6.1.0-50", ".new-1234", ".dead-6.1.0-99"):
        (cache.root() / "kernels/6.1" / name).mkdir()
    assert [entry.release for entry in cache.unpacked("6.1")] == ["6.1.0-50", "6.1.0-9", "6.1.0-1"]
    assert cache.unpacked("5.10") == []


def test_what_is_in_use_is_not_removed(lab: Path) -> None:
    entry = cache.unpacked("6.1")[0]
    with cache.in_use(entry.path) as present:
        assert present
        cache.remove_unused(entry.path)
        assert entry.modules.is_dir()
    cache.remove_unused(entry.path)
    assert cache.unpacked("6.1") == []
    with cache.in_use(entry.path) as present:
        assert not present


def test_a_run_leaves_nothing_and_spares_other_runs(lab: Path) -> None:
    with cache.run_directory("6.1") as first:
        (first.parent / "6.1-killed").mkdir()
        with cache.run_directory("6.1") as second:
            assert sorted(first.parent.iterdir()) == sorted([first, second])
    assert list(first.parent.iterdir()) == []


def test_an_unpacking_that_fails_leaves_nothing(lab: Path) -> None:
    with pytest.raises(host.LabError), cache.staging("6.12") as place:
        (place / "half").write_text("half")
        raise host.LabError("disk full")
    assert list((cache.root() / "kernels/6.12").iterdir()) == []


def test_a_download_that_was_killed_is_begun_anew(lab: Path) -> None:
    code = """
import os, signal
from labkit import cache
with cache.staging("6.12") as place:
    (place / "half.deb").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(SCRIPTS)})
    assert done.returncode == -9
    (left,) = (cache.root() / "kernels/6.12").iterdir()
    assert (left / "half.deb").exists() and cache.unpacked("6.12") == []
    with cache.staging("6.12") as place:
        assert list(place.parent.iterdir()) == [place] and not (place / "half.deb").exists()


# -- the suite


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("=== 3 passed, 1 skipped in 75.20s (0:01:15) ===", "3 passed, 1 skipped"),
        ("..F\n1 failed, 2 passed in 15.03s\n", "1 failed, 2 passed"),
        ("==== no tests ran in 8.31s ====", "no tests ran"),
        ("Traceback", "pytest told no summary"),
    ],
)
def test_the_words_of_pytest(log: str, words: str) -> None:
    assert suite.pytest_words(log) == words


def test_a_lost_guest_weighs_more_than_a_failure() -> None:
    def result(code: int | None) -> suite.Result:
        return suite.Result(kernels.kernel("6.1"), "6.1.0-1", code, 12.4, "words", Path("log"))

    assert suite.verdict([result(0), result(0)]) == 0
    assert suite.verdict([result(0), result(5)]) == 1
    assert suite.verdict([result(1), result(None)]) == suite.LOST
    assert result(None).line == "6.1 (6.1.0-1): lost in 12 s: words"
