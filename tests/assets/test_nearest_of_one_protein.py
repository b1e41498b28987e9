"""`pcip like` on proteins that cannot be compared: the only one of a screen, and one without cells."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pcip_assets.assets.analyses.nearest import find_nearest
from pcip_assets.assets.units.shown import Network, ends_of, features_of_set
from pcip_core.errors import EvaluationError
from pcip_core.spec.loading import load_screen
from pcip_core.store.partitions import Store
from tests.conftest import write_spec
from tests.core.store.small import SET, cells_of, fill


def test_cells_of_the_only_protein_are_compared(tmp_path: Path) -> None:
    screen, store = load_screen(write_spec(tmp_path, root=str(tmp_path))), Store(tmp_path / "store")
    fill(store, "tiny", plates=1)
    images = store.read("tiny", "images").with_columns(protein=pl.lit("P0"))
    store.commit("tiny", {"images": images}, shard=images["shard"][0])
    table = f"protein_features_{SET}"
    store.commit("tiny", {table: store.read("tiny", table).filter(protein="P0")})
    with pytest.raises(EvaluationError, match="only one protein in the screen") as refused:
        find_nearest(store, screen, ["P0"], n=3, feature_set=SET)
    _, _, cell = str(refused.value).rpartition("pcip like tiny ")  # the remedy
    size = cells_of(images["image_id"].to_list()).pixels.shape[-1]
    screen = replace(screen, crops=replace(screen.crops, size_px=size))
    found = find_nearest(store, screen, [cell], n=3, feature_set=SET)
    assert found.table["protein"].to_list() == ["P0"] * 3


def test_a_protein_without_cells_is_named(tmp_path: Path) -> None:
    screen, store = load_screen(write_spec(tmp_path, root=str(tmp_path))), Store(tmp_path / "store")
    fill(store, "tiny", plates=1)
    table = f"protein_features_{SET}"
    means = store.read("tiny", table)
    absent, present = means["protein"][0], means["protein"][1]
    store.commit("tiny", {table: means.filter(pl.col("protein") != absent)})
    for seeds in ([absent], [present, absent]):
        with pytest.raises(
            EvaluationError, match=rf"no cells of {absent} in {SET} \(\d+ images?\)"
        ) as refused:
            find_nearest(store, screen, seeds, n=3, feature_set=SET)
        assert present in refused.value.remedy
        assert "tiny.quarantine" in refused.value.remedy


def test_a_unit_of_fewer_than_two_cells_is_refused(tmp_path: Path) -> None:
    screen, store = load_screen(write_spec(tmp_path, root=str(tmp_path))), Store(tmp_path / "store")
    fill(store, "tiny", plates=1)
    features = features_of_set(store, screen, SET)
    values = np.full(len(features), np.nan)
    values[0] = 1
    with pytest.raises(EvaluationError, match="found 1 cell with a value; required: two or more"):
        ends_of(store, screen, features, values, Network(None), np.ones(1), "unit 0")
