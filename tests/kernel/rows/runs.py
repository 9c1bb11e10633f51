"""The rows of the reference's tables that take a run of their own: settings, and what ends or warns."""

from __future__ import annotations

from dataclasses import dataclass

ANY = -1  # status: either, where the machine decides
EXE = "str(curtask.mm.exe_file.f_path.dentry.d_name.name)"
MISSING = "tracepoint:no:such { @ = 1; } interval:ms:20 { print(1); exit(); }"
LOOP = 'begin { for $i : 0..3000 { printf("%d\\n", $i); } }'


@dataclass(frozen=True)
class Run:
    """A program, and what it leaves: standard output without empty lines, patterns of both, its status.

    `config` is the config block's content; the same is tried by the environment, where `environment` allows.
    """

    program: str
    out: str
    err: str = ""
    rc: int = 0
    config: str = ""
    steps: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


SETTINGS: dict[str, Run] = {
    "max_map_keys": Run("begin { @[1] = 1; @[2] = 2; @[3] = 3; print(len(@)); clear(@); "
                        "}", "2", ".*full.*", 0,
                        "max_map_keys = 2"),
    "max_strlen": Run(f"begin {{ print(strlen({EXE})); }}", "3", "", 0, "max_strlen = 4"),
    "max_probes": Run("tracepoint:syscalls:sys_enter_* { @ = 1; }", "", ".*probes match, the limit is 2.*", 1,
                      "max_probes = 2"),
    "perf_rb_pages": Run(LOOP, "0\n1\n(.*\n)*.*", "(.*\n)*.*[Ll]ost.*event.*", 0, "perf_rb_pages = 2"),
    "on_stack_limit": Run('begin { $t = (1, "abc"); @k[$t] = $t; print($t); '
                          '}', r"\(1, abc\)\n@k\[1, abc\]: \(1, abc\)", "", 0,
                          "on_stack_limit = 0"),
    "stack_mode": Run("begin { print(kstack(1)); }",
                      r"\t[0-9a-f]+ \S+\+\d+ \(bpf\)", "", 0, "stack_mode = perf"),
    "missing_probes": Run(MISSING, "1", "", 0, "missing_probes = ignore"),
    "print_maps_on_exit": Run("begin { @ = 1; print(2); }", "2", "", 0, "print_maps_on_exit = false"),
    "lazy_symbolication": Run("uprobe:libc:toupper { print(usym(arg1)); "
                              "}", "toupper", "", 0, "lazy_symbolication = false",
                              ("toupper=97:1", "spin=0.3")),
    "cache_user_symbols": Run("uprobe:libc:toupper { print(ustack(1)); }", r" {8}toupper\+0", "", 0,
                              "cache_user_symbols = NONE", ("toupper=97:1", "spin=0.3")),
    "str_trunc_trailer": Run(f"config = {{ max_strlen = 4; str_trunc_trailer = \"~\" }} begin {{ "
                             f"print({EXE}); }}",
                             "pyt~?"),
    "license": Run("begin { print(1); }", "1", "", 0, 'license = "Dual MIT/GPL"'),
    "max_cat_bytes": Run('begin { cat("/proc/sys/kernel/ostype"); }', "Lin", "", 0, "max_cat_bytes = 3"),
}  # fmt: skip
RUNS: dict[str, Run] = {
    "tseries": Run("begin { @m = tseries(5, 1h, 3); "
                   "}", r"@m:\n +5 +5\nhh:mm:ss \|_+\|\n.*\*.*\| 5\n(.*\n)*.*"),
    "exit": Run('begin { print(1); exit(7); print(2); }', "1", "", 7, options=("--no-warnings",)),
    "errorf": Run('begin { errorf("bad %d", 7); }', "", "stdin:1:9-27: ERROR: bad 7"),
    "warnf": Run('begin { warnf("odd %s", "x"); }', "", "stdin:1:9-28: WARNING: odd x"),
    "warnf without "
    "warnings": Run('begin { warnf("odd"); print(1); }', "1", "", 0, options=("--no-warnings",)),
    "assert": Run('begin { assert(pid == 0, "no"); print(1); }', "", ".*ERROR: assertion failed: no", 1),
    "static_assert": Run('begin { static_assert(sizeof(uint32) == 8, "wide"); }', "", "(.|\n)*wide.*", 1),
    "fail": Run('begin { fail("not %s", "here"); }', "", "(.|\n)*not here.*", 1),
    "system": Run('begin { system("echo 1"); }', "", "(.|\n)*unsafe function.*", 1),
    "division by "
    "zero": Run("begin { $z = (uint64)$9; print(40 / $z); }", "40", "(.|\n)*divide or modulo by 0.*"),
    "array index out of "
    "bounds": Run('begin { $a = pton("1.2.3.4"); $i = (uint64)cpu + 9; print($a[$i]); }', "0",
                                     "(.|\n)*array access out of bounds.*"),
    "delete of a missing key": Run("begin { @[1] = 1; delete(@, 1); print(len(@)); }", "0"),
    "an unknown probe": Run("nothing:x { print(1); }", "", "(.|\n)*unknown probe kind.*", 1),
    "an option": Run('option n: uint32 = 5 "-n" "a number"; begin { print(opt.n); }', "5"),
    "a macro": Run("macro double(x) { x * 2 } begin { print(double(4)); }", "8"),
    "a function": Run("fn twice($a: uint64): uint64 { return $a * 2; } begin { print(twice(4)); }", "8"),
    "a map's declaration": Run("let @m = lruhash(5); begin { @m[1] = 2; }", r"@m\[1\]: 2"),
    "a struct": Run("struct p { int a; short b; char c[4]; }; begin { print((sizeof(struct p), "
                    "offsetof(struct p, c))); }",
                    r"\(12, 6\)"),
    "a union": Run("union u { int a; long b; }; begin { print(sizeof(union u)); }", "8"),
    "an enum": Run("enum e { A, B = 5, C }; begin { print((A + 0, B + 0, C + 0)); }", r"\(0, 5, 6\)"),
    "a #define": Run("#define N 23\nbegin { print(N + 1); }", "24"),
    "getopt": Run('begin { print((getopt("n", 5), getopt("all"), getopt("w", "x"))); }', r"\(7, true, word\)",
                  options=("--", "--n=7", "--all", "--w=word")),
    "a range over a map": Run('begin { @m[1] = 2; for ($kv : @m) { print($kv); } }', r"\(1, 2\)\n@m\[1\]: 2"),
    "hardware": Run("hardware:cpu-cycles:1000000 { @ = count(); } interval:ms:100 { exit(); "
                    "}", "(@: \\d+)?", "(.*\n)*", ANY),
}  # fmt: skip
