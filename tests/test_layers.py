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
report browse
plots exports
analysis clustering evaluation ontology store training
features
models
crops
fetch segmentation
images simulate
spec user_tables
files locks hdf5 words
errors
"""
LEVEL = {name: level for level, line in enumerate(LAYERS.split("\n")) for name in line.split()}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("pcip", "pcip_core", "pcip_assets")
    for path in (ROOT / package).rglob("*.py")
}


def imports_of(path: Path) -> Iterator[str]:
    """The first-party modules that a file imports anywhere, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: name the whole module"
            names = [name if (name := f"{node.module}.{each}") in MODULES else node.module for each in names]
        yield from (name for name in names if name in MODULES)


IMPORTS = {module: set(imports_of(path)) for module, path in MODULES.items()}


def test_no_import_goes_up() -> None:
    pairs = [(module, name) for module, names in IMPORTS.items() for name in names]
    of_core = [(module, name) for module, name in pairs if module.startswith("pcip_core.")]
    assert [pair for pair in of_core if not pair[1].startswith("pcip_core.")] == []
    of_facade = [(module, name) for module, name in pairs if module.partition(".")[0] == "pcip"]
    assert {name.partition(".")[0] for _, name in of_facade} == {"pcip", "pcip_core"}
    folders = [(module.split(".")[1], name.split(".")[1]) for module, name in of_core]
    crossing = [pair for pair in zip(of_core, folders, strict=True) if len(set(pair[1])) == 2]
    assert len(crossing) > 100
    assert [pair for pair, (folder, other) in crossing if LEVEL[folder] >= LEVEL[other]] == []


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
    files = [
        path
        for top in ("pcip", "pcip_core", "pcip_assets", "tests", "benchmarks")
        for path in (ROOT / top).rglob("*.py")
    ]
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {path: count for path, count in lines.items() if count > 400} == {}
    modules = Counter(path.parent for path in MODULES.values() if path.stem != "__init__")
    assert {folder: count for folder, count in modules.items() if count > 12} == {}
    functions = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": lines_of(node)
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {function: count for function, count in functions.items() if count > 60} == {}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its decorators and its docstring."""
    first = function.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) is not None else 0
    return function.end_lineno - function.lineno + 1 - docstring
