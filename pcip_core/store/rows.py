"""Conversion of results to the tables of the store (columns: docs/tables.md)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from pcip_core.crops.shard_cells import Rejected, ShardCells
from pcip_core.errors import CropError
from pcip_core.images.annotations import ImageRecord
from pcip_core.images.field import Field
from pcip_core.images.illumination.profile import Polynomial
from pcip_core.spec.screen import Screen
from pcip_core.store import schemas
from pcip_core.store.partitions import Store


def screen_table(screen: Screen) -> pl.DataFrame:
    """One row that describes the screen."""
    return schemas.SCREENS.frame(
        [
            {
                "screen": screen.name,
                "organism": screen.organism,
                "channels": [f"{name}:{screen.channels[name].role}" for name in screen.crop_channels],
                "simulated": screen.simulated,
                "feature_set": screen.feature_set,
                "root": screen.root,
                "spec": yaml.safe_dump(screen.resolved(), sort_keys=False),
            }
        ]
    )


def fields_table(
    screen: Screen,
    fields: Sequence[tuple[Field, str, tuple[int, int]]],
    quality: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per usable field: (field, content hash, (height, width)), with the worst of its channels' measures.

    Args:
        screen: the spec.
        fields: the usable fields.
        quality: the rows of `pcip_core.images.quality.survey.Survey.quality`.
    """
    table = schemas.FIELDS.frame(
        {
            "field_id": field.field_id,
            "image_id": field.image_id,
            "field": field.number,
            "files": [field.files[name] for name in screen.channels],
            "parts": field.parts,
            "content_hash": content,
            "height_px": height,
            "width_px": width,
            "shard": field.shard,
        }
        for field, content, (height, width) in fields
    )
    if quality is None:
        return table
    structural = pl.col("channel").is_in(list(screen.structural))
    worst = quality.group_by("field_id").agg(
        pl.col("saturated").max(),
        pl.col("focus_slope", "signal_to_noise").filter(structural).min(),
        pl.col("flags").explode(empty_as_null=False).unique(maintain_order=True),
    )
    return schemas.FIELDS.frame(
        table.drop(worst.columns[1:])
        .join(worst, on="field_id", how="left", maintain_order="left")
        .to_dict(as_series=True)
    )


def field_quality_table(fields: Sequence[tuple[Field, str, Any]], quality: pl.DataFrame) -> pl.DataFrame:
    """One row per usable field and channel."""
    named = {
        "field_id": [field.field_id for field, *_ in fields],
        "image_id": [field.image_id for field, *_ in fields],
        "field": [field.number for field, *_ in fields],
        "shard": [field.shard for field, *_ in fields],
    }
    names = pl.DataFrame(named, schema=dict.fromkeys(named, pl.String))
    rows = quality.join(names, on="field_id", maintain_order="left")
    return schemas.FIELD_QUALITY.frame(rows.to_dict(as_series=True))


def illumination_table(rows: Iterable[Mapping[str, Any]], shard: str) -> pl.DataFrame:
    """One row per channel and profile."""
    return schemas.ILLUMINATION.frame([{**row, "shard": shard} for row in rows])


def illumination_of(store: Store, screen: Screen, shards: Sequence[str] | None = None) -> pl.DataFrame | None:
    """The estimated illumination of these shards, for `fields_of`; None unless the spec asks for it."""
    if screen.illumination.method != "estimated":
        return None
    return store.read(screen.name, "illumination", shards=shards)


def fields_of(screen: Screen, table: pl.DataFrame, illumination: pl.DataFrame | None = None) -> list[Field]:
    """The fields that a `fields` table describes, with their estimated illumination from `illumination_of`."""
    gains: dict[str, dict[str, Polynomial]] = {}
    for row in () if illumination is None else illumination.iter_rows(named=True):
        gains.setdefault(row["shard"], {})[row["channel"]] = Polynomial.of_values(row["coefficients"])
    return [
        Field(
            row["field_id"],
            row["image_id"],
            row["shard"],
            row["parts"],
            dict(zip(screen.channels, row["files"], strict=True)),
            name=row["field"],
            gains=gains.get(row["shard"]),
        )
        for row in table.iter_rows(named=True)
    ]


def stored_field(store: Store, screen: Screen, field_id: str, shard: str) -> Field:
    """One field, with its estimated illumination.

    Raises:
        CropError: it is not in the table of fields.
    """
    table = store.read(screen.name, "fields", shards=[shard]).filter(pl.col("field_id") == field_id)
    if table.is_empty():
        raise CropError(
            f"{screen.name}: field {field_id}",
            found="no such field in the table of fields",
            required="the field that the cell was cut from",
            remedy=f"Run `pcip run {screen.name}`.",
        )
    return fields_of(screen, table, illumination_of(store, screen, [shard]))[0]


def images_table(records: Sequence[ImageRecord]) -> pl.DataFrame:
    """One row per image; further columns of the user's table follow the documented ones."""
    known = schemas.IMAGES.types
    further = sorted({name for record in records for name in record.values} - known.keys())
    columns: dict[str, Any] = {
        name: [record.values.get(name) for record in records]
        for name in ("protein", "gene", "cell_line", "plate", "well")
    }
    columns |= {
        "image_id": [record.image_id for record in records],
        "n_fields": [record.n_fields for record in records],
        "localization": [record.localization for record in records],
        "shard": [record.shard for record in records],
    }
    for name in further:
        columns[name] = pl.Series([record.values.get(name) for record in records], dtype=pl.String)
    return schemas.IMAGES.frame(columns)


def cells_table(cells: ShardCells, shard: str) -> pl.DataFrame:
    """One row per cell, in the order of the crops."""
    return schemas.CELLS.frame({**cells.columns, "shard": [shard] * len(cells.pixels)})


def quarantine_table(stage: str, rejected: Iterable[Rejected], shard: str) -> pl.DataFrame:
    """One row per excluded file, cell or image."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return schemas.QUARANTINE.frame(
        {
            "file": row.file,
            "stage": stage,
            "what": row.what,
            "image_id": row.image_id,
            "reason": row.reason,
            "found_at": now,
            "field_id": row.field_id,
            "content_hash": row.content_hash,
            "shard": shard,
        }
        for row in rejected
    )


def truth_tables(folder: Path, image_ids: set[str]) -> dict[str, pl.DataFrame]:
    """The simulator's ground truth for these images."""
    return {
        table.name: pl.read_csv(folder / f"{table.name}.csv", schema_overrides=table.types).filter(
            pl.col("image_id").is_in(list(image_ids))
        )
        for table in (schemas.TRUTH_IMAGES, schemas.TRUTH_CELLS)
    }
