"""One script that uses what has fallbacks, and what it must print: for this machine's tests and the lab's."""

from __future__ import annotations

from tests.conftest import Ebt, Result
from tests.kernel.support import fresh, lines, work

OPENS = 23
# What the kernel must have for a script at all, or what nothing can stand in for.
NEEDED = ("tracepoint", "uprobe", "perf_event", "btf")
# Without it the script is refused, with these words.
REFUSED = {"for_each_map_elem": "a probe cannot go through a map on this kernel"}


def script(name: str, walks: bool = True) -> str:
    """Every kind of event, reading aggregations, loops, texts, big keys, clocks, begin and end."""
    walk = "$n = (uint64)0; for ($kv : @walked) { $n += $kv.0 * $kv.1; } printf(\"walked %d\\n\", $n);"
    return f"""
    begin {{
        printf("begin %d %s\\n", 1, "text"); print((1, "two")); @rounds = (uint64)0;
        @walked[2] = 3; @walked[4] = 5; @zeroed[1] = 7; zero(@zeroed); @gone[1] = 1; clear(@gone);
        {walk if walks else ""}
    }}
    tracepoint:syscalls:sys_enter_openat /comm == "{name}"/ {{
        @opens = count(); @fds[pid > 0] = count(); @mean = avg(10); @sum[1] = sum(2);
        @file[str(args.filename, 64)] = count(); @long[str(args.filename), str(args.filename)] = count();
        @real[curtask.real_parent.tgid > 0] = count(); @clock[nsecs > 0, nsecs(monotonic) > 0] = count();
        if (@opens == {OPENS}) {{ printf("the last of %d, mean %d, sum %d\\n", @opens, @mean, @sum[1]); }}
        $end = @opens + 300;
        if (@opens == 2) {{
            for ($i : 0..$end) {{ if ($i % 100 == 0) {{ printf("round %d\\n", $i); }} @rounds += 1; }}
        }}
        emit(N = @opens, COMM = comm, FILE = str(args.filename, 64));
    }}
    tracepoint:syscalls:sys_enter_openat /comm == "not {name}"/ {{ @none = count(); printf("never"); }}
    end {{ printf("end\\n"); print(@opens); clear(@opens); clear(@mean); errorf("told %d", 5); exit(3); }}
    """


def traced(ebt: Ebt, name: str, *options: str, walks: bool = True) -> Result:
    """Run it over the known work."""
    command = " ".join(work(f"name={name}", f"open=/no/such/file:{OPENS}"))
    return ebt("-q", *options, "-e", script(name, walks), "-c", command, timeout=60)


def check(ebt: Ebt, feature: str, expected: tuple[str, Result, Result]) -> None:
    """With the feature off: the same text and exit code, or the documented refusal and then the rest."""
    name, whole, without_walk = expected
    if feature not in REFUSED:
        # a kernel that cannot go through maps has no other result
        assert traced(ebt, name, "--no-feature", feature, walks=whole is not without_walk) == whole
        return
    refused = traced(ebt, name, "--no-feature", feature)
    assert refused.rc == 1 and REFUSED[feature] in refused.stderr and "switched off" in refused.stderr
    assert traced(ebt, name, "--no-feature", feature, walks=False) == without_walk


def reference(ebt: Ebt, has_walk: bool = True) -> tuple[str, Result, Result]:
    """(name of the workload, result with everything, result without the walk); with the right numbers."""
    name = fresh()
    plain = traced(ebt, name, walks=False)
    whole = traced(ebt, name) if has_walk else plain
    assert (whole.rc, plain.rc) == (3, 3), whole
    shown = lines(whole.stdout)
    for line in ("begin 1 text", f"the last of {OPENS}, mean 10, sum {2 * OPENS}", "round 300", "end"):
        assert line in shown, whole
    assert ("walked 26" in shown) == has_walk and "never" not in whole.stdout
    for line in (f"@opens: {OPENS}", "@rounds: 302", f"@file[/no/such/file]: {OPENS}", "@zeroed[1]: 0"):
        assert line in shown, whole
    assert sum(line.split()[:1] == [str(number)] for number in range(1, OPENS + 1) for line in shown) == OPENS
    return name, whole, plain
