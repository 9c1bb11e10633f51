"""A program compiled before runs without the compiler, and never if what it was made from changed."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebt import kept
from ebt.asked import read_asked
from tests.conftest import PATIENCE, ROOT

pytestmark = pytest.mark.kernel

WATCH = (
    f"import sys; sys.path[0] = {str(ROOT)!r}; from ebt.cli import main; status = main();"
    "sys.stderr.write('compiled' if 'runtime.bpf' in sys.modules else 'kept'); sys.exit(status)"
)
SCRIPT = 'begin { printf("%d %s\\n", 23, comm); exit(); }'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def run(*words: str) -> tuple[str, str]:
    """(output, last word on standard error) of a run."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.split()[-1].rpartition(":")[2]


def key_of(*words: str) -> str:
    found = read_asked(words)
    assert found is not None
    return kept.key_of(found)


def entries(home: Path) -> list[Path]:
    return sorted((home / "cache" / "ebt").glob("program-*"))


def test_the_second_run_needs_no_compiler(home: Path) -> None:
    first, second = run("-q", "-e", SCRIPT), run("-q", "-e", SCRIPT)
    assert first[0] == second[0] and first[0].startswith("23 ")
    assert (first[1], second[1]) == ("compiled", "kept")
    assert entries(home)[0].stat().st_mode & 0o777 == 0o600


def test_the_child_goes_on_before_the_program_is_kept(home: Path) -> None:
    """Nobody waits for what is kept: not the command that is traced either."""
    slowly = textwrap.dedent(f"""
        import os, sys, time
        sys.path[0] = {str(ROOT)!r}
        from ebt import cli, kept
        def keep(*_):
            end = time.monotonic() + {10 * PATIENCE}
            while not os.path.exists("made") and time.monotonic() < end:
                time.sleep(0.01)
            print("made" if os.path.exists("made") else "waited for")
        kept.keep = keep
        sys.exit(cli.main())
    """)
    words = ("-q", "-e", "interval:s:60 { exit(); }", "-c", f"/usr/bin/touch {home}/made")
    done = subprocess.run(
        [sys.executable, "-c", slowly, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["made"], done


@pytest.mark.parametrize("other", [["-q", "--unsafe", "-e", SCRIPT], ["-q", "-e", SCRIPT + " "]])
def test_other_words_are_another_program(home: Path, other: list[str]) -> None:
    run("-q", "-e", SCRIPT)
    assert run(*other)[1] == "compiled"


def test_an_import_that_changes(home: Path) -> None:
    shared, script = home / "shared.ebt", home / "script.ebt"
    shared.write_text("macro twice(x) { x * 2 }\n")
    script.write_text('import "shared.ebt";\nbegin { printf("%d\\n", twice(23)); exit(); }\n')
    assert run("-q", "script.ebt")[0].startswith("46\n")
    assert run("-q", "script.ebt")[1] == "kept"
    shared.write_text("macro twice(x) { x * 3 }\n")
    output, how = run("-q", "script.ebt")
    assert (output.split()[0], how) == ("69", "compiled")


def test_a_binary_that_changes(home: Path) -> None:
    binary = home / "true"
    binary.write_bytes(Path("/bin/true").read_bytes())
    words = ["-q", "-e", f"uprobe:{binary}:0 {{ }} begin {{ exit(); }}"]
    try:
        run(*words)
    except AssertionError:
        pytest.skip("/bin/true has no place for a probe at its start")
    assert run(*words)[1] == "kept"
    os.utime(binary)
    assert run(*words)[1] == "compiled"


def test_a_damaged_entry_is_not_used(home: Path) -> None:
    run("-q", "-e", SCRIPT)
    (entry,) = entries(home)
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(bytes(data))
    assert kept.find(key_of("-q", "-e", SCRIPT)) is None
    entry.write_bytes(bytes(data)[: len(data) // 2])
    assert run("-q", "-e", SCRIPT)[1] == "compiled"
    assert run("-q", "-e", SCRIPT)[1] == "kept"


def test_a_folder_that_others_can_write_is_not_used(home: Path) -> None:
    run("-q", "-e", SCRIPT)
    (home / "cache" / "ebt").chmod(0o777)
    assert run("-q", "-e", SCRIPT)[1] == "compiled"


def test_a_program_that_the_kernel_refuses_is_compiled_anew(home: Path) -> None:
    run("-q", "-e", SCRIPT)
    key = key_of("-q", "-e", SCRIPT)
    ready = kept.find(key)
    assert ready is not None
    spoiled = bytearray(ready.code)
    spoiled[-8:] = b"\xff" * 8  # the last instruction: no longer an exit
    kept.keep(key, kept.Ready(ready.options, ready.plan, bytes(spoiled)))
    output, how = run("-q", "-e", SCRIPT)
    assert output.startswith("23 ") and how == "compiled"


def test_the_oldest_entries_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    run("-q", "-e", SCRIPT)
    ready = kept.find(key_of("-q", "-e", SCRIPT))
    assert ready is not None
    for number in range(5):
        kept.keep(key_of("-e", f"begin {{ @ = {number}; }}"), ready)
    assert len(entries(home)) == 3


def test_only_plain_values_are_read(home: Path) -> None:
    from pickle import dumps

    from lang import cachefile

    key = key_of("-q", "-e", SCRIPT)
    cachefile.store(kept.KIND, key, dumps(os.system))
    assert kept.find(key) is None


def test_what_an_option_names_is_looked_up_again(home: Path) -> None:
    (home / "one.ebt").write_text(
        'option pid: pid "-p" "this process only";\nbegin { printf("%d\\n", opt.pid); exit(); }\n'
    )
    sleeper = subprocess.Popen(["sleep", "60"])
    words = ["-q", "./one.ebt", "-p", str(sleeper.pid)]
    assert run(*words)[1] == "compiled" and run(*words)[1] == "kept"
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(AssertionError, match="there is no process"):
        run(*words)
