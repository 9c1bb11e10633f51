"""Random statements and bodies, each with what it declares; probes, macros and functions."""

# ruff: noqa: E501 (pieces of scripts, a line each)
from __future__ import annotations

from collections.abc import Callable

from fuzzkit.scenes import Scene
from fuzzkit.values import MapShape, Values

_AGGREGATIONS = {
    "count": "count()", "sum": "sum({})", "min": "min({})", "max": "max({})", "avg": "avg({})", "stats": "stats({})",
    "hist": "hist({})", "lhist": "lhist({}, 0, 100, 10)",
}  # fmt: skip
_HOLDS = (
    "integer", "integer", "integer", "text", "text", "tuple", "record", "count", "count", "sum", "min", "max", "avg",
    "stats", "hist", "lhist", "shown",
)  # fmt: skip
_KEYS = ((), (), ("integer",), ("integer",), ("text",), ("text", "integer"), ("integer", "integer", "text"))
_FORMATTERS = (
    "ms({})",
    "us({}, 1)",
    "sec({})",
    "kb({})",
    "hex({})",
    "errname({})",
    "signame({})",
    'flags({}, "open")',
)
_CONVERSIONS = (
    ("%d", "integer"), ("%s", "text"), ("%ld", "integer"), ("%-8s", "text"), ("%5d", "integer"), ("%lx", "integer"),
    ("%c", "integer"), ("%p", "integer"), ("%05u", "integer"), ("%s", "shown"), ("%llu", "integer"), ("%hhd", "integer"),
)  # fmt: skip
_LOOP_TURNS = 4


