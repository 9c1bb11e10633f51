"""This boot → where tracefs can be read (mounted for us alone if need be), and a key that names the boot."""

from __future__ import annotations

import os

_PLACES = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_left: list[str] = []  # the mount namespace that this process has left
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x00020000, 16384, 1 << 18


def tracefs_place() -> str | None:
    """The tracing file system that this process can read, or None."""
    for place in _PLACES:
        if os.access(f"{place}/events", os.R_OK | os.X_OK):
            return place
    return None


def private_tracefs(security: bool = False) -> bool:
    """Mount what is missing of tracefs, debugfs, bpffs and, if asked for, securityfs, for us alone.

    Only this process and its children see it. To be called before the first thread starts: a mount
    namespace belongs to the whole process.
    The system's own mounts stay as they are; a second call finds everything mounted. Returns
    whether tracefs can be read now. Without the right to mount (CAP_SYS_ADMIN) nothing changes.
    """
    wanted = [item for item in _mounts() if not item[2] and (security or item[0] != "securityfs")]
    if wanted and os.geteuid() == 0 and _unshare():
        for kind, place, _ in wanted:
            _mount(kind, place)
        # debugfs mounts tracefs by itself, except on kernels built without that old courtesy; BCC looks there
        old = "/sys/kernel/debug/tracing"
        if os.path.isdir(old) and not os.path.isdir(f"{old}/events"):
            _mount("tracefs", old)
    return tracefs_place() is not None


def _mounts() -> list[tuple[str, str, bool]]:
    """(file system, place, whether there is something mounted) of the four."""
    places = (
        ("tracefs", "/sys/kernel/tracing"), ("debugfs", "/sys/kernel/debug"), ("bpf", "/sys/fs/bpf"),
        ("securityfs", "/sys/kernel/security"),
    )  # fmt: skip
    return [(kind, place, os.path.ismount(place)) for kind, place in places if os.path.isdir(place)]


def mount_namespaces() -> list[str]:
    """Those whose processes see the same files as this one: its own, and the one that it has left."""
    return [os.readlink("/proc/self/ns/mnt"), *_left]


def _unshare() -> bool:
    import ctypes  # costs some milliseconds that a run with everything mounted need not pay

    libc = ctypes.CDLL(None, use_errno=True)
    _left.append(os.readlink("/proc/self/ns/mnt"))
    if libc.unshare(_CLONE_NEWNS) != 0:
        return False
    return bool(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None) == 0)


def _mount(kind: str, place: str) -> bool:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mount(b"ebt", place.encode(), kind.encode(), ctypes.c_ulong(0), None) == 0)


def boot_key() -> str:
    """Changes with the boot and with the modules loaded, as both change what can be traced."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        boot = "unknown"
    try:
        modules = ",".join(sorted(entry.name for entry in os.scandir("/sys/module")))
    except OSError:
        modules = ""
    return f"{boot} {modules}"
