"""Operators, conditions and casts → their types."""

from __future__ import annotations

from lang import ast
from lang.convert import COMPARISONS, arithmetic_type, as_int, fits, literal_type, promote, value_type
from lang.infer_access import Access
from lang.infer_base import RAISE_STRLEN
from lang.types import (
    BOOL,
    INT64,
    UINT64,
    Aggregate,
    Array,
    Bool,
    Enum,
    Formatted,
    Inet,
    Int,
    Pointer,
    Space,
    Stack,
    Str,
    Struct,
    Symbol,
    Timestamp,
    Type,
    Void,
    size_of,
)  # fmt: skip

_RENDERED = (Formatted, Symbol, Timestamp, Inet, Stack)
# what is rendered by user space → how to compare it in a probe
_BY_NUMBER = {
    "username": "compare uid with a number", "strerror": "compare the error number: == ENOENT",
    "errname": "compare the error number: == ENOENT", "signal_name": "compare the number: == 9",
    "signame": "compare the number: == 9", "syscall_name": "compare args.id, or use a syscall:NAME probe",
    "ksym": 'compare the address: == kaddr("name")', "cgroup_path": 'compare cgroup with cgroupid("/path")',
    "inet": 'compare the address itself, as a number or with memcmp(x, pton("1.2.3.4"), 4)',
}  # fmt: skip
UNREADABLE = "the value of {} cannot be read in a probe"
PRINT_IT = "print(@map) prints it"


