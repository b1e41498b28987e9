"""Files whose paths name the parts of a field, in one folder or a tree of folders; RGB images.

A pattern is a path with named parts: `{plate}/{well}_f{field:d}_{channel}.tif`. A part matches any text within a
name and is as short as possible. A type restricts it: `{field:d}` all digits of a number, `{row:3d}` three digits,
`{well:well}` the name of a well (A1, a01, A - 01; up to AF48), which becomes A01, `{id:hex}` a GUID or other
hexadecimal digits. A part `{well}` without a type is read as a well where the path permits it. A part that is named
twice must have the same text both times; parts named `_` match, and are not kept. `*` matches any text within a name
and is not a part; `**/` matches any number of folders. Letter case is ignored in channels and in the text between
parts (`.TIF`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count, islice, product

import polars as pl

from pcip_core.errors import SpecError
from pcip_core.files import composed
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.grouping import Fields, channels_by_name, plane_of
from pcip_core.spec.bounds import shown
from pcip_core.spec.screen import Screen
from pcip_core.user_tables.wells import well_name

_PIECES = re.compile(
    r"(?P<folders>\*\*/)|(?P<any>\*)|{(?P<part>\w+)(?::(?P<type>\w+))?}|(?P<text>[^*{]+|.)", re.DOTALL
)
_WELL = "(?:A[A-F]|a[a-f]|[A-Za-z])(?: ?- ?)?0{0,2}(?:[1-3][0-9]|4[0-8]|[1-9])"
_GUID = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}"
_BATCH = 20_000  # paths whose parts are in memory
_PROBED = 2_000  # paths whose channels are looked for
_MOST_TEXTS = 5000  # of parts named twice
_MOST_TRIES = 100  # of them for one path


def scan_pattern(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Scan with one pattern with {channel}, one pattern per channel, or one file with a `plane` per channel."""
    names = channels_by_name(screen)
    pattern, everything = screen.files.pattern, list(screen.channels)
    patterns = pattern if isinstance(pattern, dict) else {"": str(pattern)}
    fields, paths = Fields(screen), tree.files()
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
    fields.add_unread(tree, lambda folder: parts_of_folder(list(patterns.values()), folder, names))
    return fields.done(), [path for path, done in zip(paths, claimed, strict=True) if not done]


def parts_of_folder(
    patterns: Sequence[str], folder: str, channels: Collection[str] = ()
) -> dict[str, str] | None:
    """The parts that the path of a folder gives; None if no file in it, or below it, can match one of the patterns."""
    depth, deep = folder.count("/"), False
    for pattern in patterns:
        parents = pattern.split("/")[:-1]
        if "**" in parents:
            deep = True
        elif len(parents) >= depth:
            parts = next(matches("/".join(parents[:depth]) + "/", [folder], channels))
            if parts is not None:
                return {name: text for name, text in parts.items() if name != "channel"}
    return {} if deep else None


def matches(
    pattern: str, paths: Sequence[str], channels: Collection[str] = ()
) -> Iterator[dict[str, str] | None]:
    """Yield the parts of each path, or None for a path that does not match.

    The time is linear in the length of a path, whatever the pattern: polars' regular expressions do not backtrack.
    They cannot require that a part named twice has one text. Where its texts differ, the path is matched again with
    texts that it holds often enough in all places of the part, the shortest first.

    Args:
        pattern: see the module's documentation.
        paths: different paths relative to the root, in any form of Unicode.
        channels: the values that the part {channel} accepts.

    Raises:
        SpecError: the pattern cannot be compiled, or a part named twice has too many different texts.

    >>> list(matches("{well}_f{field:d}.tif", ["A01_f2.TIF", "A01_f2.png"]))
    [{'well': 'A01', 'field': '2'}, None]
    >>> list(matches("{plate}_{date}/{plate}-{well}.tif", ["P_1_2023/P_1-A01.tif"]))
    [{'plate': 'P_1', 'date': '2023', 'well': 'A01'}]
    """
    pattern = composed(pattern)
    plain, first = Pattern(pattern, channels), Pattern(_with_wells(pattern), channels)
    for start in range(0, len(paths), _BATCH):
        batch = [composed(path) for path in paths[start : start + _BATCH]]
        rows = first.rows(batch)
        if first.text != plain.text and (rest := [path for path in batch if path not in rows]):
            rows |= plain.rows(rest)
        for path in batch:
            row = rows.get(path)
            yield None if row is None else plain.parts(row)


