"""The primary storage of all tables: Parquet partitions and crop arrays, replaced atomically.

    <root>/<screen>/<table>/shard=<shard>/part.parquet      a table with shards
    <root>/<screen>/<table>/part.parquet                    a table without shards
    <root>/<screen>/<array>/shard=<shard>/<commit>.npy      arrays that belong to the rows of a table

One commit replaces several tables and arrays of a shard together (see `journal`). Readers take no lock. A reader
that encounters an unfinished commit waits for it, or completes it if its writer has died. Each call reads a
single commit per shard; another commit may happen between two calls.

The files may also lie in an object store, where one small object per shard names its files (see `places.bucket`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from pcip_core.errors import CropError, StoreError
from pcip_core.files import natural_key
from pcip_core.store import parquet
from pcip_core.store.joining import Types, all_columns, filled, joined, require_same_types, require_types
from pcip_core.store.paths import Part, how_to_make
from pcip_core.store.places.place import place_of
from pcip_core.store.schemas import checked
from pcip_core.words import many

_READ_ATTEMPTS = 20
_SCANNED = 16_384  # rows per batch: 25 MB with 384 features


class Store:
    """Tables and arrays of all screens.

    Args:
        root: a folder, or the URL of an object store, `s3://bucket/prefix`.
    """

    def __init__(self, root: Path | str) -> None:
        self.root, self._place = root, place_of(root)

    def __reduce__(self) -> tuple[type[Store], tuple[Path | str]]:
        """Another process opens it by itself."""
        return type(self), (self.root,)

    # -- contents ------------------------------------------------------------------------------------

    def screens(self) -> list[str]:
        """Names of the screens with a table or an unfinished commit; other folders are ignored."""
        return self._place.screens()

    def tables(self, screen: str) -> list[str]:
        """Names of the tables of a screen."""
        return sorted(self._place.tables(screen))

    def shards(self, screen: str, table: str) -> list[str]:
        """Shards of a table in natural order (plate_2 before plate_10); empty for a table without shards."""
        shards = self._place.shards(screen, table)
        return sorted((shard for shard in shards if shard is not None), key=natural_key)

    def has(self, screen: str, table: str, shard: str | None = None) -> bool:
        """Whether a partition exists."""
        return self._place.has(screen, table, shard)

    def provenance(self, screen: str, table: str, shard: str | None = None) -> dict[str, Any] | None:
        """The provenance of a partition, with `commit_id` and `commit_number` of its commit; None without one."""
        return self._place.provenance(screen, table, shard)

    def frozen(self, screen: str) -> AbstractContextManager[dict[tuple[str, str | None], Part]]:
        """(table, shard) -> file of every partition of a screen; no commit changes them within the block."""
        return self._place.frozen(screen)

    def hold(self, file: str, link: str) -> Callable[[], Path]:
        """Keep a file of `frozen` for longer than its block.

        Args:
            file: of a `Part`.
            link: a path in a folder from `scratch`, as long as which the file is kept.

        Returns:
            What returns a path to read it, on a disk of this machine.
        """
        return self._place.hold(file, link)

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
            provenance = parquet.provenance_in(rows.schema, Path(self._place.named(screen, table, shard)))
            file = provenance.get("arrays", {}).get(array)
            path: Path | None = None
            try:
                path = self._place.array(screen, array, shard, str(file))
                values = np.lib.format.open_memmap(path, mode="r")
            except FileNotFoundError:
                if self.provenance(screen, table, shard) == provenance:
                    break  # no commit in between: the array is missing
                continue
            except ValueError as error:
                assert path is not None
                raise parquet.damaged(path, error) from error
            if len(values) != rows.num_rows:
                raise CropError(
                    path,
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
        return self._place.commit(screen, shard, tables, arrays, provenance or {})

    def update(
        self,
        screen: str,
        table: str,
        make: Callable[[], pl.DataFrame],
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> str:
        """Replace a table by what `make` makes of the rows that it reads; nobody changes it meanwhile.

        `make` is called again if somebody did. The result, and otherwise as `commit`.
        """
        return self._place.update(
            screen, table, lambda: checked(make(), table, f"{screen}.{table}"), provenance or {}
        )

    def scratch(self, screen: str) -> AbstractContextManager[Path]:
        """A temporary folder on the store's disk, for arrays that are written before their commit.

        It is removed at the end with its remaining contents. A later commit removes what is left, for example by a
        killed process.
        """
        return self._place.scratch(screen)

    def remove(self, screen: str, table: str, shard: str | None = None) -> None:
        """Remove one partition of a table, if it exists, and the arrays that no other table refers to."""
        self._place.remove(screen, table, shard)

    # -- paths --------------------------------------------------------------------------------------

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
        try:
            with parquet.opened(self._place.file(screen, table, shard)) as part:
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
                required=self._place.named(screen, table, shard),
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
