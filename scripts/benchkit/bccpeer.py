"""A name → a tool of that kind as one writes it by hand with BCC's Python; it runs until Ctrl-C.

Runs as a program of its own under the system's Python. BCC_KERNEL_SOURCE may name ebt's small tree of
headers, so that what is measured is the tool and not the 20 seconds that BCC takes with a kernel's own.
"""

import sys

OUR_FD = 777  # what the loads write to: nobody else's events are counted
HEAD = "#include <linux/types.h>\n#define roundup_pow_of_two(n) (n)\n"
PROGRAMS = {
    "count by pid": """
BPF_HASH(counts, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    counts.atomic_increment(pid);
    return 0;
}
""",
    "count by comm": """
struct key_t { char comm[16]; };
BPF_HASH(counts, struct key_t);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    struct key_t key = {};
    bpf_get_current_comm(&key.comm, sizeof(key.comm));
    counts.atomic_increment(key);
    return 0;
}
""",
    "hist": """
BPF_HISTOGRAM(dist);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    dist.atomic_increment(bpf_log2l(args->count));
    return 0;
}
""",
    "sum by two keys": """
struct key_t { u32 pid; char comm[16]; };
BPF_HASH(sums, struct key_t);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    struct key_t key = {.pid = bpf_get_current_pid_tgid() >> 32};
    bpf_get_current_comm(&key.comm, sizeof(key.comm));
    u64 zero = 0, *sum = sums.lookup_or_try_init(&key, &zero);
    if (sum)
        lock_xadd(sum, args->count);
    return 0;
}
""",
    "count by path, 64 bytes": """
struct key_t { char path[64]; };
BPF_HASH(counts, struct key_t);
TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
    struct key_t key = {};
    bpf_probe_read_user_str(&key.path, sizeof(key.path), args->filename);
    counts.atomic_increment(key);
    return 0;
}
""",
    "count by kstack": """
BPF_STACK_TRACE(stacks, 16384);
BPF_HASH(counts, int);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    int id = stacks.get_stackid(args, 0);
    counts.atomic_increment(id);
    return 0;
}
""",
    "entry and exit, hist of the time": """
BPF_HASH(start, u32);
BPF_HISTOGRAM(dist);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    start.update(&tid, &now);
    return 0;
}
TRACEPOINT_PROBE(syscalls, sys_exit_write) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 *before = start.lookup(&tid);
    if (!before)
        return 0;
    dist.atomic_increment(bpf_log2l(bpf_ktime_get_ns() - *before));
    start.delete(&tid);
    return 0;
}
""",
    "printf of 4 fields": """
struct event_t { u32 pid; u32 fd; u64 count; char comm[16]; };
BPF_RINGBUF_OUTPUT(events, 4096);
TRACEPOINT_PROBE(syscalls, sys_enter_write) {
    if (args->fd != OUR_FD)
        return 0;
    struct event_t event = {};
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.fd = args->fd;
    event.count = args->count;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    events.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}
""",
}


def main(name: str) -> None:
    """Compile, attach, say so, and read events until Ctrl-C."""
    from bcc import BPF

    text = HEAD + PROGRAMS[name].replace("OUR_FD", str(OUR_FD))
    bpf = BPF(text=text)

    def show(_ctx: object, data: int, _size: int) -> None:
        event = bpf["events"].event(data)
        print("%d %s %d %d" % (event.pid, event.comm.decode(), event.fd, event.count))  # noqa: UP031

    if "BPF_RINGBUF_OUTPUT" in text:
        bpf["events"].open_ring_buffer(show)
    print("__BPFTRACE_NOTIFY_PROBES_ATTACHED", flush=True)
    try:
        while True:
            if "BPF_RINGBUF_OUTPUT" in text:
                bpf.ring_buffer_poll()
            else:
                bpf.perf_buffer_poll()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(sys.argv[1])
