"""The primary storage of all tables: Parquet partitions and crop arrays, replaced atomically.

    <root>/<screen>/<table>/shard=<shard>/part.parquet      a table with shards
    <root>/<screen>/<table>/part.parquet                    a table without shards
    <root>/<screen>/<array>/shard=<shard>/<commit>.npy      arrays that belong to the rows of a table

One commit replaces several tables and arrays of a shard together (see `journal`). Readers take no lock. A reader
that encounters an unfinished commit waits for it, or completes it if its writer has died. Each call reads a
single commit per shard; another commit may happen between two calls.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from pcip_core.errors import CropError, StoreError
from pcip_core.files import natural_key, writing
from pcip_core.locks import locked
from pcip_core.store import journal, parquet
from pcip_core.store.joining import Types, all_columns, filled, joined, require_same_types, require_types
from pcip_core.store.paths import NAME, Part, checked_name, how_to_make, partitions_in, shard_folder
from pcip_core.store.schemas import checked
from pcip_core.words import many

_OF_A_SCREEN = (".journal", "[a-z]*/part.parquet", "[a-z]*/shard=*/part.parquet")
_READ_ATTEMPTS = 20
_SCANNED = 16_384  # rows per batch: 25 MB with 384 features


class Store:
    """Tables and arrays of all screens under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- contents ------------------------------------------------------------------------------------

    def screens(self) -> list[str]:
        """Names of the screens with a table or an unfinished commit; other folders are ignored."""
        paths = self.root.iterdir() if self.root.is_dir() else ()
        names = sorted(path.name for path in paths if path.is_dir() and NAME.fullmatch(path.name))
        return [name for name in names if any(any((self.root / name).glob(part)) for part in _OF_A_SCREEN)]

    def tables(self, screen: str) -> list[str]:
        """Names of the tables of a screen."""
        self._settle(screen)
        home = self.root / screen
        names = [path.name for path in home.iterdir()] if home.is_dir() else []
        return sorted(name for name in names if NAME.fullmatch(name) and any(partitions_in(home / name)))

    def shards(self, screen: str, table: str) -> list[str]:
        """Shards of a table in natural order (plate_2 before plate_10); empty for a table without shards."""
        self._settle(screen)
        shards = (shard for shard, _ in partitions_in(self._folder(screen, table, None)))
        return sorted((shard for shard in shards if shard is not None), key=natural_key)

    def has(self, screen: str, table: str, shard: str | None = None) -> bool:
        """Whether a partition exists."""
        self._settle(screen)
        return self._part(screen, table, shard).is_file()

    def provenance(self, screen: str, table: str, shard: str | None = None) -> dict[str, Any] | None:
        """The provenance of a partition, with `commit_id` and `commit_number` of its commit; None without one."""
        self._settle(screen)
        try:
            return parquet.provenance_of(self._part(screen, table, shard))
        except FileNotFoundError:
            return None

    @contextmanager
    def frozen(self, screen: str) -> Iterator[dict[tuple[str, str | None], Part]]:
        """(table, shard) -> file of every partition of a screen; no commit takes effect within the block."""
        home = self._home(screen)
        with journal.alone(home):
            tables = [path.name for path in home.iterdir() if NAME.fullmatch(path.name)]
            yield {(name, shard): part for name in tables for shard, part in partitions_in(home / name)}

    # -- reading ------------------------------------------------------------------------------------

    def read(
        self,
        screen: str,
        table: str,
        *,
        shards: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """A table: its partitions, concatenated in the natural order of the shards.

        Args:
            screen, table: names of the screen and the table.
            shards: shards to read; by default, all.
            columns: columns to read; by default, all.

        Raises:
            StoreError: the table, shard or column does not exist, a file is damaged, or a column has different
                types in two partitions.
        """
        wanted = self._wanted(screen, table, shards)
        parts = [
            parquet.frame_of(self.arrow(screen, table, shard=shard, columns=columns)) for shard in wanted
        ]
        return joined(screen, table, wanted, parts)

    def scan(self, screen: str, table: str, *, shards: Sequence[str] | None = None) -> pl.LazyFrame:
        """The result of `read` as a lazy frame: only the columns and rows that a query selects are held in memory.

        Partitions are opened one by one when the frame is collected, so that a query sees a single commit per
        shard, as with `read`. A query that uses the frame twice may read it twice, and a commit may happen
        between the two reads. Damage, and columns that have another type by then, are detected when it is collected.

        Raises:
            StoreError: as for `read`.
        """
        wanted = self._wanted(screen, table, shards)
        schemas = [self.schema(screen, table, shard=shard) for shard in wanted]
        require_same_types(screen, table, wanted, schemas)
        schema = all_columns(schemas)

        def rows(columns: Any, predicate: pl.Expr | None, most: int | None, _: Any) -> Iterator[pl.DataFrame]:
            kinds = schema if columns is None else {name: schema[name] for name in columns}
            types = {name: (wanted[0], kind) for name, kind in kinds.items() if kind != pl.Null}
            for shard in wanted:
                with self._opened(screen, table, shard, None) as part:
                    here = pl.Schema(part.schema_arrow.remove_metadata())  # it may have been replaced
                    present = {name: here[name] for name in kinds if name in here}
                    require_types(screen, table, types, shard, present)
                    for piece in part.iter_batches(_SCANNED, columns=[*present]):
                        frame = filled(parquet.frame_of(pa.Table.from_batches([piece])), kinds)
                        if most is not None:
                            frame = frame.head(most)
                            most -= frame.height
                        yield frame if predicate is None else frame.filter(predicate)
                        if most == 0:
                            return

        return register_io_source(rows, schema=schema)

    def schema(self, screen: str, table: str, *, shard: str | None = None) -> pl.Schema:
        """Names and types of a partition's columns, without reading its rows.

        Raises:
            StoreError: the partition does not exist or is damaged.
        """
        return pl.Schema(self.arrow_schema(screen, table, shard=shard))

    def batches(
        self,
        screen: str,
        table: str,
        *,
        shards: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        rows: int = 4096,
    ) -> Iterator[pl.DataFrame]:
        """The result of `read` in batches of at most `rows` rows, so that memory does not grow with the table.

        Raises:
            StoreError: as for `read`, when iteration reaches the batch concerned.
        """
        wanted = self._wanted(screen, table, shards)
        names = list(columns) if columns is not None else None
        types: Types = {}
        for shard in wanted:
            with self._opened(screen, table, shard, columns) as part:
                here = pl.Schema(part.schema_arrow.remove_metadata())
                require_types(
                    screen,
                    table,
                    types,
                    shard,
                    here if names is None else {name: here[name] for name in names},
                )
                for batch in part.iter_batches(rows, columns=names):
                    yield parquet.frame_of(pa.Table.from_batches([batch]))

    def read_with_array(
        self, screen: str, table: str, array: str, shard: str
    ) -> tuple[pl.DataFrame, np.memmap]:
        """One shard of a table and the array that was committed with it, as a read-only memory map.

        Raises:
            StoreError: the shard does not exist, or a file is damaged.
            CropError: the array is missing, or its length differs from the table's.
        """
        for _ in range(_READ_ATTEMPTS):
            rows = self.arrow(screen, table, shard=shard)
            provenance = parquet.provenance_in(rows.schema, self._part(screen, table, shard))
            file = provenance.get("arrays", {}).get(array)
            home = self._folder(screen, array, shard)
            try:
                values = np.lib.format.open_memmap(home / str(file), mode="r")
            except FileNotFoundError:
                if self.provenance(screen, table, shard) == provenance:
                    break  # no commit in between: the array is missing
                continue
            except ValueError as error:
                raise parquet.damaged(home / str(file), error) from error
            if len(values) != rows.num_rows:
                raise CropError(
                    home / str(file),
                    found=f"{many(len(values), 'row')}",
                    required=f"{rows.num_rows} rows, as in the table {table}",
                    remedy=f"Materialize the shard {shard} of {screen} again.",
                )
            return parquet.frame_of(rows), values
        raise CropError(
            f"{screen}.{array} shard {shard}",
            found="no array file",
            required=f"the {array} that the table {table} describes",
            remedy=f"Materialize {screen}/{array}, shard {shard}, with `force`.",
        )

    def arrow(
        self, screen: str, table: str, *, shard: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """One partition in the Arrow types of its file, as input for DuckDB.

        Raises:
            StoreError: the partition or column does not exist, or the partition is damaged.
        """
        with self._opened(screen, table, shard, columns) as part:
            return part.read(columns=list(columns) if columns is not None else None)

    def arrow_schema(self, screen: str, table: str, *, shard: str | None = None) -> pa.Schema:
        """The schema of the result of `arrow`, without reading its rows."""
        with self._opened(screen, table, shard, None) as part:
            return part.schema_arrow.remove_metadata()

    # -- writing ------------------------------------------------------------------------------------

    def commit(
        self,
        screen: str,
        tables: Mapping[str, pl.DataFrame],
        *,
        shard: str | None = None,
        arrays: Mapping[str, np.ndarray | Path] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> str:
        """Replace one partition of several tables, and their arrays, in one atomic step.

        Args:
            screen: name of the screen.
            tables: table name -> its new rows.
            shard: the partition; None for tables without shards.
            arrays: array name -> values, with one row per row of one of the tables; or a .npy file of them in a
                folder from `scratch`, which is moved, not copied.
            provenance: JSON values stored with each table.

        Returns:
            The id of the commit.

        Raises:
            StoreError: the rows of a table do not fit its schema.
            CropError: the length of an array matches none of the tables.
            WriteError: they cannot be written.
        """
        arrays = arrays or {}
        tables = {name: checked(frame, name, f"{screen}.{name}") for name, frame in tables.items()}
        _check_lengths(screen, tables, arrays)
        commit, home = uuid.uuid4().hex, self._home(screen)
        described = {
            **(provenance or {}),
            "commit_id": commit,
            "commit_number": journal.next_number(home, [self._part(screen, name, shard) for name in tables]),
            "arrays": dict.fromkeys(arrays, f"{commit}.npy"),
        }
        staging = home / ".staging" / commit
        targets: dict[Path, Path] = {}  # arrays first, so that they exist before their rows
        for name in arrays:
            targets[staging / f"{name}.npy"] = self._folder(screen, name, shard) / f"{commit}.npy"
        for name in tables:
            targets[staging / f"{name}.parquet"] = self._part(screen, name, shard)
        staging.mkdir(parents=True)
        with writing(home), locked(staging / "owner"):
            try:
                for name, values in arrays.items():
                    if isinstance(values, Path):
                        values.replace(staging / f"{name}.npy")
                    else:
                        np.save(staging / f"{name}.npy", values, allow_pickle=False)
                for name, table in tables.items():
                    parquet.write(staging / f"{name}.parquet", table, described)
                for staged in targets:
                    journal.sync(staged)
            except BaseException:  # nothing is committed; a later commit sweeps what remains here
                shutil.rmtree(staging, ignore_errors=True)
                raise
            emptied = [self._folder(screen, name, shard) for name in arrays]
            journal.replace(home, targets, emptied=emptied, staging=staging)
        return commit

    @contextmanager
    def scratch(self, screen: str) -> Iterator[Path]:
        """A temporary folder on the store's disk, for arrays that are written before their commit.

        It is removed at the end with its remaining contents. A later commit removes what is left, for example by a
        killed process.
        """
        folder = self._home(screen) / ".staging" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            with locked(folder / "owner"):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self, screen: str, table: str, shard: str | None = None) -> None:
        """Remove one partition of a table, if it exists, and the arrays that no other table refers to."""
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

    # -- paths --------------------------------------------------------------------------------------

    def _home(self, screen: str) -> Path:
        home = self.root / checked_name(screen)
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _folder(self, screen: str, table: str, shard: str | None) -> Path:
        folder = self.root / checked_name(screen) / checked_name(table)
        return folder if shard is None else folder / shard_folder(shard)

    def _part(self, screen: str, table: str, shard: str | None) -> Path:
        return self._folder(screen, table, shard) / "part.parquet"

    def _wanted(self, screen: str, table: str, shards: Sequence[str] | None) -> Sequence[str | None]:
        """The partitions to read: the requested ones, or all."""
        wanted: Sequence[str | None] = shards if shards is not None else self.shards(screen, table) or [None]
        if not wanted:
            where = f"{screen}.{table}"
            raise StoreError(where, found="no shard", required="at least one", remedy="Name a shard.")
        return wanted

    @contextmanager
    def _opened(
        self, screen: str, table: str, shard: str | None, columns: Sequence[str] | None
    ) -> Iterator[pq.ParquetFile]:
        """Open one partition and require these columns; errors within the block name its file."""
        self._settle(screen)
        path = self._part(screen, table, shard)
        try:
            with parquet.opened(path) as part:
                if absent := sorted(set(columns or ()) - set(part.schema_arrow.names)):
                    raise StoreError(
                        f"{screen}.{table}",
                        found=f"no column {', '.join(absent)}",
                        required=f"columns among {', '.join(part.schema_arrow.names)}",
                        remedy="Check the name.",
                    )
                yield part
        except FileNotFoundError as error:
            raise StoreError(
                f"{screen}.{table}" + (f" shard {shard}" if shard else ""),
                found="no such partition",
                required=path.relative_to(self.root).as_posix(),
                remedy=how_to_make(screen, table, shard),
            ) from error


def _check_lengths(
    screen: str, tables: Mapping[str, pl.DataFrame], arrays: Mapping[str, np.ndarray | Path]
) -> None:
    lengths = {name: table.height for name, table in tables.items()}
    for name, array in arrays.items():
        values = np.lib.format.open_memmap(array, mode="r") if isinstance(array, Path) else array
        if len(values) not in lengths.values():
            raise CropError(
                f"{screen}.{name}",
                found=f"{many(len(values), 'row')}",
                required=f"as many rows as one of the tables: {lengths}",
                remedy="Commit an array with the table that describes it.",
            )
