"""`kprobe:f`, `fexit:f` … → Targets: which functions of this kernel are meant, and by which mechanism.

A trampoline (fentry, fexit) and a breakpoint (kprobe, kretprobe) can each stand in for the other. The kind
that the script wrote is tried first; what the body reads decides whether the other one would do.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lang.calling import ARGUMENT_REGISTERS, context_words, words
from lang.checked import Target
from lang.diagnostics import nearest
from lang.expand import Expansion
from lang.literals import parse_integer
from lang.machine import Function, Machine
from lang.neighbours import nearest_tracepoints
from lang.patterns import REGEXP
from lang.prototype import agreed, read_prototype, with_parameters
from lang.records import dataclass
from lang.resolution import Candidate
from lang.syscalls import WITHOUT_ARGUMENTS
from lang.types import Pointer, Struct, Void

# kind → the mechanisms that can serve it, the first one first
_WAYS = {
    "kprobe": ("kprobe", "fentry"), "fentry": ("fentry", "kprobe"),
    "kretprobe": ("kretprobe", "fexit"), "fexit": ("fexit", "kretprobe"),
}  # fmt: skip
_FEATURES = {"kprobe": "kprobe", "kretprobe": "kprobe", "fentry": "fentry", "fexit": "fentry"}
_TRAMPOLINES = ("fentry", "fexit")
# What a trampoline itself calls: btf_id_deny in kernel/bpf/verifier.c. 6.1 lacks the last two, and does not
# survive a program there.
_DENIED = frozenset(
    "migrate_disable migrate_enable rcu_read_unlock_strict preempt_count_add preempt_count_sub "
    "__rcu_read_lock __rcu_read_unlock".split()
)


_KERNEL_START = 1 << 56  # above every address of a process
_NO_PROGRAMS = "a program of BPF itself cannot be observed: ebt binds trampolines to kernel functions"
_CLONE = re.compile(r"(?:\.(?:constprop|isra|part|llvm)(?:\.\d+)*)+")
LOST = "the compiler renamed it, and may have dropped or moved its arguments"


@dataclass(frozen=True)
class _Found:
    """A function of this kernel: `symbol` is what the kernel calls it, `name` what the script does."""

    module: str
    name: str
    symbol: str

_Served = tuple[_Found, str, list[tuple[str, str]]]  # by which mechanism, after which others and why not


def function(kind: str) -> Callable[[Expansion], list[Target]]:
    """The expander of one of the four kinds."""

    def expand(expansion: Expansion) -> list[Target]:
        if expansion.parts[:1] == ("bpf",) and kind in _TRAMPOLINES and len(expansion.parts) > 1:
            return expansion.error(_NO_PROGRAMS)
        if not 1 <= len(expansion.parts) <= 2 or not all(expansion.parts):
            return expansion.malformed(kind)
        if len(expansion.parts) == 1 and re.match(r"0[xX]|\d", expansion.parts[0]):
            return _address(expansion, kind)
        return _Functions(expansion, kind).expand()

    return expand


def _address(expansion: Expansion, kind: str) -> list[Target]:
    """`kprobe:0xADDRESS`: any instruction of the kernel, which the script's writer vouches for."""
    text = expansion.parts[0]
    try:
        address = parse_integer(text)
    except ValueError as wrong:
        return expansion.error(str(wrong))
    if kind != "kprobe":
        return expansion.error(f"a {kind} probe is of a function: only a kprobe takes an address")
    if address < _KERNEL_START:
        return expansion.error(f"{text} is no address of the kernel")
    if not expansion.settings.unsafe:
        message = "a probe at an address is unsafe: nothing says that an instruction begins there"
        return expansion.error(message, "where you know it: --unsafe")
    if expansion.unsupported("kprobe", "a kprobe at an address"):
        return []
    return [Target(kind, f"kprobe:{address:#x}", expansion.point.span, offset=address, mechanism="kprobe")]


