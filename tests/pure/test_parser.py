"""Text → tree: precedence, casts, conditions, literals, attach points, against bpftrace's rules."""

from __future__ import annotations

import pytest

from lang import ast
from lang.diagnostics import ScriptError
from lang.parser import parse
from lang.records import fields
from lang.source import Source


def tree(node: object) -> str:
    """A tree in one line: `(+ 1 2)`."""
    match node:
        case ast.Integer(_, value) | ast.String(_, value) | ast.Boolean(_, value):
            return repr(value)
        case ast.Name(_, name) | ast.Variable(_, name) | ast.Map(_, name):
            return name
        case ast.Group(_, inner):
            return tree(inner)
        case ast.Binary(_, left, operator, right):
            return f"({operator} {tree(left)} {tree(right)})"
        case ast.Unary(_, operator, operand):
            return f"({operator} {tree(operand)})"
        case ast.Cast(_, kind, operand):
            return f"(({kind.span.text}) {tree(operand)})"
        case ast.Member(_, base, name):
            return f"(. {tree(base)} {name})"
        case ast.Ternary(_, condition, then, otherwise):
            return f"(? {tree(condition)} {tree(then)} {tree(otherwise)})"
        case ast.Node():
            parts = [tree(getattr(node, item.name)) for item in fields(node)[1:]]
            return f"({type(node).__name__} {' '.join(parts)})"
        case tuple():
            return "[" + " ".join(tree(item) for item in node) + "]"
    return str(node)


def value(text: str) -> str:
    return statement(f"_ = {text};")[9:-1]


def statement(text: str) -> str:
    (probe,) = parse(Source("t", f"begin {{ {text} }}")).probes
    (only,) = probe.body.statements
    return tree(only)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", "(+ 1 (* 2 3))"),
        ("1 - 2 - 3", "(- (- 1 2) 3)"),
        ("1 || 2 && 3 | 4 ^ 5 & 6 == 7", "(|| 1 (&& 2 (| 3 (^ 4 (& 5 (== 6 7))))))"),
        ("1 == 2 < 3 << 4 + 5 * 6", "(== 1 (< 2 (<< 3 (+ 4 (* 5 6)))))"),
        ("1 >= 2 != 3 <= 4", "(!= (>= 1 2) (<= 3 4))"),
        ("!a == b", "(== (! a) b)"),
        ("-a.b * *c", "(* (- (. a b)) (* c))"),
        ("~a & -1", "(& (~ a) (- 1))"),
        ("a ? b : c ? d : e", "(? a b (? c d e))"),
        ("a ?: b", "(? a None b)"),
        ("a ? b ? 1 : 2 : 3", "(? a (? b 1 2) 3)"),
        ("(a + b) * c", "(* (+ a b) c)"),
        ("$x++ + ++$x", "(+ (StepAfter $x ++) (StepBefore ++ $x))"),
        ("@x[1, 2]--", "(StepAfter (MapEntry @x [1 2]) --)"),
        ("a.b->c[1].0", "(Element (Index (. (. a b) c) 1) 0)"),
        ("()", "(Tuple [])"),
        ("(1,)", "(Tuple [1])"),
        ("(1, (2, 3),)", "(Tuple [1 (Tuple [2 3])])"),
        ("(a = 1, b = 2)", "(Record [a b] [1 2])"),
        ("f()", "(Call f [])"),
        ("f(1, $x,)", "(Call f [1 $x])"),
        ("true && false", "(&& True False)"),
        ("@", "@"),
    ],
)
def test_expression(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(uint8)1", "((uint8) 1)"),
        ("(x)-1", "((x) (- 1))"),
        ("(x)*$y", "((x) (* $y))"),
        ("(x)&$y", "((x) (& $y))"),
        ("(x) + 1", "(+ x 1)"),
        ("(pid)-1", "(- pid 1)"),
        ("(nsecs)*2", "(* nsecs 2)"),
        ("(arg0)-1", "(- arg0 1)"),
        ("(struct task_struct *)$p", "((struct task_struct *) $p)"),
        ("((struct sock *)arg0).x", "(. ((struct sock *) arg0) x)"),
        ("(uint8[4])$x", "((uint8[4]) $x)"),
        ("(int32*[4]*)$x", "((int32*[4]*) $x)"),
        ("(uint8)(u16)pid * 2", "(* ((uint8) ((u16) pid)) 2)"),
        ("($x)-1", "(- $x 1)"),
        ("(1)-1", "(- 1 1)"),
    ],
)
def test_a_name_in_brackets_before_a_value_is_a_cast(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("010", 8), ("0x1F", 31), ("0Xff", 255), ("1_000_000", 1000000), ("1e9", 10**9),
        ("5e3", 5000),
        ("1ns", 1), ("2us", 2000), ("10ms", 10**7), ("1s", 10**9), ("2m", 120 * 10**9), ("1h", 3600 * 10**9),
        ("1d", 86400 * 10**9), ("7u", 7), ("7ul", 7), ("7ull", 7), ("7l", 7), ("7ll", 7),
        ("18446744073709551615", 2**64 - 1), ("0xffffffffffffffff", 2**64 - 1),
    ],
)  # fmt: skip
def test_integer(text: str, number: int) -> None:
    assert value(text) == str(number)


