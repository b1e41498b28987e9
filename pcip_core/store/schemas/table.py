"""The schema of a table: its columns, each with a type and a meaning.

Frames are built and checked with it. The types in Parquet and in DuckDB, the comments in the published
file and `docs/tables.md` are derived from it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from pcip_core.errors import StoreError
from pcip_core.store.parquet import arrow_of

TEXT, FLAG = pl.String(), pl.Boolean()
INTEGER, SMALL_INTEGER, NUMBER = pl.Int64(), pl.Int32(), pl.Float64()
TEXTS, NUMBERS = pl.List(pl.String()), pl.List(pl.Float32())
TEXT_BY_NAME = pl.Map(pl.String(), pl.String())
TIME, TIME_WITH_ZONE = (
    pl.Datetime("us"),
    pl.Datetime("us", "UTC"),
)  # both are UTC; SQL shows the zone of the latter
VECTOR = pl.Array(pl.Float32(), 0)
"""A feature vector of any length, the same in all rows of a partition."""

_PLACEHOLDER = re.compile(r"<\w+>")
_DUCKDB: dict[pl.DataType, str] = {
    **{TEXT: "VARCHAR", FLAG: "BOOLEAN", INTEGER: "BIGINT", SMALL_INTEGER: "INTEGER", NUMBER: "DOUBLE"},
    **{pl.Float32(): "FLOAT", TIME: "TIMESTAMP", TIME_WITH_ZONE: "TIMESTAMP WITH TIME ZONE"},
    **{TEXT_BY_NAME: "MAP(VARCHAR, VARCHAR)", VECTOR: "FLOAT[n]"},
}

Values = Sequence[Any] | pl.Series | np.ndarray


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of the store.

    Attributes:
        name: its name in SQL, where `<feature_set>` or `<name>` is a placeholder for a name.
        description: meaning of a row, in one sentence.
        columns: column name -> (type, meaning), in the order of the table.
        stored_as: name patterns of the stored tables with its rows; by default, `name`.
        added: the columns that publishing adds; partitions do not have them.
        whole_store: whether it covers all screens, in the schema `main`.
        more_columns: whether a partition may have further columns, of any type.
    """

    name: str
    description: str
    columns: Mapping[str, tuple[pl.DataType, str]]
    stored_as: tuple[str, ...] | None = None
    added: tuple[str, ...] = ()
    whole_store: bool = False
    more_columns: bool = False

    @property
    def pattern(self) -> str:
        """The name as a pattern for `fnmatch`."""
        return _PLACEHOLDER.sub("*", self.name)

    def holds(self, stored: str) -> bool:
        """Whether a stored table of this name has its columns."""
        patterns = (self.pattern,) if self.stored_as is None else self.stored_as
        return any(fnmatch.fnmatchcase(stored, pattern) for pattern in patterns)

    @property
    def types(self) -> dict[str, pl.DataType]:
        """Type of each column of a partition."""
        return {name: kind for name, (kind, _) in self.columns.items() if name not in self.added}

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns of a partition in Parquet; a vector of any length has length 0 here."""
        return arrow_of(self.empty()).schema

    @property
    def duckdb_types(self) -> dict[str, str]:
        """Type of each column in SQL; a vector is `FLOAT[n]`."""
        return {name: duckdb_type(kind) for name, (kind, _) in self.columns.items()}

    def empty(self) -> pl.DataFrame:
        """A frame without rows."""
        return self.frame([])

    def frame(
        self, data: Iterable[Mapping[str, Any]] | Mapping[str, Values], *, added: bool = False
    ) -> pl.DataFrame:
        """Build a frame of this table from rows or columns.

        Args:
            data: rows, each by column name; or columns by name. Values of columns that are not given are null.
            added: whether to include the columns that publishing adds.

        Raises:
            StoreError: a column is unknown, a value does not have the type of its column, or the columns differ in
                length.
        """
        types = {name: kind for name, (kind, _) in self.columns.items()} if added else self.types
        if isinstance(data, Mapping):
            given: Mapping[str, Values] = data
        else:
            rows = list(data)
            given = {
                name: [row.get(name) for row in rows]
                for name in dict.fromkeys(key for row in rows for key in row)
            }
        lengths = {name: len(values) for name, values in given.items()}
        if len(set(lengths.values())) > 1:
            raise self._refused(
                f"columns of different lengths {lengths}", "the same number of values in each column"
            )
        n = next(iter(lengths.values()), 0)
        columns = [self._series(name, values, types.get(name)) for name, values in given.items()]
        lacking = [
            pl.repeat(None, n, dtype=kind, eager=True).alias(name)
            for name, kind in types.items()
            if name not in given
        ]
        return self._fitted(pl.DataFrame([*columns, *lacking]), types)

    def checked(self, frame: pl.DataFrame, where: str | None = None) -> pl.DataFrame:
        """Convert a frame to the column types and the column order of a partition.

        Nulls, integers of another width and float32 are converted where no value is lost.

        Args:
            frame: the rows.
            where: location for error messages; by default, the table.

        Raises:
            StoreError: a column is missing, has another type, or does not belong to the table.
        """
        types = self.types
        if lacking := [name for name in types if name not in frame.columns]:
            raise self._refused(
                f"no column {', '.join(lacking)}",
                ", ".join(f"{name} {types[name]}" for name in lacking),
                where,
            )
        return self._fitted(frame, types, where)

    def stacked(self, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Check and concatenate several frames; an empty frame if there are none."""
        return pl.concat([self.empty(), *(self.checked(frame) for frame in frames)])

    def lines(self) -> Iterator[str]:
        """The lines of its section of `docs/tables.md`."""
        yield f"## {'main' if self.whole_store else '<screen>'}.{self.name}"
        yield ""
        yield self.description
        yield ""
        yield "| column | type | meaning |"
        yield "|---|---|---|"
        for column, (kind, meaning) in self.columns.items():
            yield f"| `{column}` | {duckdb_type(kind)} | {meaning} |"

    def _series(self, name: str, values: Values, kind: pl.DataType | None) -> pl.Series:
        if isinstance(values, pl.Series):
            return values.alias(name)
        if isinstance(values, np.ndarray):
            series = pl.Series(name, np.ascontiguousarray(values))
            return series.arr.to_list() if values.ndim > 1 and isinstance(kind, pl.List) else series
        try:
            return pl.Series(name, values, None if kind == VECTOR else kind)
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise self._refused(f"column {name}: {str(error).splitlines()[0]}", f"{name} {kind}") from error

    def _fitted(
        self, frame: pl.DataFrame, types: Mapping[str, pl.DataType], where: str | None = None
    ) -> pl.DataFrame:
        strange = [name for name in frame.columns if name not in types]
        if strange and not self.more_columns:
            raise self._refused(f"a column {', '.join(strange)}", f"only {', '.join(types)}", where)
        casts = []
        for name, kind in types.items():
            given = frame.schema[name]
            if not _widens(given, kind):
                raise self._refused(f"column {name} of type {given}", f"{name} {_text(kind)}", where)
            casts.append(pl.col(name) if kind == VECTOR else pl.col(name).cast(kind))
        return frame.select(*casts, *strange)

    def _refused(self, found: str, required: str, where: str | None = None) -> StoreError:
        return StoreError(
            where or f"table {self.name}",
            found=found,
            required=required,
            remedy=f"Build its rows with the table's schema in pcip_core.store.schemas ({self.description})",
        )


