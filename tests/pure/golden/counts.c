// counts.ebt for Linux 6.12.107+deb13-amd64 x86_64: BCC C written by ebt.

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define EBT_LOST 0

struct at_reads_key {
    char key0[16];
};

struct at_total_key {
    u32 key0;
    char key1[16];
};

struct at_last_value {
    u64 value;
    u64 written;
};

struct on_sys_exit_read_record {
    u8 unused_0[16];
    s64 ret;
};

struct ebt_losses {
    u64 count[3];
};

BPF_TABLE("percpu_array", u32, u64, at_bytes, 66);  // @bytes: hist_t
BPF_TABLE("percpu_hash", struct at_reads_key, u64, at_reads, 4096);  // @reads[string[16]]: count_t
BPF_TABLE("percpu_hash", struct at_total_key, s64, at_total, 4096);  // @total[(uint32,string[16])]: sum_t
BPF_TABLE("array", u32, struct at_last_value, at_last, 1);  // @last: uint64
BPF_TABLE("array", u32, struct ebt_losses, ebt_lost, 1);  // what was lost, and where

// The bucket of a power-of-two histogram: 0 for negatives, then 2^bits buckets for each power of two.
static __always_inline u64 ebt_hist_bucket(s64 n, u32 bits)
{
    if (n < 0)
        return 0;
    if (n < (1LL << bits))
        return n + 1;
    u64 rest = n;
    u64 log = 0;
    if (rest >> 32) { rest >>= 32; log += 32; }
    if (rest >> 16) { rest >>= 16; log += 16; }
    if (rest >> 8) { rest >>= 8; log += 8; }
    if (rest >> 4) { rest >>= 4; log += 4; }
    if (rest >> 2) { rest >>= 2; log += 2; }
    log += rest >> 1;
    u64 shift = log - bits;
    return ((shift + 1) << bits) + (((u64)n >> shift) & ((1ULL << bits) - 1)) + 1;
}

// The address of a map or a callback by its number: ebt puts it in when it loads the program.
#define ebt_refer(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + (number)))

// Count what could not be kept: an event (0), or one kind of trouble at one place of the script.
#define ebt_count_lost(what) __sync_fetch_and_add(&((struct ebt_losses *)ebt_refer(EBT_LOST))->count[what], 1)

// tracepoint:syscalls:sys_exit_read
int on_sys_exit_read(struct on_sys_exit_read_record *ctx)
{
#line 1 "counts.ebt"
    // /args.ret > 0/
    s64 ret = (s64)ctx->ret;
    if (ret <= 0)
        return 1;
#line 2 "counts.ebt"
    // @bytes = hist(args.ret)
    u32 bucket = ebt_hist_bucket(ret, 0);
    u64 *bytes = at_bytes.lookup(&bucket);
    if (bytes) {
        *bytes += 1;
    }
#line 3 "counts.ebt"
    // @reads[comm] = count()
    struct at_reads_key key = {};
    bpf_get_current_comm(&key.key0, 16);
    u64 *reads = at_reads.lookup(&key);
    if (reads) {
        *reads += 1;
    } else {
        u64 new = 1;
        if (at_reads.update(&key, &new) < 0) {
            ebt_count_lost(1);
        }
    }
#line 4 "counts.ebt"
    // @total[pid, comm] = sum(args.ret)
    struct at_total_key key_2 = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 pid = pid_tgid >> 32;
    key_2.key0 = pid;
    bpf_get_current_comm(&key_2.key1, 16);
    s64 *total = at_total.lookup(&key_2);
    if (total) {
        *total += ret;
    } else {
        s64 new_2 = ret;
        if (at_total.update(&key_2, &new_2) < 0) {
            ebt_count_lost(2);
        }
    }
#line 5 "counts.ebt"
    // @last = nsecs
    u64 now = bpf_ktime_get_boot_ns();
    u32 first = 0;
    struct at_last_value *last = at_last.lookup(&first);
    if (last) {
        last->value = now;
        last->written = 1;
    }
    return 1;
}