@pytest.mark.parametrize(
    "text", ["7U", "7UL", "0b1", "1e", "1e0", "0e3", "08", "1_", "0x", "3k", "20000000d"]
)
def test_no_integer(text: str) -> None:
    with pytest.raises(ScriptError):
        value(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"a\tb\n\r\"\\"', 'a\tb\n\r"\\'),
        (r'"\101\x41\x4z"', "AA\x04z"),
        (r'"\303\251"', "é"),
        (r'"\xff"', "\udcff"),
        (r'"\0"', "\0"),
        ('"// no comment /* */ #"', "// no comment /* */ #"),
        ('"日本"', "日本"),
    ],
)
def test_string(text: str, expected: str) -> None:
    assert value(text) == repr(expected)


@pytest.mark.parametrize("text", ['"a\nb"', r'"\q"', r'"\777"', '"', r'"\"'])
def test_no_string(text: str) -> None:
    with pytest.raises(ScriptError):
        value(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$x = 1;", "(Assign $x 1)"),
        ("@x[pid] = 1", "(Assign (MapEntry @x [pid]) 1)"),
        ("@x >>= 1;", "(AssignBy @x >> 1)"),
        ("$x %= 2;", "(AssignBy $x % 2)"),
        ("let $x: uint8 = 1;", "(Let $x (Type  uint8 []) 1 False)"),
        ("let $x;", "(Let $x None None False)"),
        ("_ = f();", "(Discard (Call f []))"),
        ("return", "(Return None)"),
        ("unroll 3 { }", "(Unroll 3 (Block [] False))"),
        ("unroll ($1) { }", "(Unroll (Parameter 1) (Block [] False))"),
        ("if $x { }", "(IfStatement $x (Block [] False) None)"),
        ("if !$x { } else { }", "(IfStatement (! $x) (Block [] False) (Block [] False))"),
        (
            "if (a == b) { } else if b { }",
            "(IfStatement (== a b) (Block [] False) (IfStatement b (Block [] False) None))",
        ),
        ("{ f(); }", "(Block [(Evaluate (Call f []))] False)"),
    ],
)
def test_statement(text: str, expected: str) -> None:
    assert statement(text) == expected


@pytest.mark.parametrize(
    ("text", "points", "predicate"),
    [
        ("BEGIN {}", "BEGIN[]", None),
        ("kprobe:f {}", "kprobe[f]", None),
        ("kprobe:f{}", "kprobe[f]", None),
        ("KProbe:f , k:g, {}", "KProbe[f] k[g]", None),
        ("kprobe:f\n,\nkprobe:g\n{}", "kprobe[f] kprobe[g]", None),
        ("u:/a/b-c.so.1:f+0x10 {}", "u[/a/b-c.so.1 f+0x10]", None),
        ('u:"/a b,{:":"x:y" {}', "u[/a b,{: x:y]", None),
        ("t:a:* /1/ {}", "t[a *]", "1"),
        ("t:a:b // c\n/1/ // d\n{}", "t[a b]", "1"),
        ("begin/1/{}", "begin[]", "1"),
        ("begin /10 / 2 / 5/ {}", "begin[]", "(/ (/ 10 2) 5)"),
        ("begin /a/ /* x */ {}", "begin[]", "a"),
        ("i:ms:$1 {}", "i[ms $1]", None),
        ("$1:$2 {}", "$1[$2]", None),
        ("BEG$1 {}", "BEG$1[]", None),
        ("uprobe::f {}", "uprobe[ f]", None),
        ("kprobe: {}", "kprobe[]", None),
        ("#!/usr/bin/ebt\nbegin {}", "begin[]", None),
    ],
)
def test_attach_points(text: str, points: str, predicate: str | None) -> None:
    (probe,) = parse(Source("t", text)).probes
    assert " ".join(f"{point.provider}[{' '.join(point.parts)}]" for point in probe.attach_points) == points
    assert (tree(probe.predicate.condition) if probe.predicate else None) == predicate


def test_config_and_declarations() -> None:
    script = parse(
        Source("t", 'config = { a = 1; b = x c = "s"; } let @m = hash(10); begin {} let @n = lruhash(2)')
    )
    assert script.config is not None
    assert [(item.name, item.value) for item in script.config.settings] == [("a", 1), ("b", "x"), ("c", "s")]
    assert [(item.map, item.kind, item.entries) for item in script.declarations] == [
        ("@m", "hash", 10),
        ("@n", "lruhash", 2),
    ]


def test_every_node_knows_its_place() -> None:
    text = "begin { $x = (1 + pid) * 2; if ($x) { print(@a[comm, 3].b); } }"
    for node in ast.walk(parse(Source("t", text))):
        assert 0 <= node.span.start <= node.span.end <= len(text)
        assert type(node) is ast.Script or node.span.text.strip() == node.span.text
