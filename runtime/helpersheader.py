"""Nothing → the header that stands in for BCC's helpers.h and bpf.h: what ebt's own C uses of them.

BCC's two headers are some 8,000 lines, which clang reads three times for each compilation: 18 ms of 25 for an
empty program. Ours declares the same names with the same types. A text that needs more is compiled again
with BCC's (runtime.bpf), so a name that is missing here costs time and nothing else.
"""

from __future__ import annotations

FLAGS = ("-D__BPF_HELPERS_H", "-D_UAPI__LINUX_BPF_H__", "-include", "include/ebt/helpers.h")
PATH = "include/ebt/helpers.h"

# BCC's rewriter looks at the members of a map's struct by their names, and at the section's.
# One entry, one page: these are the maps that BCC itself makes, which serve no one (runtime.load makes ours).
_MAPS = """\
#define BCC_SEC(NAME) __attribute__((section(NAME), used))
#define BPF_F_TABLE(_type, _key_type, _leaf_type, _name, _max_entries, _flags) \\
struct _name##_table_t { \\
  _key_type key; \\
  _leaf_type leaf; \\
  _leaf_type *(*lookup)(_key_type *); \\
  _leaf_type *(*lookup_or_try_init)(_key_type *, _leaf_type *); \\
  int (*update)(_key_type *, _leaf_type *); \\
  int (*insert)(_key_type *, _leaf_type *); \\
  int (*delete)(_key_type *); \\
  int (*get_stackid)(void *, u64); \\
  u32 max_entries; \\
  int flags; \\
}; \\
__attribute__((section("maps/" _type))) \\
struct _name##_table_t _name = { .flags = (_flags), .max_entries = 1 }
#define BPF_TABLE(_type, _key_type, _leaf_type, _name, _max_entries) \\
  BPF_F_TABLE(_type, _key_type, _leaf_type, _name, _max_entries, 0)
#define BPF_RINGBUF_OUTPUT(_name, _num_pages) \\
struct _name##_table_t { \\
  int key; \\
  u32 leaf; \\
  int (*ringbuf_output)(void *, u64, u64); \\
  void *(*ringbuf_reserve)(u64); \\
  void (*ringbuf_discard)(void *, u64); \\
  void (*ringbuf_submit)(void *, u64); \\
  u32 max_entries; \\
}; \\
__attribute__((section("maps/ringbuf"))) \\
struct _name##_table_t _name = { .max_entries = PAGE_SIZE }
#define BPF_PERF_OUTPUT(_name) \\
struct _name##_table_t { \\
  int key; \\
  u32 leaf; \\
  int (*perf_submit)(void *, void *, u32); \\
  u32 max_entries; \\
}; \\
__attribute__((section("maps/perf_output"))) \\
struct _name##_table_t _name = { .max_entries = 0 }
"""

# include/uapi/linux/bpf.h; the numbers are the kernel's interface and never change
_CONSTANTS = """\
#define BPF_ANY 0
#define BPF_NOEXIST 1
#define BPF_EXIST 2
#define BPF_F_NO_PREALLOC 1
#define BPF_F_SKIP_FIELD_MASK 0xffULL
#define BPF_F_USER_STACK (1ULL << 8)
#define BPF_F_FAST_STACK_CMP (1ULL << 9)
#define BPF_F_REUSE_STACKID (1ULL << 10)
#define BPF_F_USER_BUILD_ID (1ULL << 11)
#define BPF_F_INDEX_MASK 0xffffffffULL
#define BPF_F_CURRENT_CPU BPF_F_INDEX_MASK
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_RING_SIZE 1
struct bpf_pidns_info {
  __u32 pid;
  __u32 tgid;
};
struct task_struct;
struct path;
u64 bpf_pseudo_fd(u64, u64) asm("llvm.bpf.pseudo");
"""

