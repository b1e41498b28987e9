"""The installed code with one definition changed, to see which versions of assets change with it."""

from __future__ import annotations

import ast
from functools import cache

from pcip_assets.lineage.syntax import PACKAGES
from pcip_assets.lineage.version import Code, Part
from pcip_assets.workspace import REPOSITORY

FILES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text()
    for package in PACKAGES
    for path in sorted((REPOSITORY / package).rglob("*"))
    if path.is_file() and path.suffix != ".safetensors" and "__pycache__" not in path.parts
}
INSTALLED = Code(FILES)


def path_of(module: str) -> str:
    """The file of a module."""
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in FILES else f"{path}/__init__.py"


@cache
def changed(part: Part) -> Code:
    """The code with one constant of a definition changed; where it has none, with one more statement."""
    if not part.name:
        return Code({**FILES, part.module: FILES[part.module] + "x"})
    tree = ast.parse(FILES[path_of(part.module)])
    statements = [node for node in tree.body if part.name in defined_by(node)]
    docstrings = {
        id(node.value)
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Expr)
    }
    settings = path_of(part.module).startswith("pcip_core/spec/")
    for node in (node for statement in statements for node in body_of(statement, settings=settings)):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, int | float):  # a bool too
                node.value = node.value + 1
                break
            if isinstance(node.value, str):
                node.value = f"{node.value}x"
                break
    else:
        statement = statements[0]
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            statement.body.append(ast.Expr(ast.Constant(1)))
        else:
            assert isinstance(statement, ast.Assign | ast.AnnAssign), part
            assert statement.value is not None, part
            statement.value = ast.Tuple([statement.value, ast.Constant(1)])
    return Code({**FILES, path_of(part.module): ast.unparse(ast.fix_missing_locations(tree))})


def body_of(statement: ast.stmt, *, settings: bool) -> list[ast.AST]:
    """The nodes of a statement that count: none in decorators; of a class of settings no key, and no check of keys."""
    apart = [node for inner in ast.walk(statement) for node in getattr(inner, "decorator_list", ())]
    if settings and isinstance(statement, ast.ClassDef):
        apart += [
            node
            for node in statement.body
            if isinstance(node, ast.AnnAssign)
            or (isinstance(node, ast.FunctionDef) and node.name == "problems")
        ]
    outside = {id(node) for part in apart for node in ast.walk(part)}
    return [node for node in ast.walk(statement) if id(node) not in outside]


def defined_by(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return set()
