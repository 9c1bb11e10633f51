"""tseries() → C: each interval of time has a place in a ring, which starts afresh when it comes round."""

from __future__ import annotations

from codegen import builtins
from codegen.function import Function
from codegen.mapaccess import lookup, operand, update
from codegen.mapkeys import entry
from lang import ast
from lang.types import SERIES, Aggregate


def add_to_series(
    f: Function, node: ast.Node, name: str, keys: tuple[ast.Expression, ...], call: ast.Call
) -> None:
    """`@m[k] = tseries(n, interval, count)`, in this CPU's copy: {value, meta, interval}.

    `meta` is how many values an average is of, else when the last one came. Intervals are numbered from 1.
    """
    spec, info = f.program.user_map(name)
    kind = info.value
    assert isinstance(kind, Aggregate)
    value = operand(f, call, kind)
    now = builtins.now(f)
    interval = f.temporary("interval", "u64", f"{now} / {kind.low}ULL + 1")
    number = f"{interval} % {kind.high}"
    c_type = f.program.tables[spec.name].value
    if info.key is None:
        slot = f.temporary("slot", "u32", number)
        found = f.temporary(spec.script_name[1:] or "point", f"{c_type} *", f"{spec.name}.lookup(&{slot})")
    else:
        at = entry(f, name, keys)
        f.code.line(f"{at.key[1:]}.bucket = {number};")
        found = lookup(f, at)
    first = "1" if SERIES[kind.bits] == "avg" else now
    with f.code.block(f"if ({found} && {found}->interval == {interval})"):
        for line in _merge(found, SERIES[kind.bits], value, now):
            f.code.line(line)
    with f.code.block(f"else if ({found})"):
        f.code.line(f"{found}->value = {value};")
        f.code.line(f"{found}->meta = {first};")
        f.code.line(f"{found}->interval = {interval};")
    if info.key is None:
        return
    with f.code.otherwise():
        f.stack_used += 24
        fresh = f.names.fresh("new")
        f.code.line(f"{c_type} {fresh} = {{ {value}, {first}, {interval} }};")
        update(f, node, at, f"&{fresh}")


def _merge(point: str, how: str, value: str, now: str) -> list[str]:
    """What a value does to those that its interval has already."""
    if how in ("min", "max"):
        sign = "<" if how == "min" else ">"
        return [f"if ({value} {sign} {point}->value)", f"    {point}->value = {value};"]
    if how == "":
        return [f"{point}->value = {value};", f"{point}->meta = {now};"]
    counted = [f"{point}->meta += 1;"] if how == "avg" else []
    return [f"{point}->value += {value};", *counted]
