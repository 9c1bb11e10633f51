"""Kernel → its newest packages from the machine's Debian mirror, unpacked into the cache.

apt works on lists and a cache of the lab's own, so the machine's package state is neither read nor changed.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from labkit import cache, debian, host
from labkit.cache import Unpacked
from labkit.debian import Package, Source
from labkit.host import LabError, say
from labkit.kernels import META_PACKAGE, Kernel

_APT = Path("/etc/apt")


@contextmanager
def kernel_in_use(kernel: Kernel) -> Iterator[Unpacked]:
    """Give the newest cached release, fetched if there is none, and keep it from removal meanwhile."""
    for _ in range(3):
        found = cache.unpacked(kernel.name)
        entry = found[0] if found else fetch(kernel, refresh=False)
        with cache.in_use(entry.path) as present:
            if present:
                yield entry
                return
    raise LabError(f"kernel {kernel.name} keeps vanishing from {cache.root()}")


def fetch(kernel: Kernel, *, refresh: bool = True) -> Unpacked:
    """Bring the newest release into the cache; what it replaces goes, unless a guest still runs it."""
    host.need_packages()
    with cache.lock(kernel.name):
        found = cache.unpacked(kernel.name)
        if found and not refresh:
            return found[0]
        apt, packages = _resolve(kernel)
        wanted = _release(packages)
        entry = next((entry for entry in found if entry.release == wanted), None)
        if entry is None:
            entry = _unpack(kernel, apt, packages)
        for other in found:
            if other != entry:
                cache.remove_unused(other.path)
        return entry


def fetch_headers(kernel: Kernel) -> Path:
    """Bring the headers of the newest cached release, which BCC's Python tools compile with; where they are.

    Debian has a package of what all flavours share and one of the flavour's own, which refers to the first
    by an absolute path: both are put into one tree.
    """
    entry = fetch(kernel, refresh=False)
    place = cache.headers(entry.release)
    if place.is_dir():
        return place
    apt = _with_package(kernel, f"linux-headers-{entry.release}")
    names = [f"linux-headers-{entry.release}"]
    shared = debian.newest(apt.show(names[0]), names[0])
    names += re.findall(r"linux-headers-\S+-common", (shared or {}).get("Depends", ""))
    with cache.lock(f"headers-{kernel.name}"), tempfile.TemporaryDirectory(dir=cache.root()) as scratch:
        tree, made = Path(scratch, "tree"), Path(scratch, "made")
        for name in reversed(names):
            found = debian.newest(apt.show(name), name) or {}
            apt.download(Package(name, found.get("Version", ""), int(found.get("Size", 0))), Path(scratch))
            host.run(["dpkg", "-x", next(Path(scratch).glob(f"{name}_*.deb")), tree])
            shutil.copytree(tree / "usr/src" / name, made, ignore=_links, dirs_exist_ok=True)
        place.parent.mkdir(exist_ok=True)
        if not place.is_dir():
            made.rename(place)
    return place


def _links(folder: str, names: list[str]) -> list[str]:
    """Which of these are links: to programs that build modules, and no headers."""
    return [name for name in names if os.path.islink(os.path.join(folder, name))]


def _with_package(kernel: Kernel, name: str) -> "Apt":
    """The mirror that has this package of the kernel's suite."""
    for source in _mirrors():
        apt = Apt.on(cache.root() / "apt" / kernel.name, source, kernel.suite)
        with suppress(LabError):
            apt.update()
            if apt.show(name):
                return apt
    raise LabError(f"no Debian mirror of this machine has '{name}': fetch the kernel anew")


@dataclass(frozen=True)
class Apt:
    """apt-get and apt-cache on one suite of one mirror."""

    options: tuple[str, ...]

    @classmethod
    def on(cls, place: Path, source: Source, suite: str) -> "Apt":
        """Write the sources file and the directories that apt wants."""
        for directory in ("lists/partial", "cache/archives/partial"):
            (place / directory).mkdir(parents=True, exist_ok=True)
        text = f"Types: deb\nURIs: {source.uri}\nSuites: {suite}\nComponents: main\nArchitectures: amd64\n"
        if source.signed_by:
            text += f"Signed-By: {source.signed_by}\n"
        (place / "lab.sources").write_text(text)
        settings = {
            "Dir::Etc::sourcelist": place / "lab.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            # The machine's pins are not about the guest's kernels.
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": place / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": place / "cache",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # An archived suite's signature has run out, and is still right.
            "Acquire::Check-Valid-Until": "false",
        }
        return cls(tuple(word for key, value in settings.items() for word in ("-o", f"{key}={value}")))

    def update(self) -> None:
        host.run(["apt-get", *self.options, "-qq", "update"])

    def show(self, name: str) -> str:
        """Show a package, or nothing where the suite has none of that name."""
        try:
            return host.run(["apt-cache", *self.options, "show", name])
        except LabError:
            return ""

    def download(self, package: Package, directory: Path) -> None:
        wanted = f"{package.name}={package.version}"
        host.run(["apt-get", *self.options, "-qq", "download", wanted], cwd=directory)


