// variables.ebt for Linux 6.12.107+deb13-amd64 x86_64: BCC C written by ebt.

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define EBT_LOST 0

struct ebt_tuple_1 {
    s64 f0;
    char f1[16];
};

struct print_value_0 {
    u32 site;
    u32 unused;
    struct ebt_tuple_1 field0;
};

struct exit_1 {
    u32 site;
    u32 unused;
    s64 field0;
};

struct ebt_losses {
    u64 count[1];
};

BPF_TABLE("array", u32, struct ebt_losses, ebt_lost, 1);  // what was lost, and where
BPF_RINGBUF_OUTPUT(ebt_events, 4096);  // what the script prints

// The address of a map or a callback by its number: ebt puts it in when it loads the program.
#define ebt_refer(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + (number)))

// Count what could not be kept: an event (0), or one kind of trouble at one place of the script.
#define ebt_count_lost(what) __sync_fetch_and_add(&((struct ebt_losses *)ebt_refer(EBT_LOST))->count[what], 1)

// begin
int on_begin(void *ctx)
{
#line 2 "variables.ebt"
    // let $small: uint8 = 200
    u8 small = 200;
#line 3 "variables.ebt"
    // $small += 100
    small = (u64)small + 100;
#line 4 "variables.ebt"
    // $wide = $small++ * 2 - 1
    u64 old = small;
    small++;
    s64 wide = (s64)(old * 2) - 1;
#line 5 "variables.ebt"
    // $name = $wide > 10 ? "large" : comm
    char name[16] = {};
    if (wide > 10) {
        __builtin_memcpy(&name, "large", 6);
    } else {
        bpf_get_current_comm(&name, 16);
    }
    {
#line 6 "variables.ebt"
        // $wide <<= 1
        wide = (s64)((u64)wide << 1);
    }
    {
        // $wide <<= 1
        wide = (s64)((u64)wide << 1);
    }
#line 7 "variables.ebt"
    // print(($wide, $name))
    struct print_value_0 *event = ebt_events.ringbuf_reserve(sizeof(*event));
    if (event) {
        event->site = 0;
        event->field0.f0 = wide;
        __builtin_memcpy(&event->field0.f1, name, 16);
        ebt_events.ringbuf_submit(event, 0);
    } else {
        ebt_count_lost(0);
    }
#line 8 "variables.ebt"
    // exit()
    struct exit_1 *event_2 = ebt_events.ringbuf_reserve(sizeof(*event_2));
    if (event_2) {
        event_2->site = 1;
        event_2->field0 = 0;
        ebt_events.ringbuf_submit(event_2, 0);
    } else {
        ebt_count_lost(0);
    }
    return 0;
}
