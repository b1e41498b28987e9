"""Reading of YAML that a user has written: YAML 1.2's plain values, without tags, in bounded time and memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pcip_core.errors import SpecError
from pcip_core.spec.bounds import shown

if TYPE_CHECKING:
    import yaml

LARGEST_BYTES = 1_000_000
_MOST_VALUES = 100_000  # each alias counts as all values that it stands for
_DEEPEST = 40
_LONGEST_TEXT = 10_000
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MERGE = "tag:yaml.org,2002:merge"  # the key <<
_PLAIN = {  # tag -> text that has it without quotation marks, first characters of such text
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9]{0,17})", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


def read_yaml(path: Path, what: str) -> Any:
    """The values of a YAML file.

    Numbers are decimal: `010` is the text 010, as is a date. Any other text without quotation marks is text.

    Args:
        path: the file.
        what: what the file holds, for errors: `a screen spec`.

    Raises:
        SpecError: the file does not exist, is larger than 1 MB, is not YAML in UTF-8, gives a key twice, has tags,
            text longer than 10,000 characters or control characters, or holds more than 100,000 values or 40 levels.
    """
    import yaml

    def refuse(found: str, required: str, remedy: str) -> SpecError:
        return SpecError(path, found=found, required=required, remedy=remedy)

    if not os.path.isfile(path):  # noqa: PTH113, as Path.is_file raises for a name that is too long
        raise refuse("no such file", what, "Check the path.")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise refuse(f"a file that cannot be read ({error.strerror})", what, "Check the file.") from error
    if len(data) > LARGEST_BYTES:
        remedy = "Put long lists into a table (docs/reference/spec.md#tables)."
        raise refuse("more than 1 MB", f"{what} of 1 MB or less", remedy)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"bytes that are not UTF-8 ({error})", "text in UTF-8", "Save it as UTF-8.") from error
    loader = _loader()
    try:
        for problem, line in _problems(yaml.parse(text, Loader=loader)):
            required = f"plain YAML: no tags, at most {_MOST_VALUES} values and {_DEEPEST} levels"
            raise refuse(f"{problem} in line {line}", required, "Correct the file.")
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise refuse(f"not YAML ({error})", "a YAML mapping", "Correct the file.") from error
    except ValueError as error:  # of the constructors of numbers
        raise refuse(f"not YAML ({shown(str(error))})", "a YAML mapping", "Correct the file.") from error


def _problems(events: Iterable[Any]) -> Iterator[tuple[str, int]]:
    """What a file may not hold, with its line. Nothing is built, so that nothing grows with what aliases stand for."""
    import yaml

    sizes: dict[str, tuple[int, int]] = {}  # anchor -> values, levels; too many for a node that has not ended
    open_nodes: list[list[Any]] = [[None, 0, 0]]  # anchor, values, levels of each node that has not ended
    for event in events:
        size, levels, line = 1, 1, event.start_mark.line + 1
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size, levels = open_nodes.pop()
            size, levels = size + 1, levels + 1
        elif isinstance(event, yaml.AliasEvent):
            anchor, (size, levels) = None, sizes.get(str(event.anchor), (1, 1))
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            anchor = event.anchor
            if event.tag is not None:
                yield f"the tag {shown(event.tag)}", line
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append([anchor, 0, 0])
                if anchor is not None:
                    sizes[anchor] = (_MOST_VALUES + 1, 1)
                if len(open_nodes) > _DEEPEST:
                    yield f"more than {_DEEPEST} levels", line
                continue
            value = event.value
            if len(value) > _LONGEST_TEXT:
                yield f"a text of {len(value)} characters (at most {_LONGEST_TEXT})", line
            if match := _UNPRINTABLE.search(value):
                yield f"the character {match[0]!r} in {shown(value)}", line
        else:
            continue
        if anchor is not None:
            sizes[anchor] = (size, levels)
        parent = open_nodes[-1]
        parent[1], parent[2] = parent[1] + size, max(parent[2], levels)
        if parent[1] > _MOST_VALUES or len(open_nodes) + levels > _DEEPEST:
            yield "aliases or lists that stand for too much", line


def _loader() -> type[yaml.SafeLoader]:
    """A loader of plain values that refuses a key given twice; PyYAML would take the last one."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                    if key.value in seen:
                        problem = f"the key {shown(key.value)} is given twice"
                        raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                    seen.add(key.value)
            return dict(super().construct_mapping(node, deep))

    for name, (pattern, first) in _PLAIN.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{pattern})\Z"), first)
    return Loader