class Operators(Access):
    """The part of the typing that computes."""

    def _unary(self, node: ast.Unary) -> Type | None:
        kind = self.type(node.operand)
        value = self.constant(node)
        operator = node.operator
        if isinstance(value, int) and not isinstance(value, bool):
            return self._constant_type(node, value)
        if kind is None:
            return None
        if operator == "!":
            return BOOL if self.condition(node.operand, kind) else None
        if operator == "*":
            return self._dereference(node, kind)
        if operator == "&":
            reason = "addresses of variables and maps are for C functions, which ebt cannot import"
            self.error(node, "taking an address with '&' is not supported", reason)
            return None
        integer = as_int(kind)
        if integer is None:
            self.error(node, f"the operator '{operator}' cannot be applied to '{kind}'")
            return None
        return INT64 if operator == "-" or integer.signed else UINT64

    def _dereference(self, node: ast.Unary, kind: Type) -> Type | None:
        if isinstance(kind, Pointer) and not isinstance(kind.to, Void):
            return value_type(kind.to, kind.space)
        if isinstance(kind, Int) and kind.bits == 64:
            return UINT64  # an address without a type: kaddr("avenrun")
        hint = "cast it to a pointer first: *(uint32 *)…"
        self.error(node, f"an expression of type '{kind}' cannot be dereferenced", hint)
        return None

    def _constant_type(self, node: ast.Expression, value: int) -> Type | None:
        if fits(value, INT64) or fits(value, UINT64):
            return literal_type(value)
        self.error(node, "unable to fold literals due to overflow or underflow")
        return None

    def text_type(self, node: ast.Expression, text: str) -> Type:
        """The type of a literal string; reports one that is too long."""
        size, limit = len(text.encode("utf-8", "surrogateescape")) + 1, self.settings.longest_string
        if size > limit:
            message = f"the string has {size - 1} bytes: the limit is {limit - 1}"
            self.error(node, message, RAISE_STRLEN.format(size))
        return Str(size)

    def _binary(self, node: ast.Binary) -> Type | None:
        if node.operator == "??":
            return self.coalesce(node)
        value = self.constant(node)
        if isinstance(value, bool) and self.constant(node.right) is None:
            self.type(node.left)  # it decides: the right side is not part of the program
            return BOOL
        left, right = self.type(node.left), self.type(node.right)
        value = self.constant(node)
        if isinstance(value, str):
            return self.text_type(node, value)
        if isinstance(value, int) and not isinstance(value, bool):
            return self._constant_type(node, value)
        if left is None or right is None:
            if node.operator in (*COMPARISONS, "&&", "||"):
                return BOOL
            return None if self.final else self._with_unknown(node.operator, left or right)
        operator = node.operator
        if isinstance(left, Aggregate) or isinstance(right, Aggregate):
            side, kind = (node.left, left) if isinstance(left, Aggregate) else (node.right, right)
            self.error(side, UNREADABLE.format(f"a {kind}"), PRINT_IT)
            return None
        if operator in ("&&", "||"):
            fine = [self.condition(node.left, left), self.condition(node.right, right)]
            return BOOL if all(fine) else None
        if isinstance(left, Pointer) or isinstance(right, Pointer):
            return self._pointer_arithmetic(node, left, right)
        if isinstance(left, Str) and isinstance(right, Str):
            if operator in ("==", "!="):
                return BOOL
            self.error(node, f"the operator '{operator}' cannot be used on strings")
            return None
        if isinstance(left, Stack) and isinstance(right, Stack) and operator in ("==", "!="):
            return BOOL
        return self._integer_binary(node, left, right)

    def _with_unknown(self, operator: str, known: Type | None) -> Type | None:
        """`@m = 1 + @m`: what is not known yet may be the very thing that this is the first value of."""
        integer = as_int(known) if known is not None else None
        return None if integer is None else arithmetic_type(operator, integer, integer)

    def _integer_binary(self, node: ast.Binary, left: Type, right: Type) -> Type | None:
        a, b, operator = as_int(left), as_int(right), node.operator
        if a is None or b is None:
            comparing = operator in COMPARISONS
            rendered = left if isinstance(left, _RENDERED) else right
            if isinstance(rendered, _RENDERED):
                hint = _BY_NUMBER.get(str(rendered).removesuffix("_t"), "compare the number instead")
                message = f"a value of type '{rendered}' becomes text when it is printed: a probe cannot "
                self.error(node, message + ("compare it" if comparing else "compute with it"), hint)
                return None
            self.error(
                node,
                f"type mismatch for '{operator}': comparing '{left}' with '{right}'"
                if comparing
                else f"the operator '{operator}' cannot be used on '{left}' and '{right}'",
            )
            return None
        return BOOL if operator in COMPARISONS else arithmetic_type(operator, a, b)

    def _pointer_arithmetic(self, node: ast.Binary, left: Type, right: Type) -> Type | None:
        operator = node.operator
        if operator in COMPARISONS and all(isinstance(k, Pointer) or as_int(k) for k in (left, right)):
            return BOOL
        if operator in ("+", "-") and isinstance(left, Pointer) and as_int(right):
            return left
        if operator == "+" and isinstance(right, Pointer) and as_int(left):
            return right
        hint = "cast the pointer to uint64 to compute with it"
        self.error(node, f"the operator '{operator}' cannot be used on '{left}' and '{right}'", hint)
        return None

    def _ternary(self, node: ast.Ternary) -> Type | None:
        condition = self.type(node.condition)
        self.condition(node.condition, condition)
        live = self.live_branch(node.condition) if node.then is not None else None
        if live is not None:
            return self.type(node.then if live and node.then is not None else node.otherwise)
        then = self.type(node.then) if node.then is not None else condition
        otherwise = self.type(node.otherwise)
        if then is None or otherwise is None:
            return then or otherwise
        for kind in (then, otherwise):
            if isinstance(kind, Aggregate):
                self.error(node, UNREADABLE.format(f"a {kind}"), PRINT_IT)
                return None
        both = promote(then, otherwise)
        if both is None:
            message = f"the two sides of '?:' have different types: '{then}' and '{otherwise}'"
            self.error(node, message)
        return both

    def _cast(self, node: ast.Cast) -> Type | None:
        value = self.type(node.operand)
        kind = self.written_type(node.type, self._cast_space(node.operand, value))
        if kind is None or value is None:
            return kind
        if isinstance(value, Aggregate):
            self.error(node.operand, UNREADABLE.format(f"a {value}"), PRINT_IT)
            return None
        if isinstance(kind, Int | Bool | Enum | Pointer):
            if as_int(value) is not None or isinstance(value, Pointer):
                return kind
            if isinstance(kind, Bool) and isinstance(value, Str):
                return kind
            if self._same_bytes(value, kind):
                return kind
        elif isinstance(kind, Array) and self._same_bytes(kind, value):
            return kind
        elif isinstance(kind, Struct) and (isinstance(value, Pointer) or as_int(value) is not None):
            self.error(node, f"cannot cast from '{value}' to '{kind}'", f"cast to a pointer: ({kind} *)")
            return None
        self.error(node, f"cannot cast from '{value}' to '{kind}'")
        return None

    def _same_bytes(self, array: Type, number: Type) -> bool:
        """Whether the bytes of an array of integers are those of the integer; a literal has any size."""
        if not isinstance(array, Array) or as_int(array.of) is None or as_int(number) is None:
            return False
        size, literal = size_of(array), isinstance(number, Int) and bool(number.spelling)
        return size == size_of(number) or (literal and size in (1, 2, 4, 8))

    def _cast_space(self, operand: ast.Expression, value: Type | None) -> Space:
        if isinstance(value, Pointer):
            return value.space
        return "user" if self.scene.target.kind.startswith("u") else "kernel"
