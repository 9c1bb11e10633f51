"""`ebt fmt`: canonical text of a script; the same tree, and a text that stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lang import ast
from lang.canonical import canonical
from lang.diagnostics import ScriptError
from lang.parser import parse_file
from lang.records import fields
from lang.source import Source, Span

SCRIPTS = sorted(Path("/usr/sbin").glob("*.bt"))


def plain(node: Any) -> Any:
    """A tree without positions."""
    if isinstance(node, ast.Node):
        values = [getattr(node, item.name) for item in fields(node)]
        return (type(node).__name__, *(plain(value) for value in values if not isinstance(value, Span)))
    if isinstance(node, tuple):
        return tuple(plain(item) for item in node if not isinstance(item, Span))
    return node


def formatted(text: str) -> str:
    """The canonical text, which has the same tree and is its own canonical text."""
    tree = parse_file(Source("t", text))[0]
    once = canonical(tree)
    again = parse_file(Source("t", once))[0]
    assert plain(again) == plain(tree)
    assert canonical(again) == once
    return once


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bpftraces_own_scripts(script: Path) -> None:
    formatted(script.read_text())


def test_the_text() -> None:
    assert formatted(UGLY) == TIDY


def test_comments_in_the_way() -> None:
    assert formatted("begin { $x=1  + /* two */ 2; $y=1}") == (
        "begin {\n    $x=1  + /* two */ 2;\n    $y = 1;\n}\n"
    )
    with pytest.raises(ScriptError, match="a comment would lose its place here"):
        formatted("begin { if (1 /* one */) { } }")


UGLY = """#!/usr/bin/env ebt
/* About
 * this. */
config={max_map_keys=5 missing_probes=warn}
import "a.ebt"
option  pid:uint32=0 "-p"  "--pid" "one  process";
option u:enum("a","b",)="b" "-u"
option n:uint8( 1 ..  9 )=0 "-n"
option m:uint8(1..) "-m"
option  u|n
let @m=hash(10);
macro twice( x,$v,@m ){x*2}
fn bigger($a:int64,$b : int64):int64{if($a>$b){return $a;}return $b}
BEGIN{printf("a // b\\n",1+2 *3);  // behind
// in front
$x=(uint32)-5;$y= - -$x;@m[1,(2,3)]=count();@r[1].n=sum($x);


/* of its own */
if $x{print(1)}else if($x==1){print(2);}else{}
for($i:0..5){if($i>3){break}continue;} while($x<5){$x++} unroll(3){@z+=1}
for $kv:@m{print($kv.0);} {let $q:string="x";} emit(pid,FILE=str($x),"A b"=$x?1:2);return
// last
}
t:a:b , kprobe:f||kprobe:g? /pid==opt.pid&&args->x[1].y!=10ms/{ }
// the end
"""
TIDY = """\
#!/usr/bin/env ebt
/* About
 * this. */
config = { max_map_keys = 5; missing_probes = warn }

import "a.ebt";

option pid: uint32 = 0 "-p" "--pid" "one  process";
option u: enum("a", "b") = "b" "-u";
option n: uint8(1..9) = 0 "-n";
option m: uint8(1..) "-m";

option u | n;

let @m = hash(10);

macro twice(x, $v, @m) {
    x * 2
}

fn bigger($a: int64, $b: int64) : int64 {
    if ($a > $b) {
        return $a;
    }
    return $b;
}

BEGIN {
    printf("a // b\\n", 1 + 2 * 3);  // behind
    // in front
    $x = (uint32)-5;
    $y = - -$x;
    @m[1, (2, 3)] = count();
    @r[1].n = sum($x);

    /* of its own */
    if $x {
        print(1)
    } else if ($x == 1) {
        print(2);
    } else { }
    for $i : 0..5 {
        if ($i > 3) {
            break;
        }
        continue;
    }
    while ($x < 5) {
        $x++
    }
    unroll (3) {
        @z += 1;
    }
    for $kv : @m {
        print($kv.0);
    }
    {
        let $q: string = "x";
    }
    emit(pid, FILE = str($x), "A b" = $x ? 1 : 2);
    return;
    // last
}

t:a:b,
kprobe:f||kprobe:g? /pid == opt.pid && args->x[1].y != 10ms/ { }
// the end
"""