class Writer(Values):
    """Makes the text of bodies; what is declared in them stays visible to the end of its block."""

    def _fresh(self, letter: str) -> str:
        self.number = getattr(self, "number", 0) + 1
        return f"{letter}{self.number}"

    # ---- Statements

    def statement(self, depth: int) -> str:
        """One statement that ends as it must."""
        simple: list[Callable[[], str]] = [
            self._assign_variable, self._assign_variable, self._assign_map, self._assign_map, self._assign_map,
            self._print, self._print, self._change, self._aside, self._emit, self._record_of_aggregations,
        ]  # fmt: skip
        if depth <= 0 or self.chance.random() < 0.7:
            return self.chance.choice(simple)()
        return self.chance.choice(
            (self._if, self._if, self._if_value, self._loop, self._over_map, self._unroll)
        )(depth - 1)

    def block(self, depth: int, most: int = 3) -> str:
        """Statements in braces, with a scope of their own."""
        self.scopes.append({})
        inner = " ".join(self.statement(depth) for _ in range(self.chance.randrange(1, most + 1)))
        self.scopes.pop()
        return f"{{ {inner} }}"

    def _assign_variable(self) -> str:
        choose = self.chance.choice
        kind = choose(("integer", "integer", "text"))
        known = [name for name in self.visible(kind) if "." not in name]
        if known and self.chance.random() < 0.4:
            name = choose(known)
            if kind == "integer" and self.chance.random() < 0.6:
                return f"{name} {choose(('+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>'))}= {self.integer(1)};"
            return f"{name} = {self.of(kind, 2)};"
        value = self.of(kind, 2)
        name = "$" + self._fresh(choose("abcs"))
        self.scopes[-1][name] = kind
        if kind == "text":
            return f"{name} = {value};"
        form = choose(
            ("{} = (int64)({});", "{} = (uint64)({});", "let {}: int64 = {};", "let {} = (uint64)({});")
        )
        return form.format(name, value)

    def _shape(self) -> MapShape:
        if self.maps and self.chance.random() < 0.6:
            return self.chance.choice(list(self.maps.values()))
        shape = MapShape("@" + self._fresh("m"), self.chance.choice(_KEYS), self.chance.choice(_HOLDS))
        self.maps[shape.name] = shape
        return shape

    def _assign_map(self) -> str:
        shape = self._shape()
        return self._put(shape)

    def _put(self, shape: MapShape) -> str:
        place = self.access(shape)
        if shape.holds in _AGGREGATIONS:
            return f"{place} = {_AGGREGATIONS[shape.holds].format(self.integer(1))};"
        match shape.holds:
            case "integer":
                way = self.chance.randrange(4)
                return (
                    f"{place} = {self.integer(2)};",
                    f"{place}++;",
                    f"--{place};",
                    f"{place} += {self.integer(1)};",
                )[way]
            case "text":
                return f"{place} = {self.text(2)};"
            case "tuple":
                return f"{place} = ({self.integer(1)}, {self.text(1)}, (comm, {self.integer(0)}));"
            case "record":
                return f"{place} = (a = {self.integer(1)}, b = {self.text(1)});"
        return f"{place} = kstack(5);"

    def _print(self) -> str:
        match self.chance.randrange(6):
            case 0 | 1:
                chosen = self.chance.choices(_CONVERSIONS, k=self.chance.choice((1, 2, 3)))
                values = [self.shown() if kind == "shown" else self.of(kind, 2) for _, kind in chosen]
                name = self.chance.choice(("printf", "printf", "printf", "errorf", "warnf"))
                return (
                    f'{name}("' + " ".join(text for text, _ in chosen) + '\\n", ' + ", ".join(values) + ");"
                )
            case 2 if self.maps:
                shape = self.chance.choice(list(self.maps.values()))
                return self.chance.choice(
                    (f"print({shape.name});", f"print({shape.name}, 5);", f"print({shape.name}, 3, 2);")
                )
            case 3:
                return self.chance.choice(
                    ("time();", 'time("%H:%M:%S\\n");', f'debugf("%d", {self.integer(0)});')
                )
        return f"print({self.shown()});"

    def _change(self) -> str:
        keyed = [shape for shape in self.maps.values() if shape.keys]
        if not keyed:
            return "_ = " + self.integer(1) + ";"
        shape = self.chance.choice(keyed)
        keys = self.keys(shape, 0)
        key = f"({keys})" if len(shape.keys) > 1 else keys
        ways = [f"clear({shape.name});", f"zero({shape.name});", f"delete({shape.name}, {key});"]
        if shape.holds not in ("hist", "lhist"):
            ways.append(f"print(len({shape.name}));")
        if shape.holds in ("integer", "text"):
            name = "$" + self._fresh("f")
            ways.append(
                f"let {name} = {shape.name}[{keys}]; if (find({shape.name}, {key}, {name})) {{ print({name}); }}"
            )
        if shape.holds not in ("hist", "lhist", "stats", "shown"):
            ways.append(f"table({shape.name}, top = 5);")
        return self.chance.choice(ways)

    def _aside(self) -> str:
        ways = [
            "static_assert(sizeof(uint64) == 8, \"odd\");", f"assert({self.condition(1)}, \"no\");",
            f'cat("/proc/%d/comm", {self.integer(0)});', 'system("true %d", pid);',
            f"if ({self.condition(1)}) {{ return; }}", "$#;",
        ]  # fmt: skip
        if not self.bare:
            ways += [f"if ({self.condition(1)}) {{ exit(); }}", *self.scene.statements]
            ways += [f"print(path({item}));" for item in self.scene.files]
            if self.scene.head not in ("begin", "end") and not self.scene.head.startswith("self"):
                ways += [f"if ({self.condition(1)}) {{ signal(0x17); }}"]
        return self.chance.choice(ways)

    def _emit(self) -> str:
        cells = [self.chance.choice(("pid", "comm", "tid", "time()"))]
        for number in range(self.chance.randrange(1, 4)):
            value = self.chance.choice((self.integer(1), self.text(1)))
            if self.chance.random() < 0.4:
                value = self.chance.choice(_FORMATTERS).format(self.integer(1))
            cells.append(self.chance.choice((f"C{number} = {value}", f'"C{number}(x)" = {value}')))
        return f"emit({', '.join(cells)});"

    def _record_of_aggregations(self) -> str:
        name = "@r" + self.chance.choice("12")
        keys = f"[{self.text(0)}, {self.integer(1)}]" if name == "@r1" else ""
        parts = (
            "n = count()",
            f"bytes = sum({self.integer(1)})",
            f"low = min({self.integer(1)})",
            f"mean = avg({self.integer(1)})",
        )
        return " ".join(f"{name}{keys}.{item};" for item in self.chance.sample(parts, 2))

    # ---- Statements of statements

    def _if(self, depth: int) -> str:
        condition = self.condition(2)
        text = f"if ({condition}) {self.block(depth)}"
        if self.chance.random() < 0.2:
            text = f"if {self.chance.choice(('pid', 'curtask', '!cpu', 'true'))} {self.block(depth)}"
        if self.chance.random() < 0.4:
            text += f" else if ({self.condition(1)}) {self.block(depth)}"
        if self.chance.random() < 0.5:
            text += f" else {self.block(depth)}"
        return text

    def _if_value(self, depth: int) -> str:
        value = f"if ({self.condition(1)}) {{ {self.integer(1)} }} else {{ {self.integer(1)} }}"
        if self.chance.random() < 0.4:
            value = f"{{ {self.statement(0)} {self.integer(1)} }}"
        name = "$" + self._fresh("v")
        self.scopes[-1][name] = "integer"
        return f"{name} = (int64)({value});" if self.chance.random() < 0.5 else f"{name} = {value};"

    def _loop(self, depth: int) -> str:
        name = "$" + self._fresh("i")
        stop = self.chance.choice((str(_LOOP_TURNS), "2", f"({self.integer(0)})"))
        self.scopes.append({name: "integer"})
        if self.chance.random() < 0.4:
            text = f"let {name}: uint64 = 0; while ({name} < {_LOOP_TURNS}) {{ {name} += 1; {self._turn(depth)} }}"
            self.scopes.pop()
            self.scopes[-1][name] = "integer"
            return text
        text = f"for {name} : 0..{stop} {{ {self._turn(depth)} }}"
        self.scopes.pop()
        return text

    def _turn(self, depth: int) -> str:
        self.bare += 1
        self.scopes.append({})
        inner = " ".join(self.statement(min(depth, 1)) for _ in range(self.chance.randrange(1, 3)))
        if self.chance.random() < 0.3:
            inner += f" if ({self.condition(0)}) {{ {self.chance.choice(('break', 'continue'))}; }}"
        self.scopes.pop()
        self.bare -= 1
        return inner

    def _over_map(self, depth: int) -> str:
        keyed = [
            shape
            for shape in self.maps.values()
            if shape.keys and shape.holds in ("integer", "text", "count", "sum")
        ]
        if not keyed:
            return self._loop(depth)
        shape = self.chance.choice(keyed)
        name = "$" + self._fresh("kv")
        value = f"{name}.1"
        self.scopes.append({value: "text" if shape.holds == "text" else "integer"})
        if len(shape.keys) == 1:
            self.scopes[-1][f"{name}.0"] = shape.keys[0]
        text = f"for ({name} : {shape.name}) {{ {self._turn(depth)} }}"
        self.scopes.pop()
        return text

    def _unroll(self, depth: int) -> str:
        return f"unroll ({self.chance.choice((1, 2, 3))}) {self.block(min(depth, 1), 2)}"

    # ---- What bodies stand in

    def probe(self, scene: Scene) -> str:
        """A probe with a predicate or without."""
        self.scene, self.scopes = scene, [{}]
        head = scene.head
        if self.chance.random() < 0.4 and not head.startswith(("begin", "end")):
            head += f" /{self.condition(2)}/"
        return f"{head} {self.block(self.chance.choice((1, 1, 2, 2, 3)), 4)}"

    def declaration(self) -> str:
        """A map of a size and a kind of its own."""
        aggregate = self.chance.random() < 0.4
        kind = self.chance.choice(("percpuhash", "percpulruhash") if aggregate else ("hash", "lruhash"))
        holds = self.chance.choice(("count", "sum") if aggregate else ("integer", "text"))
        shape = MapShape("@" + self._fresh("d"), self.chance.choice(_KEYS[2:]), holds)
        self.maps[shape.name] = shape
        return f"let {shape.name} = {kind}({self.chance.choice((1, 10, 5000))});"

    def macro(self) -> str:
        """A macro of values, one that takes a map, or one that changes a variable."""
        name, before, self.bare = self._fresh("mac"), self.bare, self.bare + 1
        kept, self.maps, self.scopes = self.maps, {}, [{"x": "integer"}]
        match self.chance.randrange(3):
            case 0:
                text = f"macro {name}(x, y) {{ {self.integer(2)} + y }}"
                self.macros.append(f"{name}(?, ?)")
            case 1:
                text = f"macro {name}(x) {{ $in = (int64)x; $in += {self.integer(1)}; $in }}"
                self.macros.append(f"{name}(?)")
            case _:
                text = f"macro {name}() {{ {self.integer(1)} }}"
                text = text.replace(" x", " 3").replace("(x", "(3")
                self.macros.append(name + self.chance.choice(("()", "")))
        self.bare, self.maps = before, kept
        return text

    def function(self) -> str:
        """A function of two integers."""
        name = self._fresh("fun")
        self.scopes, self.bare = [{"$x": "integer", "$y": "integer"}], self.bare + 1
        body = f"if ({self.condition(1)}) {{ return {self.integer(1)}; }} return {self.integer(2)};"
        self.bare -= 1
        self.functions.append(f"{name}(?, ?)")
        return f"fn {name}($x: int64, $y: uint64) : int64 {{ {body} }}"

    def filling(self) -> str:
        """A probe that writes each map of the program once, so that each has a type."""
        if not self.maps:
            return ""
        self.scene, self.scopes, maps = Scene("begin"), [{}], list(self.maps.values())
        kept, self.maps = self.maps, {}
        text = "begin { " + " ".join(self._put(shape) for shape in maps) + " }"
        self.maps = kept
        return text
