"""Files whose paths name the parts of a field, in one folder or a tree of folders; RGB images; OME-TIFF.

A pattern is a path with named parts: `{plate}/{well}_f{field:d}_{channel}.tif`. A part matches any text within a
name, with `:d` digits only, and is as short as possible. A part that is named twice must have the same text both
times. `*` matches any text within a name and is not a part; `**/` matches any number of folders. Letter case is
ignored in channels and in the text between parts (`.TIF`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pcip_core.images.field import Field
from pcip_core.images.layouts.grouping import Fields, channel_of, files_under, plane_of
from pcip_core.spec.screen import Screen

_PIECES = re.compile(r"(?P<folders>\*\*/)|(?P<any>\*)|{(?P<part>\w+)(?P<digits>:d)?}|(?P<text>[^*{]+|.)")


def scan_pattern(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Scan with one pattern with {channel}, one pattern per channel, or one file with a `plane` per channel."""
    names: dict[str, list[str]] = {}  # name in file names, lower case -> channels of the spec
    for name, channel in screen.channels.items():
        names.setdefault((channel.named or name).lower(), []).append(name)
    pattern, everything = screen.files.pattern, list(screen.channels)
    if isinstance(pattern, dict):
        expressions = [(expression(text), [name]) for name, text in pattern.items()]
    else:
        expressions = [(expression(str(pattern), names), everything)]
    fields, unclaimed = Fields(screen), []
    for path in files_under(root):
        claimed = False
        for matcher, channels in expressions:
            match = matcher.fullmatch(path)
            if match is None:
                continue
            parts = match.groupdict()
            named = parts.pop("channel", None)
            chosen = channels if named is None else names[named.lower()]
            if fields.wants(parts):
                fields.add(parts, {name: plane_of(path, screen.channels[name]) for name in chosen})
                claimed = True
        if not claimed:
            unclaimed.append(path)
    return fields.done(), unclaimed


def scan_ome_tiff(screen: Screen, root: Path) -> tuple[list[Field], list[str]]:
    """Scan for one multi-channel file per field; channels are selected by their OME-XML names or by `plane`."""
    matcher = expression(str(screen.files.pattern))
    fields, unclaimed = Fields(screen), []
    for path in files_under(root):
        match = matcher.fullmatch(path)
        if match is None or not fields.wants(match.groupdict()):
            unclaimed.append(path)
            continue
        files = {name: channel_of(path, name, channel) for name, channel in screen.channels.items()}
        fields.add(match.groupdict(), files)
    return fields.done(), unclaimed


def expression(pattern: str, channels: Iterable[str] = ()) -> re.Pattern[str]:
    """Compile a pattern of named parts to a regular expression.

    Args:
        pattern: see the module's documentation.
        channels: the values that the part {channel} accepts.

    >>> expression("{well}_f{field:d}.tif").fullmatch("A01_f2.TIF").groupdict()
    {'well': 'A01', 'field': '2'}
    """
    alternatives = "|".join(sorted(map(re.escape, channels), key=len, reverse=True))
    seen: set[str] = set()
    out = []
    for piece in _PIECES.finditer(pattern):
        part = piece["part"]
        if piece["folders"]:
            out.append("(?:[^/]+/)*")
        elif piece["any"]:
            out.append("[^/]*")
        elif part is None:
            out.append(f"(?i:{re.escape(piece['text'])})")
        elif part in seen:
            out.append(f"(?P={part})")
        elif part == "channel":
            out.append(f"(?P<channel>(?i:{alternatives}))")
        else:
            out.append(f"(?P<{part}>{'[0-9]+' if piece['digits'] else '[^/]+?'})")
        seen.add(part or "")
    return re.compile("".join(out))
