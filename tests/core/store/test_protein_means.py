"""Means by protein, which are added up block by block, against a plain loop over all cells at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_core.errors import StoreError
from pcip_core.store.feature_blocks import mean_by_protein
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of
from tests.core.store import small


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three plates, each with cells of the same three proteins."""
    made = Store(tmp_path / "store")
    small.fill(made, "scr", plates=3)
    return made


def test_block_by_block_equals_all_at_once(store: Store) -> None:
    table = mean_by_protein(store, "scr", small.SET)

    proteins, means, counts = small.protein_means(store, "scr", small.SET)
    assert table["protein"].to_list() == proteins
    assert table["n_cells"].to_list() == counts == [3 * small.CELLS] * 3
    assert table["encoder_version"].to_list() == ["scr/1"] * 3
    np.testing.assert_allclose(features_of(table), means, rtol=1e-5, atol=1e-6)


def test_an_image_without_a_protein_is_a_protein_with_its_own_name(store: Store) -> None:
    images = store.read("scr", "images", shards=["plate_1"])
    image = images["image_id"][0]
    unknown = pl.when(pl.col("image_id") != image).then("protein").alias("protein")
    store.commit("scr", {"images": images.with_columns(unknown)}, shard="plate_1", provenance={})
    table = mean_by_protein(store, "scr", small.SET).filter(protein=image)
    cells = store.read("scr", f"cell_features_{small.SET}").filter(image_id=image)
    assert table["n_cells"].to_list() == [cells.height] == [small.CELLS]
    np.testing.assert_allclose(features_of(table)[0], features_of(cells).mean(0), rtol=1e-5, atol=1e-6)


def test_shards_of_another_dimension_are_named(store: Store) -> None:
    small.commit_features(store, "scr", "plate_2", dim=12)
    with pytest.raises(StoreError, match=r"different types in shards plate_1 and plate_2"):
        mean_by_protein(store, "scr", small.SET)
