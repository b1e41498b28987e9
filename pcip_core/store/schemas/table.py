"""What a table is: its columns, each with a type and a meaning.

Frames are built and checked by it, and the types in Parquet and in DuckDB, the comments in the published
file and `docs/tables.md` follow from it.
"""

from __future__ import annotations

import fnmatch
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
        name: as SQL shows it; `<feature_set>` in it stands for the name of a feature set.
        description: what a row is, in a sentence.
        columns: column name -> (type, meaning), in the order of the table.
        stored_as: patterns of the names of the stored tables that hold its rows; by default its own name.
        added: the columns that publishing adds; partitions do not have them.
        whole_store: whether it is about all screens, in the schema `main`.
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
        """The name as a pattern of file-name style."""
        return self.name.replace("<feature_set>", "*")

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
        """The columns of a partition as Parquet has them; a vector of any length has length 0 here."""
        return arrow_of(self.empty()).schema

    @property
    def duckdb_types(self) -> dict[str, str]:
        """Type of each column as SQL shows it; a vector is `FLOAT[n]`."""
        return {name: duckdb_type(kind) for name, (kind, _) in self.columns.items()}

    def empty(self) -> pl.DataFrame:
        """No rows."""
        return self.frame([])

    def frame(
        self, data: Iterable[Mapping[str, Any]] | Mapping[str, Values], *, added: bool = False
    ) -> pl.DataFrame:
        """Rows or columns as a frame of this table.

        Args:
            data: rows, each by column name; or columns by name. Values of columns that are not given are null.
            added: with the columns that publishing adds.

        Raises:
            StoreError: there is a column that the table does not have, a value of another type than its column's,
                or columns of different lengths.
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
            raise self._refused(f"columns of different lengths {lengths}", "as many values in each column")
        n = next(iter(lengths.values()), 0)
        columns = [self._series(name, values, types.get(name)) for name, values in given.items()]
        lacking = [
            pl.repeat(None, n, dtype=kind, eager=True).alias(name)
            for name, kind in types.items()
            if name not in given
        ]
        return self._fitted(pl.DataFrame([*columns, *lacking]), types)

    def checked(self, frame: pl.DataFrame, where: str | None = None) -> pl.DataFrame:
        """A frame in the types and the order of this table's columns, as a partition has them.

        Nulls, whole numbers of another width and float32 are widened; nothing that would lose a value is.

        Args:
            frame: the rows.
            where: what an error names; by default the table.

        Raises:
            StoreError: a column is lacking, has another type, or does not belong to the table.
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
        """The rows of several frames, each checked, one below the other; no rows without frames."""
        return pl.concat([self.empty(), *(self.checked(frame) for frame in frames)])

    def lines(self) -> Iterator[str]:
        """Its part of `docs/tables.md`."""
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
            there = frame.schema[name]
            if not _widens(there, kind):
                raise self._refused(f"column {name} of type {there}", f"{name} {_text(kind)}", where)
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
    """A type as SQL shows it."""
    return f"{duckdb_type(_inner(kind))}[]" if isinstance(kind, pl.List) else _DUCKDB[kind]


def _text(kind: pl.DataType) -> str:
    return "Array(Float32, any length)" if kind == VECTOR else str(kind)


def _inner(kind: pl.List | pl.Array) -> pl.DataType:
    inner = kind.inner
    return inner() if isinstance(inner, type) else inner


def _widens(kind: pl.DataType, required: pl.DataType) -> bool:
    """Whether no value is lost when a column of one type is cast to the other."""
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
