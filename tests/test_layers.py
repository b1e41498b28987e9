"""The shape of the code: imports go one way and never in a circle, and nothing outgrows a reader."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]

# From top to bottom. A folder imports from lines below its own, never from a neighbour in its line.
LAYERS = """
report
plots
analysis clustering evaluation ontology store training
features
models
crops
fetch segmentation
images simulate
spec user_tables
errors files locks
"""
LEVEL = {name: level for level, line in enumerate(LAYERS.split("\n")) for name in line.split()}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("pcip_core", "pcip_assets")
    for path in (ROOT / package).rglob("*.py")
}


def imports_of(path: Path) -> Iterator[str]:
    """The first-party modules that a file imports anywhere, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are hard to follow"
            names = [
                f"{node.module}.{name}" if f"{node.module}.{name}" in MODULES else node.module
                for name in names
            ]
        yield from (name for name in names if name in MODULES)


IMPORTS = {module: set(imports_of(path)) for module, path in MODULES.items()}


def test_no_import_goes_up() -> None:
    pairs = [(module.split("."), name.split(".")) for module in IMPORTS for name in IMPORTS[module]]
    core = [(module, name) for module, name in pairs if module[0] == "pcip_core" and module[1] != name[1]]
    assert len(core) > 100
    assert [(module, name) for module, name in core if LEVEL[module[1]] >= LEVEL[name[1]]] == []


def test_no_import_goes_in_a_circle() -> None:
    TopologicalSorter(IMPORTS).prepare()  # raises a CycleError that names the circle


def test_pandas_is_imported_nowhere() -> None:
    trees = {module: ast.walk(ast.parse(path.read_text())) for module, path in MODULES.items()}
    imported = {
        module: {
            *(alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names),
            *(str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)),
        }
        for module, nodes in ((module, list(tree)) for module, tree in trees.items())
    }
    assert any("polars" in names for names in imported.values())
    assert [
        module for module, names in imported.items() if any(n.split(".")[0] == "pandas" for n in names)
    ] == []


def test_nothing_outgrows_a_reader() -> None:
    files = {
        path: path.read_text()
        for top in ("pcip_core", "pcip_assets", "tests", "benchmarks")
        for path in (ROOT / top).rglob("*.py")
    }
    assert [
        f"{path}: {text.count(chr(10))} lines" for path, text in files.items() if text.count("\n") > 400
    ] == []
    folders = Counter(path.parent for path in MODULES.values() if path.stem != "__init__")
    assert {folder: count for folder, count in folders.items() if count > 12} == {}
    functions = [
        (f"{path}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1 - docstring_lines(node))
        for path in MODULES.values()
        for node in ast.walk(ast.parse(files[path]))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(function, lines) for function, lines in functions if lines > 60] == []


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function's docstring takes."""
    first = node.body[0]
    return first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
