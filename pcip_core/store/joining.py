"""The partitions of a table as one frame. A column has the same type in all partitions; some may lack it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from pcip_core.errors import StoreError
from pcip_core.store.paths import how_to_make

Types = dict[str, tuple[str | None, pl.DataType]]  # column -> the first shard with it, and its type there


def joined(
    screen: str, table: str, shards: Sequence[str | None], parts: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    """Concatenate partitions without a copy; columns that a partition lacks are null.

    Raises:
        StoreError: a column has different types in two partitions.
    """
    require_same_types(screen, table, shards, [part.schema for part in parts])
    same = all(part.schema == parts[0].schema for part in parts)
    return pl.concat(parts, how="vertical" if same else "diagonal_relaxed", rechunk=False)


def require_same_types(
    screen: str, table: str, shards: Sequence[str | None], schemas: Sequence[Mapping[str, pl.DataType]]
) -> None:
    """Refuse partitions whose types of a column differ; a column of nulls matches any type.

    Raises:
        StoreError: names the first such column and its partitions.
    """
    types: Types = {}
    for shard, schema in zip(shards, schemas, strict=True):
        require_types(screen, table, types, shard, schema)


def require_types(
    screen: str, table: str, types: Types, shard: str | None, schema: Mapping[str, pl.DataType]
) -> None:
    """Refuse a partition whose types differ from those of the partitions before it; add its columns to `types`.

    Raises:
        StoreError: names the first such column and its partitions.
    """
    for name, kind in schema.items():
        if kind == pl.Null:
            continue
        first, expected = types.setdefault(name, (shard, kind))
        if expected != kind:
            raise StoreError(
                f"{screen}.{table}",
                found=f"columns of different types in shards {first} and {shard} ({name}: {expected} and {kind})",
                required="the same column types in all partitions",
                remedy=f"Bring all shards up to date. {how_to_make(screen, table)}",
            )


def all_columns(schemas: Sequence[Mapping[str, pl.DataType]]) -> dict[str, pl.DataType]:
    """The columns of all partitions, in the order in which they first occur."""
    columns: dict[str, pl.DataType] = {}
    for schema in schemas:
        columns |= {name: kind for name, kind in schema.items() if columns.get(name, pl.Null) == pl.Null}
    return columns


def filled(frame: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A frame with these columns, in their order; missing columns are filled with nulls."""
    if list(frame.schema.items()) == list(columns.items()):
        return frame
    lacking = [pl.lit(None, kind).alias(name) for name, kind in columns.items() if name not in frame.columns]
    return frame.with_columns(lacking).select(pl.col(name).cast(kind) for name, kind in columns.items())
