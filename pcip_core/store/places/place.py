"""Where the partitions of a store lie: in a folder, or in a bucket of an object store."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from pcip_core.errors import StoreError
from pcip_core.store.paths import Part
from pcip_core.store.places.cache import Cache
from pcip_core.store.places.folder import Folder

# Other clients of S3 read %, ? and # each in another way, and a folder called . or .. as another folder.
_URL = re.compile(r"s3a?://\w[\w.-]+(/(?!\.\.?(/|$))[\w!.*'()+=:,~-]+)*", re.ASCII)
_LONGEST = 2000  # bytes of a file with a URL


class Place(Protocol):
    """What a store needs of the place of its files. Readers see the old or the new commit of a shard."""

    def screens(self) -> list[str]:
        """Names of the screens with a table or an unfinished commit."""

    def tables(self, screen: str) -> list[str]:
        """Names of the tables of a screen, in any order."""

    def shards(self, screen: str, table: str) -> list[str | None]:
        """The partitions of a table, in any order; None for a table without shards."""

    def provenance(self, screen: str, table: str, shard: str | None) -> dict[str, Any] | None:
        """The provenance of a partition; None without one."""

    def has(self, screen: str, table: str, shard: str | None) -> bool:
        """Whether a partition exists."""

    def file(self, screen: str, table: str, shard: str | None) -> Path:
        """The file of a partition on a disk of this machine; opening it or this fails if there is none."""

    def array(self, screen: str, array: str, shard: str, name: str) -> Path:
        """The file of an array, as `file`."""

    def named(self, screen: str, table: str, shard: str | None) -> str:
        """What an error calls a partition that is not there."""

    def frozen(self, screen: str) -> AbstractContextManager[dict[tuple[str, str | None], Part]]:
        """(table, shard) -> file of every partition of a screen at one moment; they stay as they are in the block."""

    def hold(self, file: str, link: str) -> Callable[[], Path]:
        """What returns a file of `frozen` after its block, as long as the folder of `link` exists."""

    def commit(
        self,
        screen: str,
        shard: str | None,
        tables: Mapping[str, pl.DataFrame],
        arrays: Mapping[str, np.ndarray | Path],
        provenance: Mapping[str, Any],
    ) -> str:
        """Replace one partition of several tables, and their arrays, in one atomic step; the id of the commit."""

    def update(
        self, screen: str, table: str, make: Callable[[], pl.DataFrame], provenance: Mapping[str, Any]
    ) -> str:
        """Replace a table by what `make` makes of the rows that it reads, which nobody changes meanwhile."""

    def scratch(self, screen: str) -> AbstractContextManager[Path]:
        """A temporary folder from which `commit` can take arrays without copying them."""

    def remove(self, screen: str, table: str, shard: str | None) -> None:
        """Remove one partition of a table, if it exists, and the arrays that no other table refers to."""


def place_of(root: Path | str) -> Place:
    """The place of a folder, of a file that contains a URL, or of a URL, such as `s3://bucket/prefix`.

    A link to a folder is one to a shared folder. With PCIP_CACHE, its crops are copied to the disk of this machine.

    Raises:
        StoreError: the file contains something else, or the path is a link to what is not there.
        MissingPackageError: the package for object stores is not installed.
    """
    if isinstance(root, Path) and not root.is_file():
        _require_folder(root)
        shared = root.is_symlink() and os.environ.get("PCIP_CACHE")
        return Folder(root, cache=Cache.of(str(root.resolve())) if shared else None)
    url = (_text(root).strip() if isinstance(root, Path) else root).rstrip("/")
    if not _URL.fullmatch(url):
        text = "keys before an @" if "@" in url else repr(url[:60])  # they are not shown
        raise StoreError(
            root if isinstance(root, Path) else "the store",
            found=f"a file with {text}" if isinstance(root, Path) else text,
            required="the URL of an object store, such as s3://bucket/prefix, without keys, spaces, .., %, ? and #",
            remedy="Correct it. Keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    return _bucket(url)


def _text(file: Path) -> str:
    """The beginning of a file, which may be any. Editors of Windows put a mark before the text."""
    with file.open("rb") as opened:
        return opened.read(_LONGEST).decode("utf-8-sig", errors="replace")


def _require_folder(root: Path) -> None:
    """Require a folder, or a place for one. A link to nowhere is a shared folder that is not mounted."""
    if root.is_dir() or not (root.is_symlink() or root.exists()):
        return
    is_link = root.is_symlink() and not root.exists()
    raise StoreError(
        root,
        found=f"a link to {root.readlink()}, which is not there"
        if is_link
        else "neither a folder nor a file",
        required="the folder of the store, or a file with the URL of an object store",
        remedy="Mount the shared folder, or make it (mkdir), or correct the link."
        if is_link
        else "Remove it, or choose another folder with PCIP_DATA.",
    )


@cache  # what is known of a bucket serves all stores of the process
def _bucket(url: str) -> Place:
    from pcip_core.store.places.bucket import Bucket

    return Bucket(url)
