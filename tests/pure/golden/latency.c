// latency.ebt for Linux 6.12.107+deb13-amd64 x86_64: BCC C written by ebt.

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define EBT_LOST 0

struct at_us_key {
    char key0[16];
    u64 bucket;
};

struct ebt_losses {
    u64 count[3];
};

BPF_TABLE("hash", u32, u64, at_start, 4096);  // @start[uint32]: uint64
BPF_TABLE("percpu_hash", struct at_us_key, u64, at_us, 16384);  // @us[string[16]]: lhist_t
BPF_TABLE("array", u32, struct ebt_losses, ebt_lost, 1);  // what was lost, and where

// The address of a map or a callback by its number: ebt puts it in when it loads the program.
#define ebt_refer(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + (number)))

// Count what could not be kept: an event (0), or one kind of trouble at one place of the script.
#define ebt_count_lost(what) __sync_fetch_and_add(&((struct ebt_losses *)ebt_refer(EBT_LOST))->count[what], 1)

// The bucket of a linear histogram: 0 below `low`, the last one above `high`.
static __always_inline u64 ebt_lhist_bucket(s64 n, s64 low, s64 high, u64 step)
{
    if (n < low)
        return 0;
    if (n > high)
        return 1 + (u64)(high - low) / step;
    return 1 + (u64)(n - low) / step;
}

// kprobe:vfs_read
int on_vfs_read(struct pt_regs *ctx)
{
#line 1 "latency.ebt"
    // @start[tid] = nsecs
    u64 now = bpf_ktime_get_boot_ns();
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 tid = (u32)pid_tgid;
    u32 key = tid;
    u64 new = now;
    if (at_start.update(&key, &new) < 0) {
        ebt_count_lost(1);
    }
    return 0;
}

// kretprobe:vfs_read
int on_vfs_read_return(struct pt_regs *ctx)
{
#line 2 "latency.ebt"
    // /@start[tid]/
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 tid = (u32)pid_tgid;
    u32 key = tid;
    u64 *start = at_start.lookup(&key);
    u64 start_value = start ? *start : 0;
    if (!start_value)
        return 0;
#line 3 "latency.ebt"
    // @us[comm] = lhist((nsecs - @start[tid]) / 1000, 0, 1000, 100)
    u64 now = bpf_ktime_get_boot_ns();
    s64 n = (s64)((u64)((s64)now - (s64)start_value) / 1000);
    struct at_us_key key_2 = {};
    bpf_get_current_comm(&key_2.key0, 16);
    key_2.bucket = ebt_lhist_bucket(n, 0, 1000, 100);
    u64 *us = at_us.lookup(&key_2);
    if (us) {
        *us += 1;
    } else {
        u64 one = 1;
        if (at_us.update(&key_2, &one) < 0) {
            ebt_count_lost(2);
        }
    }
#line 4 "latency.ebt"
    // delete(@start, tid)
    at_start.delete(&key);
    return 0;
}