def duckdb_type(kind: pl.DataType) -> str:
    """The name of a type in SQL."""
    return f"{duckdb_type(_inner(kind))}[]" if isinstance(kind, pl.List) else _DUCKDB[kind]


def _text(kind: pl.DataType) -> str:
    return "Array(Float32, any length)" if kind == VECTOR else str(kind)


def _inner(kind: pl.List | pl.Array) -> pl.DataType:
    inner = kind.inner
    return inner() if isinstance(inner, type) else inner


def _widens(kind: pl.DataType, required: pl.DataType) -> bool:
    """Whether a cast from one type to the other loses no value."""
    if required == VECTOR:
        return isinstance(kind, pl.Array) and kind.inner == pl.Float32 and len(kind.shape) == 1
    if kind in (required, pl.Null):
        return True
    if isinstance(kind, pl.List) and isinstance(required, pl.List):
        return _widens(_inner(kind), _inner(required))
    if required == INTEGER:
        return kind.is_integer() and kind not in (pl.UInt64, pl.Int128)
    if required == SMALL_INTEGER:
        return kind in (pl.Int8, pl.Int16, pl.UInt8, pl.UInt16)
    if required == NUMBER:
        return kind in (pl.Float32, pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)
    return required == TEXT and isinstance(kind, pl.Categorical | pl.Enum)
