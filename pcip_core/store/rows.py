"""Core's results as the tables that the store keeps (columns: docs/tables.md)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from pcip_core.crops.shard_cells import Rejected, ShardCells
from pcip_core.images.annotations import ImageRecord
from pcip_core.images.field import Field
from pcip_core.spec.screen import Screen

_TEXT, _NUMBER = pl.String, pl.Float64


def _table(columns: dict[str, Any], **types: Any) -> pl.DataFrame:
    return pl.DataFrame(columns, schema={name: types.get(name, _TEXT) for name in columns})


def screen_table(screen: Screen) -> pl.DataFrame:
    """One row: what the screen is."""
    return _table(
        {
            "screen": [screen.name],
            "organism": [screen.organism],
            "channels": [[f"{name}:{screen.channels[name].role}" for name in screen.crop_channels]],
            "simulated": [screen.simulated],
            "root": [screen.root],
            "spec": [yaml.safe_dump(screen.resolved(), sort_keys=False)],
        },
        channels=pl.List(_TEXT),
        simulated=pl.Boolean,
    )


def fields_table(screen: Screen, fields: Sequence[tuple[Field, str, tuple[int, int]]]) -> pl.DataFrame:
    """Usable fields: (field, content hash, (height, width))."""
    return _table(
        {
            "field_id": [one.field_id for one, _, _ in fields],
            "image_id": [one.image_id for one, _, _ in fields],
            "field": [one.number for one, _, _ in fields],
            "files": [[one.files[name] for name in screen.channels] for one, _, _ in fields],
            "parts": [one.parts for one, _, _ in fields],
            "content_hash": [content for _, content, _ in fields],
            "height_px": [shape[0] for _, _, shape in fields],
            "width_px": [shape[1] for _, _, shape in fields],
            "shard": [one.shard for one, _, _ in fields],
        },
        files=pl.List(_TEXT),
        parts=pl.Map(_TEXT, _TEXT),
        height_px=pl.Int32,
        width_px=pl.Int32,
    )


def fields_of(screen: Screen, table: pl.DataFrame) -> list[Field]:
    """The fields that a `fields` table describes."""
    return [
        Field(
            row["field_id"],
            row["image_id"],
            row["shard"],
            row["parts"],
            dict(zip(screen.channels, row["files"], strict=True)),
        )
        for row in table.iter_rows(named=True)
    ]


def images_table(records: Sequence[ImageRecord]) -> pl.DataFrame:
    """One row an image; further columns of the user's table follow the documented ones."""
    extra = {name for record in records for name in record.values}
    fixed = ["protein", "gene", "cell_line", "plate", "well"]
    columns: dict[str, Any] = {"image_id": [record.image_id for record in records]}
    for name in [*fixed, *sorted(extra - set(fixed))]:
        columns[name] = [record.values.get(name) for record in records]
    columns["n_fields"] = [record.n_fields for record in records]
    columns["localization"] = [record.localization for record in records]
    columns["shard"] = [record.shard for record in records]
    return _table(columns, n_fields=pl.Int32, localization=pl.List(_TEXT))


def cells_table(cells: ShardCells, shard: str) -> pl.DataFrame:
    """One row a cell, in the order of the crops."""
    floats = pl.List(pl.Float32)
    columns = {name: _rows_as_lists(values) for name, values in cells.columns.items()}
    return _table(
        {**columns, "shard": [shard] * len(cells.pixels)},
        y_px=_NUMBER,
        x_px=_NUMBER,
        area_px=_NUMBER,
        crop_row=pl.Int64,
        intensity_min=floats,
        intensity_max=floats,
    )


def _rows_as_lists(values: Any) -> Any:
    """A list for each row of an array of two dimensions, without a Python object for each."""
    if not isinstance(values, np.ndarray) or values.ndim == 1:
        return values
    return pl.Series(np.ascontiguousarray(values)).arr.to_list()


def quarantine_table(stage: str, rejected: Iterable[Rejected], shard: str) -> pl.DataFrame:
    """One row for each thing found and not used."""
    rejected = list(rejected)
    now = datetime.now(UTC).replace(tzinfo=None)
    return _table(
        {
            "file": [row.file for row in rejected],
            "stage": [stage] * len(rejected),
            "what": [row.what for row in rejected],
            "image_id": [row.image_id for row in rejected],
            "reason": [row.reason for row in rejected],
            "found_at": [now] * len(rejected),
            "field_id": [row.field_id for row in rejected],
            "content_hash": [row.content_hash for row in rejected],
            "shard": [shard] * len(rejected),
        },
        found_at=pl.Datetime("us"),
    )


def truth_tables(folder: Path, image_ids: set[str]) -> dict[str, pl.DataFrame]:
    """The simulator's truth of these images."""
    return {
        name: pl.read_csv(folder / f"{name}.csv", infer_schema_length=None).filter(
            pl.col("image_id").is_in(list(image_ids))
        )
        for name in ("truth_images", "truth_cells")
    }
