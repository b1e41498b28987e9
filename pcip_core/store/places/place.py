"""Where the partitions of a store lie: in a folder, or in a bucket of an object store."""

from __future__ import annotations

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
from pcip_core.store.places.folder import Folder

_URL = re.compile(r"[a-z0-9]+://[!-~]+")


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

    Raises:
        StoreError: the file contains something else.
        MissingPackageError: the package for object stores is not installed.
    """
    if isinstance(root, Path) and not root.is_file():
        return Folder(root)
    url = root.read_text(errors="replace").strip() if isinstance(root, Path) else root
    if not _URL.fullmatch(url):
        raise StoreError(
            root,
            found=f"a file with {url[:60]!r}" if isinstance(root, Path) else "no URL",
            required="the URL of an object store, such as s3://bucket/prefix",
            remedy="Correct it.",
        )
    return _bucket(url.rstrip("/"))


@cache  # what is known of a bucket serves all stores of the process
def _bucket(url: str) -> Place:
    from pcip_core.store.places.bucket import Bucket

    return Bucket(url)
