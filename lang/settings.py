"""Config block and environment → Settings: the values that a script may set, checked.

Names and defaults are bpftrace's; `BPFTRACE_<NAME>` and `EBT_<NAME>` in the environment win over the script.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lang import ast
from lang.diagnostics import Diagnostics, nearest
from lang.literals import parse_integer
from lang.records import dataclass, fields, replace

RENAMED = {
    "strlen": "max_strlen", "map_keys_max": "max_map_keys", "cat_bytes_max": "max_cat_bytes",
}  # fmt: skip
WITHOUT_EFFECT = {
    "symbol_source", "max_type_res_iterations", "unstable_addr", "unstable_import", "unstable_macro",
    "unstable_map_decl", "log_size", "show_debug_info", "use_blazesym", "cpp_demangle", "no_cpp_demangle",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Sizes are bytes; `perf_rb_pages` is 4 KiB pages of the whole ring, 0 for the default of 16 MiB."""

    max_map_keys: int = 4096
    max_strlen: int = 1024
    max_probes: int = 1024
    perf_rb_pages: int = 0
    on_stack_limit: int = 128
    stack_mode: Literal["bpftrace", "perf", "raw"] = "bpftrace"
    missing_probes: Literal["error", "warn", "ignore"] = "error"
    print_maps_on_exit: bool = True
    lazy_symbolication: bool = True
    cache_user_symbols: Literal["PER_PID", "PER_PROGRAM", "NONE"] = "PER_PID"
    str_trunc_trailer: str = ".."
    license: str = "GPL"
    max_cat_bytes: int = 10240
    unsafe: bool = False  # --unsafe: not for the script to say
    short_strings: bool = False  # max_strlen is what this kernel's keys bear, not what somebody asked for

    @property
    def longest_string(self) -> int:
        """Bytes of a string whose length the script itself gives, terminator included."""
        return Settings.max_strlen if self.short_strings else self.max_strlen


NAMES = tuple(field.name for field in fields(Settings) if field.name not in ("unsafe", "short_strings"))
CHOICES = {
    "stack_mode": ("bpftrace", "perf", "raw"),
    "missing_probes": ("error", "warn", "ignore"),
    "cache_user_symbols": ("PER_PID", "PER_PROGRAM", "NONE"),
    "license": ("GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"),
}
LIMITS = {
    "max_map_keys": (1, 1 << 26), "max_strlen": (4, 4096), "max_probes": (1, 1 << 20),
    "perf_rb_pages": (1, 1 << 20), "on_stack_limit": (0, 256), "max_cat_bytes": (1, 1 << 20),
}  # fmt: skip


def read_settings(
    config: ast.Config | None, environment: Mapping[str, str], found: Diagnostics, defaults: Settings
) -> Settings:
    """The script's settings, over the defaults; what is wrong in the block is reported at its place."""
    settings = defaults
    for item in config.settings if config else ():
        name = _canonical(item.name)
        if name in WITHOUT_EFFECT:
            continue
        if name not in NAMES:
            hints = nearest(name, NAMES)
            found.error(item.span, f"{item.name}: not a known configuration option", *hints)
            continue
        try:
            settings = _with(settings, name, item.value)
        except ValueError as wrong:
            found.error(item.value_span, str(wrong))
    # an old name first, so that the new one wins
    for word, name in (*RENAMED.items(), *zip(NAMES, NAMES, strict=True)):
        for prefix in ("BPFTRACE_", "EBT_"):
            text = environment.get(prefix + word.upper())
            if text is not None:
                try:
                    settings = _with(settings, name, text)
                except ValueError as wrong:
                    raise ValueError(f"{prefix}{word.upper()}: {wrong}") from None
    return settings


def _canonical(name: str) -> str:
    plain = name.lower().removeprefix("bpftrace_")
    return RENAMED.get(plain, plain)


def _with(settings: Settings, name: str, value: str | int) -> Settings:
    current = getattr(settings, name)
    if isinstance(current, bool):
        return replace(settings, **{name: _boolean(name, value)})  # type: ignore[arg-type]
    if isinstance(current, int):
        return replace(settings, **{name: _number(name, value)})  # type: ignore[arg-type]
    text = str(value)
    choices = CHOICES.get(name)
    if choices and text not in choices:
        raise ValueError(f"invalid value '{text}' for {name}: expected one of {', '.join(choices)}")
    return replace(settings, **{name: text})  # type: ignore[arg-type]


def _boolean(name: str, value: str | int) -> bool:
    text = str(value).lower()
    if text in ("1", "true", "on", "yes"):
        return True
    if text in ("0", "false", "off", "no"):
        return False
    raise ValueError(f"invalid value '{value}' for {name}: expected true or false")


def _number(name: str, value: str | int) -> int:
    number = value if isinstance(value, int) else parse_integer(value)
    low, high = LIMITS[name]
    if not low <= number <= high:
        raise ValueError(f"invalid value {number} for {name}: expected {low} to {high}")
    return number
