// stacks.ebt for Linux 6.12.107+deb13-amd64 x86_64: BCC C written by ebt.

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define EBT_LOST 0

struct ebt_stack {
    u64 id;
    u32 frames;
    u32 pid;
};

struct at__key {
    struct ebt_stack key0;
    struct ebt_stack key1;
    char key2[16];
};

struct ebt_frames {
    u64 address[127];
};

struct on_profile_hz_99_scratch {
    u64 frames[127] __attribute__((aligned(8)));
};

struct ebt_losses {
    u64 count[2];
};

struct ebt_scratch_area {
    u64 words[127];
};

BPF_TABLE("percpu_hash", struct at__key, u64, at_, 4096);  // @[(kstack_bpftrace_127,ustack_bpftrace_3,string[16])]: count_t
BPF_TABLE("hash", u64, struct ebt_frames, ebt_stacks, 8192);  // stacks by their hash
BPF_TABLE("array", u32, struct ebt_losses, ebt_lost, 1);  // what was lost, and where
BPF_TABLE("percpu_array", u32, struct ebt_scratch_area, ebt_scratch, 1);  // memory that is too much for the stack, one entry a program

// Keep the frames of a stack in ebt_stacks under their hash, and give the hash in their place.
static __always_inline void ebt_keep_stack(struct ebt_stack *out, u64 *frames, u32 count)
{
    u64 hash = count;
#pragma clang loop unroll(disable)
    for (u32 i = 0; i < 127; i++) {
        asm volatile("" : "+r"(count));  // else clang counts down to 0, and the verifier does not see the end
        if (i >= count)
            break;
        hash = (hash ^ frames[i]) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 29;
    }
    if (!ebt_stacks.lookup(&hash))
        ebt_stacks.update(&hash, (struct ebt_frames *)frames);
    out->id = hash;
    out->frames = count;
}

static __always_inline void ebt_take_stack(void *ctx, struct ebt_stack *out, u64 *frames, u32 bytes, u64 flags)
{
    out->id = 0;
    out->frames = 0;
    out->pid = 0;
    long got = bpf_get_stack(ctx, frames, bytes, flags);
    if (got > 0)
        ebt_keep_stack(out, frames, (u32)got / 8);
}

// The address of a map or a callback by its number: ebt puts it in when it loads the program.
#define ebt_refer(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + (number)))

// Count what could not be kept: an event (0), or one kind of trouble at one place of the script.
#define ebt_count_lost(what) __sync_fetch_and_add(&((struct ebt_losses *)ebt_refer(EBT_LOST))->count[what], 1)

// profile:hz:99
int on_profile_hz_99(void *ctx)
{
    u32 slot = 0;
    struct on_profile_hz_99_scratch *scratch = (struct on_profile_hz_99_scratch *)ebt_scratch.lookup(&slot);
    if (!scratch)
        return 0;
#line 1 "stacks.ebt"
    // @[kstack, ustack(3), comm] = count()
    struct at__key key = {};
    ebt_take_stack(ctx, &key.key0, scratch->frames, 1016, 0);
    ebt_take_stack(ctx, &key.key1, scratch->frames, 24, 256);
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 pid = pid_tgid >> 32;
    key.key1.pid = pid;
    bpf_get_current_comm(&key.key2, 16);
    u64 *entry = at_.lookup(&key);
    if (entry) {
        *entry += 1;
    } else {
        u64 new = 1;
        if (at_.update(&key, &new) < 0) {
            ebt_count_lost(1);
        }
    }
    return 0;
}
