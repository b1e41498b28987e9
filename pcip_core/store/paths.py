"""Names of screens, tables and shards, their folders, and the files in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
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


class Part(NamedTuple):
    """The file of a partition, and a stamp that changes whenever the file is replaced or touched."""

    file: str
    stamp: str


def partitions_in(folder: Path) -> Iterator[tuple[str | None, Part]]:
    """Shard (None: the whole table) and file of each partition in the folder of a table.

    Publishing asks for the files of all tables, so there is one system call and no `Path` for each.
    """
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        is_shard = name.startswith("shard=")
        if is_shard or name == "part.parquet":
            file = f"{folder}/{name}/part.parquet" if is_shard else f"{folder}/{name}"
            try:
                status = os.stat(file)  # noqa: PTH116
            except FileNotFoundError:  # a folder of arrays
                continue
            stamp = f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
            yield unquote(name.removeprefix("shard=")) if is_shard else None, Part(file, stamp)
