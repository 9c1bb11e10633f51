"""An argument of a static probe → C: read where the program's note says that it lies."""

from __future__ import annotations

from codegen.function import Function, Value
from lang.diagnostics import CompilerBug
from lang.machine import Operand
from lang.types import Int, Type


def argument(f: Function, number: int, kind: Type) -> Value:
    """`argN` of a usdt probe."""
    item = f.target.operands[number]
    c_type = f.program.types.name(Int(item.size * 8, item.signed))
    hint = f"arg{number}"
    match item.kind:
        case "constant":
            return Value(f"(({c_type}){item.value}LL)", kind)
        case "register":
            shift = f" >> {item.value}" if item.value else ""
            text = f"({c_type})(ctx->{item.register}{shift})"
            return Value(f.shared((hint, c_type), hint, c_type, text), kind)
        case "memory":
            return Value(_memory(f, item, hint, c_type), kind)
    raise CompilerBug(f"no way to read {item.text}")


def _memory(f: Function, item: Operand, hint: str, c_type: str) -> str:
    known = f.code.known((hint, c_type))
    if known is None:
        known = f.names.fresh(hint)
        f.code.line(f"{c_type} {known};")
        f.code.line(f"bpf_probe_read_user(&{known}, sizeof({known}), (void *)({_address(item)}));")
        f.code.learn((hint, c_type), known)
    return known


def _address(item: Operand) -> str:
    terms = [f"ctx->{item.register}"] if item.register else []
    if item.index:
        terms.append(f"ctx->{item.index} * {item.scale}" if item.scale != 1 else f"ctx->{item.index}")
    text = " + ".join(terms)
    return f"{text} {'-' if item.value < 0 else '+'} {abs(item.value)}" if item.value else text
