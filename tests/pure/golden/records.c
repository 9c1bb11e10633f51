// records.ebt for Linux 6.12.107+deb13-amd64 x86_64: BCC C written by ebt.

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define EBT_LOST 1

struct ebt_extreme_u64 {
    u64 value;
    u64 written;
};

struct ebt_tuple_2 {
    u64 written;
    char value[16];
};

struct ebt_tuple_1 {
    u64 times;
    struct ebt_extreme_u64 longest;
    struct ebt_tuple_2 name;
};

struct at_run_key {
    u32 key0;
    u8 unused_4[4];
    u64 key1;
};

struct ebt_setting {
    u64 start_ns;
    u64 child_pid;
    u64 tai_offset;
};

struct ebt_tuple_3 {
    u64 times;
    struct ebt_extreme_u64 longest;
};

struct ebt_losses {
    u64 count[3];
};

BPF_TABLE("percpu_hash", struct at_run_key, struct ebt_tuple_1, at_run, 4096);  // @run[(uint32,uint64)]: record { .times = count_t, .longest = umax_t, .name = string[16] }
BPF_TABLE("array", u32, struct ebt_setting, ebt_settings, 1);  // what is known at start
BPF_TABLE("percpu_array", u32, struct ebt_tuple_3, at_all, 1);  // @all: record { .times = count_t, .longest = umax_t }
BPF_TABLE("array", u32, struct ebt_losses, ebt_lost, 1);  // what was lost, and where

// The address of a map or a callback by its number: ebt puts it in when it loads the program.
#define ebt_refer(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + (number)))

// Count what could not be kept: an event (0), or one kind of trouble at one place of the script.
#define ebt_count_lost(what) __sync_fetch_and_add(&((struct ebt_losses *)ebt_refer(EBT_LOST))->count[what], 1)

// An aggregation is kept for each CPU, at an offset into the map's value: its value over all of them. There is no CPU behind the last one.
#define EBT_CPUS 2

static __always_inline u64 ebt_total_u64(void *map, const void *key, u32 offset)
{
    u64 total = 0;
#pragma clang loop unroll(disable)
    for (u32 cpu = 0; cpu < EBT_CPUS; cpu++) {
        void *whole = bpf_map_lookup_percpu_elem(map, key, cpu);
        if (!whole)
            break;
        u64 *part = whole + offset;
        total += *part;
    }
    return total;
}

// tracepoint:sched:sched_switch
int on_sched_switch(void *ctx)
{
#line 3 "records.ebt"
    // $cpu = cpu
    u64 cpu = bpf_get_smp_processor_id();
#line 4 "records.ebt"
    // @run[pid, $cpu].times = count()
#line 5 "records.ebt"
    // @run[pid, $cpu].longest = max(elapsed)
#line 6 "records.ebt"
    // @run[pid, $cpu].name = comm
    u64 now = bpf_ktime_get_boot_ns();
    struct ebt_setting *setting = ebt_refer(0 /* ebt_settings */);
    u64 elapsed = now - setting->start_ns;
    struct at_run_key key = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 pid = pid_tgid >> 32;
    key.key0 = pid;
    key.key1 = cpu;
    struct ebt_tuple_1 *run = at_run.lookup(&key);
    if (!run) {
        struct ebt_tuple_1 new = {};
        if (at_run.update(&key, &new) < 0) {
            ebt_count_lost(1);
        }
        run = at_run.lookup(&key);
    }
    if (run) {
        u64 now_2 = bpf_ktime_get_ns();
        run->times += 1;
        if (!run->longest.written || elapsed > run->longest.value)
            run->longest.value = elapsed;
        run->longest.written = 1;
        __builtin_memset(&run->name.value, 0, 16);
        bpf_get_current_comm(&run->name.value, 16);
        run->name.written = now_2;
    }
#line 7 "records.ebt"
    // @run[pid, 0].times = count()
    struct at_run_key key_2 = {};
    key_2.key0 = pid;
    key_2.key1 = 0;
    struct ebt_tuple_1 *run_2 = at_run.lookup(&key_2);
    if (run_2) {
        run_2->times += 1;
    } else {
        struct ebt_tuple_1 new_2 = {};
        new_2.times += 1;
        if (at_run.update(&key_2, &new_2) < 0) {
            ebt_count_lost(2);
        }
    }
#line 8 "records.ebt"
    // @all.times = count()
#line 9 "records.ebt"
    // @all.longest = max(@run[pid, $cpu].times)
    struct at_run_key key_3 = {};
    key_3.key0 = pid;
    key_3.key1 = cpu;
    u64 over_cpus = ebt_total_u64(ebt_refer(2 /* at_run */), &key_3, 0);
    u32 first = 0;
    struct ebt_tuple_3 *all = at_all.lookup(&first);
    if (all) {
        all->times += 1;
        if (!all->longest.written || over_cpus > all->longest.value)
            all->longest.value = over_cpus;
        all->longest.written = 1;
    }
    return 1;
}
