"""Names of registers → the members of the kernel's struct pt_regs that hold them."""

from __future__ import annotations

# as pt_regs of the kernel has them, arch/*/include/uapi/asm/ptrace.h, and their other names
_X86_REGISTERS = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss".split()
REGISTERS = {
    "x86_64": {
        **{name: name for name in _X86_REGISTERS},
        "pc": "ip",
    },
    "aarch64": {
        **{f"r{n}": f"regs[{n}]" for n in range(31)},
        "sp": "sp", "pc": "pc", "ip": "pc", "pstate": "pstate",
    },
}

# where a system call's arguments are, in their order: arch/*/include/asm/syscall_wrapper.h
SYSCALL_REGISTERS = {
    "x86_64": ("di", "si", "dx", "r10", "r8", "r9"),
    "aarch64": tuple(f"regs[{n}]" for n in range(6)),
}


def register(name: str, arch: str) -> str | None:
    """The member of struct pt_regs that holds a register."""
    return REGISTERS.get(arch, {}).get(name)
