"""A Python module as definitions: for each name its syntax tree, and the names and strings that it uses."""

import ast
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

PACKAGES = ("pcip_core", "pcip", "pcip_assets")  # the first party
BARE = "(statements)"  # key of the statements of a module that bind no name
_REFUSES = "problems"  # the method of a section that reports errors in it: a failure has no result
_NOT_RUN = ("TYPE_CHECKING", "__name__ == '__main__'")  # conditions that are false when a module is imported


class Definition:
    """What counts of the statements of a module that bind one name. The statements themselves are not kept.

    Attributes:
        tree: hash of the syntax tree without docstrings, first-party imports and Dagster's decorators.
        names: the dotted names used, as tuples: for `a.b(c)`, ("a", "b") and ("c",).
        texts: the strings among the constants.
        imported: name -> possible targets, from imports inside.
    """

    def __init__(
        self, statements: Sequence[ast.stmt], glue: set[str], *, sentences: bool, values: bool
    ) -> None:
        self.names: set[tuple[str, ...]] = set()
        self.texts: set[str] = set()
        self.imported: dict[str, list[str]] = {}
        self._glue, self._sentences, self._values = glue, sentences, values
        tokens: list[str] = []
        for statement in statements:
            self._read(statement, tokens)
        self.tree = text_hash(*tokens)
        used = {names[0] for names in self.names}
        self.names |= {(name,) for name in self.imported if name not in used}

    def _read(self, node: ast.AST, tokens: list[str]) -> None:
        """Write a tree as tokens, and record the names and strings that it uses."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports = _imports(node)
            for name, target in imports:
                self.imported.setdefault(name, []).append(target)
            if any(is_first_party(target) for _, target in imports):
                return  # the search follows its targets; the name of the module does not count
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                self.texts.add(node.value)
                if not self._sentences and " " in node.value:
                    return
            tokens.append(repr(node.value))
            return
        elif names := _dotted(node):
            self.names.add(names)
            tokens.append(".".join(names))
            return
        elif _is_docstring(node):
            return
        tokens.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            values = value if isinstance(value, list) else [value]
            if name == "decorator_list":
                values = [item for item in values if (_dotted(_called(item)) or ("",))[0] not in self._glue]
            if isinstance(node, ast.ClassDef) and not self._values:
                for setting in filter(_is_setting, values):
                    self._read(setting, [])  # the class of a section may have code
                values = [item for item in values if not _is_setting(item)]
            tokens.append(f"{name} {len(values)}")
            for item in values:
                if isinstance(item, ast.AST):
                    self._read(item, tokens)
                else:
                    tokens.append(repr(item))


class Module:
    """A module: name -> definition, and name -> targets of its imports.

    Args:
        text: of the module.
        glue: packages and modules whose decorators do not count.
        sentences: whether strings with a space count.
        values: whether the keys of classes count, with their defaults.
    """

    def __init__(self, text: str, *, glue: Sequence[str], sentences: bool, values: bool) -> None:
        body = ast.parse(text).body
        self.imported: dict[str, list[str]] = {}
        self.defined: dict[str, Definition] = {}
        for statement in body:
            for node in _at_top(statement):
                for name, target in _imports(node):
                    self.imported.setdefault(name, []).append(target)
        binding: dict[str, list[ast.stmt]] = {}
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom) or _is_docstring(statement):
                continue
            if isinstance(statement, ast.If) and ast.unparse(statement.test) in _NOT_RUN:
                continue
            for name in {name for node in _at_top(statement) for name in _bound(node)} or {BARE}:
                binding.setdefault(name, []).append(statement)
        decorators = self._imported_from(glue)
        for name, statements in binding.items():  # at once, so that no tree outlives this call
            self.defined[name] = Definition(statements, decorators, sentences=sentences, values=values)

    def _imported_from(self, packages: Sequence[str]) -> set[str]:
        """The names that are imported from these packages alone."""
        return {
            name
            for name, targets in self.imported.items()
            if all(any(is_below(target, package) for package in packages) for target in targets)
        }


def is_first_party(target: str) -> bool:
    """Whether a dotted name is one of our packages or in one."""
    return target.partition(".")[0] in PACKAGES


def is_below(name: str, package: str) -> bool:
    """Whether a dotted name is a package or in it."""
    return name == package or name.startswith(f"{package}.")


def _at_top(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement of a module, and the statements in its branches."""
    yield statement
    if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
        for node in ast.walk(statement):
            if isinstance(node, ast.stmt) and node is not statement:
                yield node


def _imports(node: ast.AST) -> list[tuple[str, str]]:
    """The names that an import binds, each with its target."""
    if isinstance(node, ast.ImportFrom):
        if node.level:
            raise LookupError(f"line {node.lineno}: a relative import; write the module's full name")
        return [(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names]
    imports = []
    for alias in node.names if isinstance(node, ast.Import) else ():
        target = alias.name if alias.asname else alias.name.partition(".")[0]
        imports.append((alias.asname or target, target))
    return imports


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement binds or changes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return set()


def _is_setting(item: Any) -> bool:
    """Whether a statement of a class is a key with its default, or the method that reports errors in it."""
    return isinstance(item, ast.AnnAssign) or (isinstance(item, ast.FunctionDef) and item.name == _REFUSES)


def _dotted(node: ast.AST) -> tuple[str, ...]:
    """The parts of `a.b.c`; empty for other expressions."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def _called(node: Any) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def text_hash(*texts: str) -> str:
    """Hash of texts."""
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()
