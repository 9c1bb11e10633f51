"""Where a generated body may stand: a probe, what it offers there, and what it must not use."""

# ruff: noqa: E501 (pieces of scripts, a line each)
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scene:
    """A probe and its own values by type; `calls` are the statements and values that only it may have."""

    head: str
    integers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # what path() takes


_REGISTERS = ('reg("ip")', "usermode")
_FUNCTION = ("arg0", "arg1", "arg2", "(int32)arg0", *_REGISTERS)

SCENES = (
    Scene("begin"),
    Scene("end"),
    Scene("self:signal:SIGUSR1"),
    Scene("interval:s:1", ("usermode",)),
    Scene("interval:500ms"),
    Scene("profile:hz:99", ("usermode",)),
    Scene("software:page-faults:100"),
    Scene("software:cs"),
    Scene(
        "tracepoint:syscalls:sys_enter_openat", ("args.dfd", "args.flags", "args.mode", "args.flags & O_CREAT"),
        ("str(args.filename, 100)", "str(args.filename, 32)"), ('cat("%s", str(args.filename));',),
    ),
    Scene("tracepoint:syscalls:sys_exit_read", ("args.ret", "-args.ret"), ("strerror(args.ret)",)),
    Scene(
        "tracepoint:syscalls:sys_enter_read, tracepoint:syscalls:sys_enter_write", ("args.fd", "args.count"),
        ("probe", "str(args.buf, 8)"),
    ),
    Scene("tracepoint:syscalls:sys_enter_execve", (), ("str(args.filename, 100)",),
          ("join(args.argv);", 'join(args.argv, ",");')),
    Scene("tracepoint:sched:sched_switch", ("args.prev_pid", "args.next_pid", "args.prev_state", "args.next_prio"),
          ("args.prev_comm", "args.next_comm")),
    Scene("tracepoint:sched:sched_process_exec", ("args.pid", "args.old_pid"), ("str(args.filename, 100)",)),
    Scene("t:raw_syscalls:sys_enter", ("args.id", "args.args[0]"), ("syscall_name(args.id)",)),
    Scene("tracepoint:signal:signal_generate", ("args.sig", "args.code"), ("signal_name(args.sig)", "args.comm")),
    Scene("tracepoint:syscalls:sys_enter_open*", (), ("probe",)),
    Scene("rawtracepoint:sched_switch", ("arg0", "args.prev.pid", "args.next.prio"),
          ("args.prev.comm", "args.next.comm")),
    Scene("rawtracepoint:sys_exit", ("arg1", "args.regs.ip")),
    Scene("uprobe:libc:malloc", _FUNCTION, ("usym(reg(\"ip\"))",)),
    Scene("uretprobe:libc:malloc", ("retval", "duration", "arg0", "duration / 1000")),
    Scene("uprobe:libc:fopen", ("arg0",), ("str(arg0)", "str(arg1, 4)")),
    Scene("syscall:openat", ("args.flags",), ("str(args.filename, 100)",)),
    Scene("sysret:openat", ("retval", "duration", "args.flags"), ("str(args.filename, 64)", "strerror(retval)")),
    Scene("sysret:read", ("retval", "args.count", "duration / 1000")),
    Scene("kprobe:no_such_function || tracepoint:sched:sched_switch"),
    Scene("tracepoint:no:such_event?, tracepoint:sched:sched_switch"),
    Scene("kprobe:vfs_read", ("args.count", *_FUNCTION), ("str(args.file.f_path.dentry.d_name.name, 32)",),
          files=("args.file",)),
    Scene("kretprobe:vfs_read", ("retval", "args.count", "duration", "(int64)retval"),
          ("str(args.file.f_path.dentry.d_name.name)",)),
    Scene("kprobe:vfs_read*", _FUNCTION, ("probe",)),
    Scene("fentry:vfs_read", ("args.count", "args.file.f_inode.i_ino"), (), files=("args.file",)),
    Scene("fexit:vfs_read", ("retval", "args.count", "duration", "args.file.f_flags"),
          ("str(args.file.f_path.dentry.d_name.name, 16)",), files=("args.file",)),
    Scene("fexit:tcp_sendmsg", ("retval", "args.size", "args.sk.__sk_common.skc_num", "duration"),
          ("ntop(args.sk.__sk_common.skc_daddr)",)),
    Scene("kprobe:tcp_connect", ("bswap(args.sk.__sk_common.skc_dport)", "arg0"),
          ("ntop(args.sk.__sk_common.skc_rcv_saddr)",
           "ntop(args.sk.__sk_common.skc_v6_daddr.in6_u.u6_addr8)")),
)  # fmt: skip
HARDLY = ("kprobe:", "kretprobe:", "fentry:", "fexit:")  # kinds that the running kernel may lack
