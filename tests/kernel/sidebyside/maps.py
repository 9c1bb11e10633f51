"""One-liners of maps: kinds, keys, order, aggregates, histograms, and what prints or empties them."""

from __future__ import annotations

from tests.kernel.sidebyside.runner import Case

MAPS = {
    "scalars": '@x = 5; @x = @x + 2; @b = -3; @s = "text";',
    "nameless": "@ = 5; @++; @ += 3;",
    "a missing key": '@x["a"] = 5; printf("%d %d\\n", @x["b"], @x["a"]);',
    "string keys": '@x["b"] = 1; @x["a"] = 2; @x["longer than that"] = 3;',
    "string values": '@x["b"] = "v1"; @x["a"] = "v2"; @x["c"] = "v0";',
    "keys of several parts": '@x[1, "b"] = 5; @x[2, "a"] = 3; @x[3, "c"] = 4; @x[1, "a"] = 9;',
    "negative values": "@i[1] = -5; @i[2] = 3; @i[3] = -4; @i[4] = 0;",
    "negative keys": "@k[-1] = 1; @k[5] = 3; @k[-7] = 2;",
    "sorted by value": "@v[1] = 300; @v[2] = 100; @v[3] = 200; @v[4] = 50;",
    "strings sorted by key": '@s[3] = "c"; @s[1] = "z"; @s[2] = "a"; @t["b"] = "1"; @t["a"] = "2";',
    "tuples sorted by key": '@t["b"] = (1, 2); @t["a"] = (3, 4); @n[2] = (1, 1); @n[1] = (2, 2);',
    "the order of maps": "@zoo = 1; @ant = 2; @[3] = 4; @B = 5; @_u = 6;",
    "increments": '@x++; @x++; ++@x; @y--; @k["a"]++; @k["a"] += 10; @k["b"]--; printf("%d\\n", @k["a"]);',
    "compound assignments": "@x = 100; @x += 10; @x -= 5; @x *= 2; @x /= 3; @x %= 64; @x <<= 3; @x >>= 1; "
        "@x |= 3; @x &= 254; @x ^= 9;",
    "delete": '@x["a"] = 1; @x["b"] = 2; delete(@x["a"]); @y = 4; delete(@y); @z[1, 2] = 3; '
        "delete(@z[1, 2]);",
    "clear": "@a[1] = 1; @b = 2; @c[1] = count(); clear(@a); clear(@b); clear(@c); @d = 3;",
    "zero": "@b[1] = 5; @d[2] = 6; zero(@d); @c = count(); @s[1] = sum(5); zero(@b); zero(@c); zero(@s);",
    "print": "@[1] = 100; @[2] = 300; @[3] = 200; print(@);",
    "print with a "
    "top": "@[1] = 100; @[2] = 300; @[3] = 200; print(@, 2); print(@, 1); print(@, 7); clear(@);",
    "print with a divisor": "@[1] = 100; @[2] = 300; @[3] = 205; print(@, 1, 10); print(@, 0, 100); "
        "print(@, 3, 7); clear(@);",
    "print of a scalar": "@x = 7; print(@x); @x = 8; @c = count(); print(@c); @s = \"a\"; print(@s);",
    "print of an empty map": "@x[1] = 1; clear(@x); print(@x); print(2);",
    "values of values": "@a[1] = 2; @b[2] = 3; @c[@b[@a[1]]] = 4;",
    "in a condition": "@a[1] = 2; if (@a[1]) { print(1); } if (@a[9]) { print(9); } if (!@a[9]) { print(0); "
                      "}",
    "many entries": "unroll(20) { @x[@n] = @n * 7 % 23; @n++; } clear(@n); print(@x, 5); clear(@x);",
}
AGGREGATES = {
    "count": '@ = count(); @ = count(); @k["a"] = count(); @k["b"] = count(); @k["b"] = count();',
    "sum": '@ = sum(23); @ = sum(5); @k["x"] = sum(5); @k["x"] = sum(6); @k["y"] = sum(30);',
    "sum of negatives": "@n = sum(-7); @n = sum(3); @k[1] = sum(-5); @k[2] = sum(-9); @k[3] = sum(4);",
    "avg": '@ = avg(4); @ = avg(9); @k["a"] = avg(10); @k["b"] = avg(3); @k["b"] = avg(4);',
    "avg of negatives": "@ = avg(-4); @ = avg(-9); @k[1] = avg(-3); @k[2] = avg(3);",
    "min": '@ = min(7); @ = min(3); @ = min(30); @k["a"] = min(9); @k["b"] = min(4);',
    "min of negatives": "@ = min(-7); @ = min(3);",
    "max": '@ = max(7); @ = max(30); @ = max(3); @k["a"] = max(9); @k["b"] = max(4);',
    "stats": '@ = stats(4); @ = stats(10); @k["a"] = stats(7); @k["b"] = stats(1); @k["b"] = stats(2);',
    "stats of negatives": "@ = stats(-4); @ = stats(-9);",
    "top of counts": "@[1] = count(); @[2] = count(); @[2] = count(); print(@, 1); clear(@);",
    "divided sums": "@[1] = sum(100); @[2] = sum(250); print(@, 0, 100); print(@, 1, 100); clear(@);",
    "top of averages": "@[1] = avg(100); @[2] = avg(250); @[3] = avg(7); print(@, 2); clear(@);",
    "several in one": "@c = count(); @s = sum(5); @a = avg(5); @m = min(5); @n = max(5); @t = stats(5);",
}
HISTOGRAMS = {
    "hist": "@ = hist(-1); @ = hist(0); @ = hist(1); @ = hist(2); @ = hist(3); @ = hist(1000);",
    "one bucket": "@ = hist(100);",
    "hist of large values": "@ = hist(1048576); @ = hist(1073741824); @ = hist(536870912);",
    "hist by key": '@["a"] = hist(5); @["b"] = hist(5); @["b"] = hist(6); @["c"] = hist(1); '
        '@["c"] = hist(2); @["c"] = hist(3);',
    "hist by two keys": '@[1, "a"] = hist(5); @[2, "b"] = hist(5); @[2, "b"] = hist(500);',
    "hist in hist": "@ = hist(7); @ = hist(8); @ = hist(15); @ = hist(16); @ = hist(-100);",
    "proportions": "unroll(20) { @ = hist(5); } unroll(7) { @ = hist(10); } unroll(3) { @ = hist(100); } "
        "@ = hist(3);",
    "divided": "unroll(20) { @ = hist(5); } unroll(10) { @ = hist(9); } print(@, 0, 5); clear(@);",
    "top": '@["a"] = hist(5); @["b"] = hist(5); @["b"] = hist(6); print(@, 1); clear(@);',
    "lhist": "@ = lhist(-1, 0, 50, 10); @ = lhist(0, 0, 50, 10); @ = lhist(49, 0, 50, 10); "
        "@ = lhist(70, 0, 50, 10); @ = lhist(50, 0, 50, 10);",
    "lhist within": "@ = lhist(15, 0, 100, 10); @ = lhist(15, 0, 100, 10); @ = lhist(55, 0, 100, 10);",
    "lhist by 1024": "@b = lhist(2048, 0, 10240, 1024); @b = lhist(5000, 0, 10240, 1024);",
    "lhist from above "
    "zero": "@c = lhist(5, 10, 20, 2); @c = lhist(11, 10, 20, 2); @c = lhist(19, 10, 20, 2); "
        "@c = lhist(20, 10, 20, 2);",
    "lhist by one": "@ = lhist(3, 0, 8, 1); @ = lhist(3, 0, 8, 1); @ = lhist(5, 0, 8, 1);",
    "lhist by key": '@["a", 2] = lhist(15, 0, 30, 10); @["b", 1] = lhist(25, 0, 30, 10); '
        '@["b", 1] = lhist(26, 0, 30, 10);',
    "lhist of large steps": "@ = lhist(1500000, 0, 10000000, 1000000); @ = lhist(99, 0, 10000000, 1000000);",
    "zeroed": "@ = hist(5); @k[1] = hist(7); zero(@); zero(@k);",
    "cleared": "@ = hist(5); clear(@); @x = 1;",
}  # fmt: skip
CASES = {
    f"{subject}: {name}": Case(f"BEGIN {{ {body} exit(); }}")
    for subject, table in {"maps": MAPS, "aggregates": AGGREGATES, "histograms": HISTOGRAMS}.items()
    for name, body in table.items()
}
