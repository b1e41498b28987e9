"""Files whose paths name the parts of a field, in one folder or a tree of folders; RGB images.

A pattern is a path with named parts: `{plate}/{well}_f{field:d}_{channel}.tif`. A part matches any text within a
name, with `:d` digits only, and is as short as possible. A part that is named twice must have the same text both
times. `*` matches any text within a name and is not a part; `**/` matches any number of folders. Letter case is
ignored in channels and in the text between parts (`.TIF`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count, islice, product
from pathlib import Path

import polars as pl

from pcip_core.errors import SpecError
from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import Fields, files_under, plane_of
from pcip_core.spec.bounds import shown
from pcip_core.spec.screen import Screen

_PIECES = re.compile(r"(?P<folders>\*\*/)|(?P<any>\*)|{(?P<part>\w+)(?P<digits>:d)?}|(?P<text>[^*{]+|.)")
_BATCH = 20_000  # paths whose parts are in memory
_MOST_TEXTS = 5000  # of parts named twice
_MOST_TRIES = 100  # of them for one path


def scan_pattern(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Scan with one pattern with {channel}, one pattern per channel, or one file with a `plane` per channel."""
    names: dict[str, list[str]] = {}  # name in file names, lower case -> channels of the spec
    for name, channel in screen.channels.items():
        names.setdefault((channel.named or name).lower(), []).append(name)
    pattern, everything = screen.files.pattern, list(screen.channels)
    patterns = pattern if isinstance(pattern, dict) else {"": str(pattern)}
    fields, paths = Fields(screen), files_under(root)
    claimed = [False] * len(paths)
    for of_channel, text in patterns.items():
        for number, parts in enumerate(matches(text, paths, names)):
            if parts is None:
                continue
            named = parts.pop("channel", None)
            chosen = [of_channel] if of_channel else everything if named is None else names[named.lower()]
            if fields.wants(parts):
                fields.add(parts, {name: plane_of(paths[number], screen.channels[name]) for name in chosen})
                claimed[number] = True
    return fields.done(), [path for path, done in zip(paths, claimed, strict=True) if not done]


def matches(
    pattern: str, paths: Sequence[str], channels: Collection[str] = ()
) -> Iterator[dict[str, str] | None]:
    """Yield the parts of each path, or None for a path that does not match.

    The time is linear in the length of a path, whatever the pattern: polars' regular expressions do not backtrack.
    They cannot require that a part named twice has one text. Where its texts differ, the path is matched again with
    texts that it holds often enough in all places of the part, the shortest first.

    Args:
        pattern: see the module's documentation.
        paths: different paths relative to the root.
        channels: the values that the part {channel} accepts.

    Raises:
        SpecError: the pattern cannot be compiled, or a part named twice has too many different texts.

    >>> list(matches("{well}_f{field:d}.tif", ["A01_f2.TIF", "A01_f2.png"]))
    [{'well': 'A01', 'field': '2'}, None]
    >>> list(matches("{plate}_{date}/{plate}-{well}.tif", ["P_1_2023/P_1-A01.tif"]))
    [{'plate': 'P_1', 'date': '2023', 'well': 'A01'}]
    """
    names = [piece["part"] for piece in _PIECES.finditer(pattern) if piece["part"]]
    twice = {name: _places(names, name) for name in dict.fromkeys(names) if names.count(name) > 1}
    compiled = count(1)
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        rows = _captured(pattern, batch, channels, {})
        differ = [
            path
            for path, row in zip(batch, rows, strict=True)
            if row is not None and any(len({row[place] for place in places}) > 1 for places in twice.values())
        ]
        captured = dict(zip(batch, rows, strict=True)) if differ else {}
        tries = {path: _tries(path, captured[path] or (), list(twice.values())) for path in differ}
        again = _matched_again(pattern, channels, list(twice), tries, compiled)
        for path, row in zip(batch, rows, strict=True):
            row = again.get(path) if path in tries else row
            yield None if row is None else dict(zip(names, row, strict=True))


def _places(names: Sequence[str], name: str) -> list[int]:
    return [place for place, other in enumerate(names) if other == name]


def _tries(path: str, row: Sequence[str], parts: Sequence[list[int]]) -> list[tuple[str, ...]]:
    """Texts of the parts that are named twice: those of the match, and longer ones from the same beginning."""
    texts = []
    for places in parts:
        start = path.find(row[places[0]])
        end = max(path.find("/", start), 0) or len(path)
        longer = [path[start:stop] for stop in range(start + 1, end)]
        of_part = {row[place] for place in places}
        of_part |= {text for text in longer if path.count(text) >= len(places)}
        texts.append(sorted(of_part, key=len))
    return list(islice(product(*texts), _MOST_TRIES))


def _matched_again(
    pattern: str,
    channels: Collection[str],
    twice: Sequence[str],
    tries: dict[str, list[tuple[str, ...]]],
    compiled: Iterator[int],
) -> dict[str, tuple[str, ...]]:
    """Path -> its texts, for the paths that match with one of their tries: texts of the parts named twice."""
    matched: dict[str, tuple[str, ...]] = {}
    while tries:
        by_texts: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for path, texts in tries.items():
            by_texts[texts[0]].append(path)
        for fixed, paths in by_texts.items():
            if next(compiled) > _MOST_TEXTS:
                raise SpecError(
                    "files.pattern",
                    found=f"{shown(pattern)}, in which {', '.join(twice)} could begin and end at several places",
                    required="a pattern from which it is clear where a part ends",
                    remedy="Write more of the text between the parts, or name the part once.",
                )
            rows = _captured(pattern, paths, channels, dict(zip(twice, fixed, strict=True)))
            matched |= {path: row for path, row in zip(paths, rows, strict=True) if row is not None}
        tries = {path: texts[1:] for path, texts in tries.items() if path not in matched and texts[1:]}
    return matched


def _captured(
    pattern: str, paths: Sequence[str], channels: Collection[str], fixed: Mapping[str, str]
) -> list[tuple[str, ...] | None]:
    """The text of each part in each path, in the order of the pattern; None for a path that does not match."""
    whole = f"^({_expression(pattern, channels, fixed)})$"
    try:
        groups = pl.Series(paths, dtype=pl.String).str.extract_groups(whole)
        rows = groups.struct.unnest().rows()
    except pl.exceptions.PolarsError as error:
        raise SpecError(
            "files.pattern",
            found=f"{shown(pattern)} ({shown(str(error))})",
            required="a pattern of fewer parts",
            remedy="Shorten the pattern.",
        ) from error
    return [None if row[0] is None else row[1:] for row in rows]


def _expression(pattern: str, channels: Collection[str], fixed: Mapping[str, str]) -> str:
    """The regular expression of a pattern, with a group for each part; the text of some parts is fixed."""
    alternatives = "|".join(sorted(map(re.escape, channels), key=len, reverse=True))
    out = []
    for piece in _PIECES.finditer(pattern):
        part = piece["part"]
        if piece["folders"]:
            out.append("(?:[^/]+/)*")
        elif piece["any"]:
            out.append("[^/]*")
        elif part is None:
            out.append(f"(?i:{re.escape(piece['text'])})")
        elif part in fixed:
            out.append(f"({re.escape(fixed[part])})")
        elif part == "channel":
            out.append(f"((?i:{alternatives}))")
        else:
            out.append("([0-9]+)" if piece["digits"] else "([^/]+?)")
    return "".join(out)
