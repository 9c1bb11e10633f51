"""Kernel of the lab → its profile in tests/kernels, recorded in a guest with the modules that tools trace."""

import shutil
from collections.abc import Mapping

from labkit import cache, fetch, guest
from labkit.host import CHECKOUT
from labkit.initramfs import Job
from labkit.kernels import Kernel

# What file, block and network tools ask for, of what a distribution builds as modules.
MODULES = (
    "ext4 xfs btrfs f2fs fuse nfs nfsv3 nfsv4 nfsd raid0 raid1 loop nf_conntrack iptable_filter "
    "ip6table_filter nf_tables"
)
_COMMAND = """\
for module in {modules}; do modprobe "$module" || echo "no module $module here"; done
exec .venv/bin/python -m ebt profile save "$EBT_LAB_OUT/{name}.ebtk"
"""
PLACE = CHECKOUT / "tests/kernels"
SECONDS = 600


def record(kernel: Kernel, env: Mapping[str, str], sink: guest.Sink) -> int:
    """Boot, record, and put the profile where the tests look; the guest's status. Raises LabError."""
    script = _COMMAND.format(modules=MODULES, name=kernel.name)
    job = Job(("sh", "-c", script), CHECKOUT, env, merge=True)
    with fetch.kernel_in_use(kernel) as entry, cache.run_directory(f"record-{kernel.name}") as out:
        status = guest.run(guest.Plan(kernel.name, entry, job, SECONDS, out=out), {"stdout": sink})
        if status == 0:
            # one of them may be a link to the profile that ships with ebt
            target = (PLACE / f"{kernel.name}.ebtk").resolve()
            shutil.copyfile(out / f"{kernel.name}.ebtk", target)
    return status
