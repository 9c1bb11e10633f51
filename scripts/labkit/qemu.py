"""What a guest has → the command line of QEMU. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A panic must end the guest, not hang it; the mitigations cost an emulated CPU much and guard nothing here.
KERNEL_ARGUMENTS = (
    "console=ttyS0 rdinit=/init quiet panic=-1 oops=panic no_timer_check mitigations=off random.trust_cpu=on"
)


WRITABLE = ("out", "compiler")


@dataclass(frozen=True)
class Machine:
    """The emulated machine: what boots, what it shares with this one, where its output goes."""

    vmlinuz: Path
    initramfs: Path
    # 9p mount tag → directory of this machine; only those of WRITABLE may be written.
    shares: Mapping[str, Path]
    # the first has the serial ebt-lab, the others ebt-lab-1 …
    disks: Sequence[Path]
    console: Path
    # Name of a virtio-serial port → descriptor of a socket that QEMU inherits; "terminal" is a console.
    ports: Mapping[str, int]
    memory: int = 2048


def command_line(qemu: Path, machine: Machine) -> list[str]:
    """Write the command line."""
    # thread=single: CPUs on threads of their own patch each other's code unreliably (kprobes, static keys),
    # and guests die of int3. Emulated even where KVM works: the lab is the same machine everywhere.
    words = [str(qemu), "-accel", "tcg,thread=single", "-smp", "2", "-cpu", "max", "-m", str(machine.memory)]
    words += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    words += ["-kernel", str(machine.vmlinuz), "-initrd", str(machine.initramfs), "-append", KERNEL_ARGUMENTS]
    words += ["-chardev", f"file,id=console,path={_escaped(machine.console)}", "-serial", "chardev:console"]
    for tag, directory in machine.shares.items():
        # remap: files of several file systems under one share must not end up with one inode number.
        options = f"path={_escaped(directory)},mount_tag={tag},security_model=none,multidevs=remap"
        words += ["-virtfs", f"local,{options}" + ("" if tag in WRITABLE else ",readonly=on")]
    for number, disk in enumerate(machine.disks):
        file = f"file={_escaped(disk)},format=raw,cache=unsafe,discard=unmap"
        serial = f"ebt-lab-{number}" if number else "ebt-lab"
        words += ["-drive", f"if=none,id=disk{number},{file}"]
        words += ["-device", f"virtio-blk-pci,drive=disk{number},serial={serial}"]
    words += ["-device", "virtio-serial-pci"]
    for name, descriptor in machine.ports.items():
        device = "virtconsole" if name == "terminal" else "virtserialport"
        words += ["-chardev", f"socket,id={name},fd={descriptor}"]
        words += ["-device", f"{device},chardev={name},name={name}"]
    return words


def _escaped(path: Path) -> str:
    """QEMU's options end at a comma; a doubled one stands for itself."""
    return str(path).replace(",", ",,")
