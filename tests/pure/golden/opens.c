// opens.ebt for Linux 6.12.107+deb13-amd64 x86_64: BCC C written by ebt.

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define EBT_LOST 0

struct printf_0 {
    u32 site;
    u32 unused;
    char field0[16];
    u32 field1;
    char field2[1024];
    u8 unused_1052[4];
};

struct at_others_value {
    s64 value;
    u64 written;
};

struct on_sys_enter_openat_record {
    u8 unused_0[24];
    void *filename;
};

struct print_map_1 {
    u32 site;
    u32 unused;
};

struct ebt_losses {
    u64 count[1];
};

BPF_TABLE("array", u32, struct at_others_value, at_others, 1);  // @others: int64
BPF_TABLE("array", u32, struct ebt_losses, ebt_lost, 1);  // what was lost, and where
BPF_RINGBUF_OUTPUT(ebt_events, 4096);  // what the script prints

// Hide from the C compiler what a pointer points to (it would put a constant text into .rodata, which BCC has not),
// or where a value was read (it would compute that address, which the verifier refuses of the context).
#define ebt_opaque(pointer) asm volatile("" : "+r"(pointer))

// The address of a map or a callback by its number: ebt puts it in when it loads the program.
#define ebt_refer(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + (number)))

// Count what could not be kept: an event (0), or one kind of trouble at one place of the script.
#define ebt_count_lost(what) __sync_fetch_and_add(&((struct ebt_losses *)ebt_refer(EBT_LOST))->count[what], 1)

// tracepoint:syscalls:sys_enter_openat
int on_sys_enter_openat(struct on_sys_enter_openat_record *ctx)
{
#line 2 "opens.ebt"
    u64 uid_gid = bpf_get_current_uid_gid();
    u64 uid = (u32)uid_gid;
    bool both = (uid == 0);
    if (both) {
        char comm[16] = {};
        bpf_get_current_comm(&comm, 16);
        both = !(comm[0] == 'c' && comm[1] == 'a' && comm[2] == 't' && comm[3] == 0);
    }
    if (both) {
#line 3 "opens.ebt"
        // printf("%-16s %6d %s\n", comm, pid, str(args.filename))
        u64 pid_tgid = bpf_get_current_pid_tgid();
        u32 pid = pid_tgid >> 32;
        struct printf_0 *event = ebt_events.ringbuf_reserve(sizeof(*event));
        if (event) {
            event->site = 0;
            bpf_get_current_comm(&event->field0, 16);
            event->field1 = pid;
            void *filename = (void *)ctx->filename;
            ebt_opaque(filename);
            bpf_probe_read_user_str(&event->field2, 1024, (void *)filename);
            ebt_events.ringbuf_submit(event, 0);
        } else {
            ebt_count_lost(0);
        }
    } else {
#line 5 "opens.ebt"
        // @others++
        u32 first = 0;
        struct at_others_value *others = at_others.lookup(&first);
        s64 old = others ? others->value : 0;
        if (others) {
            others->value = old + 1;
            others->written = 1;
        }
    }
    return 1;
}

// interval:s:1
int on_interval_s_1(void *ctx)
{
#line 8 "opens.ebt"
    // print(@others)
    struct print_map_1 *event = ebt_events.ringbuf_reserve(sizeof(*event));
    if (event) {
        event->site = 1;
        ebt_events.ringbuf_submit(event, 0);
    } else {
        ebt_count_lost(0);
    }
    // clear(@others): with the map's printing
    return 0;
}
