"""A store in a folder, local or shared by several machines: commits through a journal, see `journal`."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pcip_core.errors import StoreError
from pcip_core.files import writing
from pcip_core.locks import locked, owned, refresh
from pcip_core.store import journal, parquet
from pcip_core.store.paths import NAME, Part, checked_name, partitions_in, shard_folder
from pcip_core.store.places.cache import Cache

_OF_A_SCREEN = (".journal", "[a-z]*/part.parquet", "[a-z]*/shard=*/part.parquet")


class Folder:
    """The files of a store under one folder. The methods are those of `place.Place`.

    Args:
        root: the folder.
        cache: on a disk of this machine, for copies of the arrays that are read; None: they are read where they lie.
    """

    def __init__(self, root: Path, *, cache: Cache | None = None) -> None:
        self.root, self._cache = root, cache

    def screens(self) -> list[str]:
        """See `Place`."""
        folders = [path for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []
        names = sorted(folder.name for folder in folders if NAME.fullmatch(folder.name))
        return [name for name in names if any(any((self.root / name).glob(part)) for part in _OF_A_SCREEN)]

    def tables(self, screen: str) -> list[str]:
        """See `Place`."""
        self._settle(screen)
        home = self.root / screen
        names = [path.name for path in home.iterdir()] if home.is_dir() else []
        return [name for name in names if NAME.fullmatch(name) and any(partitions_in(home / name))]

    def shards(self, screen: str, table: str) -> list[str | None]:
        """See `Place`."""
        self._settle(screen)
        return [shard for shard, _ in partitions_in(self._folder(screen, table, None))]

    def provenance(self, screen: str, table: str, shard: str | None) -> dict[str, Any] | None:
        """See `Place`."""
        try:
            return parquet.provenance_of(self.file(screen, table, shard))
        except FileNotFoundError:
            return None

    def has(self, screen: str, table: str, shard: str | None) -> bool:
        """See `Place`."""
        return self.file(screen, table, shard).is_file()

    def file(self, screen: str, table: str, shard: str | None) -> Path:
        """See `Place`."""
        self._settle(screen)
        return self._part(screen, table, shard)

    def array(self, screen: str, array: str, shard: str, name: str) -> Path:
        """See `Place`."""
        file = self._folder(screen, array, shard) / name
        if self._cache is None:
            return file
        key = file.relative_to(
            self.root
        ).as_posix()  # its name has the id of its commit: its content never changes
        return self._cache.get(key, partial(shutil.copyfile, file))

    def named(self, screen: str, table: str, shard: str | None) -> str:
        """See `Place`."""
        return self._part(screen, table, shard).relative_to(self.root).as_posix()

    @contextmanager
    def frozen(self, screen: str) -> Iterator[dict[tuple[str, str | None], Part]]:
        """See `Place`."""
        home = self._home(screen)
        with journal.alone(home):
            tables = [path.name for path in home.iterdir() if NAME.fullmatch(path.name)]
            yield {(name, shard): part for name in tables for shard, part in partitions_in(home / name)}

    def hold(self, file: str, link: str) -> Callable[[], Path]:
        """See `Place`."""
        try:
            os.link(file, link)
        except OSError:  # not on every file system
            shutil.copyfile(file, link)
        return partial(Path, link)

    def commit(
        self,
        screen: str,
        shard: str | None,
        tables: Mapping[str, pl.DataFrame],
        arrays: Mapping[str, np.ndarray | Path],
        provenance: Mapping[str, Any],
    ) -> str:
        """See `Place`."""
        commit, home = uuid.uuid4().hex, self._home(screen)
        number = journal.next_number(home, [self._part(screen, name, shard) for name in tables])
        described = parquet.described(provenance, commit, number, arrays)
        staging = home / ".staging" / commit
        targets: dict[Path, Path] = {}  # arrays first, so that they exist before their rows
        for name in arrays:
            targets[staging / f"{name}.npy"] = self._folder(screen, name, shard) / f"{commit}.npy"
        for name in tables:
            targets[staging / f"{name}.parquet"] = self._part(screen, name, shard)
        with writing(home), owned(staging, after_error=False):
            try:
                parquet.stage(staging, tables, arrays, described)
                for staged in targets:
                    journal.sync(staged)
            except BaseException:  # nothing is committed; from here on, the journal may name these files
                shutil.rmtree(staging, ignore_errors=True)
                raise
            emptied = [self._folder(screen, name, shard) for name in arrays]
            journal.replace(home, targets, emptied=emptied, staging=staging)
        return commit

    def update(
        self, screen: str, table: str, make: Callable[[], pl.DataFrame], provenance: Mapping[str, Any]
    ) -> str:
        """See `Place`."""
        with locked(self._home(screen) / f".{checked_name(table)}.lock"):
            return self.commit(screen, None, {table: make()}, {}, provenance)

    @contextmanager
    def scratch(self, screen: str) -> Iterator[Path]:
        """See `Place`."""
        with owned(self._home(screen) / ".staging" / uuid.uuid4().hex) as folder:
            yield folder

    def remove(self, screen: str, table: str, shard: str | None) -> None:
        """See `Place`."""
        part = self._part(screen, table, shard)
        if not self.has(screen, table, shard):
            return
        try:
            arrays = (self.provenance(screen, table, shard) or {}).get("arrays", {})
            others = [self.provenance(screen, name, shard) for name in self.tables(screen) if name != table]
        except StoreError:  # the damaged table cannot name its arrays; the shard's next commit removes them
            arrays, others = {}, []
        kept = {file for other in others if other for file in other["arrays"].values()}
        unnamed = [
            self._folder(screen, name, shard) / file for name, file in arrays.items() if file not in kept
        ]
        journal.remove(self._home(screen), [part, *unnamed])

    def _settle(self, screen: str) -> None:
        """Finish a commit that was interrupted after its journal was written."""
        journal.settle(self.root / checked_name(screen))

    def _home(self, screen: str) -> Path:
        home = self.root / checked_name(screen)
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _folder(self, screen: str, table: str, shard: str | None) -> Path:
        folder = self.root / checked_name(screen) / checked_name(table)
        return folder if shard is None else folder / shard_folder(shard)

    def _part(self, screen: str, table: str, shard: str | None) -> Path:
        folder = self._folder(screen, table, shard)
        refresh(*([folder] if shard is None else [folder.parent, folder]))
        return folder / "part.parquet"