# result, name, parameters, number: as BCC declares them
_HELPERS = """\
void * map_lookup_elem(void *map, void *key) 1
int map_update_elem(void *map, void *key, void *value, u64 flags) 2
int map_delete_elem(void *map, void *key) 3
int probe_read(void *dst, u64 size, const void *unsafe_ptr) 4
u64 ktime_get_ns(void) 5
u32 get_prandom_u32(void) 7
u64 get_smp_processor_id(void) 8
u64 get_current_pid_tgid(void) 14
u64 get_current_uid_gid(void) 15
int get_current_comm(void *buf, int buf_size) 16
int perf_event_output(void *ctx, void *map, u64 index, void *data, u32 size) 25
u64 get_current_task(void) 35
int probe_write_user(void *dst, void *src, u32 size) 36
int get_numa_node_id(void) 42
int probe_read_str(void *dst, u64 size, const void *unsafe_ptr) 45
int perf_prog_read_value(void *ctx, void *buf, u32 buf_size) 56
int override_return(void *pt_regs, unsigned long rc) 58
int get_stack(void *ctx, void *buf, u32 size, u64 flags) 67
u64 get_current_cgroup_id(void) 80
int send_signal(unsigned sig) 109
int probe_read_user(void *dst, __u32 size, const void *unsafe_ptr) 112
int probe_read_kernel(void *dst, __u32 size, const void *unsafe_ptr) 113
int probe_read_user_str(void *dst, __u32 size, const void *unsafe_ptr) 114
int probe_read_kernel_str(void *dst, __u32 size, const void *unsafe_ptr) 115
int send_signal_thread(__u32 sig) 117
__u64 jiffies64(void) 118
int get_ns_current_pid_tgid(__u64 dev, __u64 ino, struct bpf_pidns_info *nsdata, __u32 size) 120
__u64 get_current_ancestor_cgroup_id(int ancestor_level) 123
__u64 ktime_get_boot_ns(void) 125
int ringbuf_output(void *ringbuf, void *data, __u64 size, __u64 flags) 130
void * ringbuf_reserve(void *ringbuf, __u64 size, __u64 flags) 131
void ringbuf_submit(void *data, __u64 flags) 132
void ringbuf_discard(void *data, __u64 flags) 133
__u64 ringbuf_query(void *ringbuf, __u64 flags) 134
long get_task_stack(struct task_struct *task, void *buf, __u32 size, __u64 flags) 141
long d_path(struct path *path, char *buf, u32 sz) 147
struct task_struct * get_current_task_btf(void) 158
__u64 ktime_get_coarse_ns(void) 160
long for_each_map_elem(void *map, void *callback_fn, void *callback_ctx, __u64 flags) 164
u64 get_func_ip(void *ctx) 173
u64 get_attach_cookie(void *ctx) 174
long loop(__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags) 181
void * map_lookup_percpu_elem(void *map, const void *key, __u32 cpu) 195
u64 ktime_get_tai_ns(void) 208
"""

_REGISTERS = {
    "x86_64": ("di", "si", "dx", "cx", "r8", "r9", "ax", "sp", "ip", "bp"),
    "aarch64": (*(f"regs[{number}]" for number in range(6)), "regs[0]", "sp", "pc", "regs[29]"),
}
_NAMES = (*(f"PARM{number}" for number in range(1, 7)), "RC", "SP", "IP", "FP")


def helpers_header(arch: str) -> str:
    """The header's text; an architecture whose registers are not known gets no macros for them."""
    registers = zip(_NAMES, _REGISTERS[arch], strict=True) if arch in _REGISTERS else ()
    macros = "".join(f"#define PT_REGS_{name}(ctx) ((ctx)->{register})\n" for name, register in registers)
    helpers = "".join(map(_declare, _HELPERS.splitlines()))
    includes = "#pragma once\n#include <linux/types.h>\n#include <asm/page.h>\n"
    return f"{includes}{_MAPS}{_CONSTANTS}{macros}{helpers}"


def _declare(line: str) -> str:
    """`int name(void *map) 3` → BCC's way to call a helper: a pointer with the helper's number."""
    head, _, rest = line.partition("(")
    result, _, name = head.rpartition(" ")
    parameters, _, number = rest.rpartition(") ")
    return f"static {result} (*bpf_{name})({parameters}) = (void *){number};\n"
