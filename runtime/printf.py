"""printf format and argument types → the cells of an event's text.

Integers follow C: an argument is cut to the conversion's width (32 bits without a length modifier), which
costs nothing, as only these bytes are unpacked. Precision and the space flag mean nothing, as in bpftrace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codegen.plan import Event
from lang.diagnostics import CompilerBug
from lang.printf import Conversion, parse
from lang.types import Aggregate, Bool, Buffer, Enum, Formatted, Int, Pointer, Str, Timestamp, Type, size_of
from runtime.decode import MARK, RECORD_HEADER, Cell, Rows, compile_rows, stride_of
from runtime.units import gfp_flags
from runtime.values import Values, buffer_bytes, buffer_text, int_code

_BASES = {"d": "d", "i": "d", "u": "d", "o": "o", "x": "x", "X": "X"}
_MASK64 = (1 << 64) - 1


def printf_rows(event: Event, values: Values) -> Rows:
    """The functions that print one printf statement's records, as they stand in the ring."""
    parts: list[str | tuple[int, Cell]] = []
    fields = iter(event.fields)
    for part in parse(event.text):
        if isinstance(part, str):
            parts.append(part)
            continue
        field = next(fields, None)
        if field is None:
            raise CompilerBug(f"printf at {event.place.file}:{event.place.line} has too few fields")
        parts.append((RECORD_HEADER + field.offset, conversion_cell(part, field.type, values)))
    if next(fields, None) is not None:
        raise CompilerBug(f"printf at {event.place.file}:{event.place.line} has too many fields")
    return compile_rows(parts, stride_of(event.size), values.names)


def value_rows(event: Event, values: Values) -> Rows:
    """The same for `print(value)`: the record's only field in the writer's style."""
    (field,) = event.fields
    cell = values.cell(field.type, values.style)
    return compile_rows([(RECORD_HEADER + field.offset, cell)], stride_of(event.size), values.names)


def format_values(text: str, arguments: Sequence[tuple[int, Type]], size: int, values: Values) -> Rows:
    """A format over (offset, type) arguments of a record without a header."""
    given = iter(arguments)
    parts: list[str | tuple[int, Cell]] = []
    for part in parse(text):
        if isinstance(part, str):
            parts.append(part)
        else:
            offset, kind = next(given)
            parts.append((offset, conversion_cell(part, kind, values)))
    return compile_rows(parts, size, values.names)


def conversion_cell(conversion: Conversion, kind: Type, values: Values) -> Cell:
    """The cell of one conversion. Raises CompilerBug for a type that the checker should have refused."""
    match conversion.kind:
        case "int":
            return _integer(conversion, kind, values)
        case "char":
            return _char(conversion, kind, values)
        case "pointer":
            return _pointer(conversion, kind, values)
        case "buffer" if isinstance(kind, Buffer):
            show = _BUFFERS[conversion.letter]
            return values.opaque(size_of(kind), lambda raw: pad(show(buffer_bytes(raw)), conversion))
        case "gfp":
            have, signed = _width(kind, conversion)
            show_flags = values.names.bind(lambda value: pad(gfp_flags(value), conversion))
            return Cell(int_code(have, signed), f"{{{show_flags}({MARK})}}")
        case "str":
            return _string(conversion, kind, values)
    raise CompilerBug(f"printf cannot print {kind} with {conversion.text}")


def pad(text: str, conversion: Conversion) -> str:
    """The text at the conversion's width, which counts bytes."""
    length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
    missing = conversion.width - length
    if missing <= 0:
        return text
    return text + " " * missing if "-" in conversion.flags else " " * missing + text


def _width(kind: Type, conversion: Conversion) -> tuple[int, bool]:
    """Bits and signedness of a type that is a number."""
    match kind:
        case Int(bits, signed) | Enum(_, bits, signed):
            return bits, signed
        case Bool():
            return 8, False
        case Pointer() | Timestamp():
            return 64, False
        case Aggregate(name, signed) if name in ("count", "sum"):
            return 64, signed
        case Formatted(_, Int() as of):
            return of.bits, of.signed
    raise CompilerBug(f"printf cannot print {kind} with {conversion.text}")


def _cut(kind: Type, conversion: Conversion, bits: int, signed: bool) -> tuple[str, str]:
    """Struct code and expression of an argument as an integer of this width and signedness."""
    have, have_signed = _width(kind, conversion)
    if bits <= have:
        return int_code(bits, signed) + (f"{(have - bits) // 8}x" if have > bits else ""), MARK
    if have_signed and not signed:
        return int_code(have, True), f"{MARK} & {(1 << bits) - 1:#x}"
    return int_code(have, have_signed), MARK


def _integer(conversion: Conversion, kind: Type, values: Values) -> Cell:
    signed = conversion.letter in "di"
    code, value = _cut(kind, conversion, conversion.bits, signed)
    flags, width, base = conversion.flags, conversion.width, _BASES[conversion.letter]
    if "#" in flags and base != "d":
        return Cell(code, f"{{{values.names.bind(_alternate(conversion, base))}({value})}}")
    spec = "+" if "+" in flags and signed else ""
    if width and "-" in flags:
        spec = f"<{spec}{width}"
    elif width:
        spec += f"{'0' if '0' in flags else ''}{width}"
    if base != "d":
        spec += base
    return Cell(code, f"{{{value}:{spec}}}" if spec else f"{{{value}}}")


def _alternate(conversion: Conversion, base: str) -> Callable[[int], str]:
    """`%#x` and `%#o` as C has them: no prefix for 0, zeros between prefix and digits."""
    prefix = {"o": "0", "x": "0x", "X": "0X"}[base]
    zeros = "0" in conversion.flags and "-" not in conversion.flags

    def show(value: int) -> str:
        lead = prefix if value else ""
        digits = format(value, base)
        if zeros:
            digits = digits.rjust(conversion.width - len(lead), "0")
        return pad(lead + digits, conversion)

    return show


def _char(conversion: Conversion, kind: Type, values: Values) -> Cell:
    have, _ = _width(kind, conversion)
    chars = [pad(bytes([byte]).decode("utf-8", "surrogateescape"), conversion) for byte in range(256)]
    return Cell("B" + (f"{have // 8 - 1}x" if have > 8 else ""), values.names.index(chars))


def _pointer(conversion: Conversion, kind: Type, values: Values) -> Cell:
    have, signed = _width(kind, conversion)
    show = values.names.bind(lambda value: pad(f"0x{value & _MASK64:x}" if value else "0", conversion))
    return Cell(int_code(have, signed), f"{{{show}({MARK})}}")


def _string(conversion: Conversion, kind: Type, values: Values) -> Cell:
    cell = values.cell(kind, "text")
    if not conversion.width:
        return cell
    size = size_of(kind)
    one = compile_rows([(0, cell)], size, values.names).one
    cached = isinstance(kind, Int | Str | Enum)
    return values.opaque(size, lambda raw: pad(one(raw, 0), conversion), cached=cached)


def _spaced_hex(data: bytes) -> str:
    return data.hex(" ") if data else ""


def _escaped_hex(data: bytes) -> str:
    return "".join([f"\\x{byte:02x}" for byte in data])


_BUFFERS: dict[str, Callable[[bytes], str]] = {"r": buffer_text, "rx": _escaped_hex, "rh": _spaced_hex}
