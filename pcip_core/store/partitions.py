"""The truth of every table: Parquet partitions and crop arrays, replaced atomically.

    <root>/<screen>/<table>/shard=<shard>/part.parquet      a table that is made shard by shard
    <root>/<screen>/<table>/part.parquet                    a table that is made whole
    <root>/<screen>/<array>/shard=<shard>/<commit>.npy      arrays that belong to the rows of a table

One commit replaces several tables and arrays of a shard at once. New files are first written and synced
under `.staging`; then a journal that lists every rename is written; from there on the commit is certain,
because whoever finds a journal finishes it. A kill before leaves the store as it was, a kill after as it
will be. Readers take no lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pcip_core.errors import CropError, StoreError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_METADATA = b"pcip"
_READ_ATTEMPTS = 20
_SWEEP_AFTER_S = 60.0


class Store:
    """Tables and arrays of all screens under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- what is there ------------------------------------------------------------------------------

    def screens(self) -> list[str]:
        """Names of the screens that have any table."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and self.tables(path.name))

    def tables(self, screen: str) -> list[str]:
        """Names of the tables of a screen."""
        self._settle(screen)
        return sorted({path.relative_to(self.root / screen).parts[0] for path in self._parts(screen, "*")})

    def shards(self, screen: str, table: str) -> list[str]:
        """Shards that a table has, sorted naturally (plate_2 before plate_10); none for a whole table."""
        self._settle(screen)
        folders = (path.parent.name for path in self._parts(screen, _checked(table)))
        names = [unquote(name.removeprefix("shard=")) for name in folders if name.startswith("shard=")]
        return sorted(names, key=natural_key)

    def has(self, screen: str, table: str, shard: str | None = None) -> bool:
        """Whether a partition is there."""
        self._settle(screen)
        return self._part(screen, table, shard).is_file()

    def provenance(self, screen: str, table: str, shard: str | None = None) -> dict[str, Any] | None:
        """What was said of a partition when it was committed, with its `commit_id`; None without one."""
        self._settle(screen)
        path = self._part(screen, table, shard)
        try:
            return self._metadata(pq.read_schema(path), path)
        except FileNotFoundError:
            return None
        except pa.ArrowInvalid as error:
            raise _damaged(path, error) from error

    # -- reading ------------------------------------------------------------------------------------

    def read(
        self,
        screen: str,
        table: str,
        *,
        shards: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """A table, its partitions one after the other in the shards' natural order.

        Args:
            screen, table: which.
            shards: only these; by default all.
            columns: only these; by default all.

        Raises:
            StoreError: there is no such table or shard, or a file is damaged.
        """
        wanted: Sequence[str | None] = shards if shards is not None else self.shards(screen, table) or [None]
        parts = [self._read_part(screen, table, shard, columns) for shard in wanted]
        if not parts:
            raise StoreError(
                f"{screen}.{table}", found="no shard", required="at least one", remedy="Name one."
            )
        return pa.concat_tables([part.replace_schema_metadata() for part in parts], promote_options="default")

    def read_with_array(
        self, screen: str, table: str, array: str, shard: str
    ) -> tuple[pa.Table, np.ndarray]:
        """One shard of a table and the array that was committed with it, as a read-only memory map.

        Raises:
            StoreError: there is no such shard.
            CropError: the array is missing, or its length is not the table's.
        """
        for _ in range(_READ_ATTEMPTS):
            rows = self._read_part(screen, table, shard, None)
            path = self._part(screen, table, shard)
            file = self._metadata(rows.schema, path).get("arrays", {}).get(array)
            home = self._folder(screen, array, shard)
            try:
                values = np.load(home / str(file), mmap_mode="r", allow_pickle=False)
            except FileNotFoundError:
                if self.provenance(screen, table, shard) == self._metadata(rows.schema, path):
                    break  # not replaced in between: it is really missing
                continue
            except ValueError as error:
                raise _damaged(home / str(file), error) from error
            if len(values) != rows.num_rows:
                raise CropError(
                    home / str(file),
                    found=f"{len(values)} rows",
                    required=f"{rows.num_rows}, as the table {table} has",
                    remedy=f"Materialize the shard {shard} of {screen} again.",
                )
            return rows, values
        raise CropError(
            f"{screen}.{array} shard {shard}",
            found="no array file",
            required=f"the {array} that the table {table} describes",
            remedy=f"Materialize {screen}/{array}, shard {shard}, with `force`.",
        )

    # -- writing ------------------------------------------------------------------------------------

    def commit(
        self,
        screen: str,
        tables: Mapping[str, pa.Table],
        *,
        shard: str | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> str:
        """Replace one partition of several tables, and the arrays that belong to them, all at once.

        Args:
            screen: whose tables.
            tables: table name -> its new rows.
            shard: the partition; None for tables that are made whole.
            arrays: array name -> values, one row for each row of the tables.
            provenance: plain values kept with each table.

        Returns:
            The commit's id.
        """
        commit = uuid.uuid4().hex
        files = {name: f"{commit}.npy" for name in arrays or {}}
        about = {**(provenance or {}), "commit_id": commit, "arrays": files}
        encoded = {_METADATA: json.dumps(about, default=str).encode()}
        home = self._home(screen)
        staging = home / ".staging" / commit
        staging.mkdir(parents=True)
        with _locked(staging / "owner"):
            renames: list[tuple[str, str]] = []
            removals: list[str] = []
            for name, table in tables.items():
                staged = staging / f"{name}.parquet"
                metadata = {**(table.schema.metadata or {}), **encoded}
                pq.write_table(table.replace_schema_metadata(metadata), staged, compression="zstd")
                renames.append((_under(home, staged), _under(home, self._part(screen, name, shard))))
            for name, values in (arrays or {}).items():
                staged = staging / f"{name}.npy"
                np.save(staged, values, allow_pickle=False)
                folder = self._folder(screen, name, shard)
                removals += [_under(home, old) for old in folder.glob("*.npy")]
                renames.append((_under(home, staged), _under(home, folder / files[name])))
            renames.sort(key=lambda pair: pair[1].endswith(".parquet"))  # arrays are there before their rows
            for staged_name, _ in renames:
                _sync(home / staged_name)
            self._apply(home, {"renames": renames, "removals": removals, "staging": _under(home, staging)})
        return commit

    def remove(self, screen: str, table: str, shard: str | None = None) -> None:
        """Take away one partition of a table; nothing happens when it is not there."""
        home = self._home(screen)
        self._apply(home, {"renames": [], "removals": [_under(home, self._part(screen, table, shard))]})

    def _apply(self, home: Path, journal: dict[str, Any]) -> None:
        """Write the journal, then do what it says."""
        with _locked(home / ".lock"):
            _finish(home)
            _sweep(home / ".staging")
            beside = home / ".journal.tmp"
            beside.write_text(json.dumps(journal))
            _sync(beside)
            beside.replace(home / ".journal")
            _sync(home)
            _finish(home)

    def _settle(self, screen: str) -> None:
        """Finish a commit that was interrupted after its journal was written."""
        home = self.root / _checked(screen)
        if (home / ".journal").exists():
            with _locked(home / ".lock"):
                _finish(home)

    # -- places -------------------------------------------------------------------------------------

    def _home(self, screen: str) -> Path:
        home = self.root / _checked(screen)
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _folder(self, screen: str, table: str, shard: str | None) -> Path:
        folder = self.root / _checked(screen) / _checked(table)
        return folder if shard is None else folder / f"shard={quote(shard, safe=' ')}"

    def _part(self, screen: str, table: str, shard: str | None) -> Path:
        return self._folder(screen, table, shard) / "part.parquet"

    def _parts(self, screen: str, table: str) -> Iterator[Path]:
        home = self.root / screen
        for pattern in (f"{table}/part.parquet", f"{table}/shard=*/part.parquet"):
            yield from home.glob(pattern)

    def _read_part(
        self, screen: str, table: str, shard: str | None, columns: Sequence[str] | None
    ) -> pa.Table:
        self._settle(screen)
        path = self._part(screen, table, shard)
        try:
            with path.open("rb") as file:  # one open file: old or new, whatever is renamed meanwhile
                return pq.read_table(file, columns=list(columns) if columns is not None else None)
        except FileNotFoundError as error:
            raise StoreError(
                f"{screen}.{table}" + (f" shard {shard}" if shard else ""),
                found="no such partition",
                required=path.relative_to(self.root).as_posix(),
                remedy=f"Materialize the asset of screen {screen} that makes it (pcip run {screen}).",
            ) from error
        except pa.ArrowInvalid as error:
            raise _damaged(path, error) from error

    def _metadata(self, schema: pa.Schema, path: Path) -> dict[str, Any]:
        encoded = (schema.metadata or {}).get(_METADATA)
        if encoded is None:
            raise _damaged(path, ValueError("no provenance"))
        return json.loads(encoded)


def natural_key(text: str) -> list[tuple[int, int | str]]:
    """Sort key under which plate_2 comes before plate_10."""
    return [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in re.split(r"(\d+)", text) if piece]


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError(
            repr(name),
            found="a name that cannot be a table's or a screen's",
            required="lower-case letters, digits and _, a letter first",
            remedy="Rename it.",
        )
    return name


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(
        path,
        found=f"a file that cannot be read ({str(error).splitlines()[0]})",
        required="a partition as the store writes it",
        remedy="Remove the file and materialize that partition again.",
    )


def _under(home: Path, path: Path) -> str:
    return path.relative_to(home).as_posix()


def _finish(home: Path) -> None:
    """Do what the journal says; every step may have been done already. The screen's lock is held."""
    path = home / ".journal"
    try:
        journal = json.loads(path.read_text())
    except FileNotFoundError:
        return
    for staged, target in journal["renames"]:
        (home / target).parent.mkdir(parents=True, exist_ok=True)
        if (home / staged).exists():
            (home / staged).replace(home / target)
            _sync((home / target).parent)
    for old in journal["removals"]:
        (home / old).unlink(missing_ok=True)
    path.unlink()
    if "staging" in journal:
        shutil.rmtree(home / journal["staging"], ignore_errors=True)


def _sweep(staging: Path) -> None:
    """Remove what killed writers have left: staging folders, not just made, whose owner's lock is free."""
    for folder in staging.iterdir() if staging.is_dir() else ():
        try:
            if time.time() - folder.stat().st_mtime < _SWEEP_AFTER_S:
                continue
            with _locked(folder / "owner", wait=False):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use, or just gone


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel frees it when the process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    """Bring a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
