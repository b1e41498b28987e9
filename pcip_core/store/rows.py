"""Core's results as the Arrow tables that the store keeps (columns: docs/tables.md)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from pcip_core.crops.shard_cells import Rejected, ShardCells
from pcip_core.images.annotations import ImageRecord
from pcip_core.images.field import Field
from pcip_core.spec.screen import Screen

_TEXT, _NUMBER = pa.string(), pa.float64()


def _table(columns: dict[str, Any], **types: pa.DataType) -> pa.Table:
    return pa.table({name: pa.array(values, types.get(name, _TEXT)) for name, values in columns.items()})


def screen_table(screen: Screen) -> pa.Table:
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
        channels=pa.list_(_TEXT),
        simulated=pa.bool_(),
    )


def fields_table(screen: Screen, fields: Sequence[tuple[Field, str, tuple[int, int]]]) -> pa.Table:
    """Usable fields: (field, content hash, (height, width))."""
    return _table(
        {
            "field_id": [one.field_id for one, _, _ in fields],
            "image_id": [one.image_id for one, _, _ in fields],
            "field": [one.number for one, _, _ in fields],
            "files": [[one.files[name] for name in screen.channels] for one, _, _ in fields],
            "parts": [list(one.parts.items()) for one, _, _ in fields],
            "content_hash": [content for _, content, _ in fields],
            "height_px": [shape[0] for _, _, shape in fields],
            "width_px": [shape[1] for _, _, shape in fields],
            "shard": [one.shard for one, _, _ in fields],
        },
        files=pa.list_(_TEXT),
        parts=pa.map_(_TEXT, _TEXT),
        height_px=pa.int32(),
        width_px=pa.int32(),
    )


def fields_of(screen: Screen, table: pa.Table) -> list[Field]:
    """The fields that a `fields` table describes."""
    return [
        Field(
            row["field_id"],
            row["image_id"],
            row["shard"],
            dict(row["parts"]),
            dict(zip(screen.channels, row["files"], strict=True)),
        )
        for row in table.to_pylist()
    ]


def images_table(records: Sequence[ImageRecord]) -> pa.Table:
    """One row an image; further columns of the user's table follow the documented ones."""
    extra = {name for record in records for name in record.values}
    fixed = ["protein", "gene", "cell_line", "plate", "well"]
    columns: dict[str, Any] = {"image_id": [record.image_id for record in records]}
    for name in [*fixed, *sorted(extra - set(fixed))]:
        columns[name] = [record.values.get(name) for record in records]
    columns["n_fields"] = [record.n_fields for record in records]
    columns["localization"] = [record.localization for record in records]
    columns["shard"] = [record.shard for record in records]
    return _table(columns, n_fields=pa.int32(), localization=pa.list_(_TEXT))


def cells_table(cells: ShardCells, shard: str) -> pa.Table:
    """One row a cell, in the order of the crops."""
    floats = pa.list_(pa.float32())
    columns = {name: _rows_as_lists(values) for name, values in cells.columns.items()}
    return _table(
        {**columns, "shard": [shard] * len(cells.pixels)},
        y_px=_NUMBER,
        x_px=_NUMBER,
        area_px=_NUMBER,
        crop_row=pa.int64(),
        intensity_min=floats,
        intensity_max=floats,
    )


def _rows_as_lists(values: Any) -> Any:
    """A list for each row of an array of two dimensions, without a Python object for each."""
    if not isinstance(values, np.ndarray) or values.ndim == 1:
        return values
    ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(ends, values.ravel())


def quarantine_table(stage: str, rejected: Iterable[Rejected], shard: str) -> pa.Table:
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
        found_at=pa.timestamp("us"),
    )


def truth_tables(folder: Path, image_ids: set[str]) -> dict[str, pa.Table]:
    """The simulator's truth of these images."""
    import pandas as pd

    tables = {}
    for name in ("truth_images", "truth_cells"):
        frame = pd.read_csv(folder / f"{name}.csv", keep_default_na=True)
        tables[name] = pa.Table.from_pandas(frame[frame["image_id"].isin(image_ids)], preserve_index=False)
    return tables