def channels_of(screen: Screen, paths: Sequence[str]) -> dict[str, int]:
    """Names of channels in paths that match the pattern with any name of a channel -> number of paths, most first."""
    pattern = screen.files.pattern
    if not isinstance(pattern, str) or "{channel}" not in pattern:
        return {}
    part = "any_channel"
    texts = matches(pattern.replace("{channel}", f"{{{part}}}"), list(paths[:_PROBED]))
    return dict(Counter(parts[part] for parts in texts if parts is not None).most_common())


def _with_wells(pattern: str) -> str:
    """The pattern in which {well} must be a well, unless a number follows it, which could take its digits."""
    return re.sub(r"{well}(?!{\w+:)", "{well:well}", pattern)


def other_reading(
    pattern: str, paths: Sequence[str], channels: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield (path, its well, another well) for the paths from which another well can be read, and as likely one.

    The other reading is that in which the parts are as long as possible.
    """
    if not any(piece["part"] == "well" for piece in _PIECES.finditer(pattern)):
        return
    typed = _with_wells(pattern)
    longest = Pattern(typed, channels, longest=True)
    others, shortest = longest.rows(paths), Pattern(typed, channels)
    for path, row in shortest.rows(paths).items():
        well, other = (reading[shortest.place("well")] for reading in (row, others[path]))
        if other != well and _likelihood(other) >= _likelihood(well):
            yield path, well, other


def _likelihood(well: str) -> tuple[bool, bool]:
    """Which of two texts is rather a well: A01 more than A1, A1 more than s1 (a site)."""
    return well.isupper(), len(well) > 2


class Pattern:
    """A pattern, compiled for the values that the part {channel} accepts.

    Args:
        text: the pattern.
        channels: the values.
        longest: parts without a type are as long as possible, not as short.
    """

    def __init__(self, text: str, channels: Collection[str], *, longest: bool = False) -> None:
        self.text, self._channels, self._least = text, channels, "" if longest else "?"
        self._pieces = list(_PIECES.finditer(text))
        kept = [piece for piece in self._pieces if piece["part"] and piece["part"] != "_"]
        self._names = [piece["part"] for piece in kept]
        self._wells = {piece["part"] for piece in kept if piece["type"] == "well"}
        self._twice = {
            name: [place for place, other in enumerate(self._names) if other == name]
            for name in dict.fromkeys(self._names)
            if self._names.count(name) > 1
        }
        self._compiled = count(1)

    def parts(self, row: Sequence[str]) -> dict[str, str]:
        """The parts of a path from its texts; wells that the spec gives as such have their usual name."""
        parts = dict(zip(self._names, row, strict=True))
        for name in self._wells:
            parts[name] = well_name(parts[name])
        return parts

    def place(self, name: str) -> int:
        """The place of a part in a row."""
        return self._names.index(name)

    def rows(self, paths: Sequence[str]) -> dict[str, Sequence[str]]:
        """Path -> the text of each part, in the order of the pattern, for the paths that match."""
        captured = zip(paths, self._captured(paths, {}), strict=True)
        rows: dict[str, Sequence[str]] = {path: row for path, row in captured if row is not None}
        differ = [
            path
            for path, row in rows.items()
            if any(len({row[place] for place in places}) > 1 for places in self._twice.values())
        ]
        if differ:
            tries = {path: _tries(path, rows[path], list(self._twice.values())) for path in differ}
            again = self._matched_again(tries)
            rows = {path: row for path, row in rows.items() if path not in tries} | again
        return rows

    def _matched_again(self, tries: dict[str, list[tuple[str, ...]]]) -> dict[str, Sequence[str]]:
        """Path -> its texts, for the paths that match with one of their tries: texts of the parts named twice."""
        matched: dict[str, Sequence[str]] = {}
        while tries:
            by_texts: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for path, texts in tries.items():
                by_texts[texts[0]].append(path)
            for fixed, paths in by_texts.items():
                if next(self._compiled) > _MOST_TEXTS:
                    raise SpecError(
                        "files.pattern",
                        found=f"{shown(self.text)}, in which {', '.join(self._twice)} could begin and end at several "
                        "places",
                        required="a pattern from which it is clear where a part ends",
                        remedy="Write more of the text between the parts, or name the part once.",
                    )
                rows = self._captured(paths, dict(zip(self._twice, fixed, strict=True)))
                matched |= {path: row for path, row in zip(paths, rows, strict=True) if row is not None}
            tries = {path: texts[1:] for path, texts in tries.items() if path not in matched and texts[1:]}
        return matched

    def _captured(self, paths: Sequence[str], fixed: Mapping[str, str]) -> list[tuple[str, ...] | None]:
        """The text of each part in each path, in the order of the pattern; None for a path that does not match."""
        whole = f"^({self._expression(fixed)})$"
        try:
            groups = pl.Series(paths, dtype=pl.String).str.extract_groups(whole)
            rows = groups.struct.unnest().rows()
        except pl.exceptions.PolarsError as error:
            raise SpecError(
                "files.pattern",
                found=f"{shown(self.text)} ({shown(str(error))})",
                required="a pattern of fewer parts",
                remedy="Shorten the pattern.",
            ) from error
        return [None if row[0] is None else row[1:] for row in rows]

    def _expression(self, fixed: Mapping[str, str]) -> str:
        """The regular expression of the pattern, with a group for each part; the text of some parts is fixed.

        Text beside a number neither ends nor begins with a digit, so that a number is never cut.
        """
        alternatives = "|".join(sorted(map(re.escape, self._channels), key=len, reverse=True))
        out = []
        for place, piece in enumerate(self._pieces):
            part, kind = piece["part"], piece["type"]
            before = place > 0 and _ends_in_number(self._pieces[place - 1])
            after = place + 1 < len(self._pieces) and self._pieces[place + 1]["type"] == "d"
            if piece["folders"]:
                out.append("(?:[^/]+/)*")
                continue
            if piece["any"]:
                out.append(f"(?:{_text(before=before, after=after, least='')})?")
                continue
            if part is None:
                out.append(f"(?i:{re.escape(piece['text'])})")
                continue
            if part in fixed:
                expression = re.escape(fixed[part])
            elif part == "channel":
                expression = f"(?i:{alternatives})"
            elif kind is None:
                expression = _text(before=before, after=after, least=self._least)
            elif kind == "d":
                expression = "[0-9]+"
            elif kind == "well":
                expression = _WELL
            elif kind == "hex":
                expression = _GUID if before or after else f"{_GUID}|[0-9A-Fa-f]+"
            else:
                expression = f"[0-9]{{{kind[:-1]}}}"
            out.append(f"(?:{expression})" if part == "_" else f"({expression})")
        return "".join(out)


def _ends_in_number(piece: re.Match[str]) -> bool:
    return piece["type"] in ("d", "well")


def _text(*, before: bool, after: bool, least: str) -> str:
    """Any text within a name, of at least one character, that does not continue a number before or after it.

    Args:
        before: a number precedes it.
        after: a number follows it.
        least: `?` for the shortest such text, empty for the longest.
    """
    if before and after:
        return f"[^/0-9](?:[^/]*{least}[^/0-9])?"
    if before:
        return f"[^/0-9][^/]*{least}"
    return f"[^/]*{least}[^/0-9]" if after else f"[^/]+{least}"


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
