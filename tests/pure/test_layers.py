"""Source files → who imports whom: the order of the packages, and each library in its one place.

    lang ← kernel ← codegen ← runtime ← repl ← ebt

A module imports from its own package and from those to its left, at its top. What is loaded only when it is
used, as the prompt, is loaded by `importlib.import_module("repl.session")`: the order holds for that too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDER = ["lang", "kernel", "codegen", "runtime", "repl", "ebt"]
# stdlib holds scripts, and code that finds them: it imports nothing of ours, and the face alone may ask it
PACKAGES = [*ORDER, "stdlib"]
ALLOWED = {package: {*ORDER[: ORDER.index(package) + 1]} for package in ORDER}
ALLOWED["stdlib"] = {"stdlib"}
ALLOWED["repl"].add("stdlib")
ALLOWED["ebt"].add("stdlib")

# library → where it may be imported: files, or a package with all that is in it
CONFINED = {
    "bcc": ["runtime/libbcc.py"],
    "prompt_toolkit": ["repl/"],
    "lark": ["lang/parser.py", "lang/tables.py"],
    "jinja2": ["codegen/emit.py"],
    "dataclasses": ["lang/records.py"],  # for what it costs at start
}

MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(tree: ast.AST, calls: bool = True) -> Iterator[tuple[int, str]]:
    """Yield line and full name of each module imported, wherever it stands; `calls`: import_module too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, level=level):
                yield node.lineno, "." * level + (module or "")
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ) if calls:
                yield node.lineno, name


def faults(module: Path, tree: ast.Module) -> Iterator[str]:
    """Yield what breaks a rule in one module, as file:line: message."""
    package = module.parts[0]
    if not (ast.get_docstring(tree) or "").strip():
        yield f"{module}:1: no docstring; its first line says input → output"
    for line, name in imports(tree):
        top = name.split(".")[0]
        if name.startswith("."):
            yield f"{module}:{line}: relative import; write it in full, from '{package}'"
        elif top in PACKAGES and top not in ALLOWED[package]:
            allowed = ", ".join(sorted(ALLOWED[package]))
            yield f"{module}:{line}: '{package}' imports '{name}'; it may import only from: {allowed}"
        elif top in CONFINED and not str(module).startswith(tuple(CONFINED[top])):
            yield f"{module}:{line}: '{top}' is imported; that is for {', '.join(CONFINED[top])} alone"
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    for function in functions:
        for line, name in imports(function, calls=False):
            if name.split(".")[0] in PACKAGES:
                yield f"{module}:{line}: '{name}' is imported inside a function; move it to the top"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_keeps_the_order(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"), str(module))
    found = list(dict.fromkeys(faults(module, tree)))
    assert not found, "\n" + "\n".join(found)


def test_all_packages_are_seen() -> None:
    assert {path.parts[0] for path in MODULES} == set(PACKAGES)


@pytest.mark.parametrize(
    ("module", "text", "message"),
    [
        ("lang/x.py", '"""x"""\nimport kernel.btf', "'lang' imports 'kernel.btf'"),
        ("codegen/x.py", '"""x"""\nfrom runtime import bpf', "'codegen' imports 'runtime'"),
        ("lang/x.py", '"""x"""\nfrom .ast import Script', "relative import"),
        ("runtime/maps.py", '"""x"""\nfrom bcc import BPF', "'bcc' is imported"),
        ("ebt/x.py", '"""x"""\ndef f():\n    import lang.ast', "inside a function"),
        ("lang/x.py", '"""x"""\nimportlib.import_module("repl.session")', "'lang' imports 'repl.session'"),
        ("lang/x.py", "import os", "no docstring"),
        ("ebt/x.py", '"""x"""\nfrom lang.ast import Script\nimport ebt.cli', ""),
        ("runtime/libbcc.py", '"""x"""\ndef f():\n    import bcc', ""),
    ],
)
def test_rules_find_what_they_forbid(module: str, text: str, message: str) -> None:
    found = list(faults(Path(module), ast.parse(text)))
    assert [True for fault in found if message in fault] == [True] * bool(message)
    assert len(found) == bool(message)
