"""An architecture → the tiny kernel tree that BCC compiles against, in the cache directory.

BCC asks for kernel headers (BCC_KERNEL_SOURCE) although a program that brings its own types needs next
to nothing of them. This tree holds just what BCC's own headers include.
"""

from __future__ import annotations

import atexit
import os
from functools import lru_cache
from pathlib import Path

from lang.cachefile import cache_directory
from lang.checksum import blake2b
from runtime import helpersheader

_TYPES = """\
#ifndef EBT_TYPES_H
#define EBT_TYPES_H
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;
typedef _Bool bool;
typedef unsigned long size_t, uintptr_t;
typedef long ssize_t;
typedef int pid_t;
typedef unsigned short umode_t;
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define __bitwise
#define NULL ((void *)0)
#define true 1
#define false 0
@PT_REGS@
#endif
"""
_PT_REGS = {
    # arch/x86/include/asm/ptrace.h; the words are the same from 5.10 on, whatever structs they stand in
    "x86_64": """struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
  unsigned long orig_ax, ip, cs, flags, sp, ss;
};""",
    # arch/arm64/include/asm/ptrace.h: what comes first is the user's view, and all that a probe may read
    "aarch64": """struct user_pt_regs {
  __u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
  union {
    struct user_pt_regs user_regs;
    struct {
      u64 regs[31], sp, pc, pstate;
    };
  };
};""",
}
_EMPTY = (
    "include/linux/bpf_common.h", "include/linux/log2.h", "include/linux/ptrace.h",
    "include/uapi/linux/bpf.h", "include/uapi/linux/if_packet.h", "include/uapi/linux/if_ether.h",
)  # fmt: skip


class NoRegisters(ValueError):
    """No `struct pt_regs` was given, and none is known for the architecture."""


def tree_files(arch: str, pt_regs: str = "") -> dict[str, str]:
    """Path below the tree → text. `pt_regs` is C that defines `struct pt_regs`, else the built-in one."""
    registers = pt_regs or _PT_REGS.get(arch, "")
    if not registers:
        raise NoRegisters(f"the registers of {arch} are not known")
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "include/linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n",
        "include/linux/types.h": _TYPES.replace("@PT_REGS@", registers),
        # Only old kernels look at a program's version, and for them load() passes the running one.
        "include/linux/version.h": "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n"
        "#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)\n",
        "include/asm/page.h": f"#define PAGE_SIZE {page}\n",
        helpersheader.PATH: helpersheader.helpers_header(arch),
        **dict.fromkeys(_EMPTY, "#pragma once\n"),
    }


def kernel_tree(arch: str, pt_regs: str = "") -> Path:
    """The folder to name in BCC_KERNEL_SOURCE, made on first use; safe for two processes at once."""
    files = tree_files(arch, pt_regs)
    folder = cache_directory()
    if folder is None:
        return _scratch_tree(arch, pt_regs)
    name = blake2b(repr(sorted(files.items())).encode(), digest_size=8).hexdigest()
    target = Path(folder) / f"tree-{arch}-{name}"
    if _holds(target, files):
        return target
    try:
        return _publish(target, files)
    except OSError:  # a full disk, a read-only home: it only costs the cache
        return _scratch_tree(arch, pt_regs)


def _holds(folder: Path, files: dict[str, str]) -> bool:
    """Whether the folder is what we would write; a damaged tree is never used."""
    try:
        return all((folder / path).read_text(encoding="utf-8") == text for path, text in files.items())
    except (OSError, UnicodeDecodeError):
        return False


def _publish(target: Path, files: dict[str, str]) -> Path:
    """Write aside, then rename: the tree is there whole or not at all."""
    import shutil  # once a machine, and every start would pay for them
    import tempfile

    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".tree-"))
    try:
        write_tree(aside, files)
        if target.exists() and not _holds(target, files):
            target.rename(aside / "damaged")
        try:
            aside.rename(target)
        except OSError:
            if not _holds(target, files):
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def write_tree(folder: Path, files: dict[str, str]) -> None:
    """Write the files of a tree, by their paths below the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


@lru_cache(maxsize=2)
def _scratch_tree(arch: str, pt_regs: str) -> Path:
    """A tree for this process alone, where there is no cache directory to trust."""
    import shutil  # hardly ever needed
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="ebt-tree-"))
    write_tree(folder, tree_files(arch, pt_regs))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
