"""Profiles in Parquet and CSV, as pycytominer reads and processes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from pcip_core.exports import profiles
from pcip_core.exports.cells import ExportedCells
from pcip_core.exports.profiles import write_csv, write_parquet
from pcip_core.store.partitions import Store
from pcip_core.store.vectors import features_of
from tests.core.exports.conftest import example_of
from tests.core.store.small import SET


@pytest.mark.parametrize(("write", "ending"), [(write_parquet, "parquet"), (write_csv, "csv")])
def test_profiles_hold_what_the_store_holds(
    write: Callable[..., None], ending: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "_ROWS", 7)
    path = tmp_path / f"x.{ending}"
    write(ExportedCells(store, "tiny", SET), path)
    read = pl.read_parquet(path) if ending == "parquet" else pl.read_csv(path, infer_schema_length=None)
    stored, cells = store.read("tiny", f"cell_features_{SET}"), store.read("tiny", "cells")
    assert read["Metadata_cell_id"].to_list() == stored["cell_id"].to_list()
    features = [name for name in read.columns if not name.startswith("Metadata_")]
    assert features == [f"Cells_{SET}_{number}" for number in range(8)]
    assert np.allclose(read.select(features).to_numpy(), features_of(stored), rtol=1e-6)
    assert read["Metadata_y_px"].to_list() == cells["y_px"].to_list()
    wells = [image.rpartition("_")[2] for image in cells["image_id"].to_list()]
    assert read["Metadata_Well"].to_list() == wells
    assert set(read["Metadata_pcip_feature_set"]) == {SET}
    assert set(read["Metadata_Plate"]) == {"plate_1", "plate_2"}
    assert set(read["Metadata_Plate_2"]) == {"mine"}
    if ending == "parquet":
        assert read.schema[features[0]] == pl.Float32
        origin = json.loads(pq.read_schema(path).metadata[b"pcip"])
        assert (origin["screen"], origin["code_version"]) == ("tiny", "v")
        assert pq.ParquetFile(path).num_row_groups == 5


def test_pycytominer_aggregates_normalizes_annotates_and_selects(store: Store, tmp_path: Path) -> None:
    pycytominer = pytest.importorskip("pycytominer")
    path = tmp_path / "x.parquet"
    write_parquet(ExportedCells(store, "tiny", SET), path)
    names: dict[str, Any] = {}
    exec(example_of("pycytominer", path), names)
    wells, normalized = names["wells"], names["normalized"]
    assert len(wells) == 6
    cells = store.read("tiny", f"cell_features_{SET}")
    of_image = features_of(cells.filter(image_id="plate_2_A02")).mean(0)
    row = wells[(wells.Metadata_Plate == "plate_2") & (wells.Metadata_Well == "A02")]
    assert np.allclose(row[[f"Cells_{SET}_{number}" for number in range(8)]].to_numpy(), of_image, atol=1e-6)
    features = [name for name in normalized.columns if name.startswith("Cells_")]
    assert len(features) == 8
    assert np.allclose(normalized[features].mean(), 0, atol=1e-6)
    assert np.allclose(normalized[features].std(ddof=0), 1, atol=1e-6)
    platemap = pd.DataFrame({"well_position": ["A01", "A02", "A03"], "compound": ["x", "y", "z"]})
    annotated = pycytominer.annotate(
        normalized, platemap, join_on=["Metadata_well_position", "Metadata_Well"], output_file=None
    )
    assert sorted(set(annotated["Metadata_compound"])) == ["x", "y", "z"]
    selected = pycytominer.feature_select(
        annotated, operation=["variance_threshold", "correlation_threshold"]
    )
    assert set(features) & set(selected.columns)


def test_columns_that_a_spreadsheet_would_execute_are_named(store: Store) -> None:
    """Of the doses 1, none and =2, the last is a formula; a number below 0 is none."""
    assert ExportedCells(store, "tiny", SET).formulas == ["dose (mg/l)"]
    assert ExportedCells(store, "tiny", SET, where="\"dose (mg/l)\" = '1'").formulas == []