class _Functions:
    """One attach point while it is resolved."""

    def __init__(self, expansion: Expansion, kind: str) -> None:
        self.expansion, self.kind = expansion, kind
        self.module = expansion.parts[0] if len(expansion.parts) == 2 else ""
        self.name, self.offset = _name_and_offset(expansion, kind)
        self.exact = "*" not in self.name
        self.node = node = expansion.point.prototype
        written = read_prototype(node, self.name, expansion.machine, expansion.found) if node else None
        self.written = written if self.exact else None
        # Behind a pattern stand the parameters that a function must have to be meant.
        self.wanted = written.parameters if written is not None and not self.exact else ()
        # By wildcard, a trampoline's kinds are those with a prototype, whatever serves them in the end.
        self.typed = kind in _TRAMPOLINES
        self.at_return = kind in ("kretprobe", "fexit")

    def expand(self) -> list[Target]:
        expansion, machine = self.expansion, self.expansion.machine
        if self.node is not None and not self.exact and self.node.result is not None:
            return expansion.error("behind a pattern stand parameters alone, not a result")
        if self.node is not None and self.written is None and not self.wanted:
            return []
        lacking = {way: _lacking(machine, way) for way in _WAYS[self.kind]}
        if all(lacking.values()):
            return self._none_works(lacking)
        found = self._find()
        if not found:
            return self._not_there()
        owners = list(dict.fromkeys(item.module for item in found))
        if self.exact and self.typed and len(owners) > 1 and "*" not in self.module:
            modules = ", ".join(owners)
            hint = f"write {self.kind}:MODULE:{self.name}"
            return expansion.error(f"'{self.name}' is in several modules: {modules}", hint)
        if expansion.too_many(len(found)):
            return []
        served = [(item, *self._way(item, lacking)) for item in found]
        self._tell(served, lacking)
        targets = [self._target(item, way) for item, way, _ in served if way]
        if not targets:
            return self._refused(served[0][2])
        self._warn_of_results(targets)
        return targets

    def _warn_of_results(self, targets: list[Target]) -> None:
        """`.isra` may also have removed a result that nobody uses (GCC, -fipa-sra)."""
        symbol = next((item.symbol for item in targets if ".isra." in item.symbol), "")
        if self.exact and self.expansion.needs.retval and symbol != self.name and symbol:
            message = f"'{self.name}' is {symbol} here: if nobody uses its result, it has none to read"
            self.expansion.found.warn(self.expansion.point.span, message)

    # ---- Which functions

    def _find(self) -> list[_Found]:
        """The functions meant: by their names, or as the compiler renamed them.

        A clone (`.isra`, `.constprop`) is called in the place of the function, beside it or instead of it.
        A `.part` is what the compiler left of a function that it inlined: it serves only where nothing else
        does, because calls that end in the inlined piece never reach it.
        """
        machine = self.expansion.machine
        found = [_Found(module, name, name) for module, name in machine.functions(self.name, self.module)]
        if not found and self.exact:
            found = self._find_call()
        if self.wanted:
            return self._taking(found)
        if not self.exact or self.offset:
            return found
        clones = [
            _Found(module, self.name, symbol)
            for module, symbol in machine.functions(f"{self.name}.*", self.module)
            if _CLONE.fullmatch(symbol, len(self.name))
        ]
        whole = [item for item in clones if ".part." not in item.symbol]
        if found and (self.expansion.needs.arguments or self.expansion.needs.numbered >= 0):
            for item in whole if self.written is None else ():
                self.expansion.tried.append(Candidate(_WAYS[self.kind][0], _place(item), LOST))
            whole = whole if self.written is not None else []
        found += whole
        if found or not clones:
            return found
        if not self.expansion.partly:
            self.expansion.parts_wait = True
            return []
        self.expansion.found.warn(
            self.expansion.point.span,
            f"'{self.name}' is {clones[0].symbol} here, what the compiler did not inline of it: "
            "calls that end before it are not seen",
        )
        return clones

    def _taking(self, found: list[_Found]) -> list[_Found]:
        """Those that have the wanted parameters."""
        machine = self.expansion.machine
        for kind in (item.type for item in self.wanted):
            if isinstance(kind, Pointer) and isinstance(kind.to, Struct) and kind.to.kind == "struct":
                taking = machine.functions_taking(kind.to.name)
                found = [item for item in found if (item.module, item.name) in taking]
        return [item for item in found if self._prototype(item) is not None]

    def _find_call(self) -> list[_Found]:
        """What serves a system call without arguments has two names, of which only one is listed."""
        machine, prefix = self.expansion.machine, self.expansion.machine.syscall_prefix
        if not prefix or not self.name.startswith(prefix):
            return []
        other = WITHOUT_ARGUMENTS + self.name.removeprefix(prefix)
        return [_Found(module, self.name, other) for module, _ in machine.functions(other, self.module)]

    # ---- By which mechanism

    def _way(self, item: _Found, lacking: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
        """The mechanism for one function, and the ones before it, each with why it is not."""
        refused: list[tuple[str, str]] = []
        if not self.exact and self.typed and self._prototype(item) is None:
            return "", [(self.kind, "BTF has no prototype of it")]
        for way in _WAYS[self.kind]:
            reason = lacking[way] or self._refusal(item, way)
            if not reason:
                return way, refused
            refused.append((way, reason))
        return "", refused

    def _prototype(self, item: _Found) -> Function | None:
        """By BTF, else as the script says it; of a clone only that, as its arguments may have moved."""
        if item.symbol != item.name:
            return self.written
        known = self.expansion.machine.function(item.name, item.module)
        if known is not None and self.wanted:
            return with_parameters(known, self.wanted)
        if known is not None and self.written is not None:
            return agreed(known, self.written)
        return known or self.written

    def _refusal(self, item: _Found, way: str) -> str:
        """Why this function cannot be observed this way, or not for this body; empty where it can."""
        if reason := self._wants_arguments(item):
            return reason
        if way not in _TRAMPOLINES:
            return self._kprobe_refusal(item)
        if item.symbol != item.name:
            return f"it is {item.symbol} here, and a trampoline needs a function of this name"
        if not self.typed and (reason := self._wants_registers(item)):
            return reason
        known = self.expansion.machine.function(item.name, item.module)
        return trampoline_refusal(known, item.symbol, self.expansion.machine.arch)

    def _kprobe_refusal(self, item: _Found) -> str:
        machine = self.expansion.machine
        if item.module == "vmlinux" and item.symbol in machine.without_kprobes:
            return "the kernel keeps kprobes off it"
        if item.module == "vmlinux" and item.symbol in machine.ambiguous:
            return "the kernel has several functions of this name"
        return ""

    def _wants_arguments(self, item: _Found) -> str:
        """Why this function cannot serve a body that uses the arguments."""
        needs = self.expansion.needs
        if needs.numbered >= 0 and item.symbol != item.name and self.written is None:
            return LOST
        # The checker tells of `args` at its place, unless another alternative may have them.
        if not self.expansion.choosing or not needs.arguments or not self.exact:
            return ""
        if self._prototype(item) is not None:
            return ""
        return LOST if item.symbol != item.name else "its arguments are not known by name"

    def _wants_registers(self, item: _Found) -> str:
        """Why a trampoline cannot serve the body of a kprobe or kretprobe."""
        needs, prototype = self.expansion.needs, self._prototype(item)
        if self.offset:
            return "a trampoline has no offset into the function"
        if needs.registers:
            return f"the probe uses {needs.registers}, which needs the registers"
        if prototype is None:
            return ""
        if needs.numbered >= context_words(prototype.parameters):
            return f"the prototype has no arg{needs.numbered}"
        if needs.retval and isinstance(prototype.result, Void):
            return "the function returns nothing by its prototype"
        return ""

    def _target(self, item: _Found, way: str) -> Target:
        label = f"{self.kind}:{item.module}:{item.name}" if self.typed else f"{self.kind}:{item.name}"
        if self.offset:
            label += f"+{self.offset}"
        # A wildcard's prototypes are looked up only by bodies that use args: thousands may match.
        known = self.exact or self.wanted or way in _TRAMPOLINES
        prototype = self._prototype(item) if known else None
        return Target(
            self.kind, label, self.expansion.point.span, name=item.name, module=item.module,
            offset=self.offset, mechanism=way, symbol=item.symbol,
            parameters=prototype.parameters if prototype else None,
            result=prototype.result if prototype else None,
        )  # fmt: skip

    # ---- What is told of it

    def _tell(self, served: list[_Served], lacking: dict[str, str]) -> None:
        tried = self.expansion.tried
        if self.exact:
            for item, way, refused in served:
                place = _place(item)
                tried += [Candidate(refusing, place, reason) for refusing, reason in refused]
                if way:
                    tried.append(Candidate(way, place, arguments=self._source(item, way)))
                    for other in _WAYS[self.kind][_WAYS[self.kind].index(way) + 1 :]:
                        reason = lacking[other] or self._refusal(item, other)
                        tried.append(Candidate(other, place, reason or f"not needed: {way} serves"))
            return
        groups: dict[tuple[str, str], int] = {}
        for _, way, refused in served:
            for refusing, reason in refused:
                groups[refusing, reason] = groups.get((refusing, reason), 0) + 1
            if way:
                groups[way, ""] = groups.get((way, ""), 0) + 1
        for (way, reason), count in groups.items():
            tried.append(Candidate(way, "1 function" if count == 1 else f"{count} functions", reason))

    def _source(self, item: _Found, way: str) -> str:
        prototype = self._prototype(item)
        if prototype is None:
            return "" if item.symbol != item.name else "by number only: BTF has no prototype"
        where = f"by the BTF of {prototype.module}" if prototype.module else "by the script's prototype"
        if way in _TRAMPOLINES:
            return f"from the trampoline, {where}"
        return f"from registers, {where}" + (", kept since the call's entry" if self.at_return else "")

    def _none_works(self, lacking: dict[str, str]) -> list[Target]:
        for way, reason in lacking.items():
            self.expansion.tried.append(Candidate(way, self.name, reason))
        reasons = "; ".join(sorted(set(lacking.values())))
        hints = nearest_tracepoints(self.expansion.machine, self.name, self.at_return)
        what = f"'{self.kind}:{':'.join(self.expansion.parts)}'"
        return self.expansion.missing(f"{what} cannot be attached on this kernel: {reasons}", *hints)

    def _not_there(self) -> list[Target]:
        machine, name = self.expansion.machine, self.name
        module = machine.unloaded_module(name) if self.exact else ""
        if module:
            message = f"'{name}' is in the module '{module}', which is not loaded"
            return self.expansion.missing(message, f"load it: modprobe {module}")
        hints = nearest(name, _same_start(machine, name))
        return self.expansion.missing(f"no traceable function matches '{name}'", *hints)

    def _refused(self, refused: list[tuple[str, str]]) -> list[Target]:
        if {reason for _, reason in refused} == {LOST}:
            symbol = self._find()[0].symbol
            message = f"'{self.name}' is {symbol} here: {LOST}"
            written = f"{self.kind}:{self.name}(TYPE NAME, …)"
            hint = f"where you know them, write its prototype: {written}, or name it: {self.kind}:{symbol}"
            return self.expansion.missing(message, hint)
        reasons = "; ".join(f"{way}: {reason}" for way, reason in refused)
        what = f"'{self.kind}:{':'.join(self.expansion.parts)}'"
        return self.expansion.missing(f"{what} cannot be attached: {reasons}")


def trampoline_refusal(prototype: Function | None, symbol: str, arch: str) -> str:
    """Why a trampoline cannot be attached to a function (btf_distill_func_proto, kernel/bpf/btf.c)."""
    if prototype is None:
        return "BTF has no prototype of it"
    if symbol in _DENIED:
        return "a trampoline's own code calls it"
    if prototype.variadic:
        return "it takes a variable number of arguments"
    if isinstance(prototype.result, Struct):
        return f"it returns a whole {prototype.result}"
    if any(isinstance(item.type, Struct) for item in prototype.parameters):
        return "it takes a struct by value"
    if sum(words(prototype.parameters)) > ARGUMENT_REGISTERS.get(arch, 6):
        return "it has more arguments than there are registers"
    return ""


def _lacking(machine: Machine, way: str) -> str:
    support = machine.supports(_FEATURES[way])
    return "" if support.works else support.reason


def _place(item: _Found) -> str:
    return item.symbol if item.module in ("", "vmlinux") else f"{item.module}:{item.symbol}"


def _name_and_offset(expansion: Expansion, kind: str) -> tuple[str, int]:
    name, plus, text = expansion.parts[-1].partition("+")
    if expansion.parts[-1].startswith(REGEXP):
        return expansion.parts[-1], 0
    if not plus:
        return name, 0
    if kind != "kprobe":
        expansion.error(f"a {kind} takes no offset into the function")
        return name, 0
    try:
        return name, parse_integer(text)
    except ValueError as wrong:
        expansion.error(str(wrong))
        return name, 0


def _same_start(machine: Machine, name: str) -> list[str]:
    if len(name) < 3 or "*" in name:
        return []
    return [found for _, found in machine.functions(name[:3] + "*")]
