"""One field as layers of napari: its channels, and its cells as labels and as points, with their columns.

A layer is what napari calls layer data: the pixels or places, the arguments of the layer, and its kind. This module
does not need napari.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from pcip_core.crops.shard import cut_field
from pcip_core.errors import CropError, StoreError, meant
from pcip_core.exports.cells import chosen_images, distinct, require_set, with_images
from pcip_core.exports.ome_zarr import channel_colours
from pcip_core.files import natural_key
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.rows import stored_field
from pcip_core.store.vectors import features_of
from pcip_core.words import many

LayerData = tuple[np.ndarray, dict[str, Any], str]
_DARKEST, _BRIGHTEST = 0.5, 99.8  # percentiles of a channel between which it is shown
_FIELD = pl.col("cell_id").str.replace("_[0-9]+$", "")  # the id of a cell is that of its field and its label
_ACROSS = 0.3  # diameter of a point, of that of a circle with the cells' mean area


def chosen_field(store: Store, screen: str, name: str | None) -> tuple[str, str]:
    """The id of a field and its shard.

    Args:
        store, screen: where it is.
        name: the id of a field, or of an image, which stands for its first field; None for the first field with cells.

    Raises:
        StoreError: the screen has no cells, or no such field.
    """
    fields = store.read(screen, "fields", columns=["field_id", "image_id", "shard"])
    if name is None:
        cells = store.read(screen, "cells", columns=["cell_id"]).select(_FIELD.alias("field_id"))
        fields, found = fields.join(cells, on="field_id", how="semi"), "no field with cells"
    else:
        known = [*fields["field_id"], *fields["image_id"]]
        fields = fields.filter((pl.col("field_id") == name) | (pl.col("image_id") == name))
        found = f"no such field or image{meant(name, known)}"
    if fields.is_empty():
        raise StoreError(
            screen if name is None else f"{screen}: field {name}",
            found=found,
            required="a field_id of the table fields",
            remedy=f'List them: pcip sql "SELECT field_id FROM {screen}.fields". Or run `pcip run {screen}`.',
        )
    ids, shards = fields["field_id"].to_list(), fields["shard"].to_list()
    return min(zip(ids, shards, strict=True), key=lambda pair: (natural_key(pair[1]), natural_key(pair[0])))


def field_layers(
    store: Store, screen: Screen, field_id: str, shard: str, *, feature_set: str | None = None
) -> list[LayerData]:
    """The channels of a field, and its cells with their columns and features.

    The field is read, corrected and segmented as for the crops. A column without any value is left out.

    Args:
        store, screen: where it is.
        field_id, shard: the field.
        feature_set: whose features are further columns; None for none.

    Raises:
        CropError: the field is not stored, or has other cells than when it was cut.
        EvaluationError: there is no such feature set.
        ImageFileError: its files cannot be read.
    """
    screen.folder()
    cut = cut_field(screen, stored_field(store, screen, field_id, shard))
    cells = _cells(store, screen.name, field_id, shard, feature_set)
    numbers = cells["cell_id"].str.extract("([0-9]+)$").cast(pl.Int64).to_numpy()  # of the label of each
    if lost := set(numbers.tolist()) - set(np.unique(cut.labels).tolist()):
        raise CropError(
            f"{screen.name}: field {field_id}",
            found=f"{many(len(lost), 'cell')} of the table that the field does not have any more",
            required="the images and the spec from which the cells were cut",
            remedy=f"Run `pcip run {screen.name}`, which cuts the cells again.",
        )
    common = _place(screen.pixel_um) | {"metadata": {"screen": screen.name, "field_id": field_id}}
    colours = channel_colours({name: screen.channels[name].role for name in screen.crop_channels})
    layers: list[LayerData] = [
        (cut.planes[name], {"name": name, **_shown(cut.planes[name], colours[name]), **common}, "image")
        for name in screen.crop_channels
    ]
    columns = {name: _plain(cells[name]) for name in cells.columns if cells[name].null_count() < len(cells)}
    labels = {"name": "cells", "features": {"index": numbers, **columns}, "opacity": 0.3, **common}
    layers.append((cut.labels.astype(np.int32), labels, "labels"))
    places = cells.select("y_px", "x_px").to_numpy()
    across = 2 * float(np.sqrt(cells["area_px"].to_numpy().mean() / np.pi)) * _ACROSS if len(cells) else 1.0
    points = {"name": "centres of cells", "features": columns, "size": across, **common}
    return [*layers, (places, points, "points")]


def _cells(store: Store, screen: str, field_id: str, shard: str, feature_set: str | None) -> pl.DataFrame:
    """The cells of a field with the columns of their images, and one column per feature."""
    cells = store.read(screen, "cells", shards=[shard])
    cells = cells.filter(field_id == _FIELD)
    images, _ = chosen_images(store, screen, None)
    roles = store.read(screen, "screen", columns=["channels"])["channels"][0]
    joined = with_images(cells, images, [role.rpartition(":")[0] for role in roles])
    if feature_set is None:
        return joined
    table = require_set(store, screen, feature_set)
    vectors = store.read(screen, table, shards=[shard], columns=["cell_id", "features"])
    vectors = vectors.join(cells.select("cell_id"), on="cell_id", how="semi")
    values = features_of(vectors)
    names = distinct([f"{feature_set}_{number}" for number in range(values.shape[1])], joined.columns)
    features = pl.DataFrame(values, schema=names, orient="row").insert_column(0, vectors["cell_id"])
    return joined.join(features, on="cell_id", how="left", maintain_order="left")


def _place(pixel_um: float | None) -> dict[str, Any]:
    """The arguments that place a layer: the size of a pixel, if the spec tells it."""
    return {"scale": (pixel_um, pixel_um), "units": ("um", "um")} if pixel_um else {}


def _shown(plane: np.ndarray, colour: str) -> dict[str, Any]:
    """How napari shows a channel: between its darkest and its brightest pixels, in its colour, added to the others."""
    low, high = (float(value) for value in np.percentile(plane, (_DARKEST, _BRIGHTEST)))
    limits = (low, high) if high > low else (low, low + 1)
    return {"colormap": f"#{colour}", "blending": "additive", "contrast_limits": limits}


def _plain(values: pl.Series) -> np.ndarray:
    """A column without nulls: numbers as they are, with NaN for a missing one; others as texts."""
    if values.dtype.is_numeric():
        return values.to_numpy()
    return np.array(values.cast(pl.String).fill_null("").to_list(), object)
