"""The cells that the page shows, against the tables of the store."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pcip_core.errors import CropError, EvaluationError
from tests.core.browse.conftest import HOSTILE, SET, Browsed


def test_columns_are_those_of_a_join(original: Browsed) -> None:
    cells, store = original.cells, original.store
    joined = store.read("tiny", "cells").join(
        store.read("tiny", "images").drop("shard"), on="image_id", how="left", maintain_order="left"
    )
    assert len(cells) == joined.height == 72
    for name in ("area_px", "field", "protein", "well", "image_id", "shard", "cell_line"):
        assert cells.column(name).to_list() == joined[name].to_list(), name
    assert set(cells.column("localization")) == {"Nucleoplasm", "Cytosol"}
    assert HOSTILE in cells.frequent("protein")
    rows = np.array([70, 0, 33])
    described = cells.described(rows)
    for name in described.columns:
        wanted = cells.cell_id.gather(rows) if name == "cell_id" else cells.column(name).gather(rows)
        assert described[name].to_list() == wanted.to_list(), name
    with pytest.raises(EvaluationError, match=r"column nonsense.*one of protein"):
        cells.column("nonsense")


def test_columns_of_proteins_where_their_images_agree(original: Browsed) -> None:
    cells = original.cells
    cells.images = cells.images.with_columns(
        protein=pl.when(pl.col("well") == "A01").then(pl.lit("both")).otherwise("protein")
    )
    agreed = dict(cells.agreed("plate").rows())
    assert agreed["both"] is None
    assert agreed["P11"] == "plate_1"


def test_crops_and_their_grey_levels_are_those_of_the_shards(original: Browsed) -> None:
    cells, store = original.cells, original.store
    rows = np.array([71, 3, 40, 3])
    pixels, low, high = cells.crops(rows)
    arrays, tables = [], []
    for shard in ("plate_1", "plate_2"):
        table, crops = store.read_with_array("tiny", "cells", "crops", shard)
        arrays.append(crops)
        tables.append(table)
    assert np.array_equal(pixels, np.concatenate(arrays)[rows])
    whole = pl.concat(tables)
    assert low.tolist() == whole["intensity_min"].gather(rows).to_list()
    assert high.tolist() == whole["intensity_max"].gather(rows).to_list()


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.reverse().with_columns(crop_row=pl.int_range(pl.len(), dtype=pl.Int64)),
        lambda table: table.with_columns(
            pixel_hash=pl.col("pixel_hash") + "0"
        ),  # the same cells, other pixels
    ],
)
def test_crops_that_were_cut_again_are_noticed(browsed: Browsed, change) -> None:
    cells, store = browsed.cells, browsed.store
    table, crops = store.read_with_array("tiny", "cells", "crops", "plate_1")
    turned = change(table)
    store.commit("tiny", {"cells": turned}, shard="plate_1", arrays={"crops": np.array(crops)[::-1]})
    with pytest.raises(
        CropError, match=r"other cells than when the page was opened.*`pcip browse tiny` again"
    ):
        cells.crops(np.array([0]))


def test_rows_of_cells_and_of_unknown_ones(original: Browsed) -> None:
    cells = original.cells
    ids = pl.Series([cells.cell_id[5], "nobody", cells.cell_id[0]])
    assert cells.rows_of(ids).tolist() == [5, -1, 0]
    assert cells.feature_sets() == [SET]
