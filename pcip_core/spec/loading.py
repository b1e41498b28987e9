"""Reading a screen spec from its YAML file."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcip_core.errors import SpecError
from pcip_core.spec.bounds import meant, shown
from pcip_core.spec.reading import read_yaml
from pcip_core.spec.recipes import with_recipe
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import EncoderConfig
from pcip_core.spec.validation import LONGEST_NAME, validate

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_INSTANCE = re.compile(r" or an instance of \w+")  # in pydantic's messages: no concern of a spec
_TYPE = re.compile(
    r"Screen|int|str|(function-wrap|literal|dict)\[.*"
)  # in pydantic's path to a value: no key
_MOST_PROBLEMS = 10
_RENAMED = {"yardsticks": "baselines"}  # former key -> key


def load_screen(path: Path, *, root: str | None = None) -> Screen:
    """Read a spec and check it.

    Args:
        path: the YAML file.
        root: folder of the images; replaces the root in the spec. A relative root starts at the folder of the spec.

    Raises:
        SpecError: the file does not exist, is not YAML, has an unknown or missing key, or has an invalid value.

    >>> import tempfile
    >>> spec = '''
    ... name: example
    ... organism: yeast
    ... files: {pattern: "{plate}/{well}_{field}_{channel}.tif", image_id: "{plate}_{well}"}
    ... channels: {cytosol: {role: structural}, protein: {role: protein}}
    ... shards: {by: "{plate}"}
    ... segmentation: {method: yeast_cytosol, options: {channel: cytosol}}
    ... crops: {window_px: 64}
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "example.yaml").write_text(spec)
    ...     screen = load_screen(Path(folder) / "example.yaml")
    >>> screen.structural, screen.protein, screen.crops.min_cells, screen.encoder.epochs
    (('cytosol',), ('protein',), 5, 30)
    """
    from pydantic import ValidationError

    values = read_yaml(path, "a screen spec")
    if not isinstance(values, dict):
        raise SpecError(
            path,
            found="an empty file" if values is None else f"a {type(values).__name__}",
            required="a YAML mapping with name, organism, channels, files, ...",
            remedy="Start from a spec that comes with pcip: `pcip init --list`, `pcip init --from NAME`.",
        )
    for old, new in _RENAMED.items():
        if old in values:
            raise SpecError(
                path,
                found=f"the key `{old}`",
                required=f"the key `{new}`, as it is called now",
                remedy=f"Rename `{old}:` to `{new}:` in the spec.",
            )
    try:
        screen = _adapter().validate_python(with_recipe(values, path))
    except ValidationError as error:
        found, required = _validation_message(error)
        raise SpecError(path, found=found, required=required, remedy="Correct the spec.") from error
    screen = _with_absolute_paths(screen, path, root)
    validate(screen, path)
    return screen


def encoder_config(values: Mapping[str, Any], source: object) -> EncoderConfig:
    """Check plain values of the section `encoder`: of a spec with some of them changed, or as a training saved them.

    Args:
        values: name of a setting -> value; settings that are left out have their defaults.
        source: where the values come from, for the error.

    Raises:
        SpecError: a setting is unknown, or a value is invalid.

    >>> encoder_config({"width": 0.25, "augment": {"turns": True}}, "launchpad").width
    0.25
    """
    from pydantic import ValidationError

    try:
        return _encoder_adapter().validate_python(dict(values))
    except ValidationError as error:
        found, required = _validation_message(error)
        found = found.replace("``", "`encoder`")  # of the settings together
        raise SpecError(source, found=found, required=required, remedy="Correct the value.") from error


@functools.cache
def _encoder_adapter() -> TypeAdapter[EncoderConfig]:
    from pydantic import TypeAdapter

    return TypeAdapter(EncoderConfig)


@functools.cache
def _adapter() -> TypeAdapter[Screen]:
    """Validates a spec. Building it takes longer than validating with it."""
    from pydantic import TypeAdapter

    return TypeAdapter(Screen)


def _with_absolute_paths(screen: Screen, path: Path, root: str | None) -> Screen:
    """Make the root and the paths of the analyses and of the weights absolute; they start at the folder of the spec."""

    def absolute(name: str, text: str) -> str:
        try:
            return str((path.parent / Path(text).expanduser()).resolve())
        except (RuntimeError, ValueError, OSError) as error:  # no such user, a loop of links
            raise SpecError(
                path, found=f"{name} {shown(text)} ({error})", required="a path", remedy="Correct the spec."
            ) from error

    def changed(part: Any, key: str) -> Any:
        name = key.rpartition(".")[2]
        text = None if part is None else getattr(part, name)
        return part if text is None else dataclasses.replace(part, **{name: absolute(key, text)})

    def within(section: Any, key: str) -> Any:
        name = key.partition(".")[0]
        return dataclasses.replace(section, **{name: changed(getattr(section, name), key)})

    tables = screen.analyses.annotations.items()
    annotations = {name: absolute(f"analyses.annotations.{name}", table) for name, table in tables}
    analyses = dataclasses.replace(screen.analyses, annotations=annotations)
    for key in ("clusters.picks", "ontology.obo", "ontology.gaf", "ontology.names"):
        analyses = within(analyses, key)
    root = root or screen.root
    return dataclasses.replace(
        screen,
        root=None if root is None else absolute("root", root),
        baselines=within(screen.baselines, "vgg16.weights"),
        features={
            name: changed(changed(each, f"features.{name}.program"), f"features.{name}.reference")
            for name, each in screen.features.items()
        },
        analyses=analyses,
    )


def _validation_message(error: Any) -> tuple[str, str]:
    """What pydantic found, with the key of each problem, and what is required."""
    found: list[str] = []
    required: list[str] = []
    for problem in error.errors()[:_MOST_PROBLEMS]:
        key = ".".join(str(step)[:LONGEST_NAME] for step in problem["loc"] if not _is_type(step))
        if problem["type"] == "bounds":
            found.append(f"{key} {shown(problem['input'])}")
            required.append(f"{key} {problem['msg']}")
        elif problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            section, _, last = key.rpartition(".")
            names = _keys_of(section.split(".") if section else [])
            found.append(f"unknown key `{key}`{meant(last, names)}")
            required += [f"the keys {', '.join(names)}"] if names else []
        elif problem["type"] == "value_error":  # of settings that do not go together
            given, _, wanted = problem["msg"].removeprefix("Value error, ").partition("; required: ")
            found.append(f"`{key}`: {given}")
            required += [wanted] if wanted else []
        else:
            found.append(f"`{key}`: {_INSTANCE.sub('', problem['msg'].lower())}")
    if len(required) == len(found) == 1:
        return found[0], required[0].removeprefix(f"{key} ")
    return "; ".join(found), ", ".join(dict.fromkeys(required) or ["the keys of docs/reference/spec.md"])


def _keys_of(path: Sequence[str]) -> list[str]:
    """The keys of a section of a spec; empty if the path leads to no section."""
    kind: Any = Screen
    for step in path:
        if dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind).get(step)
        elif typing.get_origin(kind) is dict:  # a mapping from names that the user gives
            kind = typing.get_args(kind)[1]
        if typing.get_origin(kind) is not dict:
            kind = next(filter(dataclasses.is_dataclass, [kind, *typing.get_args(kind)]), kind)
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def _is_type(step: object) -> bool:
    """Whether a step of pydantic's path to a value is a type that it tried, and not a key."""
    return isinstance(step, str) and _TYPE.fullmatch(step) is not None
