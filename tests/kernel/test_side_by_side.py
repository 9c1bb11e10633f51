"""The same script by ebt and by the bpftrace of the distribution, on the same load: the same text.

Both run at once and see the same events. Only what is documented to differ is normalised: the banner
(`Attaching` before, `Attached` on standard error), empty lines between maps,
            spaces around a line (frames of
stacks in keys were indented by four), and how stats and histograms by one are written. Scripts are in the
words that old versions know too (BEGIN, args->x) and keep to what means the same in all.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import pytest

from tests.conftest import PATIENCE, Ebt, Result
from tests.kernel.support import NOTIFY, Running, fresh, lines, running, until, working

pytestmark = pytest.mark.kernel

# bpftrace wants tracefs where the system has it; mounted where nobody else sees it
IN_TRACEFS = """
    [ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing
    [ -d /sys/kernel/debug/tracing ] || mount -t debugfs debugfs /sys/kernel/debug
    exec "$@"
"""


@pytest.fixture(scope="session")
def peer(peer_bpftrace: str) -> list[str]:
    """The command that runs bpftrace."""
    command = ["unshare", "-m", "sh", "-c", IN_TRACEFS, "sh", peer_bpftrace]
    done = subprocess.run(
        [*command, "-e", "BEGIN { exit(); }"], capture_output=True, text=True, timeout=60 * PATIENCE
    )
    if done.returncode:
        pytest.skip(f"bpftrace does not run here: {done.stderr.strip()}")
    return command


def plain(text: str) -> list[str]:
    """The lines of an output, without what differs between versions."""
    text = re.sub(rf"^(Attaching \d+ probes?\.\.\.|{NOTIFY})\n", "", text, flags=re.MULTILINE)
    numbers = r"count (\d+), average (-?\d+), total (-?\d+)"
    text = re.sub(numbers, r"{ .count = \1, .average = \2, .total = \3 }", text)
    text = re.sub(r"^\[(\d+), (\d+)\)( +\d+ \|)", one_value, text, flags=re.MULTILINE)
    rows = (re.sub(r" {2,}", " ", line) if line[:1] == "[" else line for line in lines(text))
    return [row.strip() for row in rows]


def entries(text: str) -> list[str]:
    """Each map entry with all its lines; those of equal counts come in any order."""
    return sorted(re.split(r"\n(?=@)", "\n".join(plain(text))))


def one_value(row: re.Match[str]) -> str:
    """`[3, 4)` → `[3]`, as newer versions write it."""
    return f"[{row[1]}]{row[3]}" if int(row[2]) == int(row[1]) + 1 else row[0]


def both(ebt: Ebt, peer: list[str], program: str, *parameters: str) -> tuple[list[str], list[str]]:
    """What ebt and bpftrace print for a script that ends by itself."""
    ours = ebt("-e", program, *parameters)
    theirs = subprocess.run(
        [*peer, "-e", program, *parameters], capture_output=True, text=True, timeout=60 * PATIENCE
    )
    assert (ours.rc, theirs.returncode) == (0, 0), (ours, theirs)
    assert plain(theirs.stdout), theirs
    return plain(ours.stdout), plain(theirs.stdout)


def at_once(
    ebt: Ebt, peer: list[str], name: str, program: str, *steps: str, pid: bool = False
) -> tuple[str, str]:
    """What ebt and bpftrace print of one load that both watch."""
    with working(f"name={name}", "wait", *steps, "wait") as load:
        load.wait_for("ready")
        args = ["-e", program, *(["-p", str(load.pid)] if pid else [])]
        with (
            running([*ebt.command, *args], {NOTIFY: "1"}) as ours,
            running([*peer, *args], {NOTIFY: "1"}) as theirs,
        ):
            ours.wait_for(f"^{NOTIFY}$")
            theirs.wait_for(f"^{NOTIFY}$")
            load.tell()
            load.wait_for("ready\n(.*\n)*ready")
            time.sleep(0.2)
            # the symbols of its stacks are looked up at the end, so it lives on until then
            results = ours.end(signal.SIGINT), end_of_peer(theirs)
    assert [result.rc for result in results] == [0, 0], results
    return results[0].stdout, results[1].stdout


def end_of_peer(peer: Running) -> Result:
    """Old versions do not always hear the first signal."""
    for _ in range(3):
        peer.send(signal.SIGINT)
        if until(lambda: peer.process.poll() is not None, 3):
            return peer.end()
    pytest.skip("bpftrace does not end")


# --- the one-liners, on a load that both watch ---

OPENS = "tracepoint:syscalls:sys_enter_openat"
LOADS: dict[str, tuple[str, tuple[str, ...]]] = {
    "count by comm": (OPENS + " /FILTER/ { @[comm] = count(); }", ("open=/no/such/file:23",)),
    "count by comm and process": (
        OPENS + " /FILTER/ { @[comm, pid] = count(); @t[tid, uid, gid, cpu] = count(); }",
        ("cpu=0", "open=/no/such/file:23"),
    ),
    "opens by file name": (
        OPENS + " /FILTER/ { @[str(args->filename)] = count(); }",
        ("open=/no/such/file:23", "open=/dev/null:7", "open=/no:5"),
    ),
    "lines of text": (
        OPENS + r' /FILTER/ { printf("%-8d %-16s %s|%20s|\n", pid, comm, str(args->filename), '
        r'str(args->filename)); }',
        ("open=/no/such/file:23", "open=/dev/null:7"),
    ),
    "sizes of reads": (
        "tracepoint:syscalls:sys_exit_read /args->ret > 0 && FILTER/ { @ = hist(args->ret); }",
        ("read=1:3", "read=5:7", "read=1500:46", "badread=11", "read=4096:23", "read=100000:2"),
    ),
    "results with a sign": (
        """tracepoint:syscalls:sys_exit_read /FILTER/ {
            @h = hist(args->ret); @sum = sum(args->ret); @avg = avg(args->ret);
            @stats[comm] = stats(args->ret);
            @l = lhist(args->ret, 0, 50, 10); @min = min(args->ret); @max = max(args->ret);
            @k[args->ret] = count();
        }""",
        ("read=7:13", "badread=11", "read=45:5", "read=50:3", "read=51:2"),
    ),
    "stacks of the scheduler": (
        "tracepoint:sched:sched_switch /FILTER/ { @[kstack] = count(); @n[kstack(3), comm] = count(); }",
        ("sleeps=23",),
    ),
    "stacks in other forms": (
        "tracepoint:syscalls:sys_enter_kill /FILTER/ { @[kstack(perf)] = count(); "
        "@p[kstack(perf, 2)] = count(); }",
        ("kill=5",),
    ),
    "the parent's name": (
        """tracepoint:syscalls:sys_enter_kill /FILTER/ {
            $task = (struct task_struct *)curtask;
            @[$task->real_parent->comm, $task->tgid, $task->real_parent->pid] = count();
        }""",
        ("kill=23",),
    ),
    "several probes": (
        """tracepoint:syscalls:sys_enter_kill, tracepoint:syscalls:sys_exit_kill,
        tracepoint:syscalls:sys_enter_write /FILTER/ { @[probe] = count(); @n++; }
        tracepoint:syscalls:sys_enter_write /FILTER && args->fd > 2/ { @bytes = sum(args->count); }
        tracepoint:syscalls:sys_exit_kill /FILTER/ { @[probe] = count(); }""",
        ("kill=23", "write=100:7"),
    ),
    "wildcards": (
        "tracepoint:syscalls:sys_enter_kill* /FILTER/ { @[probe] = count(); }",
        ("kill=23",),
    ),
    "two keys, printed and cleared": (
        """tracepoint:syscalls:sys_enter_kill /FILTER/ { @[comm, pid] = count(); }
        interval:ms:300 { print(@); clear(@); }""",
        ("kill=23",),
    ),
    "functions of a library": (
        r"""uprobe:libc:toupper /FILTER/ { @[arg0, usym(arg1)] = count(); printf("%d %s\n", arg0, func); }
        uretprobe:libc:toupper /FILTER/ { @r = sum(retval); @h = hist(retval); }""",
        ("toupper=97:23", "toupper=98:7"),
    ),
    "addresses": (
        r"""tracepoint:sock:inet_sock_set_state /FILTER && args->newstate == 2/ {
            printf("%s %s %d\n", ntop(args->family, args->daddr), ntop(args->daddr_v6), args->family);
        }""",
        ("connect=4", "connect=6"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", LOADS)
def test_the_same_load(ebt: Ebt, peer: list[str], which: str) -> None:
    name = fresh()
    program, steps = LOADS[which]
    ours, theirs = at_once(ebt, peer, name, program.replace("FILTER", f'comm == "{name}"'), *steps)
    assert plain(theirs) and entries(ours) == entries(theirs)


@pytest.mark.parametrize("mode", ["ustack", "ustack(3)", "ustack(perf)"])
def test_user_stacks(ebt: Ebt, peer: list[str], mode: str) -> None:
    name = fresh()
    program = f"uprobe:libc:toupper {{ @[{mode}, comm] = count(); }}"
    ours, theirs = at_once(ebt, peer, name, program, "toupper=97:23", pid=True)
    assert "toupper" in theirs and plain(ours) == plain(theirs)


def test_the_clock(ebt: Ebt, peer: list[str]) -> None:
    """Each has its own clock, so the counts may differ a little; the place does not."""
    name = fresh()
    last = max(os.sched_getaffinity(0))
    program = f'profile:hz:99 /comm == "{name}"/ {{ @ = lhist(cpu, 0, 8, 1); }}'
    outputs = at_once(ebt, peer, name, program, f"cpu={last}", "spin=0.7")
    rows = [re.fullmatch(rf"\[{last}\] +(\d+) \|@{{52}}\|", plain(text)[-1]) for text in outputs]
    assert [plain(text)[:-1] for text in outputs] == [["@:"], ["@:"]] and all(rows), outputs
    counts = [int(row[1]) for row in rows if row]
    assert abs(counts[0] - counts[1]) <= 10 and min(counts) > 40, counts


# --- scripts that end by themselves ---

SCRIPTS = {
    "arithmetic": "BEGIN { print(7 + 3 * 2); print(7 / 2); print(7 % 4); print(1 << 10); "
        "print(6 ^ 3); print(-7 + 3); "
    "$a = 7; $b = 3; print($a - 10); print(~$b); print($a > $b ? 11 : 12); exit(); }",
    "conversions": r"""BEGIN { printf("%d %5d|%-5d|%05d|%u %x %X %c %s %10s|%-10s| %p\n",
        1, 2, 3, 4, 5, 255, 255, 65, "abc", "def", "ghi", 255); exit(); }""",
    "long and short numbers": r"""BEGIN { $n = (uint64)1099511627785;
            printf("%ld %lx %llu %hhd %hd\n", $n, $n, $n, 300, 65537);
        exit(); }""",
    "tuples": 'BEGIN { print((1, "two", 3)); $t = (1, ("a", 2)); print($t); print($t.1); '
        '@ = (5, "x"); exit(); }',
    "casts": "BEGIN { $n = 300; print((uint8)$n); print((int8)200); print((uint32)$n); "
        "print((int64)$n); exit(); }",
    "strings": 'BEGIN { $s = "abc"; @s = $s; @k["b"] = "x"; @k["a"] = "y"; '
        'if ($s == "abc") { print("same"); } exit(); }',
    "maps": 'BEGIN { @x[1, "b"] = 5; @x[2, "a"] = 3; @x[3, "c"] = 4; @y = 7; @y++; @y += 5; '
        '@i[1] = -5; @i[2] = 3; exit(); }',
    "print": "BEGIN { @[1] = 100; @[2] = 300; @[3] = 200; print(@); print(@, 2);  print(@, 1, 10); "
        "exit(); }",
    "clear, zero and delete": "BEGIN { @a[1] = 1; @b[1] = 5; @c[1] = 1; @c[2] = 2; clear(@a); "
        "zero(@b); delete(@c[1]); exit(); }",
    "aggregates": 'BEGIN { @c = count(); @s["x"] = sum(5); @s["x"] = sum(6); @a = avg(4); '
        '@a = avg(9); @m = min(7); @m = min(3); '
    '@n = max(7); @n = max(30); @t = stats(4); @t = stats(10); @e["y"] = count(); exit(); }',
    "hist": "BEGIN { @ = hist(-1); @ = hist(0); @ = hist(1); @ = hist(2); @ = hist(3); "
        "@ = hist(1000); @ = hist(1048576); "
    '@k["a"] = hist(5); @k["b"] = hist(5); @k["b"] = hist(6); exit(); }',
    "lhist": "BEGIN { @ = lhist(-1, 0, 50, 10); @ = lhist(0, 0, 50, 10); @ = lhist(49, 0, 50, 10); "
        "@ = lhist(70, 0, 50, 10); "
    "@b = lhist(2048, 0, 10240, 1024); @c = lhist(5, 0, 8, 2); exit(); }",
    "statements": 'BEGIN { $i = 0; unroll(5) { $i++; print($i); } if ($i == 5) { print("five"); '
        '} else { print("not"); } '
    "if ($i > 9) { print(1); } else if ($i > 4) { print(2); } else { print(3); } exit(); }",
    "parameters": r'BEGIN { printf("%d %s %d\n", $1, str($2), $#); @[str($2)] = $1; exit(); }',
    "exit ends the probe": 'BEGIN { print("a"); exit(); print("b"); } END { print("end"); @x = 5; }',
    "the order of maps": "BEGIN { @zoo = 1; @ant = 2; @[3] = 4; @B = 5; exit(); } END { clear(@ant); }",
    "addresses": "BEGIN { print(ntop(0x0100007f)); print(ntop(2, 0x08080808)); exit(); }",
    "timers": "interval:ms:20 { @n++; if (@n == 3) { exit(); } }",
}  # fmt: skip


@pytest.mark.parametrize("which", SCRIPTS)
def test_the_same_script(ebt: Ebt, peer: list[str], which: str) -> None:
    ours, theirs = both(ebt, peer, SCRIPTS[which], "23", "word")
    assert ours == theirs


JSON = """BEGIN {
    printf("a\\"b %d\\n", 5); print((1, "a")); @x = 5; @k[1, "b"] = 6; @k[2, "c"] = 7; @s = "text";
            @h = hist(5);
    @h2["a"] = hist(100); @l = lhist(5, 0, 20, 10); @t = stats(5); @a = avg(7); @c["x"] = count();
            print(@k); time("x\\n");
    exit();
}"""


def test_json(ebt: Ebt, peer: list[str]) -> None:
    ours = ebt("-f", "json", "-e", JSON)
    theirs = subprocess.run(
        [*peer, "-f", "json", "-e", JSON], capture_output=True, text=True, timeout=60 * PATIENCE
    )
    found = [[json.loads(line) for line in lines(text)] for text in (ours.stdout, theirs.stdout)]

    def objects(items: list[dict[str, object]]) -> list[dict[str, object]]:
        return [item for item in items if item["type"] != "attached_probes"]

    assert objects(found[0]) == objects(found[1])
