"""What bpftrace has, by name, as of 0.27: the list that ebt's tables are held against."""

# ruff: noqa: E501 (prose)
from __future__ import annotations

PROBES = (
    "begin", "end", "self", "tracepoint", "rawtracepoint", "kprobe", "kretprobe", "fentry", "fexit", "uprobe", "uretprobe",
    "usdt", "profile", "interval", "software", "hardware", "watchpoint", "asyncwatchpoint", "iter", "test", "bench",
)  # fmt: skip
BUILTINS = (
    "pid", "tid", "ppid", "uid", "gid", "username", "comm", "pcomm", "leader_comm", "leader_tid", "curtask", "cpu", "ncpus",
    "numaid", "nsecs", "elapsed", "jiffies", "rand", "cgroup", "kstack", "ustack", "dw_ustack", "func", "probe", "probetype",
    "arg0", "args", "retval", "ctx", "cpid", "has_cpid", "usermode",
)  # fmt: skip
FUNCTIONS = (
    "printf", "print", "clear", "zero", "time", "join", "cat", "system", "errorf", "warnf", "debugf", "exit", "fail", "assert",
    "static_assert", "skboutput", "unwatch", "str", "buf", "strlen", "strcap", "strncmp", "strcontains", "strstr", "str_concat",
    "memcmp", "strerror", "signal_name", "syscall_name", "strftime", "ntop", "pton", "macaddr", "cgroup_path", "cgroupid",
    "ksym", "usym", "kaddr", "percpu_kaddr", "uaddr", "bswap", "kptr", "uptr", "reg", "path", "container_of", "is_err",
    "is_array", "is_ptr", "is_str", "is_integer", "is_unsigned_integer", "is_literal", "kfunc_exist", "kfunc_allowed",
    "getopt", "override", "signal", "signal_thread", "write_user", "socket_cookie", "kstack", "ustack", "count", "sum", "min",
    "max", "avg", "stats", "hist", "lhist", "tseries", "delete", "has_key", "find", "len", "comm", "pid", "tid", "nsecs",
)  # fmt: skip
CONFIG = (
    "max_map_keys", "max_strlen", "max_probes", "max_cat_bytes", "max_bpf_progs", "perf_rb_pages", "on_stack_limit",
    "stack_mode", "missing_probes", "print_maps_on_exit", "lazy_symbolication", "cache_user_symbols", "str_trunc_trailer",
    "license", "symbol_source", "max_type_res_iterations", "unstable_addr", "unstable_import", "unstable_macro",
    "unstable_map_decl", "log_size", "show_debug_info", "use_blazesym", "cpp_demangle",
)  # fmt: skip
# what, an example, what to write instead
SYNTAX = (
    ("`ustack(build_id)`", "begin { print(ustack(build_id)); }", "`ustack(perf)` prints each frame's binary"),
    ("the address of a variable", "begin { $x = 1; print(&$x); }", "only functions of imported C take one: pass the value"),
    ("`#define` with parameters", "#define TWICE(x) x * 2\nbegin { print(TWICE(1)); }", "`macro twice(x) { x * 2 }`"),
    ("arguments of a user function by name", "uprobe:libc:malloc { print(args.size); }", "`arg0`, `arg1` …: names need the program's debugging information"),
    ("programs of BPF: `fentry:bpf:PROGRAM`", "fentry:bpf:my_program { @ = count(); }", "`bpftool prog profile`, or the functions that the program calls"),
    ("the output of an iterator pinned: `iter:task:NAME`", "iter:task:name { print(1); }", "`ebt -o FILE`"),
    ("`++` of a record's field inside an expression", "begin { print(@m.f++); }", "a statement of its own: `@m[k].f++;`"),
    ("`typeinfo`", "begin { print(typeinfo(1)); }", "`is_str()`, `is_integer()`, `typeof()`"),
    ("floating point numbers", "begin { print(1.5); }", "integers, as in bpftrace; `ms()`, `us()` and `sec()` print fractions"),
)  # fmt: skip
OTHERWISE = (
    "A difference of two unsigned times does not warn of its sign.",
    "In exit probes `args` and `argN` are those at entry, and `duration` is there; bpftrace has neither.",
    "`exit()` may stand in a loop.",
    "Several mistakes are told at once, each with its line and a hint; the words are ebt's own where bpftrace's would not fit.",
    "Strings are 1024 bytes by default, as since bpftrace 0.23; those of Debian 12's 0.17 are 64.",
    "Events go through one ring buffer of 16 MiB (`perf_rb_pages` changes it). What does not fit is counted and told, at each place.",
    "The command of `-c` may have quoted words (`-c 'sh -c \"make; ls\"'`); bpftrace divides it at each blank.",
    "A `.bt` file may do without some of its probes (`missing_probes` is `warn` there, as before bpftrace 0.24); with `-e` and in `.ebt` files a missing probe is an error.",
    "`print(@m); clear(@m);` reads and empties the map in one step: what is counted between the two is in the next report. bpftrace loses it. Counts, sums, averages and histograms without a key lose nothing at all, however often they are cleared; of an entry with a key, what another processor adds in the moment of its deletion goes with it (30 of 300,000 at 2,000 clears a second).",
    "With `print_maps_on_exit = false` the two empty lines that end a run are left away too: nothing follows them.",
    "In `fentry`, `fexit` and `rawtracepoint` `kstack` begins at the traced place; in bpftrace with the program and what runs it.",
    "Functions of libpthread, libdl, librt and libutil are found in libc where they are no longer there: glibc 2.34 has moved them.",
    "`args->x` and `args.x` are the same, and so are `BEGIN` and `begin`.",
    "What is emitted is C for BCC (`ebt compile` shows it); there is no LLVM IR, and `-d` knows `ast`, `types`, `plan` and `codegen`.",
)  # fmt: skip
