"""The pattern of a group of names, in the language of `files.pattern`, and what it reads from the files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from pcip_core.errors import SpecError
from pcip_core.images.layouts.pattern import matches
from pcip_core.images.proposal.naming.columns import Reading
from pcip_core.spec.bounds import shown

_NUMBERED = re.compile(r"([A-Za-z]+[ _-]?)(\d+)")


def pattern_of(reading: Reading) -> str:
    """The pattern of names whose columns have been read."""
    out: list[str] = []
    columns = reading.names.columns
    for place, column in enumerate(columns):
        source = place
        if column.same_as is not None:
            source = next(i for i, other in enumerate(columns) if other is column.same_as)
        part = reading.parts.get(source)
        if part is not None and part == reading.parts.get(place - 1) and place == source:
            continue  # a plate of several pieces
        out.append(_plain(column.before))
        name, _, kind = (part or "").partition(":")
        if source in reading.ignored:
            out.append("*")
        elif part is None:
            out.append(_plain(column.distinct[0]) if column.constant else "*")
        elif kind == "d":
            numbered = [_NUMBERED.fullmatch(value) for value in column.distinct]
            out.append(_plain(numbered[0][1]) if numbered[0] else "")
            out.append(f"{{{name}:d}}")
        else:
            out.append(f"{{{part}}}")
    text = "".join(out).lstrip("/") + _plain(reading.names.end)
    return re.sub(r"\*+", "*", text)


def _plain(text: str) -> str:
    """Text between parts; a brace or an asterisk in it is any text."""
    return re.sub(r"[{}*\n]+", "*", text)


def read_with(
    pattern: str, paths: Sequence[str], channels: Collection[str] | None = None
) -> tuple[dict[str, list[str]], list[str]]:
    """The parts that a pattern reads, and the paths that it does not match.

    Args:
        pattern: as in `files.pattern`.
        paths: different paths.
        channels: the values of {channel}; None for any text.

    Returns:
        Part, or `channel` -> its value in each path that matches, and the other paths.

    Raises:
        SpecError: no path matches, or the pattern cannot be compiled.
    """
    free = pattern.replace("{channel}", "{channel_}") if channels is None else pattern
    parts: dict[str, list[str]] = {}
    others = []
    for path, row in zip(paths, matches(free, paths, channels or ()), strict=True):
        if row is None:
            others.append(path)
            continue
        for name, text in row.items():
            parts.setdefault("channel" if name == "channel_" else name, []).append(text)
    if len(others) == len(paths):
        raise SpecError(
            f"the pattern {shown(pattern)}",
            found=f"no file that matches it; the first file is {paths[0] if paths else 'missing'}",
            required="a pattern of the paths under the folder",
            remedy="Write the pattern after the path of a file, with the parts in braces: "
            '"{plate}/{well}_f{field:d}_{channel}.tif".',
        )
    return parts, others