def _resolve(kernel: Kernel) -> tuple[Apt, list[Package]]:
    """Find the mirror that still has the suite, and the packages there."""
    refusals = []
    for source in _mirrors():
        apt = Apt.on(cache.root() / "apt" / kernel.name, source, kernel.suite)
        try:
            apt.update()
        except LabError as refusal:
            refusals.append(str(refusal))
            continue
        packages = debian.kernel_packages(META_PACKAGE, apt.show)
        if packages:
            return apt, packages
        refusals.append(f"'{META_PACKAGE}' leads to no kernel in suite '{kernel.suite}'")
    raise LabError(
        f"no Debian mirror of this machine has suite '{kernel.suite}' (kernel {kernel.name}); "
        "name one that does in EBT_LAB_MIRROR\n  " + "\n  ".join(refusals)
    )


def _mirrors() -> list[Source]:
    """The mirrors to try, in order: the user's EBT_LAB_MIRROR, then those of the machine's own apt."""
    sources = debian.sources_in_lines(_text(_APT / "sources.list"))
    for path in sorted(_APT.glob("sources.list.d/*")):
        if path.suffix == ".sources":
            sources += debian.sources_in_stanzas(_text(path))
        elif path.suffix == ".list":
            sources += debian.sources_in_lines(_text(path))
    mirrors = debian.debian_mirrors(sources)
    signed_by = next((source.signed_by for source in mirrors if source.signed_by), "")
    own = [Source(uri, (), (), signed_by) for uri in os.environ.get("EBT_LAB_MIRROR", "").split()]
    if not own + mirrors:
        raise LabError("no Debian mirror in this machine's apt sources; name one in EBT_LAB_MIRROR")
    return own + mirrors


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


def _release(packages: list[Package]) -> str:
    """The release, as uname has it, from the name of the image package."""
    image = next((package.name for package in packages if package.name.startswith("linux-image-")), "")
    return image.removeprefix("linux-image-")


def _unpack(kernel: Kernel, apt: Apt, packages: list[Package]) -> Unpacked:
    size = sum(package.size for package in packages)
    say(f"{kernel.name}: fetching {_release(packages)} of {kernel.suite}, {size / 1e6:.0f} MB")
    with cache.staging(kernel.name) as place:
        debs, tree, result = place / "debs", place / "tree", place / "result"
        debs.mkdir()
        for package in packages:
            apt.download(package, debs)
        for deb in sorted(debs.glob("*.deb")):
            host.run(["dpkg", "-x", deb, tree])
        release = _arrange(tree, result)
        host.run([host.program("depmod"), "-b", result, release])
        if not release.startswith(f"{kernel.name}."):
            say(f"{kernel.name}: suite {kernel.suite} has moved on to {release}")
        entry = Unpacked(cache.root() / "kernels" / kernel.name / release)
        result.rename(entry.path)
        return entry


def _arrange(tree: Path, result: Path) -> str:
    """Move what a guest needs out of the packages' tree, which differs between suites; return the release."""
    modules = [*tree.glob("lib/modules/*/kernel"), *tree.glob("usr/lib/modules/*/kernel")]
    images = [*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")]
    configs = [*tree.glob("boot/config-*"), *tree.glob("usr/lib/modules/*/config")]
    if not modules or not images:
        raise LabError("the kernel's packages hold no image or no modules; has their layout changed?")
    release = modules[0].parent.name
    (result / "lib/modules").mkdir(parents=True)
    shutil.copyfile(images[0], result / "vmlinuz")
    if configs:
        shutil.copyfile(configs[0], result / "config")
    modules[0].parent.rename(result / "lib/modules" / release)
    return release
