"""Text of apt and dpkg → what the lab needs of it: sources, versions, the packages of one kernel. Pure."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# The image, and the parts it is split into in newer suites; a digit follows where it is of one release.
_KERNEL_PACKAGE = re.compile(r"linux-(image|binary|modules|base)-\d")
_DEBIAN_SUITES = frozenset(
    "oldoldstable oldstable stable testing unstable bullseye bookworm trixie forky duke sid".split()
)
VersionKey = tuple[tuple[tuple[int, ...], int], ...]


@dataclass(frozen=True)
class Source:
    """One place to get packages from, as the machine's apt has it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    size: int


def stanzas(text: str) -> list[dict[str, str]]:
    """Split deb822 text (apt-cache show, *.sources) into its paragraphs' fields."""
    result: list[dict[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            result.append(fields)
    return result


def sources_in_stanzas(text: str) -> list[Source]:
    """Read a file of the *.sources form."""
    result = []
    for fields in stanzas(text):
        off = fields.get("Enabled", "yes").lower() in ("no", "false")
        if off or "deb" not in fields.get("Types", "").split():
            continue
        suites, components = fields.get("Suites", "").split(), fields.get("Components", "").split()
        for uri in fields.get("URIs", "").split():
            result.append(Source(uri, tuple(suites), tuple(components), fields.get("Signed-By", "")))
    return result


def sources_in_lines(text: str) -> list[Source]:
    """Read a file of the one-line *.list form."""
    result = []
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)", line.partition("#")[0].strip())
        if match:
            options, uri, suite, components = match.groups()
            signed = re.search(r"signed-by=(\S+)", options or "")
            result.append(Source(uri, (suite,), tuple(components.split()), signed[1] if signed else ""))
    return result


def debian_mirrors(sources: Iterable[Source]) -> list[Source]:
    """Pick the sources of Debian proper, each address once: no -security, no other project's."""
    result: dict[str, Source] = {}
    for source in sources:
        if "main" in source.components and _DEBIAN_SUITES.intersection(source.suites):
            result.setdefault(source.uri, source)
    return list(result.values())


def version_key(version: str) -> VersionKey:
    """Order versions as dpkg does: digits as numbers, '~' before the end, letters before other characters."""
    epoch, _, rest = version.rpartition(":")
    parts = re.findall(r"([^0-9]*)([0-9]*)", rest)
    order = tuple(_run_key(text, number) for text, number in parts if text or number)
    # The closing pair stands for the end of the text.
    return (((0,), int(epoch or 0)), *order, ((0,), 0))


def _run_key(text: str, number: str) -> tuple[tuple[int, ...], int]:
    order = (-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256 for char in text)
    return (*order, 0), int(number or 0)


def newest(shown: str, name: str) -> dict[str, str] | None:
    """Pick the newest version of a package from the text of 'apt-cache show'."""
    found = [fields for fields in stanzas(shown) if fields.get("Package") == name and "Version" in fields]
    return max(found, key=lambda fields: version_key(fields["Version"]), default=None)


def kernel_dependencies(fields: dict[str, str]) -> list[str]:
    """Name the packages of this very kernel that a package depends on, the first of each choice."""
    wanted = ",".join(fields.get(field, "") for field in ("Pre-Depends", "Depends"))
    names = [choice.split("|")[0].strip().split(" ")[0].split(":")[0] for choice in wanted.split(",")]
    return [name for name in names if _KERNEL_PACKAGE.match(name)]


def kernel_packages(meta: str, show: Callable[[str], str]) -> list[Package]:
    """Follow the meta package to those that hold the kernel and its modules, newest version of each."""
    result: dict[str, Package] = {}
    waiting = [meta]
    while waiting:
        name = waiting.pop(0)
        fields = newest(show(name), name)
        if fields is None or name in result:
            continue
        waiting += kernel_dependencies(fields)
        if name != meta:
            result[name] = Package(name, fields["Version"], int(fields.get("Size", 0)))
    return list(result.values())
