"""Measurements that others made: joined to our cells by name or place, and from the Chong archives."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import polars as pl
import pytest

from pcip_core.crops.shard import cut_shard
from pcip_core.errors import SpecError
from pcip_core.features.designed.cellprofiler_tables import (
    archived,
    imported_by_id,
    imported_by_place,
    match_objects,
)
from pcip_core.images.field import Field
from pcip_core.images.layout import scan
from tests.conftest import real_folder
from tests.core.images.layouts.test_hdf5 import CHANNELS, FILES, write_archive
from tests.core.images.writers import screen_of

CELLS = {
    "cell_id": ["a", "b", "c", "d", "e"],
    "image_id": ["p1_A01", "p1_A01", "p1_A01", "p1_B02", "p1_B02"],
    "field": ["01", "01", "02", "01", "01"],
    "y_px": np.array([10.0, 50, 10, 10, 30]),
    "x_px": np.array([10.0, 50, 10, 10, 30]),
}
OBJECTS = pl.DataFrame(
    {
        "Metadata_Plate": ["p1"] * 5,
        "Metadata_Well": ["A1", "A01", "A01", "B02", "B02"],
        "Metadata_Site": [1, 1, 2, 1, 1],
        "ObjectNumber": [1, 2, 1, 1, 2],
        "Nuclei_Location_Center_X": [51.0, 11, 10, 30, 90],
        "Nuclei_Location_Center_Y": [50.0, 10, 12, 32, 90],
        "Nuclei_AreaShape_Area": [200, 100, 300, 500, 900],
        "Nuclei_AreaShape_Center_X": [51.0, 11, 10, 30, 90],
        "Cells_Parent_Nuclei": [1, 2, 1, 1, 2],
        "Texture_Contrast": [2.0, np.nan, 3.0, np.inf, 9.0],
        "note": list("vwxyz"),
    }
)
PLACE = {
    "image": "{Metadata_Plate}_{Metadata_Well}",
    "field": "{Metadata_Site}",
    "y": "Nuclei_Location_Center_Y",
    "x": "Nuclei_Location_Center_X",
}


def written(folder, table, suffix=".csv"):
    path = folder / f"Nuclei{suffix}"
    if suffix == ".parquet":
        table.write_parquet(path)
    else:
        data = table.write_csv().encode()
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_objects_are_joined_by_image_field_and_place(tmp_path, suffix):
    found = imported_by_place(written(tmp_path, OBJECTS, suffix), CELLS, **PLACE)
    assert found.names == ["Nuclei_AreaShape_Area", "Texture_Contrast"]
    assert found.rows.tolist() == [0, 1, 2, 4]
    assert found.values.tolist() == [[100, 0], [200, 2], [300, 3], [500, 0]]
    assert found.values.dtype == np.float32
    assert (found.cells_without, found.rows_without) == (1, 1)
    assert found.not_finite == {"Texture_Contrast": 2}
    strict = imported_by_place(written(tmp_path, OBJECTS, suffix), CELLS, **PLACE, within_px=1.5)
    assert strict.rows.tolist() == [0, 1]


@pytest.mark.parametrize("well", ["A{:02d}", "A{}", "a-{}", "A - {:02d}", "r01c{:02d}"])
def test_images_are_found_in_any_writing(tmp_path, well):
    table = OBJECTS.with_columns(
        pl.Series("Metadata_Plate", ["P 01"] * 5),
        pl.Series("Metadata_Well", [well.format(1)] * 3 + [well.format(2).replace("A", "B")] * 2),
        pl.Series("Metadata_Site", ["001", "1", "2", "1", "1"]),
    )
    if well.startswith("A"):
        found = imported_by_place(written(tmp_path, table), CELLS, **PLACE)
        assert found.rows.tolist() == [0, 1, 2, 4]
    path = written(tmp_path, table[:3])
    assert imported_by_place(path, CELLS, **PLACE).rows.tolist() == [0, 1, 2]


def test_images_that_could_be_meant_by_two_names_are_refused(tmp_path):
    table = OBJECTS.with_columns(pl.Series("Metadata_Plate", ["P01", "P-1", "P1", "p 1", "p1"]))
    with pytest.raises(SpecError, match="rows of P01_A01 1 and P-1_A01 1, each of which could be p1_A01 01"):
        imported_by_place(written(tmp_path, table), CELLS, **PLACE)


def test_fields_and_rows_without_a_match_are_counted(tmp_path):
    written(tmp_path / "", OBJECTS)
    profiler = {"source": "table", "table": "Nuclei.csv", **PLACE}
    files = {"pattern": "{plate}_{well}_{field}_{channel}.tif", "image_id": "{plate}_{well}"}
    screen = screen_of(tmp_path, files, baselines={"sets": ["cellprofiler"], "cellprofiler": profiler})
    fields = [
        Field(f"p1_{well}_{number}", f"p1_{well}", "p1", {"field": number}, {})
        for well, number in (("A01", "1"), ("A01", "2"), ("C01", "1"))
    ]
    matching = match_objects(screen, fields)
    assert (list(matching.row_of), matching.without_row) == (["p1_A01_1", "p1_A01_2"], ["p1_C01_1"])
    assert (matching.unused, matching.n_rows) == (["p1_B02 1"], 3)
    assert len(matching.problems()) == 2
    assert match_objects(screen_of(tmp_path, files), fields) is None


def test_rows_are_joined_by_the_name_of_the_cell(tmp_path):
    table = OBJECTS.with_columns(ours=pl.Series(["c", "a", "x", "y", "z"]))
    found = imported_by_id(written(tmp_path, table), CELLS, cell_id="ours")
    assert found.rows.tolist() == [0, 2]
    assert found.values[:, 0].tolist() == [100, 200]
    assert (found.cells_without, found.rows_without) == (3, 3)
    numbers = imported_by_id(
        written(tmp_path, table.with_columns(ours=pl.Series(["01", "02", "03", "04", "05"]))),
        CELLS | {"cell_id": ["01", "1", "02", "x", "y"]},
        cell_id="ours",
    )
    assert numbers.rows.tolist() == [0, 2]


def test_errors_name_the_file_and_the_columns(tmp_path):
    path = written(tmp_path, OBJECTS)
    required = "the columns Metadata_Batch, which may mean Metadata_Plate, centre_y"
    with pytest.raises(SpecError, match=rf"Nuclei\.csv.*Metadata_Plate.*{required}"):
        imported_by_place(path, CELLS, **PLACE | {"image": "{Metadata_Batch}", "y": "centre_y"})
    with pytest.raises(SpecError, match="the columns cell_id"):
        imported_by_id(path, CELLS)
    with pytest.raises(SpecError, match="images with several fields"):
        imported_by_place(path, CELLS, **PLACE | {"field": None})
    with pytest.raises(SpecError, match=r"none of the cells of the screen; rows for '1'.*'p1_A01'"):
        imported_by_place(path, CELLS, **PLACE | {"image": "{ObjectNumber}"})
    with pytest.raises(SpecError, match="in several rows"):
        imported_by_id(path, CELLS, cell_id="Metadata_Well")
    with pytest.raises(SpecError, match="note"):
        imported_by_place(path, CELLS, **PLACE | {"y": "note"})
    with pytest.raises(SpecError, match="no numeric column"):
        imported_by_place(written(tmp_path, OBJECTS[:, :6]), CELLS, **PLACE)
    with pytest.raises(SpecError, match="no such file"):
        imported_by_id(tmp_path / "none.parquet", CELLS)
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(SpecError, match="no Parquet"):
        imported_by_id(tmp_path / "bad.parquet", CELLS)
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(SpecError, match="no readable table"):
        imported_by_id(tmp_path / "empty.csv", CELLS)


def archive_screen(root):
    return screen_of(
        root,
        FILES | {"image_id": "{set}"},
        channels=CHANNELS,
        shards={"by": "{set}"},
        segmentation={"method": "whole"},
        crops={"window_px": None, "size_px": 64, "min_cells": 2},
    )


def test_features_of_the_archives_come_with_the_cells_that_were_cut(tmp_path):
    root = tmp_path / "images"
    info = np.arange(8.0).reshape(4, 2)
    info[2, 1] = np.nan
    write_archive(root / "Chong_test_set.hdf5", 4, Info1=info)
    screen = archive_screen(root)
    cells = cut_shard(screen, scan(screen).of_shard("test")).columns
    assert len(cells["cell_id"]) == 4
    kept = {"cell_id": [*cells["cell_id"][1:], "train_0_0001"]}
    found = archived(screen, kept)
    assert found.names == ["Area", "Mean"]
    assert found.rows.tolist() == [0, 1, 2]
    assert found.values.tolist() == [[2, 3], [4, 0], [6, 7]]
    assert (found.cells_without, found.rows_without) == (1, 1)
    assert found.not_finite == {"Mean": 1}


def test_archives_without_features_are_refused(tmp_path):
    real = real_folder("yeast_labelled_crops") / "Schuldiner_test_set.hdf5"
    shutil.copy(real, tmp_path / "Chong_test_set.hdf5")
    screen = archive_screen(tmp_path)
    with pytest.raises(SpecError, match="no Info1"):
        archived(screen, {"cell_id": ["test_0_0001"]})
