"""Flat files and trees of folders whose paths name the parts of a field; also RGB pictures and OME-TIFF.

A pattern is a path with named parts: `{plate}/{well}_f{field:d}_{channel}.tif`. A part is any text within a
name, with `:d` digits only, the shortest that fits; a part named twice repeats its text; `*` is any text
within a name and is no part, `**/` any folders or none. Letter case of the text between parts and of channels
does not matter (`.TIF`).
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
    """One pattern with {channel}, one pattern a channel, or one file with a `plane` for every channel."""
    names: dict[str, list[str]] = {}  # as files call them, lower case -> our channels
    for name, channel in screen.channels.items():
        names.setdefault((channel.named or name).lower(), []).append(name)
    pattern, everything = screen.files.pattern, list(screen.channels)
    if isinstance(pattern, dict):
        expressions = [(expression(one), [name]) for name, one in pattern.items()]
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
    """One multi-channel file a field; channels by the names in its OME-XML, or by `plane`."""
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
    """A pattern of named parts as a regular expression."""
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
