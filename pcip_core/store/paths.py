"""Names of screens, tables and shards, and of their folders."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

from pcip_core.errors import StoreError

NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST_NAME = 255  # limit for file names on common file systems


def checked_name(name: str) -> str:
    """Check the name of a screen or a table: an identifier in lower case."""
    if not NAME.fullmatch(name):
        raise StoreError(
            repr(name),
            found="an invalid name of a table or screen",
            required="lower-case letters, digits and _, a letter first",
            remedy="Rename it.",
        )
    return name


def shard_folder(shard: str) -> str:
    """The name of a shard's folder within the folder of the table; special characters are quoted."""
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
    """The shard of a folder; None for the folder of a table without shards."""
    name = folder.name
    return unquote(name.removeprefix("shard=")) if name.startswith("shard=") else None
