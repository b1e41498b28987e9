"""Names of screens, tables and shards, and the folders that are named after them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

from pcip_core.errors import StoreError

NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST_NAME = 255  # of a file, on the file systems in use


def natural_key(text: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sort key under which plate_2 comes before plate_10; no two texts have the same."""
    pieces = [piece for piece in re.split(r"(\d+)", text) if piece]
    return [(0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces], text


def checked_name(name: str) -> str:
    """The name of a screen or a table, which is an identifier in lower case."""
    if not NAME.fullmatch(name):
        raise StoreError(
            repr(name),
            found="a name that cannot be a table's or a screen's",
            required="lower-case letters, digits and _, a letter first",
            remedy="Rename it.",
        )
    return name


def shard_folder(shard: str) -> str:
    """A shard's folder: whatever its name holds, one step under the table's."""
    name = f"shard={quote(shard, safe=' ')}"
    if not shard or len(name) > _LONGEST_NAME:
        raise StoreError(
            f"shard {shard!r}",
            found=f"a name that makes {len(name)} characters as a folder" if shard else "an empty name",
            required=f"a name, of {_LONGEST_NAME} characters or fewer",
            remedy="Change `shards.by` in the spec.",
        )
    return name


def shard_of(folder: Path) -> str | None:
    """The shard that a folder is named after; None for that of a table that is made whole."""
    name = folder.name
    return unquote(name.removeprefix("shard=")) if name.startswith("shard=") else None
