"""The version of an asset: a hash of all code that determines its result.

The version is computed, without a hand-written list of modules. The search starts at the function that builds
the asset. It follows each name that the function uses, through imports at the top of a module and inside
functions, to its definition in a first-party package; then the names that this definition uses, and so on.
A definition is a statement at the top of a module: a function, a class or an assignment. The hash does not
include unused definitions, comments, docstrings, names of modules, and the modules in `DECIDES_NOTHING`.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pcip_assets.lineage.syntax import BARE, PACKAGES, Module, is_below, is_first_party, text_hash

DECIDES_NOTHING = (
    "pcip_core.errors",  # a failure has no result
    "pcip_core.locks",  # order of access
    "pcip_core.store.journal",  # input and output
    "pcip_core.store.parquet",  # input and output
    "pcip_core.store.partitions",  # input and output
    "pcip_core.store.places",  # input and output
    "pcip_core.store.publish",  # copies tables into the published file
    "pcip_core.training.tracker",  # reports progress
    "pcip_assets.assets.encoders.train_network",  # records a training and registers the network
    "pcip_assets.assets.pictures",  # how pages show a result
    "pcip_assets.compute",  # where shards are computed
    "pcip_assets.dagster_compat",  # what Dagster keeps and shows
    "pcip_assets.assets.results",  # storage of results
    "pcip_assets.assets.skeleton",  # whether to compute a result, by the same rule for all assets
    "pcip_assets.assets.table_metadata",  # how pages show a result
    "pcip_assets.lineage",  # versions
    "pcip_assets.progress",  # log messages
    "pcip_assets.provenance",  # hashes, times
    "pcip_assets.records",  # what MLflow shows
    "pcip_assets.recovery",  # repairs databases before they are used
    "pcip_assets.resources",  # access to the store
    "pcip_assets.servers",  # where records are kept
    "pcip_assets.tracking",  # access to networks, records of trainings
    "pcip_assets.workspace",  # paths of folders
)
SETTINGS = "pcip_core.spec"
"""Only code that derives settings from other settings counts: the values of settings are inputs of each asset."""
FIGURES = "pcip_core.plots"  # also has no influence, unless the asset stores figures
SCHEMAS = "pcip_core.store.schemas"  # descriptions of tables and columns in it do not count
_DRAWS = "pcip_core.plots.pictures:save_png"  # writes the figures of all assets that store figures


def code_version(function: Callable[..., Any], *, figures: bool = False) -> str:
    """Version of an asset, from its function or from one nested in the function that builds it.

    For an asset that stores figures, it includes the plotting code.
    """
    return installed_code().version(
        f"{function.__module__}:{function.__qualname__.partition('.')[0]}", figures=figures
    )


@functools.cache
def installed_code() -> "Code":
    """The code of this installation."""
    files = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        folder = Path(str(spec and spec.origin)).parent
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                text = path.read_text(encoding="utf-8", errors="backslashreplace")
                files[f"{package}/{path.relative_to(folder).as_posix()}"] = text
    return Code(files)


class Part(NamedTuple):
    """A definition, by its module and name; or a data file, by its path and an empty name."""

    module: str
    name: str


class Code:
    """Source files, and the versions of the assets that they build.

    Args:
        files: path, as `pcip_core/errors.py`, -> text. Other files are data, and belong to code that
            names them.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self._modules = {
            path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): text
            for path, text in files.items()
            if path.endswith(".py")
        }
        self._data = {path: text for path, text in files.items() if not path.endswith(".py")}
        self._path_of = {path.rpartition("/")[2]: path for path in self._data}
        self._used: dict[Part, dict[str, list[Part | str]]] = {}
        self._versions: dict[tuple[str, bool], str] = {}

    def version(self, build: str, *, figures: bool = False) -> str:
        """Hash of everything that determines what `module:function` builds.

        Raises:
            LookupError: a name has no definition.
        """
        if (build, figures) not in self._versions:
            parts = self.closure(build, figures=figures)
            meanings = {self._meaning(part, figures=figures) for part in parts}
            self._versions[build, figures] = text_hash(*sorted(meanings))
        return self._versions[build, figures]

    def closure(self, build: str, *, figures: bool = False) -> frozenset[Part]:
        """All definitions that determine what `module:function` builds, including its callers in that module."""
        module, name = build.split(":")
        waiting = [Part(module, caller) for caller in self._callers(module, name)]
        if figures:
            waiting.append(Part(*_DRAWS.split(":")))
        seen: set[Part] = set()
        while waiting:
            part = waiting.pop()
            if part not in seen:
                seen.add(part)
                waiting += self._next(part, figures=figures)
        return frozenset(seen)

    def _callers(self, module: str, name: str) -> set[str]:
        """A function and its direct and indirect users in its module, which may pass functions to it."""
        defined, callers = self._module(module).defined, {name}
        while more := {
            other
            for other, definition in defined.items()
            if other not in callers and any(names[0] in callers for names in definition.names)
        }:
            callers |= more
        return callers

    def _next(self, part: Part, *, figures: bool) -> Iterator[Part]:
        """The definitions that a definition uses, and the bare statements of its module."""
        if part.name:
            for targets in self._uses(part).values():
                for target in targets:
                    if isinstance(target, Part) and _decides(target.module, figures=figures):
                        yield target
            if BARE in self._module(part.module).defined:
                yield Part(part.module, BARE)

    def _meaning(self, part: Part, *, figures: bool) -> str:
        """Hash of a definition and of the targets of each name in it."""
        meanings = [self._tree(part)]
        for name, targets in sorted(self._uses(part).items()) if part.name else ():
            for target in targets:
                if isinstance(target, str):
                    meanings.append(f"{name} = {target}")
                elif _decides(target.module, figures=figures):
                    meanings.append(f"{name} = {self._tree(target)}")
        return text_hash(*meanings)

    def _tree(self, part: Part) -> str:
        if not part.name:
            return text_hash(self._data[part.module])
        return self._module(part.module).defined[part.name].tree

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            raise LookupError(f"{name}: no module of {' or '.join(PACKAGES)}")
        return _parsed(
            self._modules[name], sentences=not is_below(name, SCHEMAS), values=not is_below(name, SETTINGS)
        )

    def _uses(self, part: Part) -> dict[str, list[Part | str]]:
        """Each name that a definition uses -> its definitions, or its full name in another package."""
        if part not in self._used:
            module = self._module(part.module)
            definition = module.defined[part.name]
            used: dict[str, list[Part | str]] = {}
            for names in definition.names:
                first, rest = names[0], names[1:]
                if first in module.defined and first not in definition.imported:
                    used[first] = [Part(part.module, first)]
                elif targets := definition.imported.get(first) or module.imported.get(first):
                    used[".".join(names)] = self._imported(targets, rest)
            for text in definition.texts & self._path_of.keys():
                used[text] = [Part(self._path_of[text], "")]
            self._used[part] = used
        return self._used[part]

    def _imported(self, targets: Iterable[str], rest: tuple[str, ...]) -> list[Part | str]:
        """The definitions of `target.rest`, for all imports that bind the same name."""
        parts: list[Part | str] = []
        for target in targets:
            if not is_first_party(target):
                parts.append(target)
            elif target in self._modules:
                parts += self._of_module(target, rest)
            else:
                name, _, last = target.rpartition(".")
                if name not in self._modules:
                    raise LookupError(f"{target}: neither a module nor a name in a module")
                parts += self._of_module(name, (last, *rest))
        return parts

    def _of_module(self, name: str, rest: tuple[str, ...]) -> list[Part | str]:
        module = self._module(name)
        if not rest:  # the module is passed as a value: any of its names may be used
            return [Part(name, defined) for defined in module.defined]
        if rest[0] in module.defined:
            return [Part(name, rest[0])]
        if rest[0] in module.imported:
            return self._imported(module.imported[rest[0]], rest[1:])
        if f"{name}.{rest[0]}" in self._modules:
            return self._of_module(f"{name}.{rest[0]}", rest[1:])
        raise LookupError(f"module {name} has no {rest[0]}")


@functools.cache
def _parsed(text: str, *, sentences: bool, values: bool) -> Module:
    return Module(text, glue=("dagster", *DECIDES_NOTHING), sentences=sentences, values=values)


@functools.cache
def _decides(module: str, *, figures: bool) -> bool:
    ignored = DECIDES_NOTHING if figures else (*DECIDES_NOTHING, FIGURES)
    return not any(is_below(module, name) for name in ignored)
