// structs.ebt for Linux 6.12.107+deb13-amd64 x86_64: BCC C written by ebt.

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define EBT_LOST 0

struct file {
    u8 unused_0[40];
    struct inode *f_inode;
    u8 unused_48[136];
};

struct inode {
    u8 unused_0[40];
    struct super_block *i_sb;
    u8 unused_48[16];
    u64 i_ino;
    u8 unused_72[552];
};

struct task_struct {
    u8 unused_0[2448];
    struct task_struct *real_parent;
    u8 unused_2456[520];
    char comm[16];
    u8 unused_2992[6800];
};

struct super_block {
    u8 unused_0[16];
    u32 s_dev;
    u8 unused_20[1388];
};

struct ebt_tuple_1 {
    s64 f0;
    u32 f1;
    u8 unused_12[4];
};

struct at__value {
    struct ebt_tuple_1 value;
};

struct at__key {
    u64 key0;
    char key1[16];
};

struct ebt_losses {
    u64 count[2];
};

BPF_TABLE("hash", struct at__key, struct at__value, at_, 4096);  // @[(uint64,string[16])]: (int64,uint32)
BPF_TABLE("array", u32, struct ebt_losses, ebt_lost, 1);  // what was lost, and where

// The address of a map or a callback by its number: ebt puts it in when it loads the program.
#define ebt_refer(number) ((void *)bpf_pseudo_fd(1, 0xEB700000 + (number)))

// Count what could not be kept: an event (0), or one kind of trouble at one place of the script.
#define ebt_count_lost(what) __sync_fetch_and_add(&((struct ebt_losses *)ebt_refer(EBT_LOST))->count[what], 1)

// fexit:vfs_read
int on_vfs_read_return(u64 *ctx)
{
#line 1 "structs.ebt"
    // /retval >= 0/
    s64 result = (s64)ctx[4];
    if (result < 0)
        return 0;
#line 2 "structs.ebt"
    // $inode = args.file.f_inode
    struct file *file = (struct file *)ctx[0];
    struct inode *f_inode = file->f_inode;
#line 3 "structs.ebt"
    // $parent = curtask.real_parent
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct task_struct *real_parent;
    bpf_probe_read_kernel(&real_parent, sizeof(real_parent), &task->real_parent);
#line 4 "structs.ebt"
    // @[$inode.i_ino, $parent.comm] = (retval, $inode.i_sb.s_dev)
    struct at__value new = {};
    new.value.f0 = result;
    struct super_block *i_sb = f_inode->i_sb;
    u32 s_dev = i_sb->s_dev;
    new.value.f1 = s_dev;
    struct at__key key = {};
    u64 i_ino = f_inode->i_ino;
    key.key0 = i_ino;
    bpf_probe_read_kernel_str(&key.key1, 16, (void *)&real_parent->comm);
    if (at_.update(&key, &new) < 0) {
        ebt_count_lost(1);
    }
    return 0;
}
